"""The server in the daemon's loop: a real port, no signals, an end within its deadline."""

import asyncio
import json
import resource
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from healthd.serve.server import HttpServer, ListenError


class Patient:
    """An application whose `/slow` answers when it is told to."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.app = Starlette(
            routes=[Route("/", self.at_once), Route("/slow", self.slow)],
        )

    async def at_once(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("here")

    async def slow(self, request: Request) -> PlainTextResponse:
        self.is_asked.set()
        await self.may_answer.wait()
        return PlainTextResponse("late")


@asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[tuple[HttpServer, str]]:
    server = HttpServer(app, port=0)
    port = await server.start()
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(1.0)


async def test_it_answers_on_the_port_that_it_returns() -> None:
    async with running(Patient().app) as (_, address), httpx2.AsyncClient() as client:
        assert (await client.get(address)).text == "here"


async def test_who_connects_before_it_serves_waits_and_is_answered() -> None:
    server = HttpServer(Patient().app, port=0)
    port = server.listen()
    async with httpx2.AsyncClient() as client:
        asked = asyncio.create_task(client.get(f"http://127.0.0.1:{port}"))
        await asyncio.sleep(0.05)
        assert not asked.done()
        assert await server.start() == port
        try:
            assert (await asked).text == "here"
        finally:
            await server.stop(1.0)


async def test_it_says_nothing_of_what_it_is_made_of() -> None:
    async with running(Patient().app) as (_, address), httpx2.AsyncClient() as client:
        assert "server" not in (await client.get(address)).headers


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: a\r\n\r\n",
    ],
    ids=["no HTTP", "no host", "no length"],
)
async def test_what_is_no_http_is_a_problem_too(request_: bytes) -> None:
    async with running(Patient().app) as (_, address):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
        writer.write(request_)
        async with asyncio.timeout(5):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["status"] == 400


async def test_it_leaves_signals_to_the_daemon() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with running(Patient().app):
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: cannot listen"):
            await HttpServer(Patient().app, port=port).start()


async def test_a_request_that_is_under_way_is_finished_before_the_end() -> None:
    patient = Patient()
    async with running(patient.app) as (server, address), httpx2.AsyncClient() as client:
        asking = asyncio.create_task(client.get(f"{address}/slow"))
        await patient.is_asked.wait()
        stopping = asyncio.create_task(server.stop(10.0))
        await asyncio.sleep(0)
        patient.may_answer.set()
        assert (await asking).text == "late"
        await stopping


async def test_a_request_that_never_ends_does_not_keep_the_daemon() -> None:
    patient = Patient()
    async with running(patient.app) as (server, address), httpx2.AsyncClient() as client:
        asking = asyncio.create_task(client.get(f"{address}/slow"))
        await patient.is_asked.wait()
        async with asyncio.timeout(5):
            await server.stop(0.3)
        # It is cut off with an error; which one depends on how far it had got.
        (result,) = await asyncio.gather(asking, return_exceptions=True)
        assert isinstance(result, httpx2.RequestError | httpx2.Response)
        assert not isinstance(result, httpx2.Response) or result.status_code == 500


async def test_after_the_end_the_port_is_free_again() -> None:
    async with running(Patient().app) as (server, address):
        await server.stop(1.0)
        port = int(address.rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            pass


async def test_stopping_twice_or_before_the_start_is_no_mistake() -> None:
    await HttpServer(Patient().app, port=0).stop()
    async with running(Patient().app) as (server, _):
        await server.stop(1.0)


async def test_one_client_too_many_is_told_so_and_the_next_one_is_served_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("healthd.serve.server._most_connections", lambda: 2)
    async with running(Patient().app) as (_, address):
        async with httpx2.AsyncClient() as one:
            assert (await one.get(address)).status_code == 200
            async with httpx2.AsyncClient() as other:
                assert (await other.get(address)).status_code == 503
        async with httpx2.AsyncClient() as later:
            assert (await later.get(address)).status_code == 200


async def test_as_many_files_may_be_open_as_the_kernel_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = min(1024, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, before[1]))
    try:
        async with running(Patient().app):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_no_answer_waits_for_the_acknowledgement_of_its_head() -> None:
    async with running(Patient().app) as (server, address), httpx2.AsyncClient() as client:
        await client.get(address)
        assert server._server is not None
        (connection,) = server._server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
