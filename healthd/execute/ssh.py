"""The SSH executor: paramiko in a bounded pool of threads, behind the async Protocol."""

import asyncio
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

from healthd.execute.output import Lines
from healthd.execute.protocol import Command, ExecKind, Outcome, Stream, Target
from healthd.execute.redact import redact
from healthd.execute.ssh_connect import ConnectError
from healthd.execute.ssh_pool import ConnectionPool
from healthd.execute.ssh_session import Session
from healthd.execute.words import explained

_GRACE_SECONDS: Final = 2.0
"""Beyond every deadline of the blocking part: only a call of the library that has none of its
own (the answer to an exec request) is still waiting then, and its connection is cut."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Job:
    """A command on its way through the pool of threads."""

    target: Target
    command: Command
    loop: asyncio.AbstractEventLoop
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    is_cancelled: threading.Event = field(default_factory=threading.Event)
    may_be_sent: bool = False
    asked_at: float = field(default_factory=time.monotonic)

    @property
    def wait_seconds(self) -> float:
        """How long it may wait for its turn."""
        wanted = self.command.wait_seconds
        return self.command.timeout_seconds if wanted is None else wanted

    @property
    def is_too_late(self) -> bool:
        """Whether it must not be sent any more."""
        wanted = self.command.wait_seconds
        return wanted is not None and time.monotonic() - self.asked_at > wanted

    @property
    def limit_seconds(self) -> float:
        return self.target.connect_timeout_seconds + self.command.timeout_seconds


class SshExecutor:
    """An `Executor` over SSH.

    Host keys are checked against the target's known-hosts file and nothing else; no agent, no
    key but the target's, no terminal, no forwarding.

    Args:
        pool_size: Commands at a time and connections at a time; further ones wait, for as long
            as their own time-out, and are `not_sent` after that.
        idle_seconds: A connection that nobody has used for so long is closed.
        secrets: Struck out of every answer.
    """

    def __init__(
        self, *, pool_size: int = 8, idle_seconds: float = 30.0, secrets: Collection[str] = ()
    ) -> None:
        self._threads = ThreadPoolExecutor(pool_size, thread_name_prefix="healthd-ssh")
        self._pool = ConnectionPool(size=pool_size, idle_seconds=idle_seconds)
        self._idle_seconds = idle_seconds
        self._secrets = tuple(secrets)
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return self._pool.open_connections()

    async def run(self, target: Target, command: Command) -> Outcome:
        """Carry the command out once and answer what came of it."""
        started = time.monotonic()
        if self._is_closed:
            return Outcome(kind=ExecKind.NOT_SENT, detail="the executor is closed")
        job = _Job(target=target, command=command, loop=asyncio.get_running_loop())
        try:
            outcome = await self._through_the_pool(job)
        finally:
            # After a cancellation the thread notices within a tick and lets go by itself.
            job.is_cancelled.set()
            self._sweep_later(job.loop)
        return replace(
            outcome,
            stdout=redact(outcome.stdout, self._secrets),
            stderr=redact(outcome.stderr, self._secrets),
            detail=redact(outcome.detail, self._secrets),
            seconds=time.monotonic() - started,
        )

    async def aclose(self) -> None:
        """Cut every connection and wait until the threads have noticed."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        await asyncio.to_thread(self._pool.close)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _through_the_pool(self, job: _Job) -> Outcome:
        future = self._threads.submit(self._carry_out, job)
        answer = asyncio.wrap_future(future)
        begun = asyncio.ensure_future(job.has_begun.wait())
        either: set[asyncio.Future[Any]] = {answer, begun}
        try:
            await asyncio.wait(
                either,
                timeout=job.wait_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not job.has_begun.is_set() and future.cancel():
                return self._not_sent(job)
            await asyncio.wait({answer}, timeout=job.limit_seconds + _GRACE_SECONDS)
            if not answer.done():
                self._pool.drop(job.target)
                await asyncio.wait({answer}, timeout=_GRACE_SECONDS)
            if not answer.done():
                return _given_up(job)
            return self._not_sent(job) if answer.cancelled() else answer.result()
        finally:
            begun.cancel()
            # Nobody waits for it any more: a command that has not begun never does.
            future.cancel()

    def _not_sent(self, job: _Job) -> Outcome:
        if self._is_closed:
            return Outcome(kind=ExecKind.NOT_SENT, detail="the executor was closed")
        return Outcome(
            kind=ExecKind.NOT_SENT,
            detail=f"no connection was free within {job.wait_seconds:g} s; see sshPoolSize",
        )

    def _carry_out(self, job: _Job) -> Outcome:
        """The blocking part, on a thread of the pool."""
        job.loop.call_soon_threadsafe(job.has_begun.set)
        try:
            with self._pool.channel(job.target) as channel:
                if job.is_cancelled.is_set():
                    return Outcome(kind=ExecKind.NOT_SENT, detail="healthd stopped waiting")
                if job.is_too_late:
                    detail = f"it could not be sent within {job.wait_seconds:g} s"
                    return Outcome(kind=ExecKind.NOT_SENT, detail=detail)
                job.may_be_sent = True
                session = Session(
                    channel=channel,
                    command=job.command,
                    is_cancelled=job.is_cancelled,
                    lines=self._lines(job),
                )
                return explained(session.run(), job.command, job.target)
        except ConnectError as error:
            return Outcome(kind=error.kind, detail=error.detail)

    def _lines(self, job: _Job) -> Lines | None:
        """Tells lines to the command's reader, on the loop's thread."""
        reader = job.command.on_line
        if reader is None:
            return None

        def tell(stream: Stream, line: str) -> None:
            job.loop.call_soon_threadsafe(reader, stream, line)

        return Lines(tell, (*self._secrets, *job.command.secrets))

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for idle connections after a while; one look at a time is planned."""
        if self._sweep is None and not self._is_closed:
            self._sweep = loop.call_later(self._idle_seconds, self._sweep_now, loop)

    def _sweep_now(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        if not self._is_closed:
            self._threads.submit(self._pool.close_idle)
            if self._pool.open_connections():
                self._sweep_later(loop)


def _given_up(job: _Job) -> Outcome:
    """The answer when a thread does not come back even from a connection that was cut."""
    kind = ExecKind.TIMED_OUT if job.may_be_sent else ExecKind.UNREACHABLE
    return Outcome(kind=kind, detail=f"{job.target} gave no answer in {job.limit_seconds:g} s")
