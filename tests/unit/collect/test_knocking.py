"""Every door of a cluster, and other doors of the same hosts."""

import asyncio
from collections.abc import AsyncIterator
from types import MappingProxyType

import pytest

from healthd.collect.knocking import knocks_of
from healthd.collect.observation import (
    BrokerSignals,
    FailureReason,
    ListenerState,
    Origin,
    PageSeen,
    Source,
    SourceFailure,
)
from healthd.collect.outlook import Outlook
from healthd.collect.reachability import Knocks
from healthd.collect.target import ClusterTarget, NodeTarget

PAGE = PageSeen(signals=BrokerSignals(), at=0)
HOME = "127.0.0.1"


@pytest.fixture
async def open_port() -> AsyncIterator[int]:
    """Accepts connections and says nothing, as a frozen broker and as a port of sshd."""
    done = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(silent, HOME, 0)
    yield server.sockets[0].getsockname()[1]
    done.set()
    server.close()


def target(port: int, ssh_port: int | None = None) -> ClusterTarget:
    return ClusterTarget(
        name="payments",
        bootstrap_servers=(f"{HOME}:{port}",),
        nodes=MappingProxyType({1: NodeTarget(id=1, host=HOME), 2: NodeTarget(id=2)}),
        ssh_port=ssh_port,
    )


def lost(node: int, reason: FailureReason) -> SourceFailure:
    return SourceFailure(
        source=Source.METRICS, origin=Origin.THEIRS, reason=reason, detail="No page.", node=node
    )


async def knocked(
    found: ClusterTarget,
    *failures: SourceFailure,
    pages: dict[int, PageSeen] | None = None,
    brokers: dict[int, tuple[str, int]] | None = None,
    outlook: Outlook | None = None,
) -> Knocks:
    return await knocks_of(
        found,
        brokers or {},
        pages=pages or {},
        failures=failures,
        outlook=outlook,
        timeout_seconds=0.1,
    )


async def test_bootstrap_and_brokers_are_knocked_at_once_each(open_port: int) -> None:
    knocks = await knocked(target(open_port), brokers={1: (HOME, open_port)})
    assert knocks.bootstrap == ()
    assert knocks.brokers == {1: ListenerState.TIMED_OUT}
    alone = await knocked(target(open_port))
    assert alone.bootstrap == (ListenerState.TIMED_OUT,)


@pytest.mark.parametrize(
    ("reason", "answered"),
    [
        (FailureReason.TIMEOUT, False),
        (FailureReason.REFUSED, False),
        (FailureReason.NETWORK, False),
        (FailureReason.HTTP_STATUS, True),
        (FailureReason.NOT_METRICS, True),
        (FailureReason.DNS, None),
    ],
)
async def test_what_a_lost_page_says_of_its_host(
    open_port: int, reason: FailureReason, *, answered: bool | None
) -> None:
    knocks = await knocked(target(open_port), lost(1, reason))
    assert knocks.second_paths.get(1) is answered


async def test_a_page_is_an_answer(open_port: int) -> None:
    knocks = await knocked(target(open_port), pages={1: PAGE})
    assert knocks.second_paths == {1: True}


async def test_a_host_whose_sshd_answers_is_there(open_port: int) -> None:
    found = target(open_port, ssh_port=open_port)
    knocks = await knocked(found, lost(1, FailureReason.TIMEOUT), outlook=Outlook())
    assert knocks.second_paths == {1: True}


async def test_a_host_whose_sshd_is_gone_too(open_port: int, unused_tcp_port: int) -> None:
    found = target(open_port, ssh_port=unused_tcp_port)
    knocks = await knocked(found, lost(1, FailureReason.TIMEOUT), outlook=Outlook())
    assert knocks.second_paths == {1: False}


async def test_nobody_else_is_disturbed_while_the_cluster_answers(open_port: int) -> None:
    knocks = await knocked(target(open_port, ssh_port=open_port))
    assert knocks.second_paths == {}
    assert not knocks.others_answer


async def test_a_canary_answers(open_port: int) -> None:
    outlook = Outlook(lambda: [f"{HOME}:{open_port}"])
    assert (await knocked(target(open_port), outlook=outlook)).others_answer
