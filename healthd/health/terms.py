"""The weighted sum: a severity for each term, and the points that it takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from healthd.health.freshness import TermAge, clamp
from healthd.health.partitions import PartitionTally
from healthd.health.scoring import ScoringProfile
from healthd.health.signals import Signals
from healthd.health.words import Term


@dataclass(frozen=True, slots=True, kw_only=True)
class TermScore:
    """One term of the sum."""

    term: Term
    weight: float
    is_configured: bool
    is_fresh: bool
    severity: float
    """The last severity seen; the bounds use it."""
    effective_severity: float
    """At least what silence costs; the points use it."""
    worst_severity: float
    """The last severity with what is not certain taken as bad; `lower` uses it."""
    coverage: float
    """How much of the term is known: 0 while it is not fresh."""

    @property
    def points(self) -> float:
        """What the term takes from 100."""
        return self.weight * self.effective_severity


def score_terms(
    signals: Signals, ages: Mapping[Term, TermAge], scoring: ScoringProfile
) -> tuple[TermScore, ...]:
    """Every term of the sum, in the order of `Term`."""
    tally, pessimistic = signals.partitions.tally, signals.partitions.pessimistic
    return tuple(
        _score(
            term,
            ages[term],
            scoring,
            severity=severity(term, signals, tally, scoring),
            worst=severity(term, signals, pessimistic, scoring),
            coverage=signals.coverage[term],
        )
        for term in Term
    )


def severity(term: Term, signals: Signals, tally: PartitionTally, scoring: ScoringProfile) -> float:
    """How bad a term is, from 0 to 1, by the last values seen; what is unknown is 0."""
    spans = scoring.severities
    found = 0.0
    if term is Term.PARTITIONS:
        found = math.sqrt(tally.risk(scoring.risk))
    elif term is Term.BROKERS:
        found = math.sqrt(signals.down_share)
    elif term is Term.CONTROLLER and signals.controller_absent_seconds is not None:
        over = signals.controller_absent_seconds - spans.controller_from_seconds
        found = clamp(over / spans.controller_over_seconds)
    elif term is Term.SATURATION and signals.idle_ratio is not None:
        found = clamp((spans.idle_from_ratio - signals.idle_ratio) / spans.idle_from_ratio)
    elif term is Term.PROBE and signals.success_ratio is not None:
        found = 1.0 - signals.success_ratio
    elif term is Term.STORAGE and signals.disk_used is not None:
        found = clamp((signals.disk_used - spans.disk_from_ratio) / spans.disk_over_ratio)
    return found


def _score(
    term: Term,
    age: TermAge,
    scoring: ScoringProfile,
    *,
    severity: float,
    worst: float,
    coverage: float,
) -> TermScore:
    # A term that is not configured or was never seen has no signals: its last severity is 0.
    stale = scoring.freshness.stale_severity * age.staleness
    return TermScore(
        term=term,
        weight=scoring.weights.of(term),
        is_configured=age.is_configured,
        is_fresh=age.is_fresh,
        severity=severity,
        effective_severity=max(severity, stale),
        worst_severity=worst,
        coverage=coverage if age.is_fresh else 0.0,
    )
