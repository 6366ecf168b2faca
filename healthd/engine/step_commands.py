"""A command of a playbook on its host: run apart from the connection, and told by its marker."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from healthd.engine.printed import KeyLines, OnLines, nothing_is_shown
from healthd.engine.step_host import StepEnds
from healthd.execute.detached import Detached, MarkState, Place, Progress, Work
from healthd.execute.protocol import BECOME, ExecKind, Target
from healthd.waves.events import Outcome, StepState
from healthd.waves.host_commands import READ_BOOT_ID, argv_of
from healthd.waves.playbook_steps import CommandAction, RebootAction

LOOK_SECONDS: Final = 5.0
"""So long one look at a running command waits for its end."""
PAUSE_SECONDS: Final = 2.0
"""Between two looks at a host that does not answer."""
_MARK_LENGTH: Final = 150
_NO_MARK: Final = re.compile(r"^[^A-Za-z0-9_]|[^A-Za-z0-9._-]")
_LINES: Final = 10
_CHARACTERS: Final = 1_500
_NOT_OVER: Final = frozenset({MarkState.RUNNING, MarkState.UNKNOWN})
_NOT_SENT: Final = frozenset(
    {
        ExecKind.NOT_SENT,
        ExecKind.UNREACHABLE,
        ExecKind.HOST_KEY_REFUSED,
        ExecKind.AUTH_REFUSED,
    }
)
"""How a question ends that certainly began nothing."""


def mark_of(*parts: object) -> str:
    """What names something of one wave on a host; of names that are too long, a digest stays."""
    whole = ".".join(map(str, parts))
    plain = _NO_MARK.sub("_", whole)
    if plain == whole and len(whole) <= _MARK_LENGTH:
        return whole
    return f"{plain[:_MARK_LENGTH]}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRunner:
    """Runs what takes its time on one host, for one effect of one wave."""

    detached: Detached
    target: Target
    mark: str
    """Names the effect on the host, and is no other wave's."""
    seconds_left: Callable[[], float]
    secrets: tuple[str, ...] = field(default=(), repr=False)
    on_lines: OnLines = nothing_is_shown
    """Hears what a command prints while it runs."""

    # Commands --------------------------------------------------------------------------------

    async def command(self, action: CommandAction, stdin: bytes = b"") -> tuple[Outcome, str]:
        """Run a command, or go on waiting for it, until it has ended."""
        progress = await self._launched(argv_of(action), become=action.become, stdin=stdin)
        words = self._words(action)
        keys = KeyLines(), KeyLines()
        seen = self._shown(progress, Place(), keys)
        while progress.state in _NOT_OVER:
            left = self.seconds_left()
            if left <= 0:
                return Outcome.UNKNOWN, f"it was not over in its time: {progress.detail}"
            if progress.state is MarkState.UNKNOWN:
                await asyncio.sleep(min(PAUSE_SECONDS, left))
            wait = max(0.0, min(LOOK_SECONDS, left))
            progress = await self.detached.observe(
                self.target,
                self.mark,
                argv=words,
                since=seen,
                wait_seconds=wait,
                secrets=self.secrets,
            )
            seen = self._shown(progress, seen, keys)
        progress = await self._whole(progress, seen, words)
        await self._wiped(progress)
        state, detail = told(action, progress)
        outcomes = {StepState.DONE: Outcome.OK, StepState.NOT_DONE: Outcome.NOT_SENT}
        # What was interrupted is no failure yet: whoever looks next says what it is.
        if state is StepState.INTERRUPTED:
            return Outcome.UNKNOWN, detail
        return outcomes.get(state, Outcome.FAILED), detail

    async def command_state(self, action: CommandAction) -> tuple[StepState, str]:
        """What became of a command."""
        progress = await self.detached.observe(
            self.target, self.mark, argv=self._words(action), secrets=self.secrets
        )
        await self._wiped(progress)
        return told(action, progress)

    def _shown(self, progress: Progress, seen: Place, keys: tuple[KeyLines, KeyLines]) -> Place:
        """Tell the new lines, and what to go on from."""
        if progress.state is not MarkState.RUNNING:
            return seen
        # A last line without its end may be half a secret, and is told again when it is whole.
        out, err = keys
        lines = [*out.struck_text(progress.stdout), *err.struck_text(progress.stderr)]
        if lines:
            self.on_lines(lines)
        return progress.place

    async def _whole(self, progress: Progress, seen: Place, words: tuple[str, ...]) -> Progress:
        """What has ended, with its output from the beginning: its trouble may stand there."""
        if seen == Place():
            return progress
        whole = await self.detached.observe(
            self.target, self.mark, argv=words, secrets=self.secrets
        )
        return whole if whole.state is progress.state else progress

    async def _wiped(self, progress: Progress) -> None:
        """Leave no output on the host where it may hold a secret: what is told has been read."""
        has_printed = bool(progress.stdout or progress.stderr)
        if progress.state is MarkState.ENDED and has_printed and self.secrets:
            await self.detached.wipe(self.target, self.mark)

    def _words(self, action: CommandAction) -> tuple[str, ...]:
        argv = argv_of(action)
        return (*BECOME, *argv) if action.become else argv

    # Reboots ---------------------------------------------------------------------------------

    async def reboot(self, action: RebootAction) -> tuple[Outcome, str]:
        """Boot the host anew; done when it says another boot id."""
        before, now = await self.boot_ids(begin=True)
        if before != now:
            return Outcome.OK, f"the boot id was {before} and is {now}"
        begun = await self._launched(action.reboot_argv, become=action.become)
        state, detail = StepState.RUNNING, begun.detail
        while state not in {StepState.DONE, StepState.FAILED}:
            left = self.seconds_left()
            if left <= 0:
                return Outcome.FAILED, f"the host was not booted anew in its time: {detail}"
            await asyncio.sleep(min(PAUSE_SECONDS, left))
            state, detail = await self.reboot_state(action)
        return (Outcome.OK if state is StepState.DONE else Outcome.FAILED), detail

    async def reboot_state(self, action: RebootAction) -> tuple[StepState, str]:
        """Whether the host was booted anew since the reboot was asked for."""
        try:
            before, now = await self.boot_ids(begin=False)
        except StepEnds as ends:
            is_known = ends.outcome is Outcome.FAILED
            return (StepState.NOT_DONE if is_known else StepState.UNKNOWN), ends.detail
        if before != now:
            return StepState.DONE, f"the boot id was {before} and is {now}"
        words = (*BECOME, *action.reboot_argv) if action.become else action.reboot_argv
        asked = await self.detached.observe(
            self.target, self.mark, argv=words, secrets=self.secrets
        )
        if asked.state is MarkState.NOT_BEGUN:
            return StepState.NOT_DONE, "the reboot has not been asked for"
        if asked.state is MarkState.ENDED and asked.exit_code:
            return StepState.FAILED, _ended(asked)
        return StepState.RUNNING, f"its boot id is still {now}"

    async def boot_ids(self, *, begin: bool) -> tuple[str, str]:
        """The boot id when it was first asked for this mark, which the host itself keeps, and now.

        Raises:
            StepEnds: nobody knows, or (FAILED) it was never asked.
        """
        mark = f"{self.mark}.boot"
        if begin:
            work = Work(argv=READ_BOOT_ID, effect_id=mark, timeout_seconds=10)
            progress = await self.detached.launch(self.target, work, wait_seconds=5)
        else:
            progress = await self.detached.observe(self.target, mark, wait_seconds=5)
        before = progress.stdout.strip()
        if progress.state is MarkState.NOT_BEGUN:
            raise StepEnds(Outcome.FAILED, "its boot id of before was not kept")
        if progress.state is not MarkState.ENDED or not before or not progress.boot_id:
            raise StepEnds(Outcome.NOT_SENT, f"its boot id is not known: {progress.detail}")
        return before, progress.boot_id

    async def _launched(
        self, argv: tuple[str, ...], *, become: bool, stdin: bytes = b""
    ) -> Progress:
        """What became of the command so far.

        Raises:
            StepEnds: it certainly was not begun.
        """
        left = self.seconds_left()
        if left <= 0:
            raise StepEnds(Outcome.NOT_SENT, "there was no time left for it")
        try:
            work = Work(
                argv=argv,
                effect_id=self.mark,
                timeout_seconds=left,
                become=become,
                stdin=stdin,
                secrets=self.secrets,
            )
        except ValueError as error:
            raise StepEnds(Outcome.FAILED, str(error)) from None
        progress = await self.detached.launch(
            self.target, work, wait_seconds=min(LOOK_SECONDS, left)
        )
        is_unsent = progress.state is MarkState.UNKNOWN and progress.kind in _NOT_SENT
        if progress.state is MarkState.NOT_BEGUN or is_unsent:
            raise StepEnds(Outcome.NOT_SENT, progress.detail)
        return progress


def told(action: CommandAction, progress: Progress) -> tuple[StepState, str]:
    """What a command's marker says of the step."""
    match progress.state:
        case MarkState.ENDED if not progress.is_late and progress.exit_code in action.ok_exit_codes:
            return StepState.DONE, _ended(progress)
        case MarkState.ENDED:
            return StepState.FAILED, _ended(progress)
        case MarkState.RUNNING:
            return StepState.RUNNING, progress.detail
        case MarkState.INTERRUPTED:
            return StepState.INTERRUPTED, progress.detail
        case MarkState.NOT_BEGUN:
            return StepState.NOT_DONE, progress.detail
        case _:
            return StepState.UNKNOWN, progress.detail


def _ended(progress: Progress) -> str:
    """How it ended, and the last lines of what it printed."""
    printed = f"{progress.stdout}\n{progress.stderr}".splitlines()
    last = "\n".join([line for line in printed if line.strip()][-_LINES:])[-_CHARACTERS:]
    return f"{progress.detail}\n{last}" if last else progress.detail
