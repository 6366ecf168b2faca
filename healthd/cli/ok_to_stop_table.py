"""The answers of ``ok-to-stop`` as a person reads them: the verdict first, then why."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

import click

from healthd.model.json_reader import printable

MOST_OF_A_CODE: Final = 10
"""Objects of one code that are listed one by one; JSON has them all."""
MOST_IN_A_CELL: Final = 3
"""Objects of one code that are named where many brokers are listed."""


def print_set(found: dict[str, Any]) -> None:
    """Print the answer for one set of brokers, and what else one snapshot has against it."""
    names = ", ".join(map(str, found["brokers"]))
    which = f"broker {names}" if len(found["brokers"]) == 1 else f"brokers {names} together"
    click.echo(f"{printable(found['cluster'])}: {which}: {_verdict(ok=found['ok'])}")
    _print_reasons(found["blockers"])
    holds = found["gate"]["holds"]
    if holds:
        click.echo("Besides, a wave would hold now:")
        _print_reasons(holds)


def print_every(found: dict[str, Any]) -> None:
    """Print the answers for every single node and every rack."""
    click.echo(f"{printable(found['cluster'])}: what can it lose?")
    rows = [("BROKER", "OK", "BLOCKERS")]
    rows += [(str(row["broker"]), *_cells(row)) for row in found["each"]]
    print_columns(rows)
    if found["racks"]:
        rows = [("RACK", "OK", "BLOCKERS")]
        rows += [(printable(row["rack"]), *_cells(row)) for row in found["racks"]]
        print_columns(rows)


def _verdict(*, ok: bool) -> str:
    return click.style("ok to stop", fg="green") if ok else click.style("NOT ok to stop", fg="red")


def _print_reasons(reasons: Sequence[dict[str, str]]) -> None:
    rows = []
    for code, group in _by_code(reasons):
        rows += [
            (f"  {code}", printable(reason["object"]), printable(reason["detail"]))
            for reason in group[:MOST_OF_A_CODE]
        ]
        if len(group) > MOST_OF_A_CODE:
            rows.append((f"  {code}", f"and {len(group) - MOST_OF_A_CODE} more", ""))
    print_columns(rows)


def _cells(row: dict[str, Any]) -> tuple[str, str]:
    return "yes" if row["ok"] else "no", blockers_cell(row["blockers"])


def blockers_cell(blockers: Sequence[dict[str, str]]) -> str:
    """The blockers of one broker on a line: each code with the first of its objects."""
    parts = []
    for code, group in _by_code(blockers):
        names = ", ".join(printable(reason["object"]) for reason in group[:MOST_IN_A_CELL])
        more = len(group) - MOST_IN_A_CELL
        parts.append(f"{code}: {names}" + (f" and {more} more" if more > 0 else ""))
    return "; ".join(parts)


def _by_code(reasons: Iterable[dict[str, str]]) -> list[tuple[str, list[dict[str, str]]]]:
    return [(code, list(group)) for code, group in groupby(reasons, key=lambda row: row["code"])]


def print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of equal length; the last column is as wide as it likes."""
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    for *cells, last in rows:
        padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join((*padded, last)).rstrip())
