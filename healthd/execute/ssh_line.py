"""Reaching a host without a thread: name, TCP connection, and the first answers of its sshd.

Hosts that are gone, hang, say nothing, or begin a key exchange and do not go on with it are waited
for on the event loop, where waiting costs next to nothing. Only a host whose sshd has answered in
the key exchange gets a place, and with it the thread that the library keeps for every connection.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import Executor as Threads
from typing import Any, Final, Protocol

import paramiko
from paramiko.common import MSG_KEXINIT

from healthd.execute.protocol import ExecKind, Target
from healthd.execute.ssh_errors import ConnectError, HungError, no_server, reason_of

_DEAD_PEER_MILLISECONDS: Final = 30_000
"""A host that was powered off acknowledges nothing: the kernel drops the connection after this
long, where TCP's own retries would take a quarter of an hour."""
_MAX_GREETING_BYTES: Final = 65_536
_CHUNK_BYTES: Final = 4_096
GREETING: Final = f"SSH-2.0-paramiko_{paramiko.__version__}\r\n".encode()
"""What the library would send first; it is sent here already."""
_SPOKEN: Final = (b"SSH-2.0-", b"SSH-1.99-")
_LENGTH_BYTES: Final = 4
_HEADER_BYTES: Final = _LENGTH_BYTES + 1
"""A packet begins with its length, and that of its padding; the kind of message follows."""


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
    been read. Until it is connected, the library talks to what was heard alone, and what it says
    is kept: nothing that it does blocks.
    """

    def __init__(self, wire: Wire, heard: bytes) -> None:
        self.wire = wire
        self.begins_kex = _begins_kex(heard)
        """Whether the host's first packet is that of a key exchange, as it should be."""
        self._heard = heard
        self._unsent = b""
        self._is_connected = False
        self._timeout: float | None = None
        self._closed = False
        """As a socket has it; the library looks at it."""

    def send(self, data: bytes) -> int:
        """As a socket's."""
        if data == GREETING:
            return len(data)
        if not self._is_connected:
            self._unsent += data
            return len(data)
        return self.wire.send(data)

    def recv(self, size: int) -> bytes:
        """As a socket's."""
        if self._heard:
            data, self._heard = self._heard[:size], self._heard[size:]
            return data
        if not self._is_connected:
            raise paramiko.SSHException("its first packet is broken")
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
        self._timeout = seconds
        if self._is_connected:
            self.wire.settimeout(seconds)

    async def answered(self, target: Target, *, deadline: float) -> None:
        """Send what the library has said so far, if anything, and wait for the host's answer.

        Raises:
            ConnectError: It has not, in time.
        """
        if not self._unsent:
            return
        try:
            async with asyncio.timeout(remaining(deadline)):
                await _sent(self.wire, self._unsent)
                self._unsent = b""
                self._heard += await _received(self.wire)
        except TimeoutError as error:
            detail = f"{no_server(target)}: no answer in time"
            raise HungError(ExecKind.UNREACHABLE, detail) from error
        except (OSError, EOFError) as error:
            raise _no_ssh(target, reason_of(error)) from error

    def connect(self) -> None:
        """From now on the library talks to the host."""
        self._is_connected = True
        self.wire.settimeout(self._timeout)


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
    """The line, once the host's sshd has said who it is, and its first packet is there.

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


def _greeting(heard: bytes) -> tuple[bytes, bytes] | None:
    """The line in which the host says who it is, and what follows; None before it is there."""
    at = 0
    while (end := heard.find(b"\n", at)) >= 0:
        if heard.startswith(b"SSH-", at):
            return heard[at:end], heard[end + 1 :]
        at = end + 1
    return None


def _has_begun(heard: bytes) -> bool:
    """Whether the first packet is there; or a greeting that the library will refuse."""
    found = _greeting(heard)
    if found is None:
        return False
    greeting, packet = found
    if not greeting.startswith(_SPOKEN):
        return True
    length = int.from_bytes(packet[:_LENGTH_BYTES])
    return len(packet) > _HEADER_BYTES and len(packet) >= _LENGTH_BYTES + length


def _begins_kex(heard: bytes) -> bool:
    greeting, packet = _greeting(heard) or (b"", b"")
    kind = packet[_HEADER_BYTES : _HEADER_BYTES + 1]
    return greeting.startswith(_SPOKEN) and kind == bytes((MSG_KEXINIT,))


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
    return ConnectError(ExecKind.UNREACHABLE, f"{no_server(target)}: {reason}")


def remaining(deadline: float) -> float:
    """Seconds until the deadline; never 0, which a socket takes for "do not wait at all"."""
    return max(deadline - time.monotonic(), 0.001)
