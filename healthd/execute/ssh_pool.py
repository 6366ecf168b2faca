"""SSH connections kept for a short while: one a host, never more than the pool's size."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from healthd.execute.protocol import ExecKind, Target
from healthd.execute.ssh_connect import Begun, begin, handshake
from healthd.execute.ssh_errors import ConnectError, HungError
from healthd.execute.ssh_places import Places
from healthd.execute.ssh_transport import Transport

_HELPERS: Final = 4
"""Threads for names, key files and logins; each such thing takes milliseconds."""
_FRESH_SECONDS: Final = 10.0
"""A host ends a connection on which nobody logs in: after two minutes by default, or sooner."""
_SLOW_SECONDS: Final = 0.5
"""A login takes some hundredths of a second; after this its place goes to another meanwhile."""
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 5.0
"""After each time that a host has hung it is left alone for twice as long, up to this."""


@dataclass(slots=True, eq=False)
class _Kept:
    """A host's connection; `users` counts the commands (or hosts behind it) that are on it."""

    target: Target
    transport: Transport | None = None
    attempt: asyncio.Task[Transport] | None = None
    is_queued: bool = False
    """Its attempt waits for a place."""
    has_place: bool = False
    is_suspect: bool = False
    """As which it has taken its place."""
    users: int = 0
    idle_since: float = 0.0
    bastion: "_Kept | None" = None

    @property
    def is_open(self) -> bool:
        return self.transport is not None and self.transport.is_active()


@dataclass(frozen=True, slots=True)
class _Hung:
    """A host went silent, so many times in a row."""

    times: int
    at: float


class ConnectionPool:
    """Connections shared by the commands on one host, closed when they have been idle.

    Lives on one event loop. Each open connection is a thread, and takes a place; hosts that do
    not answer take none. Bastions are few, and are counted apart: a host may hold its place while
    it waits for its bastion.

    Args:
        size: How many connections are open at a time, bastions apart.
        idle_seconds: After so long without use one is closed.
        clock: The time, on the monotonic clock.
    """

    def __init__(
        self, *, size: int, idle_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._places = Places(size, self._make_room)
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._kept: dict[Target, _Kept] = {}
        self._hung: dict[Target, _Hung] = {}
        self._helpers = ThreadPoolExecutor(_HELPERS, thread_name_prefix="healthd-ssh-helper")
        # Hundreds of hosts begin at the same time: who has a place does not wait behind them.
        self._kex_threads = ThreadPoolExecutor(1, thread_name_prefix="healthd-ssh-kex")
        self._is_closed = False

    @asynccontextmanager
    async def connection(self, target: Target, *, wait_seconds: float) -> AsyncIterator[Transport]:
        """The host's connection, which is made when there is none; all who ask share one attempt.

        Args:
            target: The host.
            wait_seconds: For a place, where there is none.

        Raises:
            ConnectError: There is none; nothing was sent.
        """
        kept = self._enter(target)
        try:
            yield await self._open(kept, wait_seconds)
        finally:
            self._leave(kept)

    def hung(self, target: Target) -> None:
        """The host has gone silent: its next connection waits behind those of the others."""
        before = self._hung.get(target)
        times = 1 if before is None else before.times + 1
        self._hung[target] = _Hung(times, self._clock())

    def answered(self, target: Target) -> None:
        """The host has answered: it does not hang any more."""
        self._hung.pop(target, None)

    def drop(self, target: Target) -> None:
        """Cut the host's connection now; whoever waits on it is woken.

        Only the line is shut: the connection's own thread sees the end and does the rest.
        """
        kept = self._kept.get(target)
        if kept is not None and kept.transport is not None:
            kept.transport.cut()

    def close_idle(self) -> None:
        """Close the connections that nobody has used for `idle_seconds`."""
        now = self._clock()
        for kept in tuple(self._kept.values()):
            is_old = now - kept.idle_since >= self._idle_seconds
            if kept.users == 0 and (is_old or not kept.is_open):
                self._let_go(kept)

    async def close(self) -> None:
        """Cut every connection; commands under way see it as lost."""
        self._is_closed = True
        leaving = tuple(self._kept.values())
        attempts = [kept.attempt for kept in leaving if kept.attempt is not None]
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
        for kept in leaving:
            if kept.transport is not None:
                kept.transport.cut()
                await asyncio.to_thread(kept.transport.close)
        for threads in (self._kex_threads, self._helpers):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)

    @property
    def open_connections(self) -> int:
        """How many connections are open, to hosts and to bastions."""
        return sum(kept.is_open for kept in self._kept.values())

    def _enter(self, target: Target) -> _Kept:
        if self._is_closed:
            raise ConnectError(ExecKind.NOT_SENT, "healthd is shutting its connections down")
        kept = self._kept.setdefault(target, _Kept(target))
        kept.users += 1
        return kept

    def _leave(self, kept: _Kept) -> None:
        kept.users -= 1
        kept.idle_since = self._clock()
        if kept.users:
            return
        if kept.attempt is not None:
            kept.attempt.cancel()
            self._forget(kept)
        elif not kept.is_open or (kept.has_place and self._places.is_wanted):
            self._let_go(kept)

    async def _open(self, kept: _Kept, wait_seconds: float) -> Transport:
        if kept.transport is not None and kept.transport.is_active():
            return kept.transport
        attempt = kept.attempt
        if attempt is None:
            self._release(kept)
            attempt = kept.attempt = asyncio.create_task(self._connect(kept, wait_seconds))
            # Whoever asked may have given up by then: nobody hears of its failure.
            attempt.add_done_callback(lambda one: one.cancelled() or one.exception())
        # One who gives up does not end it for the others.
        await asyncio.wait({attempt}, timeout=wait_seconds)
        if not attempt.done() and not kept.is_queued:
            # It is under way, under deadlines of its own.
            await asyncio.wait({attempt}, timeout=wait_seconds + _patience(kept.target))
        if not attempt.done():
            raise ConnectError(
                ExecKind.NOT_SENT,
                f"no connection was free within {wait_seconds:g} s; see sshPoolSize",
            )
        if attempt.cancelled():
            raise ConnectError(ExecKind.NOT_SENT, "the executor was closed")
        return attempt.result()

    async def _connect(self, kept: _Kept, wait_seconds: float) -> Transport:
        """Begin with the host, wait for a place, and log in; a failure gives everything back."""
        begun: Begun | None = None
        try:
            bastion = await self._bastion_of(kept, wait_seconds)
            begun = await self._begin(kept.target, bastion)
            answered = self._clock()
            await self._take_place(kept)
            if self._clock() - answered > _FRESH_SECONDS:
                begun.transport.cut()
                begun = await self._begin(kept.target, bastion)
            kept.transport = await self._handshake(kept, begun)
        except BaseException as error:
            if begun is not None:
                begun.transport.cut()
            if isinstance(error, HungError):
                self.hung(kept.target)
            self._release(kept)
            raise
        finally:
            kept.attempt = None
        return kept.transport

    async def _handshake(self, kept: _Kept, begun: Begun) -> Transport:
        """The transport; while the host takes its time with it, another has its place."""
        deadline = time.monotonic() + begun.left_seconds
        going = asyncio.ensure_future(
            handshake(begun, kept.target, deadline=deadline, threads=self._helpers)
        )
        try:
            await asyncio.wait({going}, timeout=_SLOW_SECONDS)
            if not going.done() and kept.has_place:
                await self._go_aside(kept, going)
            return await going
        except asyncio.CancelledError:
            going.cancel()
            await asyncio.wait({going})
            if not going.cancelled() and going.exception() is None:
                going.result().cut()
            raise

    async def _go_aside(self, kept: _Kept, going: asyncio.Future[Transport]) -> None:
        if not self._places.set_aside(is_suspect=kept.is_suspect):
            return
        kept.has_place = False
        try:
            await asyncio.wait({going})
            if going.exception() is None:
                # Until it has its place again, its connection is one of those beside.
                kept.is_queued = True
                await self._places.take(is_suspect=False, comes_back=True)
                kept.has_place, kept.is_suspect = True, False
        finally:
            kept.is_queued = False
            self._places.leave_aside()

    async def _begin(self, target: Target, bastion: Transport | None) -> Begun:
        return await begin(
            target,
            bastion=bastion,
            seconds=target.connect_timeout_seconds,
            threads=self._helpers,
            kex_threads=self._kex_threads,
        )

    async def _bastion_of(self, kept: _Kept, wait_seconds: float) -> Transport | None:
        wanted = kept.target.bastion
        if wanted is None:
            return None
        kept.bastion = self._enter(wanted)
        try:
            return await self._open(kept.bastion, wait_seconds)
        except ConnectError as error:
            detail = f"{kept.target.address} is behind {wanted.address}: {error.detail}"
            raise ConnectError(error.kind, detail) from error

    async def _take_place(self, kept: _Kept) -> None:
        if any(one.bastion is kept for one in self._kept.values()):
            return
        hung = self._hung.get(kept.target)
        kept.is_queued = True
        try:
            if hung is not None:
                pause = min(_FIRST_PAUSE_SECONDS * 2.0**hung.times, _LONGEST_PAUSE_SECONDS)
                await asyncio.sleep(max(hung.at + pause - self._clock(), 0.0))
            await self._places.take(is_suspect=hung is not None)
        finally:
            kept.is_queued = False
        kept.has_place, kept.is_suspect = True, hung is not None

    def _make_room(self) -> None:
        """Close what has been idle longest, for one who waits for a place."""
        idle = [kept for kept in self._kept.values() if kept.users == 0 and kept.has_place]
        if idle and self._places.is_wanted:
            self._let_go(min(idle, key=lambda kept: kept.idle_since))

    def _release(self, kept: _Kept) -> None:
        """Give back what a connection holds."""
        transport, kept.transport = kept.transport, None
        if transport is not None:
            transport.cut()
        if kept.has_place:
            kept.has_place = False
            self._places.give_back(is_suspect=kept.is_suspect)
        bastion, kept.bastion = kept.bastion, None
        if bastion is not None:
            self._leave(bastion)

    def _let_go(self, kept: _Kept) -> None:
        self._release(kept)
        self._forget(kept)

    def _forget(self, kept: _Kept) -> None:
        if self._kept.get(kept.target) is kept:
            del self._kept[kept.target]


def _patience(target: Target) -> float:
    """How long an attempt takes at most, besides its wait for a place."""
    behind = 0.0 if target.bastion is None else _patience(target.bastion)
    return behind + 2 * target.connect_timeout_seconds
