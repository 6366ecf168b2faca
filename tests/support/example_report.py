"""The shape of a wave's report: what stays the same from one wave of the same kind to the next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_LABEL: Final = re.compile(r"- \*\*([^*]+)\*\*:")
_STEP: Final = re.compile(r"- \S+Z (broker \d+ node \w+|order \w+|wave \w+)")
_WAVE: Final = re.compile(r"[a-z][a-z0-9.-]*-\d{8}-\d{6}-[0-9a-f]{4}")
_KEPT_COLUMNS: Final = {"broker": (0, 1), "when": (1, 2, 4), "": (0,)}
"""Of a table's rows, by the name of its first column, what no clock and no chance changes."""
_CHANGING: Final = ("wave holding", "wave running")
"""How often a wave waits for what else is going on in a cluster is for that to say."""


def shape_of(page: str) -> list[str]:
    """The headings, labels, tables and steps of a report, without times, numbers and chance."""
    return list(_lines(_WAVE.sub("WAVE", page)))


def _lines(page: str) -> Iterator[str]:
    columns: tuple[int, ...] | None = None
    for line in page.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if columns is None:
                # The first row of a table.
                columns = _KEPT_COLUMNS.get(cells[0], ())
                if cells[0] != "reason":
                    yield line
            elif kept := [cells[at] for at in columns if at < len(cells)]:
                yield " | ".join(kept)
            continue
        columns = None
        if line.startswith("#"):
            yield line
        elif found := _LABEL.match(line):
            yield found[1]
        elif (step := _STEP.match(line)) and step[1] not in _CHANGING:
            yield step[1]
