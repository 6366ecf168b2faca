"""kafka-python's loop without a thread: what came between two calls counts first."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from healthd.collect.kafka_client import CallersLoop


@pytest.fixture
def net() -> Iterator[CallersLoop]:
    loop = CallersLoop()
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_it_has_no_thread(net: CallersLoop) -> None:
    before = threading.active_count()
    net.start()

    async def who() -> threading.Thread:
        return threading.current_thread()

    assert net.run(who) is threading.current_thread()
    assert threading.active_count() == before


def test_a_connection_that_ended_between_two_calls_is_noticed_before_anything_is_sent(
    net: CallersLoop, pair: Pair
) -> None:
    ours, theirs = pair
    order: list[str] = []

    async def watches() -> None:
        await net.wait_read(ours)
        # As a connection does: it takes a turn more until everybody knows.
        await net.sleep(0)
        order.append(f"read {ours.recv(10)!r}")

    async def asks() -> None:
        order.append("asked")

    begin(net, watches)
    theirs.close()
    net.run(asks)

    assert order == ["read b''", "asked"]


def test_an_answer_that_came_in_time_counts_although_it_is_looked_at_late(
    net: CallersLoop, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("kafka.net.selector.time", SimpleNamespace(monotonic=lambda: now[0]))
    ours, theirs = pair
    found: list[bytes] = []

    async def watches() -> None:
        await net.wait_read(ours, timeout_at=102.0)
        found.append(ours.recv(10))

    async def asks() -> None:
        return

    begin(net, watches)
    theirs.send(b"answer")
    now[0] = 110.0
    net.run(asks)

    assert found == [b"answer"]


def begin(net: CallersLoop, work: Any) -> None:
    """Have something wait in the loop that is not waited for."""

    async def begins() -> None:
        net.call_soon(work)

    net.run(begins)
    # It is waiting from here on.
    net.run(begins_nothing)


async def begins_nothing() -> None:
    return
