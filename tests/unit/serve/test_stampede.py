"""Many clients at one moment: all are answered, whoever keeps a connection open or leaves it.

`make bench` has ten thousand of them, against a daemon of its own (`bench_routes.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.daemon import InMemoryDaemon

from healthd.routing.verdict import Forced, RoutingState
from healthd.serve.app import create_app
from healthd.serve.auth import TokenAuth
from healthd.serve.server import HttpServer

ROUTE = "/api/v1/routes/NAD1700"
CROWD = 300


@pytest.fixture
async def port(daemon: InMemoryDaemon, token_file: Path) -> AsyncIterator[int]:
    server = HttpServer(create_app(daemon, TokenAuth(token_file), open_reads=True), port=0)
    yield await server.start()
    await server.stop(2.0)


async def ask(port: int, query: str = "") -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {ROUTE}{query} HTTP/1.1\r\nHost: healthd\r\n\r\n".encode())
        return int((await reader.readuntil(b"\r\n\r\n"))[9:12])
    finally:
        writer.transport.abort()


async def test_all_who_connect_at_one_moment_are_answered(port: int) -> None:
    found = await asyncio.gather(*(ask(port) for _ in range(CROWD)))
    assert found == [200] * CROWD


async def test_all_who_wait_are_answered_when_something_moves(
    port: int, daemon: InMemoryDaemon
) -> None:
    etag = daemon.router.answers["NAD1700"].etag
    waiting = [asyncio.create_task(ask(port, f"?wait=60s&since={etag}")) for _ in range(CROWD)]
    await until_waiting(CROWD)
    forced = Forced(state=RoutingState.OUT, by="ann", reason="drill", seconds_left=600)
    await daemon.router.force("payments", forced, by="ann", reason="drill")
    assert await asyncio.gather(*waiting) == [200] * CROWD


async def test_nobody_waits_on_for_clients_that_went_away(
    port: int, daemon: InMemoryDaemon
) -> None:
    etag = daemon.router.answers["NAD1700"].etag
    waiting = [asyncio.create_task(ask(port, f"?wait=60s&since={etag}")) for _ in range(20)]
    await until_waiting(len(waiting))
    for task in waiting:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await until_waiting(0)


async def until_waiting(count: int) -> None:
    """So many questions wait in the router."""

    def waiting() -> int:
        names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
        return names.count("Router.wait")

    async with asyncio.timeout(30):
        while waiting() != count:  # noqa: ASYNC110  # The router tells nobody who waits.
            await asyncio.sleep(0.01)
