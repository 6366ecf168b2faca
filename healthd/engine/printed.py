"""What the command of a step prints while it runs: its last lines, by node, in memory only.

Nothing is decided by it. What stays of a command's output is in the journal once it has ended.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from healthd.execute.redact import STRUCK_OUT

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


_KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS: Final = re.compile(r".*?-----END [A-Z ]*PRIVATE KEY-----")
_IN_KEY: Final = re.compile(r"\s*([A-Za-z0-9+/=]*|[A-Za-z-]+: .*)\s*")
"""A line inside of a private key: base64, or a header in front of it."""


class KeyLines:
    """Strikes private keys out of one stream of lines, wherever it is cut into pieces."""

    def __init__(self) -> None:
        self._is_inside = False

    def struck(self, lines: Sequence[str]) -> list[str]:
        """The lines without those of private keys."""
        return list(self._struck(lines))

    def struck_text(self, text: str) -> list[str]:
        """The lines of a piece in which what is a key, up to the piece's end, was struck out.

        Where that goes on in the next piece nothing of it can be known by itself any more.
        """
        whole, _, rest = text.rpartition("\n")
        lines = self.struck(whole.splitlines())
        if rest == STRUCK_OUT:
            self._is_inside = True
            lines.append(rest)
        elif not whole and rest:  # The beginning of a line that is longer than a piece.
            lines += self.struck([rest[:CHARACTERS]])
        return lines

    def _struck(self, lines: Sequence[str]) -> Iterator[str]:
        for each in lines:
            line = each
            if self._is_inside:
                end = _KEY_ENDS.match(line)
                self._is_inside = end is None and _IN_KEY.fullmatch(line) is not None
                if self._is_inside:
                    continue
                line = line if end is None else line[end.end() :]
                if end is not None and not line.strip():
                    continue
            begin = _KEY_BEGINS.search(line)
            if begin is not None and _KEY_ENDS.match(line, begin.start()) is None:
                self._is_inside = True
                line = line[: begin.start()] + STRUCK_OUT
            yield line


PrintedByNode = dict[int, Printed]


def nothing_is_shown(_lines: Sequence[str]) -> None:
    """For whoever shows nothing."""
