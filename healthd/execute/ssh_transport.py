"""The library's transport, waited for on the event loop instead of in a thread."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor as Threads
from typing import Any, Final

import paramiko
from paramiko.common import cMSG_CHANNEL_OPEN

from healthd.execute.host_keys import PLAIN_ALGORITHMS
from healthd.execute.protocol import ExecKind, Target
from healthd.execute.ssh_errors import (
    ConnectError,
    HungError,
    NoSuchKeyError,
    no_server,
    reason_of,
)
from healthd.execute.ssh_line import Line, remaining

_LOG_CHANNEL: Final = "healthd.execute.paramiko"
_KEEPALIVE_SECONDS: Final = 10

# paramiko logs whole tracebacks for every refused connection; what matters is in the outcome.
logging.getLogger(_LOG_CHANNEL).addHandler(logging.NullHandler())
logging.getLogger(_LOG_CHANNEL).propagate = False


class Bell(threading.Event):
    """An event that the library sets in its thread and that the event loop waits for."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._rung = self._loop.create_future()

    def set(self) -> None:
        """Wake whoever waits, in any thread."""
        super().set()
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            return

    def _wake(self) -> None:
        if not self._rung.done():
            self._rung.set_result(None)

    def when_rung(self, action: Callable[[], None]) -> None:
        """Do something on the event loop when it is set at last."""
        self._rung.add_done_callback(lambda _: action())

    async def rung(self, deadline: float) -> bool:
        """Whether it was set before the deadline, on the monotonic clock."""
        await asyncio.wait({self._rung}, timeout=remaining(deadline))
        return self.is_set()


def _no_timer(_seconds: float) -> None:
    """In place of the library's own timer."""


class Transport(paramiko.Transport):
    """Asks the host for the kinds of keys that it is told, and for nothing else.

    paramiko adds the certificate form of every kind by itself, at the end: what comes first, and
    whether certificates are asked for at all, is for the known-hosts file to say.
    """

    def __init__(self, line: Line, asked: tuple[str, ...] = PLAIN_ALGORITHMS) -> None:
        super().__init__(line)  # type: ignore[arg-type]
        self.line = line
        self.asked = asked
        self._has_begun_kex = False
        self.set_log_channel(_LOG_CHANNEL)
        self.daemon = True
        # The library's own deadline is a thread that outlives a failure; here all wait under ours.
        packetizer: Any = self.packetizer
        packetizer.start_handshake = _no_timer

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """What the host is asked for."""
        return self.asked

    def begin_kex(self) -> None:
        """Read the host's first packet, and say the first two things of a key exchange.

        The library's thread begins with that, and then waits for the host. Here it is done without
        a thread, which is started when the host has answered, and goes on from there.
        """
        ours: Any = self
        ours._check_banner()  # noqa: SLF001
        ours._send_kex_init()  # noqa: SLF001
        _, message = ours.packetizer.read_message()
        ours._negotiate_keys(message)  # noqa: SLF001
        self._has_begun_kex = True

    def _check_banner(self) -> None:
        if not self._has_begun_kex:
            super()._check_banner()  # type: ignore[misc]

    def _send_kex_init(self) -> None:
        if not self._has_begun_kex:
            super()._send_kex_init()  # type: ignore[misc]

    def _expect_packet(self, *kinds: int) -> None:
        # This is what the thread does last before it reads; what it expects is known by then.
        if not self._has_begun_kex:
            super()._expect_packet(*kinds)  # type: ignore[misc]
        self._has_begun_kex = False

    def cut(self) -> None:
        """End the connection without waiting for anything; its own thread does the rest."""
        if self.is_alive():
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        else:
            self.sock.close()

    def begin_opening(self, place: tuple[str, int], opened: Bell) -> paramiko.Channel:
        """Ask the host to connect to a place, and answer the channel; rings when it is decided.

        As `open_channel`, which would hold a thread until the host has answered.
        """
        # What follows uses names of the library that are its own; it has no other way to wait.
        ours: Any = self
        with self.lock:
            number: int = ours._next_channel()  # noqa: SLF001
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_OPEN)
            message.add_string("direct-tcpip")
            message.add_int(number)
            message.add_int(self.default_window_size)
            message.add_int(self.default_max_packet_size)
            for address, port in (place, ("127.0.0.1", 0)):
                message.add_string(address)
                message.add_int(port)
            channel: Any = paramiko.Channel(number)
            ours._channels.put(number, channel)  # noqa: SLF001
            self.channel_events[number] = opened
            self.channels_seen[number] = True
            channel._set_transport(self)  # noqa: SLF001
            channel._set_window(self.default_window_size, self.default_max_packet_size)  # noqa: SLF001
        ours._send_user_message(message)  # noqa: SLF001
        # The library itself holds it weakly.
        made: paramiko.Channel = channel
        return made

    def has_opened(self, channel: paramiko.Channel) -> bool:
        """Whether a channel whose bell has rung is open, and was not refused."""
        ours: Any = self
        found = ours._channels.get(channel.get_id())  # noqa: SLF001
        return self.is_active() and found is channel


def begin_keys(line: Line, target: Target, asked: tuple[str, ...]) -> Transport:
    """A transport without a thread that has begun to agree on keys; it waits for nothing.

    A host whose first packet is another one is left to the library's thread.

    Args:
        line: To the host; it has to be told to send what was said.
        target: The host.
        asked: The kinds of keys that it may show, the first one first.

    Raises:
        ConnectError: There is nothing to agree on.
    """
    transport = Transport(line, asked)
    if line.begins_kex:
        try:
            transport.begin_kex()
        except paramiko.SSHException as error:
            raise _ended(target, error) from error
        except Exception as error:
            # The library has as many kinds of errors as a packet can be broken in ways.
            raise _ended(target, paramiko.SSHException("its first packet is broken")) from error
    return transport


async def exchange_keys(transport: Transport, target: Target, deadline: float) -> None:
    """Agree on keys; the host shows the first of what it is asked for that it has.

    Raises:
        ConnectError: It does not.
    """
    transport.banner_timeout = remaining(deadline)
    transport.line.connect()
    done = Bell()
    transport.start_client(event=done)
    if not await done.rung(deadline):
        raise HungError(ExecKind.UNREACHABLE, f"{no_server(target)}: no answer in time")
    if not transport.is_active():
        raise _ended(target, transport.get_exception())


async def log_in(
    transport: Transport,
    target: Target,
    key: paramiko.PKey,
    *,
    deadline: float,
    threads: Threads,
) -> BaseException | None:
    """Show one key; None when the host lets us in, else what the library says of its refusal.

    Raises:
        ConnectError: The host does not answer.
    """
    transport.auth_timeout = remaining(deadline)
    done = Bell()
    try:
        # Sending may block, behind others on the same bastion.
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads, transport.auth_publickey, target.user, key, done)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _ended(target, error) from error
    if not await done.rung(deadline):
        raise HungError(
            ExecKind.UNREACHABLE, f"{no_server(target)}: no answer in time to the login"
        )
    if transport.is_authenticated():
        transport.set_keepalive(_KEEPALIVE_SECONDS)
        return None
    trouble = transport.get_exception()
    if not transport.is_active() and not isinstance(trouble, paramiko.AuthenticationException):
        raise _ended(target, trouble)
    return trouble or paramiko.AuthenticationException("refused")


async def through(
    transport: Transport, target: Target, bastion: Target, *, deadline: float, threads: Threads
) -> paramiko.Channel:
    """A channel to the target through a bastion.

    Raises:
        ConnectError: The bastion does not get through to it.
    """
    opened = Bell()
    place = (target.address, target.port)
    try:
        loop = asyncio.get_running_loop()
        channel = await loop.run_in_executor(threads, transport.begin_opening, place, opened)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _ended(bastion, error) from error
    if not await opened.rung(deadline):
        opened.when_rung(lambda: _close_late(channel, threads))
        raise ConnectError(
            ExecKind.UNREACHABLE,
            f"{target.address}:{target.port} cannot be reached through {bastion.address}: no "
            "answer in time",
        )
    if not transport.has_opened(channel):
        trouble = transport.get_exception()
        reason = getattr(trouble, "text", None) or trouble or "the connection to it ended"
        raise ConnectError(
            ExecKind.UNREACHABLE,
            f"{target.address}:{target.port} cannot be reached through {bastion.address}: {reason}",
        )
    return channel


def _close_late(channel: paramiko.Channel, threads: Threads) -> None:
    # The pool may have been closed meanwhile, and its connections with it.
    with contextlib.suppress(RuntimeError):
        threads.submit(channel.close)


def _ended(target: Target, error: BaseException | None) -> ConnectError:
    reason = reason_of(error)
    # The library has one class for all that two sides cannot agree on.
    is_about_key = isinstance(error, paramiko.ssh_exception.IncompatiblePeer) and (
        "host key" in str(error)
    )
    if is_about_key:
        return NoSuchKeyError(ExecKind.UNREACHABLE, f"{no_server(target)}: {reason}")
    return ConnectError(ExecKind.UNREACHABLE, f"{no_server(target)}: {reason}")
