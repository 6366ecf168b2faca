"""How much is known, and between which limits the index must lie (health-index.md section 4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from healthd.health.caps import active_caps
from healthd.health.scoring import ScoringProfile
from healthd.health.signals import Signals
from healthd.health.terms import TermScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The interval around an index."""

    lower: float
    upper: float
    completeness: float
    """0 to 1: the weighted share of what is configured that is fresh and covered."""


def bounds_of(
    index: float,
    signals: Signals,
    terms: Sequence[TermScore],
    scoring: ScoringProfile,
    *,
    is_metadata_fresh: bool,
) -> Bounds:
    """The interval; lower <= index <= upper, and all are equal when completeness is 1."""
    configured = [term for term in terms if term.is_configured]
    weights = math.fsum(term.weight for term in configured)
    known = math.fsum(term.weight * term.coverage for term in configured)
    return Bounds(
        lower=min(index, _lower(signals, configured, scoring)) if is_metadata_fresh else 0.0,
        upper=max(index, _upper(signals, configured, scoring)),
        completeness=known / weights if weights else 0.0,
    )


def _lower(signals: Signals, configured: Sequence[TermScore], scoring: ScoringProfile) -> float:
    """What is left when everything that is not covered is as bad as it can be."""
    taken = math.fsum(
        # Written so that full coverage leaves the severity untouched by rounding.
        term.weight * (term.coverage * term.worst_severity + (1 - term.coverage))
        for term in configured
    )
    caps = active_caps(signals, signals.partitions.pessimistic, signals.disk_used, scoring)
    return max(0.0, min([100 - taken, *(cap.cap for cap in caps)]))


def _upper(signals: Signals, configured: Sequence[TermScore], scoring: ScoringProfile) -> float:
    """What is left when only fresh evidence counts."""
    taken = math.fsum(term.weight * term.coverage * term.severity for term in configured)
    fresh = {term.term for term in configured if term.is_fresh}
    caps = active_caps(signals, signals.partitions.tally, signals.disk_used_certain, scoring)
    return min([100 - taken, *(cap.cap for cap in caps if cap.term is None or cap.term in fresh)])
