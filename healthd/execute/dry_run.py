"""The executor that does nothing: it notes what would be run and answers as if it had been.

With a `Rehearsed` service for a command the answers follow from each other: after a stop the
status says stopped, after a start it tells a new process. So a whole wave passes through it, and
no host is reached.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from healthd.execute.leaders import Partitions
from healthd.execute.output import exited
from healthd.execute.protocol import Command, ExecKind, Outcome, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The output of every command that begins with these words."""

    words: tuple[str, ...]
    stdout: str | bytes


@dataclass(frozen=True, slots=True)
class Noted:
    """A command that would have been run."""

    target: Target
    command: Command


class ServiceVerb(StrEnum):
    """What a command asks of a service."""

    START = "start"
    STOP = "stop"
    STATUS = "status"


@dataclass(slots=True, kw_only=True)
class Rehearsed:
    """A service that exists in words only."""

    process: str | None
    """What identifies its process; None: it does not run."""

    def status(self) -> str:
        """What its status command prints."""
        return "stopped\n" if self.process is None else f"running 1 {self.process}\n"


Scripts = Mapping[tuple[str, int, tuple[str, ...]], tuple[ServiceVerb, Rehearsed]]
"""By address, port and words: what a command does to which service."""


class DryRunExecutor:
    """An `Executor` that reaches no host; every command ends with exit code 0.

    Args:
        answers: The first one whose words the command begins with gives its output; without one
            the output is empty.
        scripts: What commands do to services; asked before the answers.
    """

    def __init__(self, answers: Sequence[Answer] = (), scripts: Scripts | None = None) -> None:
        self._answers = tuple(answers)
        self._scripts = dict(scripts or {})
        self._noted: list[Noted] = []
        self._is_closed = False

    @property
    def noted(self) -> tuple[Noted, ...]:
        """What would have been run, in the order it was asked for."""
        return tuple(self._noted)

    async def run(self, target: Target, command: Command) -> Outcome:
        """Note the command and answer that all is well."""
        if self._is_closed:
            return Outcome(kind=ExecKind.NOT_SENT, detail="the executor is closed")
        script = self._scripts.get((target.address, target.port, command.argv))
        if script is not None:
            return _exited(target, command, self._rehearse(target, command, *script))
        self._noted.append(Noted(target, command))
        for answer in self._answers:
            if command.argv[: len(answer.words)] == answer.words:
                return _exited(target, command, answer.stdout)
        return _exited(target, command, "")

    def _rehearse(
        self, target: Target, command: Command, verb: ServiceVerb, service: Rehearsed
    ) -> str:
        if verb is ServiceVerb.STATUS:
            return service.status()
        # Questions change nothing, and a wave asks thousands.
        self._noted.append(Noted(target, command))
        if verb is ServiceVerb.STOP:
            service.process = None
        elif service.process is None:
            service.process = f"dry run {command.effect_id}"
        return ""

    async def aclose(self) -> None:
        """Nothing is run after this."""
        self._is_closed = True


class DryRunElector:
    """A `LeaderElector` that asks no cluster to elect anything."""

    async def elect_preferred(
        self, partitions: Partitions, *, timeout_seconds: float
    ) -> tuple[str, ...]:
        """Nothing went wrong."""
        del partitions, timeout_seconds
        return ()

    def close(self) -> None:
        """There is no connection."""


def _exited(target: Target, command: Command, stdout: str | bytes) -> Outcome:
    detail = f"dry run: not sent to {target}: {shlex.join(command.words)}"
    printed = stdout.encode() if isinstance(stdout, str) else stdout
    return exited(command, 0, printed, detail=detail)
