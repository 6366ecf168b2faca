"""The host of one node, as a step of a playbook uses it: short commands with their trouble told."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from healthd.execute.protocol import Command, ExecKind, Executor, Outcome, Target
from healthd.execute.redact import redact
from healthd.waves.events import Outcome as StepOutcome
from healthd.waves.host_commands import HostCommand, piped

SHORT_SECONDS: Final = 60.0
"""What only looks, copies or renames takes no longer; a content's way to the host may."""
_SAID: Final = 400
"""Characters of a command's last words that are told."""
_ENGLISH: Final = ("env", "LC_ALL=C")
"""What a program says of a full disk is read, so it says it in one language."""
_SUDO_ASKS: Final = re.compile(r"sudo: .*(password is required|terminal is required|try again)")


class StepEnds(Exception):  # noqa: N818  # It says how a step ended.
    """The end of a step before its own end: how, and why, for people."""

    def __init__(self, outcome: StepOutcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class StepHost:
    """Runs short commands on a host for one step, none of them beyond its deadline."""

    executor: Executor
    target: Target
    seconds_left: Callable[[], float]
    effect_id: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Struck out of everything that is told."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.target.address

    async def ask(self, command: HostCommand) -> Outcome:
        """What a command that changes nothing ended with.

        Raises:
            StepEnds: it did not come to its end; nothing was changed by it.
        """
        outcome = await self._run(command)
        if outcome.kind is not ExecKind.EXITED:
            raise StepEnds(StepOutcome.NOT_SENT, self.words(command, outcome))
        return outcome

    async def do(self, command: HostCommand, *, stdin: bytes | None = None) -> Outcome:
        """What a command ended with.

        Raises:
            StepEnds: it did not come to its end, as far as is known.
        """
        outcome = await self._run(command, stdin=stdin)
        if outcome.kind is ExecKind.EXITED:
            return outcome
        kind = StepOutcome.UNKNOWN if outcome.may_have_run else StepOutcome.NOT_SENT
        raise StepEnds(kind, self.words(command, outcome))

    def words(self, command: HostCommand, outcome: Outcome) -> str:
        """What a command that did not do well said, for people, on one line."""
        program = command.argv[0]
        if outcome.kind is not ExecKind.EXITED:
            return redact(outcome.detail or outcome.kind.value, self.secrets)
        said = outcome.stderr.strip() or outcome.stdout.strip()
        if command.become and _SUDO_ASKS.search(outcome.stderr):
            # The program itself never ran.
            return (
                f"sudo wants a password for {program} on {self.name}: allow it without one "
                "('healthd playbook sudoers' prints the lines)"
            )
        told = " ".join(redact(said, self.secrets).split())[-_SAID:]
        return f"{program} ended with exit code {outcome.exit_code} on {self.name}: {told}"

    async def _run(self, command: HostCommand, *, stdin: bytes | None = None) -> Outcome:
        left = self.seconds_left()
        if left <= 0:
            raise StepEnds(StepOutcome.FAILED, "it was not done within its time")
        words = command.words if stdin is None else piped(command)
        return await self.executor.run(
            self.target,
            Command(
                argv=(*_ENGLISH, *words),
                timeout_seconds=left if stdin is not None else min(left, SHORT_SECONDS),
                effect_id=self.effect_id,
                stdin=stdin or b"",
                secrets=self.secrets,
            ),
        )
