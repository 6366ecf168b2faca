"""What the command of a step prints while it runs: its last lines, by node, in memory only.

Nothing is decided by it. What stays of a command's output is in the journal once it has ended.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

LINES: Final = 20
CHARACTERS: Final = 500
"""Of one line; the rest of it is not shown."""

OnLines = Callable[[Sequence[str]], None]
"""Is called with lines that were printed, without secrets, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """The last lines of a command that runs, and how many there were in all."""

    count: int = 0
    lines: tuple[str, ...] = ()

    def more(self, lines: Sequence[str]) -> "Printed":
        """With further lines; blank ones do not count."""
        told = [line.rstrip()[:CHARACTERS] for line in lines if line.strip()]
        return Printed(count=self.count + len(told), lines=(*self.lines, *told)[-LINES:])


PrintedByNode = dict[int, Printed]


def nothing_is_shown(_lines: Sequence[str]) -> None:
    """For whoever shows nothing."""
