"""Commands that live on when the connection does not, known by a marker folder on the host.

The folder is named after the effect: making it is the beginning, so that the same effect begins
once however often it is launched, and what became of it can be asked by anybody, at any time,
also after a crash of healthd or of the host. See docs/adr/0041 and `detached_scripts`.
"""

import base64
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from healthd.execute.detached_scripts import HEADER, LAUNCH, OBSERVE, RUN, WIPE
from healthd.execute.protocol import BECOME, Command, ExecKind, Executor, Outcome, Target, Trouble
from healthd.execute.redact import redact
from healthd.execute.words import trouble_of

MAX_DETACHED_STDIN_BYTES: Final = 65_536
"""It is held by two shells on the host, as one line; what is larger is uploaded, not typed."""
_EFFECT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,199}")
_SHOWN_BYTES: Final = 65_536
_ROOM_BYTES: Final = 16_384
"""For the header and for the end of output that was cut."""
_SELF_SECONDS: Final = 15.0
"""What the scripts take at most, without what they are told to wait."""
_STATES: Final = {
    "running": "RUNNING",
    "orphan": "RUNNING",
    "ended": "ENDED",
    "booted": "INTERRUPTED",
    "gone": "INTERRUPTED",
    "none": "NOT_BEGUN",
    "refused": "NOT_BEGUN",
}


class MarkState(StrEnum):
    """What is known of a detached command."""

    NOT_BEGUN = "not begun"
    """Certainly: it has no marker on the host, or one that is never going to begin."""
    RUNNING = "running"
    ENDED = "ended"
    INTERRUPTED = "interrupted"
    """It had begun; its process is gone, or the host was booted anew, and no exit code is there."""
    UNKNOWN = "unknown"
    """The host could not be asked, or did not answer in a way that is understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A command to be run detached.

    Attributes:
        effect_id: Names the marker folder; letters, digits and `._:-`.
        timeout_seconds: On the host: then its process group is told to end (SIGTERM), and
            `grace_seconds` later killed. What root runs is told to end as far as sudo passes
            that on, and never killed: it counts as running until it ends (`Progress.is_late`).
        stdin: At most 64 KiB; it goes through pipes and the memory of shells, never to a disk.
    """

    argv: tuple[str, ...]
    effect_id: str
    timeout_seconds: float
    become: bool = False
    stdin: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    grace_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("a command needs at least the name of its program")
        if len(self.stdin) > MAX_DETACHED_STDIN_BYTES:
            raise ValueError(
                f"its input is at most {MAX_DETACHED_STDIN_BYTES} bytes; upload a file"
            )
        _checked(self.effect_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How much of the output has been seen: whole lines of each stream."""

    out: int = 0
    err: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What became of a detached command so far.

    Attributes:
        exit_code: Of a command that has ended; 128 and a signal's number when one ended it.
        stdout: Lines after the place that was asked for; of one that runs whole lines only. Of
            one that has ended the end is kept, where it does not all fit.
        is_truncated: Some output is not shown.
        is_late: Its time was up, and it was told to end.
        boot_id: The host's, now; empty when it was not asked.
        place: What to go on from.
        kind: How the question itself ended.
        trouble: Why it could not be begun, of one that has ended.
        detail: A sentence for people, without secrets.
    """

    state: MarkState
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    is_truncated: bool = False
    is_late: bool = False
    boot_id: str = ""
    place: Place = field(default_factory=Place)
    kind: ExecKind = ExecKind.EXITED
    trouble: Trouble | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """Runs commands detached, through any executor that reaches a host with a POSIX shell.

    Attributes:
        folder: Where the markers are; relative to the user's home unless it begins with a slash.
            It is made with mode 0700, and each marker as well.
        max_output_bytes: What the host keeps of each stream, from its beginning.
        end_bytes: What it keeps of the end, of a stream that was longer.
        keep: So many markers stay. Older ones go, once they are an hour old and have ended.
        keep_days: Markers of commands that have ended go after so long in any case.
    """

    executor: Executor
    folder: str = ".healthd"
    max_output_bytes: int = 262_144
    end_bytes: int = 8_192
    keep: int = 100
    keep_days: int = 14

    async def launch(self, target: Target, work: Work, *, wait_seconds: float = 2.0) -> Progress:
        """Begin the command, unless it has begun before, and say what became of it so far.

        UNKNOWN means that it may have begun: `observe` says it. A second launch of the same
        effect begins nothing, and answers as `observe` would.

        Args:
            target: The host.
            work: The command.
            wait_seconds: For its end, before the answer is given.
        """
        script = (
            RUN,
            self.folder,
            work.effect_id,
            "1" if work.stdin else "0",
            # Killed, sudo would leave behind what it runs, and its end would be a lie.
            *(_seconds(work.timeout_seconds), "0" if work.become else _seconds(work.grace_seconds)),
            *(str(self.max_output_bytes), str(self.end_bytes), str(_SHOWN_BYTES)),
            *(str(int(wait_seconds * 10)), str(self.keep), str(self.keep_days)),
            *(BECOME if work.become else ()),
            *work.argv,
        )
        command = self._command(LAUNCH, script, wait_seconds, work.secrets)
        if work.stdin:
            command = replace(command, stdin=base64.b64encode(work.stdin) + b"\n")
        outcome = await self.executor.run(target, command)
        words = (*BECOME, *work.argv) if work.become else work.argv
        return _explained(_read(outcome, Place(), work.secrets), words, target, work.secrets)

    async def observe(
        self,
        target: Target,
        effect_id: str,
        *,
        argv: tuple[str, ...] = (),
        since: Place | None = None,
        wait_seconds: float = 0.0,
        secrets: tuple[str, ...] = (),
    ) -> Progress:
        """What became of a command; nothing is begun by asking.

        A marker whose command has not begun after five seconds is given up for good: it never
        begins any more, which is what NOT_BEGUN says.

        Args:
            target: The host.
            effect_id: What was launched.
            argv: Its words with `sudo -n --`, where its trouble is to be explained.
            since: What has been seen of its output.
            wait_seconds: For its end, while it runs.
            secrets: Struck out of the answer.
        """
        since = since or Place()
        words = (
            *(self.folder, _checked(effect_id), str(since.out + 1), str(since.err + 1)),
            *(str(_SHOWN_BYTES), str(int(wait_seconds * 10))),
        )
        outcome = await self.executor.run(
            target, self._command(OBSERVE, words, wait_seconds, secrets)
        )
        return _explained(_read(outcome, since, secrets), argv, target, secrets)

    async def tail(
        self, target: Target, effect_id: str, *, lines: int = 20, secrets: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """The last lines that the command has printed, on both streams."""
        progress = await self.observe(target, effect_id, secrets=secrets)
        printed = f"{progress.stdout}\n{progress.stderr}".splitlines()
        return tuple(line for line in printed if line.strip())[-lines:]

    async def wipe(self, target: Target, effect_id: str) -> bool:
        """Empty what a command that has ended has printed; its exit code stays. False: not known.

        For commands that may have printed a secret: their output is for whoever waited for it.
        """
        words = (self.folder, _checked(effect_id))
        outcome = await self.executor.run(target, self._command(WIPE, words, 0.0, ()))
        return outcome.is_success

    def _command(
        self, script: str, words: tuple[str, ...], wait_seconds: float, secrets: tuple[str, ...]
    ) -> Command:
        return Command(
            argv=("/bin/sh", "-c", script, "healthd", *words),
            timeout_seconds=_SELF_SECONDS + wait_seconds,
            max_output_bytes=_SHOWN_BYTES + self.end_bytes + _ROOM_BYTES,
            secrets=secrets,
        )


def _checked(effect_id: str) -> str:
    if not _EFFECT.fullmatch(effect_id):
        raise ValueError(f"{effect_id!r} cannot name a marker: letters, digits and ._:- only")
    return effect_id


def _seconds(seconds: float) -> str:
    """Whole seconds, at least one: what every `sleep` understands."""
    return str(max(round(seconds), 1))


def _read(outcome: Outcome, since: Place, secrets: tuple[str, ...]) -> Progress:
    """What the script has answered."""
    before, found, rest = outcome.stdout.partition(f"{HEADER} ")
    header, _, stdout = rest.partition("\n")
    if outcome.kind is not ExecKind.EXITED or not found or (before and before[-1] != "\n"):
        return _unasked(outcome)
    state, _, fields = header.partition(" ")
    if state == "refused":
        boot, _, why = fields.partition(" why=")
        return Progress(
            state=MarkState.NOT_BEGUN,
            boot_id=boot.removeprefix("boot="),
            detail=redact(f"the host has no room for the command's marker: {why.strip()}", secrets),
        )
    named = dict(one.partition("=")[::2] for one in fields.split())
    if state not in _STATES or "boot" not in named:
        return _unasked(outcome)
    _, _, stderr = outcome.stderr.partition(f"{HEADER}\n")
    out, err = _number(named.get("out")), _number(named.get("err"))
    is_running = _STATES[state] == "RUNNING"
    return Progress(
        state=MarkState[_STATES[state]],
        exit_code=_number(named["rc"]) if named.get("rc") else None,
        stdout=stdout,
        stderr=stderr,
        is_truncated=named.get("cut") == "1" or outcome.is_truncated,
        is_late=named.get("late") == "1",
        boot_id=named["boot"],
        # What did not fit into one answer is shown by the next, line by line. The host counts the
        # lines: what is struck out here may be several.
        place=Place(
            out=min(out, since.out + _number(named.get("shownout"))) if is_running else out,
            err=min(err, since.err + _number(named.get("shownerr"))) if is_running else err,
        ),
        detail=_sentence(state, named),
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else 0


def _sentence(state: str, named: dict[str, str]) -> str:
    late = named.get("late") == "1"
    match state:
        case "ended" if late:
            return f"its time was up: it was told to end, with exit code {named.get('rc')}"
        case "ended":
            return f"it ended with exit code {named.get('rc')}"
        case "booted":
            return "it was interrupted: the host was booted anew while it ran"
        case "gone":
            return "it was interrupted: its process is gone and has left no exit code"
        case "orphan":
            return "it still runs, but what watched it is gone: its exit code will not be known"
        case "running" if late:
            return "its time is up and it was told to end, but it still runs"
        case "running":
            return "it runs"
        case _:
            return "it has not begun"


def _unasked(outcome: Outcome) -> Progress:
    """Nobody knows; unless nothing was sent, it may have begun."""
    detail = outcome.detail
    if outcome.kind is ExecKind.EXITED:
        said = (outcome.stderr.strip() or outcome.stdout.strip())[-400:]
        if outcome.trouble is None:
            detail = "the host's shell did not answer as expected"
        detail += f": {said}" if said else ""
    return Progress(state=MarkState.UNKNOWN, kind=outcome.kind, detail=detail)


def _explained(
    progress: Progress, words: tuple[str, ...], target: Target, secrets: tuple[str, ...]
) -> Progress:
    if progress.state is not MarkState.ENDED or not progress.exit_code or not words:
        return progress
    found = trouble_of(words, progress.exit_code, progress.stderr, host=target.address)
    if found is None:
        return progress
    return replace(progress, trouble=found[0], detail=redact(found[1], secrets))
