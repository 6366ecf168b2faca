"""Asking one ZooKeeper server, whatever it does."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.jute_server import on_port

from healthd.collect import zookeeper_server
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.zookeeper_server import ServerReader, ServerSeen
from healthd.collect.zookeeper_words import LeaderSays, ServerState

LIMIT = 5.0
DENIED = " is not executed because it is not in the whitelist.\n"
LEADER = {
    "srvr": "Zookeeper version: 3.8.4-x\nOutstanding: 0\nZxid: 0x10\nMode: leader\n",
    "mntr": "zk_server_state\tleader\nzk_synced_followers\t2\nzk_quorum_size\t3\n",
    "conf": "serverId=2\nserver.1=a:1:2\nserver.2=b:1:2\n",
}
COMMANDS = {
    "srvr": {"version": "3.8.4", "server_stats": {"server_state": "leader"}, "error": None},
    "monitor": {"synced_followers": 2, "quorum_size": 3, "error": None},
    "configuration": {"server_id": 2, "error": None},
    "voting_view": {"current_config": {"1": {}, "2": {}}, "error": None},
}


class Words:
    """Answers four-letter words, and counts them."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = (await reader.readexactly(4)).decode()
        self.asked.append(word)
        writer.write(self.answers.get(word, word + DENIED).encode())


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def read(
    words: Words, session: aiohttp.ClientSession, *, admin: str | None = None, rounds: int = 1
) -> ServerSeen:
    async with on_port(words.serve) as port:
        reader = ServerReader(f"127.0.0.1:{port}", admin, lambda: session)
        for _ in range(rounds):
            seen = await reader.read(LIMIT)
    return seen


async def test_a_leader_is_asked_for_its_followers_and_everybody_once_for_the_id(
    session: aiohttp.ClientSession,
) -> None:
    words = Words(LEADER)
    seen = await read(words, session, rounds=2)
    assert (seen.says.state, seen.id, seen.members) == (ServerState.LEADER, 2, frozenset({1, 2}))
    assert seen.leads == LeaderSays(synced_followers=2, quorum_size=3)
    assert words.asked == ["srvr", "mntr", "conf", "srvr", "mntr"]


async def test_only_srvr_is_enough_as_it_is_allowed_by_default(
    session: aiohttp.ClientSession,
) -> None:
    seen = await read(Words({"srvr": LEADER["srvr"]}), session)
    assert (seen.says.state, seen.id, seen.leads, seen.reason) == (
        ServerState.LEADER, None, None, None,
    )  # fmt: skip


async def test_the_admin_server_fills_in_what_further_words_may_not_say(
    session: aiohttp.ClientSession,
) -> None:
    words = Words({"srvr": LEADER["srvr"]})
    async with TestServer(admin_server(COMMANDS)) as admin:
        seen = await read(words, session, admin=str(admin.make_url("/commands")), rounds=2)
    assert (seen.id, seen.leads) == (2, LeaderSays(synced_followers=2, quorum_size=3))
    assert not seen.asked_admin_server
    assert words.asked == ["srvr", "mntr", "conf", "srvr", "mntr"]


async def test_an_admin_server_that_cannot_fill_it_in_costs_nothing_else(
    session: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    gone = f"http://127.0.0.1:{unused_tcp_port}/commands"
    seen = await read(Words({"srvr": LEADER["srvr"]}), session, admin=gone)
    assert (seen.says.state, seen.leads, seen.reason) == (ServerState.LEADER, None, None)


async def test_an_id_that_came_too_late_is_asked_for_again(session: aiohttp.ClientSession) -> None:
    words, is_slow = Words(LEADER), True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = await reader.readexactly(4)
        if word == b"conf" and is_slow:
            await reader.read()
        writer.write(words.answers[word.decode()].encode())

    async with on_port(serve) as port:
        reader = ServerReader(f"127.0.0.1:{port}", None, lambda: session)
        assert (await reader.read(0.5)).id is None
        is_slow = False
        assert (await reader.read(LIMIT)).id == 2


async def test_a_server_that_was_away_is_asked_again_who_it_is(
    session: aiohttp.ClientSession,
) -> None:
    words = Words(LEADER)
    async with on_port(words.serve) as port:
        reader = ServerReader(f"127.0.0.1:{port}", None, lambda: session)
        assert (await reader.read(LIMIT)).id == 2
        answers, words.answers = words.answers, {"srvr": "rubbish"}
        assert (await reader.read(LIMIT)).id == 2
        words.answers = answers | {"conf": "serverId=3\nserver.3=a:1:2\n"}
        assert (await reader.read(LIMIT)).id == 3


async def test_further_words_that_hang_take_nothing_away(session: aiohttp.ClientSession) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(4) == b"srvr":
            writer.write(LEADER["srvr"].encode())
        else:
            await reader.read()

    async with on_port(serve) as port:
        admin = f"http://127.0.0.1:{port}/commands"
        seen = await ServerReader(f"127.0.0.1:{port}", admin, lambda: session).read(0.5)
    assert (seen.says.state, seen.id, seen.leads) == (ServerState.LEADER, None, None)


async def test_words_that_are_off_are_named_with_what_to_do(
    session: aiohttp.ClientSession,
) -> None:
    seen = await read(Words({}), session)
    assert (seen.says.state, seen.reason, seen.origin) == (
        ServerState.UNKNOWN, FailureReason.AUTHORIZATION, Origin.OURS,
    )  # fmt: skip
    assert "4lw.commands.whitelist" in seen.problem
    assert "adminPort" in seen.problem


async def test_the_admin_server_is_asked_where_words_are_off(
    session: aiohttp.ClientSession,
) -> None:
    words = Words({})
    async with TestServer(admin_server(COMMANDS)) as admin:
        seen = await read(words, session, admin=str(admin.make_url("/commands")), rounds=2)
    assert (seen.says.state, seen.id, seen.members) == (ServerState.LEADER, 2, frozenset({1, 2}))
    assert seen.leads == LeaderSays(synced_followers=2, quorum_size=3)
    assert seen.asked_admin_server
    assert words.asked == ["srvr"], "it does not ask for what it was denied"


def admin_server(
    commands: Mapping[str, object], *, status: int = 200, body: bytes | None = None
) -> web.Application:
    async def command(request: web.Request) -> web.Response:
        if body is not None or status != 200:
            return web.Response(body=body, status=status)
        return web.json_response(commands[request.match_info["name"]])

    application = web.Application()
    application.router.add_get("/commands/{name}", command)
    return application


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        pytest.param(500, b"<html>", "HTTP status 500", id="an error"),
        pytest.param(302, b"", "HTTP status 302", id="a redirect"),
        pytest.param(200, b"<html>", "no JSON", id="a page"),
        pytest.param(200, b"x" * 5000, "more than 4000 bytes", id="too much"),
    ],
)
async def test_an_admin_server_that_is_none_is_told(
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    problem: str,
) -> None:
    monkeypatch.setattr(zookeeper_server, "MAX_ANSWER_BYTES", 4000)
    async with TestServer(admin_server({}, status=status, body=body)) as admin:
        seen = await read(Words({}), session, admin=str(admin.make_url("/commands")))
    assert (seen.says.state, seen.reason) == (ServerState.UNKNOWN, FailureReason.PROTOCOL)
    assert problem in seen.problem


async def test_an_admin_server_that_is_not_there_is_told(
    session: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    seen = await read(Words({}), session, admin=f"http://127.0.0.1:{unused_tcp_port}/commands")
    assert (seen.says.state, seen.reason) == (ServerState.SILENT, FailureReason.REFUSED)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(b"", "closed the connection", id="nothing"),
        pytest.param(b"Zookeeper version: 3.8.4\n", "no whole answer", id="half"),
        pytest.param(bytes(range(128, 256)), "no whole answer", id="rubbish"),
        pytest.param(b"x" * 5000, "more than 4000 bytes", id="too much"),
    ],
)
async def test_an_answer_that_is_none_is_told(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, answer: bytes, problem: str
) -> None:
    monkeypatch.setattr(zookeeper_server, "MAX_ANSWER_BYTES", 4000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(answer)

    async with on_port(serve) as port:
        seen = await ServerReader(f"127.0.0.1:{port}", None, lambda: session).read(LIMIT)
    assert (seen.says.state, seen.reason) == (ServerState.UNKNOWN, FailureReason.PROTOCOL)
    assert problem in seen.problem


async def test_a_server_that_drips_is_given_up_in_time(session: aiohttp.ClientSession) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Z")
        await reader.read(4)
        await reader.read()

    async with on_port(serve) as port:
        seen = await ServerReader(f"127.0.0.1:{port}", None, lambda: session).read(0.05)
    assert (seen.says.state, seen.reason) == (ServerState.SILENT, FailureReason.TIMEOUT)


async def test_nobody_there_and_no_such_name_are_told_apart(
    session: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    gone = await ServerReader(f"127.0.0.1:{unused_tcp_port}", None, lambda: session).read(LIMIT)
    assert (gone.reason, gone.origin) == (FailureReason.REFUSED, Origin.THEIRS)
    nameless = await ServerReader("zk.invalid:2181", None, lambda: session).read(LIMIT)
    assert (nameless.reason, nameless.origin) == (FailureReason.DNS, Origin.OURS)
