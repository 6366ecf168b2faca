"""The SSH executor: paramiko in a bounded pool of threads, behind the async Protocol."""

import asyncio
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import paramiko

from healthd.execute.output import Lines
from healthd.execute.protocol import Command, ExecKind, Outcome, Stream, Target
from healthd.execute.redact import redact
from healthd.execute.ssh_errors import ConnectError, HungError, reason_of
from healthd.execute.ssh_pool import ConnectionPool
from healthd.execute.ssh_session import Session
from healthd.execute.ssh_transport import Transport
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

    Host keys are checked against the target's known-hosts file and nothing else; no agent and no
    key but the target's, no terminal, no forwarding of ports or agents.

    Args:
        pool_size: Commands at a time and connections at a time; further ones wait, for as long
            as their own time-out, and are `not_sent` after that. Each takes two threads: the
            library's, and one that reads what the command prints. Hosts that do not answer take
            none.
        idle_seconds: A connection that nobody has used for so long is closed.
        secrets: Struck out of every answer.
    """

    def __init__(
        self, *, pool_size: int = 32, idle_seconds: float = 30.0, secrets: Collection[str] = ()
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
        return self._pool.open_connections

    async def run(self, target: Target, command: Command) -> Outcome:
        """Carry the command out once and answer what came of it."""
        started = time.monotonic()
        if self._is_closed:
            return Outcome(kind=ExecKind.NOT_SENT, detail="the executor is closed")
        job = _Job(target=target, command=command, loop=asyncio.get_running_loop())
        try:
            outcome = await self._connected(job)
        finally:
            # After a cancellation the thread notices within a tick and lets go by itself.
            job.is_cancelled.set()
            self._sweep_later(job.loop)
        secrets = (*self._secrets, *command.secrets)
        return replace(
            outcome,
            stdout=redact(outcome.stdout, secrets),
            stderr=redact(outcome.stderr, secrets),
            detail=redact(outcome.detail, secrets),
            seconds=time.monotonic() - started,
        )

    async def aclose(self) -> None:
        """Cut every connection and wait until the threads have noticed."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        await self._pool.close()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _connected(self, job: _Job) -> Outcome:
        """Carry it out on the host's connection; on a new one where the kept one has died.

        Trying again is safe: no command has been sent then.
        """
        is_again = False
        while True:
            try:
                async with self._pool.connection(
                    job.target, wait_seconds=job.wait_seconds
                ) as transport:
                    outcome = await self._through_the_threads(job, transport)
            except _DiedError as error:
                if is_again:
                    return Outcome(kind=error.kind, detail=error.detail)
                is_again = True
            except ConnectError as error:
                if isinstance(error, HungError):
                    self._pool.hung(job.target)
                return Outcome(kind=error.kind, detail=error.detail)
            else:
                self._note(job.target, outcome)
                return outcome

    def _note(self, target: Target, outcome: Outcome) -> None:
        if outcome.kind is ExecKind.EXITED:
            self._pool.answered(target)
        elif outcome.kind is ExecKind.TIMED_OUT:
            self._pool.hung(target)

    async def _through_the_threads(self, job: _Job, transport: Transport) -> Outcome:
        future = self._threads.submit(self._carry_out, job, transport)
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

    def _carry_out(self, job: _Job, transport: Transport) -> Outcome:
        """The blocking part, on a thread of the pool."""
        job.loop.call_soon_threadsafe(job.has_begun.set)
        channel = _open(transport, job.target)
        try:
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
        finally:
            channel.close()

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
            self._pool.close_idle()
            if self._pool.open_connections:
                self._sweep_later(loop)


class _DiedError(ConnectError):
    """The connection had died before anything was sent on it."""


def _open(transport: Transport, target: Target) -> paramiko.Channel:
    """A session on the connection.

    Raises:
        ConnectError: There is none; nothing was sent.
    """
    began = time.monotonic()
    try:
        return transport.open_session(timeout=target.connect_timeout_seconds)
    except paramiko.ChannelException as error:
        raise ConnectError(
            ExecKind.NOT_SENT, f"{target} opens no further session: {error.text}"
        ) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        is_late = time.monotonic() - began >= target.connect_timeout_seconds
        # A connection on which nothing is answered is of no use to the next command either.
        transport.cut()
        raise (HungError if is_late else _DiedError)(
            ExecKind.UNREACHABLE, f"{target} does not open a session: {reason_of(error)}"
        ) from error


def _given_up(job: _Job) -> Outcome:
    """The answer when a thread does not come back even from a connection that was cut."""
    kind = ExecKind.TIMED_OUT if job.may_be_sent else ExecKind.UNREACHABLE
    return Outcome(kind=kind, detail=f"{job.target} gave no answer in {job.limit_seconds:g} s")
