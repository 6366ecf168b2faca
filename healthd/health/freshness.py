"""How old the evidence of each term is, and what that costs (health-index.md section 4)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from healthd.health.scoring import Freshness
from healthd.health.words import GROUPS_READ, Term
from healthd.model.snapshot import LONGEST_INTERVAL_SECONDS, ClusterSnapshot
from healthd.model.words import EvidenceGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class TermAge:
    """How a term's evidence stands: as bad as the worst of the groups it reads."""

    is_configured: bool
    """The group that carries the term is read at all."""
    is_seen: bool
    """It was seen at least once; else its values count for nothing, whatever they say."""
    is_fresh: bool
    staleness: float
    """0 at the fresh limit, 1 at the stale limit and beyond."""
    age_seconds: float
    """Of the group that is the most stale; infinite when it was never seen."""


def term_ages(snapshot: ClusterSnapshot, freshness: Freshness) -> Mapping[Term, TermAge]:
    """The standing of every term's evidence."""
    return {term: _term_age(snapshot, freshness, term) for term in Term}


def limits_seconds(
    snapshot: ClusterSnapshot, freshness: Freshness, group: EvidenceGroup
) -> tuple[float, float]:
    """The fresh and the stale limit of a group, in seconds."""
    interval = min(snapshot.interval_seconds, LONGEST_INTERVAL_SECONDS)
    if group is EvidenceGroup.CONFIGS:
        return (
            freshness.configs_fresh_intervals * interval,
            freshness.configs_stale_intervals * interval,
        )
    return freshness.fresh_intervals * interval, freshness.stale_intervals * interval


def is_fresh(snapshot: ClusterSnapshot, freshness: Freshness, group: EvidenceGroup) -> bool:
    """Whether a group is configured, was seen, and not too long ago."""
    age = snapshot.age(group)
    return age is not None and age <= limits_seconds(snapshot, freshness, group)[0]


def _term_age(snapshot: ClusterSnapshot, freshness: Freshness, term: Term) -> TermAge:
    carrier, *_ = GROUPS_READ[term]
    carried = snapshot.age(carrier)
    if carried is None:
        return TermAge(
            is_configured=False, is_seen=False, is_fresh=False, staleness=0, age_seconds=math.inf
        )
    worst, worst_age, is_fresh = 0.0, carried, True
    for group in GROUPS_READ[term]:
        age = snapshot.age(group)
        if age is None:
            continue
        fresh, stale = limits_seconds(snapshot, freshness, group)
        is_fresh = is_fresh and age <= fresh
        staleness = clamp((age - fresh) / (stale - fresh))
        if staleness > worst:
            worst, worst_age = staleness, age
    return TermAge(
        is_configured=True,
        is_seen=math.isfinite(carried),
        is_fresh=is_fresh,
        staleness=worst,
        age_seconds=worst_age,
    )


def clamp(number: float, lowest: float = 0.0, highest: float = 1.0) -> float:
    """The number, moved to the nearer end when it is outside."""
    return min(highest, max(lowest, number))
