"""Clusters that nobody answers for: what it takes before that counts against them.

The addresses are real sockets: a listener of a frozen process accepts and says nothing, one whose
queue is full does not even finish the handshake, as behind a firewall that drops.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType

import pytest

from healthd.collect.cluster import ClusterCollector
from healthd.collect.outlook import Outlook
from healthd.collect.protocol import Collected
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.engine.collector_checks import collector_checks
from healthd.health.index import evaluate
from healthd.model.codes import CheckCode

HOME = "127.0.0.1"
INTERVAL_SECONDS = 0.5


@pytest.fixture
async def frozen() -> AsyncIterator[int]:
    """A port that accepts connections and never says anything."""
    done = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(silent, HOME, 0)
    yield server.sockets[0].getsockname()[1]
    done.set()
    server.close()


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full: the kernel drops what comes next."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOME, 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def target(kafka: str, exporter: int | None = None) -> ClusterTarget:
    url = None if exporter is None else f"http://{HOME}:{exporter}/metrics"
    return ClusterTarget(
        name="gone",
        bootstrap_servers=(kafka,),
        nodes=MappingProxyType({1: NodeTarget(id=1, host=HOME, exporter_url=url)}),
        interval_seconds=INTERVAL_SECONDS,
        request_timeout_seconds=0.4,
    )


async def collected_after_two_intervals(found: ClusterTarget, outlook: Outlook) -> Collected:
    collector = ClusterCollector(found, outlook=outlook)
    first = await collector.collect()
    assert not first.snapshot.unreachable
    await asyncio.sleep(2 * INTERVAL_SECONDS)
    collected = await collector.collect()
    await collector.aclose()
    return collected


def checks_of(collected: Collected) -> set[CheckCode]:
    checks = collector_checks(collected.snapshot, collected.failures)
    report = evaluate(collected.snapshot, further=checks)
    return {check.code for check in report.checks}


@pytest.mark.parametrize("kind", ["frozen", "black_hole"])
async def test_silence_counts_when_the_exporter_is_gone_too_and_a_canary_answers(
    kind: str, request: pytest.FixtureRequest, frozen: int, black_hole: int
) -> None:
    port = {"frozen": frozen, "black_hole": black_hole}[kind]
    canary = Outlook(lambda: [f"{HOME}:{frozen}"])
    collected = await collected_after_two_intervals(
        target(f"{HOME}:{port}", exporter=black_hole), canary
    )
    assert collected.snapshot.unreachable is True
    assert checks_of(collected) == {CheckCode.UNREACHABLE}
    assert evaluate(collected.snapshot).health_index == 0


async def test_silence_is_our_network_while_nobody_else_answers(black_hole: int) -> None:
    collected = await collected_after_two_intervals(
        target(f"{HOME}:{black_hole}", exporter=black_hole), Outlook()
    )
    assert not collected.snapshot.unreachable
    assert checks_of(collected) == {CheckCode.COLLECTOR_NETWORK}


async def test_silence_is_our_network_without_a_second_path(black_hole: int, frozen: int) -> None:
    canary = Outlook(lambda: [f"{HOME}:{frozen}"])
    collected = await collected_after_two_intervals(target(f"{HOME}:{black_hole}"), canary)
    assert not collected.snapshot.unreachable
    assert checks_of(collected) == {CheckCode.COLLECTOR_NETWORK}


async def test_dns_that_is_gone_is_ours_whatever_else_is_so(black_hole: int, frozen: int) -> None:
    canary = Outlook(lambda: [f"{HOME}:{frozen}"])
    collected = await collected_after_two_intervals(
        target("nowhere.invalid:9092", exporter=black_hole), canary
    )
    assert not collected.snapshot.unreachable
    assert checks_of(collected) == {CheckCode.COLLECTOR_NETWORK}
    kafka = [each for each in collected.failures if each.source.value != "metrics"]
    assert {(each.origin.value, each.reason.value) for each in kafka} == {("ours", "dns")}
