"""Every door of a cluster, and other doors of the same hosts."""

import asyncio
from collections.abc import AsyncIterator
from types import MappingProxyType

import pytest

from healthd.collect.knocking import knocks_of
from healthd.collect.observation import ListenerState
from healthd.collect.outlook import Outlook
from healthd.collect.reachability import Knocks
from healthd.collect.target import ClusterTarget, NodeTarget

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
        nodes=MappingProxyType(
            {
                1: NodeTarget(id=1, host=HOME, ssh_port=ssh_port),
                2: NodeTarget(id=2, ssh_port=ssh_port),
            }
        ),
    )


async def knocked(
    found: ClusterTarget,
    pages_up: dict[int, bool] | None = None,
    *,
    brokers: dict[int, tuple[str, int]] | None = None,
    outlook: Outlook | None = None,
) -> Knocks:
    return await knocks_of(
        found,
        brokers or {},
        pages_up=pages_up or {},
        outlook=outlook,
        timeout_seconds=0.1,
    )


async def test_bootstrap_and_brokers_are_knocked_at_once_each(open_port: int) -> None:
    knocks = await knocked(target(open_port), brokers={1: (HOME, open_port)})
    assert knocks.bootstrap == ()
    assert knocks.brokers == {1: ListenerState.TIMED_OUT}
    alone = await knocked(target(open_port))
    assert alone.bootstrap == (ListenerState.TIMED_OUT,)


async def test_whether_its_page_answered_is_a_second_path(open_port: int) -> None:
    knocks = await knocked(target(open_port), {1: True, 2: False})
    assert knocks.second_paths == {1: True, 2: False}


async def test_a_host_whose_sshd_answers_is_there(open_port: int) -> None:
    found = target(open_port, ssh_port=open_port)
    knocks = await knocked(found, {1: False}, outlook=Outlook())
    assert knocks.second_paths == {1: True}


async def test_a_host_whose_sshd_is_gone_too(open_port: int, unused_tcp_port: int) -> None:
    found = target(open_port, ssh_port=unused_tcp_port)
    knocks = await knocked(found, {1: False}, outlook=Outlook())
    assert knocks.second_paths == {1: False}


async def test_nobody_else_is_disturbed_while_the_cluster_answers(open_port: int) -> None:
    knocks = await knocked(target(open_port, ssh_port=open_port))
    assert knocks.second_paths == {}
    assert not knocks.others_answer


async def test_a_canary_answers(open_port: int) -> None:
    outlook = Outlook(lambda: [f"{HOME}:{open_port}"])
    assert (await knocked(target(open_port), outlook=outlook)).others_answer
