"""One row of history while it is still running."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from healthd.health.checks import Check
from healthd.health.index import HealthReport
from healthd.health.timeline import (
    HistoryRow,
    Story,
    floored,
    is_noise,
    merged,
    severity_rank,
)
from healthd.routing.verdict import Routing

INDEX_NOISE: Final = 0.05
"""An index that moves less, from where the row began, is no change."""
BOUND_NOISE: Final = 0.5
COMPLETENESS_NOISE: Final = 0.01


class Run:
    """What has been so since it began. It changes in place: it is looked at in every sweep."""

    __slots__ = (
        "_before", "_began", "_completeness", "_counts", "_counts_began", "_key", "_lowest",
        "_lowest_at", "_routing", "_told", "at", "cluster", "until",
    )  # fmt: skip

    def __init__(self, cluster: str, report: HealthReport, routing: Routing, now: float) -> None:
        self.cluster = cluster
        self.at = self.until = now
        self._key = _key(report, routing)
        self._began = self._told = report
        self._routing = routing
        self._lowest, self._lowest_at = report.health_index, now
        self._completeness = report.completeness
        self._counts = self._counts_began = _counts(report)
        self._before: HistoryRow | None = None

    def goes_on(self, report: HealthReport, routing: Routing) -> bool:
        """Whether a report tells what this row began with."""
        began = self._began
        return (
            abs(report.health_index - began.health_index) <= INDEX_NOISE
            and self._key == _key(report, routing)
            and abs(report.completeness - began.completeness) <= COMPLETENESS_NOISE
            and abs(report.lower - began.lower) <= BOUND_NOISE
            and abs(report.upper - began.upper) <= BOUND_NOISE
            and all(map(is_noise, self._counts_began, _counts(report)))
        )

    def see(self, report: HealthReport, now: float) -> None:
        """Take a report that goes on with this row into account."""
        # The clock may have been set back by less than a second.
        self.until = max(self.until, now)
        self._told = report
        self._completeness = min(self._completeness, report.completeness)
        if report.health_index < self._lowest:
            self._lowest, self._lowest_at = report.health_index, self.until
        counts = _counts(report)
        if counts != self._counts:
            self._counts = tuple(map(max, self._counts, counts))

    def row(self, until: float | None = None) -> HistoryRow:
        """The row as it is by now, or as it ends."""
        told = self._told
        checks = _by_code(zip(told.checks, self._counts, strict=True))
        found = HistoryRow(
            cluster=self.cluster,
            at=self.at,
            until=self.until if until is None else until,
            index=_seen(told, told.health_index),
            lowest=_seen(told, self._lowest),
            lowest_at=self._lowest_at,
            lower=_seen(told, told.lower),
            upper=_seen(told, told.upper),
            completeness=floored(self._completeness),
            story=Story(
                health_class=told.health_class.value,
                binding_cap=None if told.binding_cap is None else told.binding_cap.value,
                checks=tuple((code, severity) for code, (severity, _) in checks),
                verdict=self._routing.verdict.value,
                state=self._routing.effective.value,
            ),
            counts=tuple(count for _, (_, count) in checks),
        )
        return found if self._before is None else merged(self._before, found)

    def continues(self, before: HistoryRow) -> bool:
        """Take up a row from before a restart when it told the same; false when it did not."""
        mine = self.row()
        if before.story != mine.story or (before.index is None) != (mine.index is None):
            return False
        if abs((before.index or 0.0) - (mine.index or 0.0)) > INDEX_NOISE or not all(
            map(is_noise, before.counts, mine.counts)
        ):
            return False
        self._before = replace(before, until=self.at)
        self.at = before.at
        return True


def _seen(report: HealthReport, number: float) -> float | None:
    """A number of a report; None while it says nothing."""
    return floored(number) if report.is_metadata_seen else None


def _by_code(checks: Iterable[tuple[Check, int]]) -> list[tuple[str, tuple[str, int]]]:
    """Severity and count of each code, by code; the worse of two of the same code."""
    found: dict[str, tuple[str, int]] = {}
    for check, count in checks:
        severity, most = found.get(check.code.value, (check.severity.value, count))
        worse = max(severity, check.severity.value, key=severity_rank)
        found[check.code.value] = worse, max(most, count)
    return sorted(found.items())


def _counts(report: HealthReport) -> tuple[int, ...]:
    # A list comprehension: a generator costs twice as much for a handful of checks.
    return tuple([check.count for check in report.checks])


def _key(report: HealthReport, routing: Routing) -> tuple[Any, ...]:
    """What must be the same, compared by identity mostly: all of it are members of enums."""
    return (
        report.health_class,
        report.binding_cap,
        report.is_metadata_seen,
        routing.verdict,
        routing.effective,
        tuple([(check.code, check.severity) for check in report.checks]),
    )
