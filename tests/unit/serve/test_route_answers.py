"""The quick way to a profile's answer says what the route says."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.daemon import InMemoryDaemon, a_router, config_of

from healthd.config.fleet import Fleet
from healthd.config.profiles import ProfileConfig
from healthd.serve import app as app_module
from healthd.serve.app import create_app
from healthd.serve.auth import TokenAuth

ROUTE = "/api/v1/routes/NAD1700"


class Nothing:
    """In the place of the quick way: every request goes on to the route."""

    def __init__(self, app: Any, *, router_of: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


@pytest.fixture
def daemon() -> InMemoryDaemon:
    made = InMemoryDaemon()
    profiles = (
        ProfileConfig(name="NAD1700", members=("payments", "west")),
        ProfileConfig(name="a b/ü", members=("west",)),
    )
    made.router = a_router((config_of("payments"), config_of("west")), profiles)
    return made


@pytest.fixture
async def slow(
    daemon: InMemoryDaemon, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    with monkeypatch.context() as patched:
        patched.setattr(app_module, "RouteAnswers", Nothing)
        app = create_app(daemon, TokenAuth(token_file), open_reads=True)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://healthd") as client:
        yield client


def told(response: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    return response.status_code, response.content, sorted(response.headers.items())


QUESTIONS: list[tuple[str, str, dict[str, str]]] = [
    ("GET", ROUTE, {}),
    ("GET", ROUTE, {"If-None-Match": "ETAG"}),
    ("GET", ROUTE, {"If-None-Match": 'W/"ETAG"'}),
    ("GET", ROUTE, {"If-None-Match": '"other"'}),
    ("GET", ROUTE + "?since=ETAG", {}),
    ("GET", ROUTE + "?since=", {"If-None-Match": "ETAG"}),
    ("GET", ROUTE + "?since=other", {"If-None-Match": "ETAG"}),
    ("GET", ROUTE + "?wait=0.01s&since=ETAG", {}),
    ("GET", ROUTE + "?wait=0.01&since=%22ETAG%22", {}),
    ("GET", ROUTE + "?wait=5s", {}),
    ("GET", ROUTE + "?wait=5s&since=other", {}),
    ("GET", ROUTE + "?wait=61s&since=ETAG", {}),
    ("GET", ROUTE + "?wait=soon", {}),
    ("GET", ROUTE + "?wait=", {}),
    ("GET", ROUTE + "?wait=30s&wait=0.01s&since=ETAG", {}),
    ("GET", ROUTE + "?other=1", {}),
    ("GET", ROUTE + "/", {}),
    ("GET", "/api/v1/routes/nobody", {}),
    ("GET", "/api/v1/routes/NAD1700%00", {}),
    ("GET", "/api/v1/routes/a%20b%2F%C3%BC", {}),
    ("GET", "/api/v1/routes/", {}),
    ("HEAD", ROUTE, {}),
    ("POST", ROUTE, {}),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: " ".join(question[:2]))
async def test_it_answers_as_the_route_does(
    anybody: httpx2.AsyncClient,
    slow: httpx2.AsyncClient,
    daemon: InMemoryDaemon,
    question: tuple[str, str, dict[str, str]],
) -> None:
    method, path, headers = question
    etag = daemon.router.answers["NAD1700"].etag
    given = {name: value.replace("ETAG", etag) for name, value in headers.items()}
    quick = await anybody.request(method, path.replace("ETAG", etag), headers=given)
    route = await slow.request(method, path.replace("ETAG", etag), headers=given)
    assert told(quick) == told(route)


async def test_without_the_token_there_is_no_answer_where_reads_are_closed(
    closed: httpx2.AsyncClient,
) -> None:
    assert (await closed.get(ROUTE)).status_code == 401


async def test_who_waits_while_the_profile_is_removed_is_told_that_it_is_gone(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    etag = daemon.router.answers["NAD1700"].etag
    waiting = asyncio.create_task(anybody.get(ROUTE, params={"wait": "30s", "since": etag}))
    await asyncio.sleep(0)
    daemon.router.reload(Fleet(clusters=(config_of("west"),), profiles=()))
    response = await waiting
    assert (response.status_code, response.json()["type"]) == (
        404,
        "urn:healthd:problem:unknown-profile",
    )


async def test_who_waits_is_let_go_when_the_daemon_stops(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    etag = daemon.router.answers["NAD1700"].etag
    waiting = asyncio.create_task(anybody.get(ROUTE, params={"wait": "30s", "since": etag}))
    await asyncio.sleep(0)
    await daemon.router.close()
    assert (await waiting).status_code == 304


async def test_nobody_waits_for_a_client_that_went_away(
    daemon: InMemoryDaemon, token_file: Path
) -> None:
    app = create_app(daemon, TokenAuth(token_file), open_reads=True)
    etag = daemon.router.answers["NAD1700"].etag
    scope = {
        "type": "http",
        "method": "GET",
        "path": ROUTE,
        "query_string": f"wait=30s&since={etag}".encode(),
        "headers": [],
    }
    messages = [{"type": "http.request", "body": b""}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(5):
        await app(scope, receive, send)
    assert sent == []
