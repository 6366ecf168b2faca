"""What tables and times look like on a terminal, and in a pipe."""

import math
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from healthd.model.json_reader import printable

STYLES: Final = {
    "OK": "green",
    "WARN": "yellow",
    "CRIT": "bold red",
    "UNKNOWN": "magenta",
    "INFO": "dim",
    "IN": "green",
    "OUT": "bold red",
    "PROBATION": "yellow",
    "HOLD": "magenta",
    "succeeded": "green",
    "done": "green",
    "holding": "yellow",
    "paused": "bold yellow",
    "failed": "bold red",
    "aborted": "bold red",
}
PIPE_WIDTH: Final = 200
"""Columns when stdout is no terminal: lines of a log are not folded."""

LINES_SHOWN: Final = 20
"""A broker that is down may hold the gate with thousands of partitions."""
ItemT = TypeVar("ItemT")

_MINUTE: Final = 60
_HOUR: Final = 3600
_NOISE: Final = 1e-6
"""Above what sums of floats are off by, below anything that is shown."""


def console() -> Console:
    """A console on stdout as it is now; plain and wide when it is no terminal."""
    found = Console(highlight=False, soft_wrap=False)
    if not found.is_terminal:
        found.width = PIPE_WIDTH
    return found


def word(text: str) -> Text:
    """A class or a state in its colour."""
    return Text(text, style=STYLES.get(text, ""))


def plain(text: Any) -> Text:
    """Any text as it is: no markup is read in it, and nothing in it moves the cursor."""
    return Text(printable(str(text)))


def table(*columns: str) -> Table:
    """A table without lines, as `kubectl` prints them."""
    found = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        found.add_column(column, overflow="fold")
    return found


def rows_of(found: Table, rows: Sequence[Sequence[Any]]) -> Table:
    """The table with these rows; what is no text yet is taken literally."""
    for row in rows:
        found.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    return found


def first_of(items: Sequence[ItemT], what: str) -> tuple[Sequence[ItemT], str]:
    """What a person can read of a long list, and a line about the rest; empty when that is all."""
    rest = len(items) - LINES_SHOWN
    return items[:LINES_SHOWN], f"and {rest} more {what}; -o json has all" if rest > 0 else ""


def duration(seconds: float) -> str:
    """`45s`, `3m05s`, `2h10m`."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02d}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}m"


def score(value: float | None) -> str:
    """An index with one decimal, rounded down: 89.97 is WARN and must not read 90; `-` for none."""
    if value is None:
        return "-"
    return f"{math.floor(value * 10 + _NOISE) / 10:g}"
