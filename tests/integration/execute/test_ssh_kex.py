"""Hosts that begin a key exchange and do not go on with it, or not at once."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from support.odd_sshd import Odd, OddSshd, odd_sshd

from healthd.execute.protocol import Command, ExecKind
from healthd.execute.ssh import SshExecutor
from healthd.execute.ssh_line import GREETING
from healthd.execute.ssh_transport import Transport

TRUE = Command(argv=("true",), timeout_seconds=60.0)
MANY = 12
"""More than a pool of one has room for, even beside its place."""


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something in another thread; the test's own time-out is the limit."""
    while not is_so():  # noqa: ASYNC110 - the other side of a socket sets no event of ours.
        await asyncio.sleep(0.01)


def connections() -> list[threading.Thread]:
    """The library's threads, one for each connection that has one."""
    return [one for one in threading.enumerate() if isinstance(one, Transport)]


def in_kex(sshd: OddSshd) -> int:
    """How many of a host's connections have been sent more than a greeting."""
    return sum(len(_waiting(one)) > len(GREETING) for one in tuple(sshd.open))


def _waiting(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""


async def test_any_number_of_hosts_that_hang_in_kex_takes_neither_a_place_nor_a_thread(
    tmp_path: Path,
) -> None:
    executor = SshExecutor(pool_size=1)
    with ExitStack() as stack:
        bad = stack.enter_context(odd_sshd(tmp_path, Odd.HANGS_IN_KEX, "0.0.0.0"))
        good = stack.enter_context(odd_sshd(tmp_path, Odd.NOTHING, "0.0.0.0"))
        hanging = [
            asyncio.create_task(executor.run(bad.target(f"127.0.58.{at}", seconds=600), TRUE))
            for at in range(1, 1 + MANY)
        ]
        await until(lambda: in_kex(bad) == MANY)
        assert connections() == []
        assert executor.open_connections == 0
        for at in range(1, 5):
            assert (await executor.run(good.target(f"127.0.59.{at}"), TRUE)).is_success
        await until(lambda: len(connections()) <= 1)
        assert not any(one.done() for one in hanging)
        await executor.aclose()
        ended = await asyncio.gather(*hanging)
        assert {one.kind for one in ended} == {ExecKind.NOT_SENT}
        # Nothing of them is left open.
        await until(lambda: all(_has_ended(one) for one in bad.open))
    await until(lambda: connections() == [])


def _has_ended(connection: socket.socket) -> bool:
    try:
        while connection.recv(65_536, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


async def test_a_host_that_goes_on_later_gets_its_place_then_and_its_command_once(
    tmp_path: Path,
) -> None:
    executor = SshExecutor(pool_size=1)
    with ExitStack() as stack:
        late = stack.enter_context(odd_sshd(tmp_path, Odd.PAUSES_IN_KEX, "127.0.58.1"))
        good = stack.enter_context(odd_sshd(tmp_path, Odd.NOTHING, "0.0.0.0"))
        waiting = asyncio.create_task(executor.run(late.target("127.0.58.1", seconds=600), TRUE))
        await asyncio.to_thread(late.has_paused.wait)
        assert connections() == []
        for at in range(1, 5):
            assert (await executor.run(good.target(f"127.0.59.{at}"), TRUE)).is_success
        assert not waiting.done()
        assert late.commands == []
        late.may_go_on.set()
        assert (await waiting).is_success
        assert late.commands == [b"true"]
        assert late.connections == 1
        await executor.aclose()
    await until(lambda: connections() == [])


async def test_whoever_gives_up_on_a_host_that_hangs_in_kex_leaves_no_connection(
    tmp_path: Path,
) -> None:
    executor = SshExecutor(pool_size=1)
    with odd_sshd(tmp_path, Odd.HANGS_IN_KEX, "127.0.58.1") as bad:
        asking = asyncio.create_task(executor.run(bad.target("127.0.58.1", seconds=600), TRUE))
        await until(lambda: in_kex(bad) == 1)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
        await until(lambda: all(_has_ended(one) for one in bad.open))
        await executor.aclose()
