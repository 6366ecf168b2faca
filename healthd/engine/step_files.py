"""A file put in place on a host: written beside it, proven there, then renamed.

Until the rename the target is what it was, and after it the whole new file: whatever ends half-way
leaves at most a file of healthd's own beside it, which the next try writes anew.
"""

import hashlib
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from healthd.engine.step_host import StepEnds, StepHost
from healthd.execute.protocol import Outcome
from healthd.waves.events import Outcome as StepOutcome
from healthd.waves.events import StepState
from healthd.waves.host_commands import HostCommand, PlacingCommands
from healthd.waves.playbook_steps import FilePlace

DROP_SECONDS: Final = 10.0
_NO_SPACE: Final = ("No space left on device", "Disk quota exceeded")
_NOT_THERE: Final = "No such file or directory"
_FIELDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Lies:
    """How a file lies on a host."""

    mode: int
    """With the bits that say what it is."""
    uid: str
    gid: str
    owner: str
    group: str

    @property
    def permissions(self) -> int:
        """The mode without what it is."""
        return stat.S_IMODE(self.mode)

    @property
    def whose(self) -> str:
        """Owner and group, for people."""
        return f"{self.owner}:{self.group}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlacer:
    """Puts one file in place on one host."""

    host: StepHost
    place: FilePlace

    @property
    def _commands(self) -> PlacingCommands:
        return PlacingCommands(place=self.place)

    async def put(self, content: bytes) -> str:
        """What was done, in words.

        Raises:
            StepEnds: it was not, or nobody knows.
        """
        wanted = hashlib.sha256(content).hexdigest()
        before = await self._regular()
        has_changed = before is None or await self.digest(self.place.path) != wanted
        if before is not None and not has_changed and self._fits(before):
            return f"{self.place.path} is unchanged"
        try:
            if before is not None and has_changed and self.place.backup:
                await self._keep()
            await self._write(content, wanted, before)
            await self._good(self._commands.flush())
            await self._good(self._commands.put())
        except StepEnds:
            # Also after a rename that nobody answered for: it was carried out, and there is nothing
            # to remove, or it fails now.
            await self._drop()
            raise
        await self._good(self._commands.flush_folder())
        if await self.digest(self.place.path) != wanted:
            detail = f"{self.place.path} on {self.host.name} was changed by somebody else meanwhile"
            raise StepEnds(StepOutcome.FAILED, detail)
        return f"{self.place.path} has SHA-256 {wanted[:12]}, {len(content)} bytes"

    async def state(self, wanted: str) -> tuple[StepState, str]:
        """Whether the file is in place as it should be.

        Raises:
            StepEnds: the host did not say.
        """
        lies = await self._regular()
        if lies is None:
            return StepState.NOT_DONE, f"{self.place.path} is not there"
        if await self.digest(self.place.path) != wanted:
            return StepState.NOT_DONE, f"{self.place.path} has another content"
        if not self._fits(lies):
            told = f"{lies.whose} {lies.permissions:04o}"
            return StepState.NOT_DONE, f"{self.place.path} lies there as {told}"
        return StepState.DONE, f"{self.place.path} has SHA-256 {wanted[:12]}"

    async def digest(self, path: str) -> str:
        """The SHA-256 of a file that is there.

        Raises:
            StepEnds: it cannot be read.
        """
        return digest_in(await self._good(self._commands.digest(path), is_question=True))

    async def _regular(self) -> Lies | None:
        """How the target lies there; None: nothing does."""
        command = self._commands.look(self.place.path)
        outcome = await self.host.ask(command)
        if outcome.exit_code and _NOT_THERE in outcome.stderr:
            return None
        if not outcome.is_success:
            raise self._failed(command, outcome)
        lies = lies_in(outcome)
        if not stat.S_ISREG(lies.mode):
            what = "a link" if stat.S_ISLNK(lies.mode) else "no file"
            detail = f"{self.place.path} on {self.host.name} is {what}: name the file itself"
            raise StepEnds(StepOutcome.FAILED, detail)
        return lies

    def _fits(self, lies: Lies) -> bool:
        place = self.place
        return (
            lies.permissions == int(place.mode, 8)
            and place.owner in {None, lies.owner, lies.uid}
            and place.group in {None, lies.group, lies.gid}
        )

    async def _keep(self) -> None:
        await self._good(self._commands.keep())
        await self._good(self._commands.kept())

    async def _write(self, content: bytes, wanted: str, before: Lies | None) -> None:
        commands = self._commands
        await self._good(commands.write(), stdin=content)
        if await self.digest(commands.new) != wanted:
            detail = f"{self.place.path}: it did not arrive whole on {self.host.name}"
            raise StepEnds(StepOutcome.FAILED, f"{detail}; nothing was changed")
        lies = lies_in(await self._good(commands.look(commands.new), is_question=True))
        is_given = self.place.owner is not None
        if before is not None and not is_given and lies.uid != before.uid:
            detail = (
                f"{self.place.path} on {self.host.name} belongs to {before.whose} and would belong "
                f"to {lies.whose}: say owner and group in the step; nothing was changed"
            )
            raise StepEnds(StepOutcome.FAILED, detail)

    async def _good(
        self, command: HostCommand, *, stdin: bytes | None = None, is_question: bool = False
    ) -> Outcome:
        if is_question:
            outcome = await self.host.ask(command)
        else:
            outcome = await self.host.do(command, stdin=stdin)
        if not outcome.is_success:
            raise self._failed(command, outcome)
        return outcome

    def _failed(self, command: HostCommand, outcome: Outcome) -> StepEnds:
        said = outcome.stderr + outcome.stdout
        if any(words in said for words in _NO_SPACE):
            detail = (
                f"no space left on {self.host.name} for {self.place.path}: nothing was changed; "
                "make room there"
            )
            return StepEnds(StepOutcome.FAILED, detail)
        return StepEnds(
            StepOutcome.FAILED, f"{self.place.path}: {self.host.words(command, outcome)}"
        )

    async def _drop(self) -> None:
        """Remove what lies beside the target; what cannot be removed is written anew later."""
        # What was written may be a secret, and the step's time may be up.
        host = replace(self.host, seconds_left=lambda: DROP_SECONDS)
        with suppress(StepEnds):
            await host.do(self._commands.drop())


def lies_in(outcome: Outcome) -> Lies:
    """How a file lies there, as `stat` told it.

    Raises:
        StepEnds: it told something else.
    """
    parts = outcome.stdout.strip().split(":")
    try:
        mode = int(parts[0], 16)
    except ValueError:
        parts = []
    if len(parts) != _FIELDS:
        raise StepEnds(StepOutcome.FAILED, f"stat said {outcome.stdout.strip()[:80]!r}")
    return Lies(mode=mode, uid=parts[1], gid=parts[2], owner=parts[3], group=parts[4])


def digest_in(outcome: Outcome) -> str:
    """The digest that `sha256sum` printed; names with odd characters have a backslash before it."""
    return outcome.stdout.strip().removeprefix("\\").partition(" ")[0]
