"""One suite over every implementation of the LeaderElector Protocol.

Kafka's own part, the election, is tested on the real fleet; here it cannot be reached, which is
when an elector has to keep its promises.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from healthd.execute.leaders import KafkaLeaderElector, LeaderElector
from healthd.execute.memory import MemoryElector

SECONDS = 0.5
PARTITIONS = (("orders", 0), ("orders", 1))


@dataclass(frozen=True, slots=True)
class Setting:
    """An elector whose elections do not work."""

    elector: LeaderElector


def _memory_refusing() -> MemoryElector:
    elector = MemoryElector()
    elector.fails = set(PARTITIONS)
    return elector


def _memory_hanging() -> MemoryElector:
    elector = MemoryElector()
    elector.hangs = True
    return elector


@pytest.fixture(params=["memory-refusing", "memory-hanging", "kafka-refusing", "kafka-hanging"])
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    with socket.socket() as silent:
        # It accepts connections and answers nothing, as a frozen broker does.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        makers: dict[str, Callable[[], LeaderElector]] = {
            "memory-refusing": _memory_refusing,
            "memory-hanging": _memory_hanging,
            "kafka-refusing": lambda: KafkaLeaderElector(
                lambda: {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
            ),
            "kafka-hanging": lambda: KafkaLeaderElector(
                lambda: {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}
            ),
        }
        made = makers[request.param]()
        yield Setting(made)
        made.close()


async def test_what_does_not_work_is_told_in_words_and_within_the_time(setting: Setting) -> None:
    async with asyncio.timeout(30):
        failed = await _elect(setting.elector)
    assert failed
    assert all(failed)


async def test_an_election_may_be_asked_for_again(setting: Setting) -> None:
    first = await _elect(setting.elector)
    second = await _elect(setting.elector)
    assert first
    assert second


async def test_where_nothing_is_wanted_nothing_fails(setting: Setting) -> None:
    if isinstance(setting.elector, MemoryElector):
        setting.elector.hangs = False
    assert await setting.elector.elect_preferred((), timeout_seconds=SECONDS) == ()


async def test_it_may_be_closed_twice_and_elects_nothing_afterwards(setting: Setting) -> None:
    setting.elector.close()
    setting.elector.close()
    with pytest.raises(RuntimeError):
        await setting.elector.elect_preferred(PARTITIONS, timeout_seconds=SECONDS)


async def test_the_event_loop_goes_on_while_an_election_hangs(setting: Setting) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    turning = asyncio.create_task(turn())
    await asyncio.sleep(0)
    await _elect(setting.elector)
    before = turns
    await asyncio.sleep(0.05)
    assert turns > before
    turning.cancel()


async def _elect(elector: LeaderElector) -> tuple[str, ...]:
    try:
        return await elector.elect_preferred(PARTITIONS, timeout_seconds=SECONDS)
    except TimeoutError as error:
        return (f"no answer: {error}",)


async def test_the_twin_in_memory_elects_what_it_is_not_told_to_refuse() -> None:
    elector = MemoryElector()
    elector.fails = {("orders", 1)}
    assert await elector.elect_preferred(PARTITIONS, timeout_seconds=1) == ("orders-1: refused",)
    assert elector.elected == [("orders", 0)]
