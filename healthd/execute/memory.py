"""The executor's in-memory twin: hosts with one service each, and faults as they happen."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from healthd.execute.leaders import Partitions
from healthd.execute.output import exited
from healthd.execute.protocol import Command, ExecKind, Outcome, Target
from healthd.execute.words import explained


class Verb(StrEnum):
    """What a command asks of the service; found as a word of its own in the command."""

    START = "start"
    STOP = "stop"
    STATUS = "status"


class HostFault(StrEnum):
    """What goes wrong with one command."""

    HANG = "hang"
    """No answer until the deadline; nothing was done."""
    ANSWER_LOST = "answer_lost"
    """Carried out; the connection ends before the answer."""
    UNREACHABLE = "unreachable"
    """Nothing was sent."""
    HOST_KEY_CHANGED = "host_key_changed"
    """Refused before anything was sent."""
    NOT_DONE = "not_done"
    """Exit code 0, but nothing was done."""
    FAILS = "fails"
    """Exit code 1; nothing was done."""


_NEVER_ARRIVES: Final = frozenset({HostFault.UNREACHABLE, HostFault.HOST_KEY_CHANGED})


Program = Callable[[Command], tuple[int, bytes, bytes]]
"""What a command does there: its exit code and what it prints on both streams."""


@dataclass(slots=True, kw_only=True)
class MemoryHost:
    """A host with a service on it.

    Attributes:
        is_running: Change it to let the service die or come back by itself.
        start: When its process was started, by the executor's clock.
        starts: How many times a command has started it.
        faults: Taken one by command, first in first out; None lets one command through.
        outputs: What other commands print, or do, by their first word; one that is not here is
            not found (exit code 127, as a shell says it).
    """

    is_running: bool = True
    pid: int = 100
    start: float = 0.0
    starts: int = 0
    faults: list[HostFault | None] = field(default_factory=list)
    outputs: dict[str, str | Program] = field(default_factory=dict)

    def status(self) -> str:
        """What the status command prints."""
        return f"running {self.pid} {self.start:g}\n" if self.is_running else "stopped\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that reached a host, in the order of their arrival."""

    address: str
    argv: tuple[str, ...]
    effect_id: str


class MemoryExecutor:
    """An `Executor` over hosts in memory.

    Args:
        hosts: By address; any other address is unreachable.
        clock: The time, for process start times.
        sleep: Passes that many seconds; by default time is not passed at all.
        seconds: How long each verb takes.
    """

    def __init__(
        self,
        hosts: Mapping[str, MemoryHost],
        *,
        clock: Callable[[], float] = lambda: 0.0,
        sleep: Callable[[float], Awaitable[None]] | None = None,
        seconds: Mapping[Verb, float] | None = None,
    ) -> None:
        self.hosts = dict(hosts)
        self.asked: list[Asked] = []
        self._clock = clock
        self._sleep = sleep or _pass_no_time
        self._seconds = dict(seconds or {})
        self._is_closed = False

    async def run(self, target: Target, command: Command) -> Outcome:
        """Carry the command out on the host in memory, faults included."""
        host = self.hosts.get(target.address)
        fault = host.faults.pop(0) if host is not None and host.faults else None
        if host is None or self._is_closed or fault in _NEVER_ARRIVES:
            return self._not_arrived(target, fault)
        self.asked.append(Asked(target.address, command.words, command.effect_id))
        verb = _verb(command.argv)
        took = self._seconds.get(verb, 0.0) if verb else 0.0
        if fault is HostFault.HANG or took >= command.timeout_seconds:
            return await self._time_out(command)
        await self._sleep(took)
        if fault is HostFault.FAILS:
            return exited(command, 1, detail="the command failed")
        if fault is HostFault.NOT_DONE:
            return exited(command, 0)
        outcome = self._carry_out(host, verb, command, target)
        if fault is HostFault.ANSWER_LOST:
            return Outcome(
                kind=ExecKind.CONNECTION_LOST, seconds=took, detail="the connection ended"
            )
        return outcome

    async def aclose(self) -> None:
        """Nothing is run after this."""
        self._is_closed = True

    def _not_arrived(self, target: Target, fault: HostFault | None) -> Outcome:
        if self._is_closed:
            return Outcome(kind=ExecKind.NOT_SENT, detail="the executor is closed")
        if fault is HostFault.HOST_KEY_CHANGED:
            return Outcome(
                kind=ExecKind.HOST_KEY_REFUSED, detail=f"{target.address} shows another key"
            )
        return Outcome(kind=ExecKind.UNREACHABLE, detail=f"{target.address} cannot be reached")

    async def _time_out(self, command: Command) -> Outcome:
        await self._sleep(command.timeout_seconds)
        return Outcome(
            kind=ExecKind.TIMED_OUT,
            seconds=command.timeout_seconds,
            detail=f"no answer within {command.timeout_seconds:g} s",
        )

    def _carry_out(
        self, host: MemoryHost, verb: Verb | None, command: Command, target: Target
    ) -> Outcome:
        if verb is None:
            known = host.outputs.get(command.argv[0])
            if known is None:
                said = f"sh: {command.argv[0]}: not found\n".encode()
                return explained(exited(command, 127, b"", said), command, target)
            if callable(known):
                return exited(command, *known(command))
            return exited(command, 0, known.encode())
        if verb is Verb.STATUS:
            return exited(command, 0, host.status().encode())
        if verb is Verb.STOP:
            host.is_running = False
        elif not host.is_running:
            host.is_running = True
            host.pid += 1
            host.start = self._clock()
            host.starts += 1
        return exited(command, 0)


class MemoryElector:
    """A `LeaderElector` that remembers what it was asked to elect.

    A test makes trouble by naming partitions in `fails`, or with `hangs`.
    """

    def __init__(self) -> None:
        self.elected: list[tuple[str, int]] = []
        self.fails: set[tuple[str, int]] = set()
        self.hangs = False
        self.is_closed = False

    async def elect_preferred(
        self, partitions: Partitions, *, timeout_seconds: float
    ) -> tuple[str, ...]:
        """What did not work."""
        if self.is_closed:
            raise RuntimeError("an election after close")
        if self.hangs:
            await asyncio.sleep(timeout_seconds)
            return tuple(f"{topic}-{at}: no answer" for topic, at in partitions)
        self.elected += [each for each in partitions if each not in self.fails]
        return tuple(f"{t}-{at}: refused" for t, at in partitions if (t, at) in self.fails)

    def close(self) -> None:
        """Elect nothing any more."""
        self.is_closed = True


def _verb(argv: tuple[str, ...]) -> Verb | None:
    for word in argv:
        if word in set(Verb):
            return Verb(word)
    return None


async def _pass_no_time(_seconds: float) -> None:
    # Others run in between, as they would while a real command is under way.
    await asyncio.sleep(0)
