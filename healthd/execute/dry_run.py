"""The executor that does nothing: it notes what would be run and answers as it was told."""

from collections.abc import Sequence
from dataclasses import dataclass

from healthd.execute.protocol import Command, ExecKind, Outcome, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The output of every command that begins with these words."""

    words: tuple[str, ...]
    stdout: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A command that would have been run."""

    target: Target
    command: Command


class DryRunExecutor:
    """An `Executor` that reaches no host; every command ends with exit code 0.

    Args:
        answers: The first one whose words the command begins with gives its output; without one
            the output is empty.
    """

    def __init__(self, answers: Sequence[Answer] = ()) -> None:
        self._answers = tuple(answers)
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
        self._noted.append(Noted(target, command))
        for answer in self._answers:
            if command.argv[: len(answer.words)] == answer.words:
                return _exited(command, answer.stdout)
        return _exited(command, "")

    async def aclose(self) -> None:
        """Nothing is run after this."""
        self._is_closed = True


def _exited(command: Command, stdout: str) -> Outcome:
    kept = stdout.encode()[: command.max_output_bytes]
    return Outcome(
        kind=ExecKind.EXITED,
        exit_code=0,
        stdout=kept.decode("utf-8", errors="replace"),
        is_truncated=len(kept) < len(stdout.encode()),
        detail=f"dry run: {command.argv[0]} was not run",
    )
