"""How a cluster was over time: rows in which nothing changed, and how they are made fewer.

A row lasts from `at` until `until`. Two rows without a break touch each other; where they do not,
nobody looked. Rows are only ever merged with their neighbours: the lowest index, the worst class
and every check that was raised stay.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Final

from healthd.health.words import HealthClass
from healthd.model.codes import Severity

MOST_IN_BUCKET: Final = 3
"""Rows that thinning leaves of one bucket: what was, what it turned into, and what came of it."""
COUNT_NOISE: Final = 0.1
"""A count that moves by less than this share of itself is no change."""

_CLASS_RANK: Final = {
    HealthClass.OK.value: 0,
    HealthClass.WARN.value: 1,
    HealthClass.UNKNOWN.value: 2,
    HealthClass.CRIT.value: 3,
}
_SEVERITY_RANK: Final = {Severity.INFO.value: 0, Severity.WARN.value: 1, Severity.CRIT.value: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is told of a cluster beside its numbers.

    Words, not enums: another version may have written them.
    """

    health_class: str
    binding_cap: str | None = None
    checks: tuple[tuple[str, str], ...] = ()
    """Code and severity of each check that is raised, by code."""
    verdict: str = ""
    """The routing verdict as it was shown; empty when there was none."""
    state: str = ""
    """The state that HOLD leaves as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """A time in which nothing changed that counts, or which was thinned to one row."""

    cluster: str
    at: float
    """Unix seconds at which it began."""
    until: float
    """Unix seconds at which it was seen last, or at which the next row began."""
    index: float | None
    """The last one; None: the cluster's metadata had never been seen."""
    lowest: float | None
    lowest_at: float
    lower: float | None
    upper: float | None
    completeness: float
    """The lowest one."""
    story: Story
    counts: tuple[int, ...] = ()
    """The highest count of each of the story's checks, in their order."""


def is_noise(before: int, after: int) -> bool:
    """Whether a count has moved too little to tell."""
    return abs(before - after) <= COUNT_NOISE * max(before, after)


def floored(number: float) -> float:
    """A number with the three decimals that are kept, rounded down: 89.9999 is not 90."""
    return math.floor(number * 1000 + 1e-6) / 1000


def as_kept(row: HistoryRow) -> HistoryRow:
    """The row as a store gives it back: milliseconds, and numbers of three decimals."""
    return replace(
        row,
        at=round(row.at, 3),
        until=round(row.until, 3),
        index=None if row.index is None else floored(row.index),
        lowest=None if row.lowest is None else floored(row.lowest),
        lowest_at=round(row.lowest_at, 3),
        lower=None if row.lower is None else floored(row.lower),
        upper=None if row.upper is None else floored(row.upper),
        completeness=floored(row.completeness),
    )


def is_continued(before: HistoryRow, after: HistoryRow) -> bool:
    """Whether nothing lies between two rows of which nobody knows."""
    return after.at <= before.until


def merged(first: HistoryRow, second: HistoryRow) -> HistoryRow:
    """Two neighbours as one row; what is worse stays."""
    story, counts = _worse(first, second)
    lowest, lowest_at = first.lowest, first.lowest_at
    if second.lowest is not None and (lowest is None or second.lowest < lowest):
        lowest, lowest_at = second.lowest, second.lowest_at
    return replace(
        second,
        at=first.at,
        until=max(first.until, second.until),
        lowest=lowest,
        lowest_at=lowest_at,
        completeness=min(first.completeness, second.completeness),
        story=story,
        counts=counts,
    )


def collapsed(rows: Iterable[HistoryRow]) -> Iterator[HistoryRow]:
    """The rows with neighbours as one that touch and tell the same."""
    last: HistoryRow | None = None
    for row in rows:
        if last is None:
            last = row
        elif row.story == last.story and is_continued(last, row):
            last = merged(last, row)
        else:
            yield last
            last = row
    if last is not None:
        yield last


def thinned(rows: Iterable[HistoryRow], *, seconds: float) -> list[HistoryRow]:
    """At most `MOST_IN_BUCKET` rows for every bucket of that many seconds.

    Args:
        rows: Of one cluster, the oldest first. A row belongs to the bucket that it began in.
        seconds: The length of a bucket; buckets begin at multiples of it.
    """
    return [
        row
        for _, bucket in groupby(rows, key=lambda row: row.at // seconds)
        for row in _few(list(bucket))
    ]


def _few(rows: list[HistoryRow]) -> list[HistoryRow]:
    rows = list(collapsed(rows))
    while len(rows) > MOST_IN_BUCKET:
        at = min(range(len(rows) - 1), key=lambda place: _loss(rows[place], rows[place + 1]))
        rows = list(collapsed([*rows[:at], merged(rows[at], rows[at + 1]), *rows[at + 2 :]]))
    return rows


def _loss(first: HistoryRow, second: HistoryRow) -> tuple[bool, int, float]:
    """What merging two neighbours hides: a gap, a change of class, or a short difference."""
    ranks = [_CLASS_RANK.get(row.story.health_class, 0) for row in (first, second)]
    shorter = min(first.until - first.at, second.until - second.at)
    return not is_continued(first, second), abs(ranks[0] - ranks[1]), shorter


def _worse(first: HistoryRow, second: HistoryRow) -> tuple[Story, tuple[int, ...]]:
    if first.story == second.story:
        pairs = zip(first.counts, second.counts, strict=True)
        return first.story, tuple(max(pair) for pair in pairs)
    checks: dict[str, tuple[str, int]] = {}
    for row in (first, second):
        for (code, severity), count in zip(row.story.checks, row.counts, strict=True):
            known, highest = checks.get(code, (severity, count))
            checks[code] = max(known, severity, key=severity_rank), max(highest, count)
    worst = max((second, first), key=_badness)
    ordered = sorted(checks.items())
    story = replace(worst.story, checks=tuple((code, severity) for code, (severity, _) in ordered))
    return story, tuple(count for _, (_, count) in ordered)


def _badness(row: HistoryRow) -> tuple[int, float]:
    lowest = row.lowest
    return _CLASS_RANK.get(row.story.health_class, 0), 0.0 if lowest is None else -lowest


def severity_rank(severity: str) -> int:
    """How bad a severity is; one of another version counts as INFO."""
    return _SEVERITY_RANK.get(severity, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time of which nobody knows anything: healthd was away, or did not look."""

    at: float
    until: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.until - self.at


def gaps(rows: Sequence[HistoryRow], *, since: float, until: float) -> tuple[Gap, ...]:
    """The times between two moments that no row covers."""
    edges = [(since, since), *((row.at, row.until) for row in rows), (until, until)]
    found, seen = [], since
    for (_, ended), (began, _) in pairwise(edges):
        seen = max(seen, ended)
        if min(began, until) > seen:
            found.append(Gap(at=seen, until=min(began, until)))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFound:
    """Rows of one cluster, the oldest first."""

    rows: tuple[HistoryRow, ...]
    is_truncated: bool
    """There are older ones in the time that was asked for."""
