"""Whether listeners answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from healthd.collect.access import Access
from healthd.collect.observation import ListenerState
from healthd.collect.reach import knock, knock_all

LIMIT = 2.0


@pytest.fixture
async def broker() -> AsyncIterator[int]:
    """Answers each request with a few bytes, as a broker answers ApiVersions."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(4), "big")
        request = await reader.readexactly(size)
        assert request[:4] == b"\x00\x12\x00\x00"
        writer.write(b"\x00\x00\x00\x04" + request[4:8])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def frozen() -> AsyncIterator[int]:
    """Accepts connections, as the kernel does for a stopped process, and says nothing."""
    done = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    done.set()
    server.close()


async def test_a_broker_answers(broker: int) -> None:
    state = await knock("127.0.0.1", broker, timeout_seconds=LIMIT)
    assert state is ListenerState.ANSWERED


async def test_a_frozen_process_accepts_and_times_out(frozen: int) -> None:
    state = await knock("127.0.0.1", frozen, timeout_seconds=0.05)
    assert state is ListenerState.TIMED_OUT


async def test_a_frozen_process_behind_tls_times_out(frozen: int) -> None:
    tls = Access(protocol="SSL").probing_tls()
    state = await knock("127.0.0.1", frozen, timeout_seconds=0.05, tls=tls)
    assert state is ListenerState.TIMED_OUT


async def test_a_dead_process_refuses(unused_tcp_port: int) -> None:
    state = await knock("127.0.0.1", unused_tcp_port, timeout_seconds=LIMIT)
    assert state is ListenerState.REFUSED


async def test_a_name_that_does_not_resolve_is_no_sign_of_death() -> None:
    state = await knock("nowhere.invalid", 9092, timeout_seconds=LIMIT)
    assert state is ListenerState.UNRESOLVED


async def test_many_are_asked_side_by_side(broker: int, unused_tcp_port: int) -> None:
    found = await knock_all(
        [("127.0.0.1", broker), ("127.0.0.1", unused_tcp_port), ("127.0.0.1", broker)],
        timeout_seconds=LIMIT,
    )
    assert found == {
        ("127.0.0.1", broker): ListenerState.ANSWERED,
        ("127.0.0.1", unused_tcp_port): ListenerState.REFUSED,
    }
