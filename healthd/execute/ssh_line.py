"""Reaching a host without a thread: name, TCP connection, and the first words of its sshd.

Hosts that are gone, hang, or accept connections and say nothing are waited for on the event loop,
where waiting costs next to nothing. Only a host whose sshd has begun to speak gets a place, and
with it the thread that the library keeps for every connection.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import Executor as Threads
from typing import Any, Final, Protocol

import paramiko

from healthd.execute.protocol import ExecKind, Target
from healthd.execute.ssh_errors import ConnectError, reason_of

_DEAD_PEER_MILLISECONDS: Final = 30_000
"""A host that was powered off acknowledges nothing: the kernel drops the connection after this
long, where TCP's own retries would take a quarter of an hour."""
_MAX_GREETING_BYTES: Final = 65_536
_CHUNK_BYTES: Final = 4_096
GREETING: Final = f"SSH-2.0-paramiko_{paramiko.__version__}\r\n".encode()
"""What the library would send first; it is sent here already."""


class Wire(Protocol):
    """What the library needs of a socket; a channel through a bastion has it as well."""

    def send(self, data: bytes, /) -> int:
        """Send some of it."""
        ...

    def recv(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""
        ...

    def close(self) -> None:
        """Close it."""
        ...

    def fileno(self) -> int:
        """What can be waited for."""
        ...

    def settimeout(self, seconds: float | None, /) -> None:
        """For every send and receive from now on."""
        ...


class Line:
    """A wire on which both sides have said who they are, for the library to take over.

    The library sends its greeting first, which has been sent; and it reads the host's, which has
    been read.
    """

    def __init__(self, wire: Wire, heard: bytes) -> None:
        self.wire = wire
        self.heard_at = time.monotonic()
        self._heard = heard
        self._to_swallow = len(GREETING)
        self._closed = False
        """As a socket has it; the library looks at it."""

    def send(self, data: bytes) -> int:
        """As a socket's."""
        if self._to_swallow:
            swallowed = min(self._to_swallow, len(data))
            self._to_swallow -= swallowed
            return swallowed
        return self.wire.send(data)

    def recv(self, size: int) -> bytes:
        """As a socket's."""
        if self._heard:
            data, self._heard = self._heard[:size], self._heard[size:]
            return data
        return self.wire.recv(size)

    def close(self) -> None:
        """As a socket's."""
        self._closed = True
        self.wire.close()

    def shutdown(self, how: int) -> None:
        """As a socket's; what waits on it is woken."""
        if isinstance(self.wire, socket.socket):
            self.wire.shutdown(how)
        else:
            self.wire.close()

    def settimeout(self, seconds: float | None) -> None:
        """As a socket's."""
        self.wire.settimeout(seconds)


async def reach(target: Target, *, deadline: float, threads: Threads) -> socket.socket:
    """A TCP connection to the target.

    Args:
        target: The host.
        deadline: On the monotonic clock.
        threads: Where names are looked up: that call blocks.

    Raises:
        ConnectError: There is none.
    """
    try:
        async with asyncio.timeout(remaining(deadline)):
            return await _connected(target, deadline, threads)
    except TimeoutError as error:
        raise _unreachable(target, "no answer in time") from error
    except OSError as error:
        raise _unreachable(target, reason_of(error)) from error


async def _connected(target: Target, deadline: float, threads: Threads) -> socket.socket:
    places = await _resolved(target, threads)
    trouble: OSError | None = None
    for at, (family, kind, protocol, _, place) in enumerate(places):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            # What is left is shared by the addresses that are left.
            async with asyncio.timeout(remaining(deadline) / (len(places) - at)):
                await asyncio.get_running_loop().sock_connect(connection, place)
            connection.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MILLISECONDS
            )
        except OSError as error:
            connection.close()
            trouble = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise trouble or OSError(f"{target.address} has no address")


async def _resolved(target: Target, threads: Threads) -> list[Any]:
    def look_up(flags: int) -> list[Any]:
        return socket.getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM, flags=flags)

    try:
        # An address needs no looking up, and no thread.
        return look_up(socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.get_running_loop().run_in_executor(threads, look_up, 0)


async def greet(wire: Wire, target: Target, *, deadline: float) -> Line:
    """The line, once the host's sshd has said who it is and has begun to exchange keys.

    The wire is closed when it does not.

    Raises:
        ConnectError: It has not, in time.
    """
    try:
        wire.settimeout(0.0)
        async with asyncio.timeout(remaining(deadline)):
            await _sent(wire, GREETING)
            heard = b""
            while not _has_begun(heard):
                heard += await _received(wire)
                if len(heard) > _MAX_GREETING_BYTES:
                    raise ConnectionError(f"it has said something else: {heard[:40]!r}")  # noqa: TRY301
            return Line(wire, heard)
    except TimeoutError as error:
        wire.close()
        raise _no_ssh(target, "no answer in time") from error
    except (OSError, EOFError) as error:
        wire.close()
        raise _no_ssh(target, reason_of(error)) from error
    except BaseException:
        wire.close()
        raise


def _has_begun(heard: bytes) -> bool:
    """Whether the greeting is there, and more; or a greeting that the library will refuse."""
    *lines, rest = heard.split(b"\n")
    for at, line in enumerate(lines):
        if line.startswith(b"SSH-"):
            is_spoken = line.startswith((b"SSH-2.0-", b"SSH-1.99-"))
            return not is_spoken or bool(rest) or at + 1 < len(lines)
    return False


async def _sent(wire: Wire, data: bytes) -> None:
    while data:
        try:
            data = data[wire.send(data) :]
        except (BlockingIOError, TimeoutError):
            await _ready(wire, asyncio.get_running_loop().add_writer, is_write=True)


async def _received(wire: Wire) -> bytes:
    while True:
        try:
            if data := wire.recv(_CHUNK_BYTES):
                return data
            raise EOFError
        except (BlockingIOError, TimeoutError):
            # A channel has TimeoutError for what a socket has BlockingIOError for.
            await _ready(wire, asyncio.get_running_loop().add_reader)


async def _ready(wire: Wire, watch: Callable[..., Any], *, is_write: bool = False) -> None:
    loop = asyncio.get_running_loop()
    if is_write and not isinstance(wire, socket.socket):
        await asyncio.sleep(0.02)
        return
    number = wire.fileno()
    woken = loop.create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    watch(number, wake)
    try:
        await woken
    finally:
        (loop.remove_writer if is_write else loop.remove_reader)(number)


def _unreachable(target: Target, reason: str) -> ConnectError:
    return ConnectError(
        ExecKind.UNREACHABLE, f"{target.address}:{target.port} cannot be reached: {reason}"
    )


def _no_ssh(target: Target, reason: str) -> ConnectError:
    return ConnectError(
        ExecKind.UNREACHABLE,
        f"{target.address}:{target.port} does not answer as an SSH server: {reason}",
    )


def remaining(deadline: float) -> float:
    """Seconds until the deadline; never 0, which a socket takes for "do not wait at all"."""
    return max(deadline - time.monotonic(), 0.001)
