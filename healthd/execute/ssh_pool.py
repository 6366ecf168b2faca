"""SSH connections kept for a short while: one a host, never more than the pool's size."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import paramiko

from healthd.execute.protocol import ExecKind, Target
from healthd.execute.ssh_connect import ConnectError, connect, remaining


@dataclass(slots=True)
class _Kept:
    """A host's connection; `users` counts the commands that are on it."""

    ready: threading.Lock = field(default_factory=threading.Lock)
    transport: paramiko.Transport | None = None
    users: int = 0
    idle_since: float = 0.0


class ConnectionPool:
    """Connections shared by the commands on one host, closed when they have been idle.

    Used from worker threads; there are at most as many as `size`, so that the connections in
    use are at most that many, and idle ones make room for new ones.
    """

    def __init__(
        self,
        *,
        size: int,
        idle_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Target, _Kept] = {}
        self._is_closed = False

    @contextmanager
    def channel(self, target: Target) -> Iterator[paramiko.Channel]:
        """A fresh session on the host's connection, which is made when there is none.

        Raises:
            ConnectError: There is no session; nothing was sent.
        """
        kept = self._enter(target)
        try:
            session = self._session(target, kept)
            try:
                yield session
            finally:
                session.close()
        finally:
            self._leave(kept)

    def drop(self, target: Target) -> None:
        """Cut the host's connection now, from any thread; whoever waits on it is woken.

        Only the socket is shut: the connection's own thread sees the end and does the rest.
        """
        with self._lock:
            kept = self._kept.get(target)
        transport = None if kept is None else kept.transport
        if transport is not None:
            _cut(transport)

    def close_idle(self) -> None:
        """Close the connections that nobody has used for `idle_seconds`."""
        now = self._clock()
        with self._lock:
            idle = [
                target
                for target, kept in self._kept.items()
                if kept.users == 0 and now - kept.idle_since >= self._idle_seconds
            ]
            leaving = [self._kept.pop(target) for target in idle]
        for kept in leaving:
            _close(kept)

    def close(self) -> None:
        """Cut every connection; commands under way see it as lost."""
        with self._lock:
            self._is_closed = True
            leaving = list(self._kept.values())
            self._kept.clear()
        for kept in leaving:
            _close(kept)

    def open_connections(self) -> int:
        """How many connections are open."""
        with self._lock:
            return sum(
                kept.transport is not None and kept.transport.is_active()
                for kept in self._kept.values()
            )

    def _enter(self, target: Target) -> _Kept:
        with self._lock:
            if self._is_closed:
                raise ConnectError(ExecKind.NOT_SENT, "healthd is shutting its connections down")
            kept = self._kept.setdefault(target, _Kept())
            kept.users += 1
            leaving = self._make_room()
        for one in leaving:
            _close(one)
        return kept

    def _make_room(self) -> list[_Kept]:
        """Take out idle connections, the longest idle first, until the size is kept."""
        too_many = len(self._kept) - self._size
        if too_many <= 0:
            return []
        idle = sorted(
            (item for item in self._kept.items() if item[1].users == 0),
            key=lambda item: item[1].idle_since,
        )
        return [self._kept.pop(target) for target, _ in idle[:too_many]]

    def _leave(self, kept: _Kept) -> None:
        with self._lock:
            kept.users -= 1
            kept.idle_since = self._clock()

    def _session(self, target: Target, kept: _Kept) -> paramiko.Channel:
        """Open a session; one on a connection that has died meanwhile is tried again, once.

        Trying again is safe: no command has been sent on it yet.
        """
        deadline = time.monotonic() + target.connect_timeout_seconds
        # A host that accepts connections and then says nothing holds this lock for as long as
        # one connect may take; the others on the same host give up after the same time.
        if not kept.ready.acquire(timeout=remaining(deadline)):
            raise ConnectError(
                ExecKind.UNREACHABLE, f"another connection to {target} has not got through either"
            )
        try:
            transport = kept.transport
            if transport is not None and transport.is_active():
                try:
                    return _open(transport, target, deadline)
                except ConnectError:
                    if transport.is_active():
                        raise
            transport = kept.transport = connect(target, deadline=deadline)
            if self._is_closed:
                _close(kept)
            return _open(transport, target, deadline)
        finally:
            kept.ready.release()


def _open(transport: paramiko.Transport, target: Target, deadline: float) -> paramiko.Channel:
    try:
        return transport.open_session(timeout=remaining(deadline))
    except paramiko.ChannelException as error:
        raise ConnectError(
            ExecKind.NOT_SENT, f"{target} opens no further session: {error.text}"
        ) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        # A connection on which nothing is answered is of no use to the next command either.
        _cut(transport)
        reason = str(error) or type(error).__name__
        raise ConnectError(
            ExecKind.UNREACHABLE, f"{target} does not open a session: {reason}"
        ) from error


def _cut(transport: paramiko.Transport) -> None:
    with contextlib.suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)


def _close(kept: _Kept) -> None:
    if kept.transport is not None:
        kept.transport.close()
