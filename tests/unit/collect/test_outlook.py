"""Whether this process reaches anybody else."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from healthd.collect.outlook import ASKED_AT_ONCE, Outlook


@pytest.fixture
async def listener() -> AsyncIterator[int]:
    """Accepts connections."""

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def others_answer(outlook: Outlook) -> bool:
    return await outlook.others_answer("payments", timeout_seconds=2)


async def test_nobody_else_is_known() -> None:
    assert not await others_answer(Outlook())


async def test_another_cluster_answers(listener: int) -> None:
    outlook = Outlook()
    outlook.note("orders", ("127.0.0.1", listener))
    assert await others_answer(outlook)


async def test_the_cluster_itself_is_no_other(listener: int) -> None:
    outlook = Outlook()
    outlook.note("payments", ("127.0.0.1", listener))
    assert not await others_answer(outlook)


async def test_a_cluster_that_is_forgotten_is_not_asked(listener: int) -> None:
    outlook = Outlook()
    outlook.note("orders", ("127.0.0.1", listener))
    outlook.forget("orders")
    assert not await others_answer(outlook)


async def test_an_answer_of_before_is_none_now(unused_tcp_port: int) -> None:
    outlook = Outlook()
    outlook.note("orders", ("127.0.0.1", unused_tcp_port))
    assert not await others_answer(outlook)


async def test_a_canary_of_the_fleet_file_as_it_is_now_answers(
    listener: int, unused_tcp_port: int
) -> None:
    canaries = [f"127.0.0.1:{unused_tcp_port}"]
    outlook = Outlook(lambda: canaries)
    assert not await others_answer(outlook)
    canaries[:] = [f"127.0.0.1:{listener}"]
    assert await others_answer(outlook)


async def test_the_latest_to_answer_are_asked(listener: int, unused_tcp_port: int) -> None:
    outlook = Outlook()
    outlook.note("first", ("127.0.0.1", listener))
    for number in range(ASKED_AT_ONCE):
        outlook.note(f"cluster-{number}", ("127.0.0.1", unused_tcp_port))
    assert not await others_answer(outlook)
    outlook.note("first", ("127.0.0.1", listener))
    assert await others_answer(outlook)
