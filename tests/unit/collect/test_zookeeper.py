"""One round of asking an ensemble, against stand-ins."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from support.jute_server import CLOSE, GET_DATA, JuteServer, listening

from healthd.collect.observation import FailureReason, Origin, Source
from healthd.collect.zookeeper import EnsembleReader, EnsembleRound
from healthd.config.source_zookeeper import ZookeeperConfig
from healthd.model.codes import CheckCode
from healthd.model.snapshot import NO_LEADER, Voter

NODES: dict[str, bytes | tuple[str, ...]] = {
    "/kafka/controller": b'{"version":2,"brokerid":2,"timestamp":"1795279039968"}',
    "/kafka/brokers/ids": ("1", "2", "seqid"),
}
IDLE = b"This ZooKeeper instance is not currently serving requests\n"
LEADER = b"Zookeeper version: 3.8.4\nZxid: 0x11\nMode: leader\n"
NOW = 1_795_279_040.5


@contextlib.asynccontextmanager
async def ensemble(
    *servers: JuteServer, chroot: str = "/kafka", limit: float = 2.0
) -> AsyncIterator[EnsembleReader]:
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(listening(server))
        reader = reader_of([server.address for server in servers], chroot=chroot, limit=limit)
        stack.push_async_callback(reader.aclose)
        yield reader


def reader_of(
    addresses: Sequence[str], *, chroot: str = "/kafka", limit: float = 2.0
) -> EnsembleReader:
    return EnsembleReader(
        ZookeeperConfig(servers=tuple(addresses), chroot=chroot),
        interval_seconds=15,
        limit_seconds=limit,
        wall=lambda: NOW,
    )


def about_quorum(seen: EnsembleRound) -> list[tuple[FailureReason, Origin]]:
    return [(one.reason, one.origin) for one in seen.failures if one.source is Source.QUORUM]


async def test_the_controller_is_the_one_that_the_znode_names() -> None:
    async with ensemble(JuteServer(NODES)) as reader:
        seen = await reader.read()
    assert seen.quorum is not None
    assert (seen.controller, seen.quorum.registered, seen.failures) == (2, frozenset({1, 2}), ())
    (voter,) = seen.quorum.voters
    assert voter == Voter(id=1, last_caught_up_ms=1_795_279_040_500, log_end_offset=16)


async def test_one_session_is_kept_for_all_rounds_and_ended_at_the_end() -> None:
    server = JuteServer(NODES)
    async with ensemble(server) as reader:
        for _ in range(3):
            assert (await reader.read()).controller == 2
    assert server.sessions == 1
    assert (server.asked.count(GET_DATA), server.asked[-1]) == (3, CLOSE)


async def test_a_session_that_broke_is_opened_anew_in_the_same_round() -> None:
    first, second = JuteServer(NODES), JuteServer(NODES)
    async with ensemble(first, second) as reader:
        await reader.read()
        first.error = -112
        seen = await reader.read()
    assert (seen.controller, second.sessions, about_quorum(seen)) == (2, 1, [])


async def test_a_follower_is_asked_rather_than_the_leader() -> None:
    leader, follower = JuteServer(NODES, srvr=LEADER), JuteServer(NODES)
    async with ensemble(leader, follower) as reader:
        await reader.read()
    assert (leader.sessions, follower.sessions) == (0, 1)


async def test_no_controller_is_no_failure() -> None:
    nodes = {"/kafka/brokers/ids": NODES["/kafka/brokers/ids"]}
    async with ensemble(JuteServer(nodes)) as reader:
        seen = await reader.read()
    assert seen.quorum is not None
    assert (seen.quorum.leader_id, seen.controller, seen.failures) == (NO_LEADER, None, ())


async def test_a_wrong_chroot_is_ours_and_no_missing_controller() -> None:
    async with ensemble(JuteServer(NODES), chroot="/kafak") as reader:
        seen = await reader.read()
    assert (seen.quorum, about_quorum(seen)) == (None, [(FailureReason.PROTOCOL, Origin.OURS)])
    assert "zookeeper.chroot" in seen.failures[0].detail


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"brokerid":"1"}', b'{"brokerid":-1}', b'{"brokerid":true}']
)
async def test_a_controller_that_is_no_broker_is_unknown(data: bytes) -> None:
    async with ensemble(JuteServer({**NODES, "/kafka/controller": data})) as reader:
        seen = await reader.read()
    assert (seen.quorum, about_quorum(seen)) == (None, [(FailureReason.PROTOCOL, Origin.THEIRS)])


async def test_an_ensemble_that_wants_a_login_is_ours_to_settle() -> None:
    async with ensemble(JuteServer(NODES, error=-102)) as reader:
        seen = await reader.read()
    assert about_quorum(seen) == [(FailureReason.AUTHORIZATION, Origin.OURS)]
    assert seen.failures[0].check is CheckCode.COLLECTOR_AUTH


async def test_a_lost_majority_is_no_active_controller(unused_tcp_port: int) -> None:
    async with listening(JuteServer(srvr=IDLE)) as idle:
        reader = reader_of([idle.address, f"127.0.0.1:{unused_tcp_port}"])
        seen = await reader.read()
        await reader.aclose()
    assert seen.quorum is not None
    assert seen.quorum.leader_id == NO_LEADER
    assert about_quorum(seen) == [(FailureReason.NO_LEADER, Origin.THEIRS)]
    assert seen.section["hasMajority"] is False
    assert idle.sessions == 0


async def test_a_server_that_answers_words_and_nothing_else_is_their_trouble() -> None:
    async with ensemble(JuteServer(is_silent=True), limit=0.5) as reader:
        seen = await reader.read()
    assert (seen.quorum, about_quorum(seen)) == (None, [(FailureReason.TIMEOUT, Origin.THEIRS)])


async def test_silence_of_all_may_be_our_own_network(unused_tcp_port: int) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", unused_tcp_port)
    reader = reader_of([f"127.0.0.1:{unused_tcp_port}"], limit=0.1)
    seen = await reader.read()
    await reader.aclose()
    server.close()
    assert (seen.quorum, about_quorum(seen)) == (None, [(FailureReason.TIMEOUT, Origin.OURS)])
    assert "hasMajority" not in seen.section


async def test_a_round_that_is_cancelled_leaves_the_reader_usable() -> None:
    server = JuteServer(NODES, is_silent=True)
    async with ensemble(server) as reader:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read()
        server.is_silent = False
        assert (await reader.read()).controller == 2


async def test_closing_twice_is_fine() -> None:
    async with ensemble(JuteServer(NODES)) as reader:
        await reader.read()
        await reader.aclose()
        await reader.aclose()
