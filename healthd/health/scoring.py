"""The scoring profile: every number of the Health Index, in one versioned place.

The defaults are those of health-index.md. A profile that contradicts itself cannot be built.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from healthd.health.words import PartitionState, Term

HASH_LENGTH: Final = 12
"""Hex digits of the profile's hash that are exported; enough to tell profiles apart."""


class ScoringError(ValueError):
    """A scoring profile whose numbers contradict each other: says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What each term may take from 100; they add up to 100."""

    partitions: float = 45
    brokers: float = 15
    controller: float = 15
    saturation: float = 10
    probe: float = 10
    storage: float = 5

    def of(self, term: Term) -> float:
        """The weight of a term."""
        weight: float = getattr(self, term.value)
        return weight


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionRisk:
    """How bad one partition in each state is (v in the document), from 0 to 1."""

    offline: float = 1.0
    under_min_isr: float = 0.60
    at_min_isr: float = 0.10
    under_replicated: float = 0.03
    leaderless_grace_seconds: float = 10
    """An election takes seconds; only after this long is a leaderless partition OFFLINE."""

    def of(self, state: PartitionState) -> float:
        """The risk of a state."""
        if state is PartitionState.OK:
            return 0.0
        risk: float = getattr(self, state.value.lower())
        return risk


@dataclass(frozen=True, slots=True, kw_only=True)
class Severities:
    """Where the severity of a term starts, and over what span it reaches 1."""

    controller_from_seconds: float = 30
    controller_over_seconds: float = 60
    idle_from_ratio: float = 0.3
    """Request handlers less idle than this begin to count; 0 idle is severity 1."""
    idle_one_broker_in: int = 10
    """The ceil(n / this)-th least idle broker speaks for the cluster."""
    probe_attempts: int = 5
    """Fewer attempts prove nothing."""
    disk_from_ratio: float = 0.70
    disk_over_ratio: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The highest index that each finding leaves."""

    offline_highest: float = 60
    offline_zero_at_share: float = 0.25
    internal_topic: float = 45
    under_min_isr_highest: float = 69
    under_min_isr_zero_at_share: float = 0.5
    at_min_isr_highest: float = 89
    at_min_isr_drop: float = 17
    controller_transient: float = 89
    controller_absent_from_seconds: float = 30
    controller_absent_highest: float = 65
    controller_absent_drop: float = 35
    controller_absent_over_seconds: float = 300
    broker_down_highest: float = 89
    broker_down_drop: float = 35
    broker_down_from_share: float = 0.34
    broker_down_over_share: float = 0.33
    probe_highest: float = 100
    disk_high_from_ratio: float = 0.85
    disk_high: float = 89
    disk_critical_from_ratio: float = 0.95
    disk_critical_highest: float = 60
    disk_critical_drop: float = 5
    disk_critical_over_ratio: float = 0.05
    unclean_election: float = 89
    unreachable: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old evidence may be, in intervals, and what silence costs."""

    fresh_intervals: float = 2
    stale_intervals: float = 5
    configs_fresh_intervals: float = 20
    configs_stale_intervals: float = 50
    stale_severity: float = 0.3
    """What a term that nobody has seen for long counts as, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Where the classes begin."""

    ok_from: float = 90
    warn_from: float = 70
    unknown_below_completeness: float = 0.5
    tolerance: float = 1e-9
    """Numbers this near to each other, or to a limit, are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksScoring:
    """Numbers of checks that carry no points."""

    objects_shown: int = 20
    majority_lost_seconds: float = 5
    """Two snapshots this far apart must miss the quorum's majority before it is CRIT."""
    min_isr_above_rf_works_from: tuple[int, int] = (3, 7)
    """From this Kafka on, brokers use the smaller of RF and min.insync.replicas."""
    saturated_below_ratio: float = 0.1
    saturated_seconds: float = 300
    flapping_changes: int = 4
    flapping_over_seconds: float = 1800
    split_snapshots: int = 2
    """Pages of two nodes are read at two moments: one snapshot never proves two controllers."""
    churn_leaves: int = 3
    """A replica that leaves the ISR so often is churning; each restart is one leave."""
    churn_rises: int = 10
    """So many snapshots in which a broker's own count of ISR shrinks had risen are churn, too."""
    churn_over_seconds: float = 900
    imbalance_above_share: float = 0.1
    """Kafka's own leader.imbalance.per.broker.percentage."""
    imbalance_seconds: float = 1800
    mixed_versions_warn_seconds: float = 7 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingScoring:
    """When a cluster is taken out of routing, and how it comes back (section 5)."""

    out_below: float = 50
    out_after: int = 3
    """So many fresh values in a row below `out_below` take it out."""
    out_at_once_from: float = 20
    out_at_once_after: int = 2
    """So many at or below `out_at_once_from` do."""
    back_from: float = 70
    healthy_seconds: float = 300
    """At `back_from` or more for so long without a break, it may come back."""
    dwell_seconds: float = 60
    """It stays out for at least so long after the first ejection, twice that after the next."""
    dwell_longest_seconds: float = 1800
    forgive_seconds: float = 1800
    """So long in health takes back one ejection."""
    probation_first_percent: float = 10
    probation_second_percent: float = 50
    probation_step_seconds: float = 60
    fleet_out_share: float = 0.10
    """At most this share of the clusters, but one at least, is out by healthd's own doing."""
    suspect_clusters: int = 3
    suspect_share: float = 0.30
    suspect_within_seconds: float = 60
    """So many, and such a share, that turn unknown within this time put the monitor in doubt."""


@dataclass(frozen=True, kw_only=True)
class ScoringProfile:
    """Every number of the Health Index, validated when it is built.

    Raises:
        ScoringError: the numbers contradict each other.
    """

    name: str = "default"
    version: str = "1"
    weights: Weights = field(default_factory=Weights)
    risk: PartitionRisk = field(default_factory=PartitionRisk)
    severities: Severities = field(default_factory=Severities)
    caps: Caps = field(default_factory=Caps)
    freshness: Freshness = field(default_factory=Freshness)
    bands: Bands = field(default_factory=Bands)
    checks: ChecksScoring = field(default_factory=ChecksScoring)
    routing: RoutingScoring = field(default_factory=RoutingScoring)

    def __post_init__(self) -> None:
        _refuse_what_is_not_a_number(asdict(self))
        _validate_weights(self.weights)
        _validate_orders(self)
        _validate_spans(self)

    @cached_property
    def hash(self) -> str:
        """The head of the SHA-256 of the profile's canonical JSON."""
        text = json.dumps(_as_floats(asdict(self)), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def _as_floats(value: Any) -> Any:
    """The value with every number as a float, so that 45 and 45.0 make the same hash."""
    if isinstance(value, dict):
        return {key: _as_floats(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_as_floats(item) for item in value]
    return float(value) if isinstance(value, int | float) else value


def _refuse_what_is_not_a_number(numbers: dict[str, Any], at: str = "") -> None:
    for key, value in numbers.items():
        if isinstance(value, dict):
            _refuse_what_is_not_a_number(value, f"{at}{key}.")
        elif isinstance(value, int | float) and (not math.isfinite(value) or value < 0):
            raise ScoringError(f"{at}{key}: {value} must be finite and at least 0")


def _validate_weights(weights: Weights) -> None:
    total = math.fsum(weights.of(term) for term in Term)
    if not math.isclose(total, 100, abs_tol=1e-9):
        raise ScoringError(f"weights: they add up to {total:g}; they must add up to 100")


def _validate_orders(profile: ScoringProfile) -> None:
    """Refuse thresholds that are not in order."""
    risk, caps, fresh, bands = profile.risk, profile.caps, profile.freshness, profile.bands
    states = list(PartitionState)
    _in_order("risk", [(state.value, risk.of(state)) for state in states] + [("1", 1)])
    _in_order(
        "caps", [("disk_high_from_ratio", caps.disk_high_from_ratio),
                 ("disk_critical_from_ratio", caps.disk_critical_from_ratio), ("1", 1)],
    )  # fmt: skip
    _in_order(
        "caps", [("disk_critical_highest", caps.disk_critical_highest),
                 ("disk_high", caps.disk_high), ("100", 100)],
    )  # fmt: skip
    _in_order(
        "caps", [("offline_highest", caps.offline_highest),
                 ("under_min_isr_highest", caps.under_min_isr_highest),
                 ("at_min_isr_highest - at_min_isr_drop",
                  caps.at_min_isr_highest - caps.at_min_isr_drop),
                 ("at_min_isr_highest", caps.at_min_isr_highest), ("100", 100)],
    )  # fmt: skip
    _in_order(
        "caps", [("controller_absent_highest", caps.controller_absent_highest),
                 ("controller_transient", caps.controller_transient), ("100", 100)],
    )  # fmt: skip
    for name in ("internal_topic", "broker_down_highest", "probe_highest", "unclean_election",
                 "unreachable"):  # fmt: skip
        _in_order("caps", [(name, getattr(caps, name)), ("100", 100)])
    for name in ("controller_absent", "broker_down", "disk_critical"):
        drop, highest = f"{name}_drop", f"{name}_highest"
        _in_order("caps", [(drop, getattr(caps, drop)), (highest, getattr(caps, highest))])
    routing = profile.routing
    _in_order(
        "routing", [("out_at_once_from", routing.out_at_once_from),
                    ("out_below", routing.out_below), ("back_from", routing.back_from),
                    ("100", 100)],
    )  # fmt: skip
    _in_order(
        "routing", [("probation_first_percent", routing.probation_first_percent),
                    ("probation_second_percent", routing.probation_second_percent), ("100", 100)],
    )  # fmt: skip
    _in_order(
        "routing", [("dwell_seconds", routing.dwell_seconds),
                    ("dwell_longest_seconds", routing.dwell_longest_seconds)],
    )  # fmt: skip
    for name in ("fleet_out_share", "suspect_share"):
        _in_order("routing", [(name, getattr(routing, name)), ("1", 1)])
    _in_order("freshness", [("stale_severity", fresh.stale_severity), ("1", 1)])
    _in_order("bands", [("warn_from", bands.warn_from), ("ok_from", bands.ok_from), ("100", 100)])
    _in_order("bands", [("unknown_below_completeness", bands.unknown_below_completeness), ("1", 1)])


def _in_order(where: str, numbers: Sequence[tuple[str, float]]) -> None:
    for (name, low), (above, high) in pairwise(numbers):
        if low > high:
            raise ScoringError(f"{where}: {name} ({low:g}) must be at most {above} ({high:g})")


def _validate_spans(profile: ScoringProfile) -> None:
    """Refuse a span of nothing: a severity or a cap is divided by it."""
    fresh = profile.freshness
    spans = {
        "severities.controller_over_seconds": profile.severities.controller_over_seconds,
        "severities.idle_from_ratio": profile.severities.idle_from_ratio,
        "severities.idle_one_broker_in": profile.severities.idle_one_broker_in,
        "severities.probe_attempts": profile.severities.probe_attempts,
        "severities.disk_over_ratio": profile.severities.disk_over_ratio,
        "caps.offline_zero_at_share": profile.caps.offline_zero_at_share,
        "caps.under_min_isr_zero_at_share": profile.caps.under_min_isr_zero_at_share,
        "caps.controller_absent_over_seconds": profile.caps.controller_absent_over_seconds,
        "caps.broker_down_over_share": profile.caps.broker_down_over_share,
        "caps.disk_critical_over_ratio": profile.caps.disk_critical_over_ratio,
        "freshness.stale_intervals - fresh_intervals": fresh.stale_intervals
        - fresh.fresh_intervals,
        "freshness.configs_stale_intervals - configs_fresh_intervals": fresh.configs_stale_intervals
        - fresh.configs_fresh_intervals,
        "checks.objects_shown": profile.checks.objects_shown,
        "routing.out_after": profile.routing.out_after,
        "routing.out_at_once_after": profile.routing.out_at_once_after,
        "routing.dwell_seconds": profile.routing.dwell_seconds,
        "routing.forgive_seconds": profile.routing.forgive_seconds,
        "routing.probation_first_percent": profile.routing.probation_first_percent,
        "routing.suspect_clusters": profile.routing.suspect_clusters,
        "checks.flapping_changes": profile.checks.flapping_changes,
        "checks.split_snapshots": profile.checks.split_snapshots,
        "checks.churn_leaves": profile.checks.churn_leaves,
        "checks.churn_rises": profile.checks.churn_rises,
    }
    for name, span in spans.items():
        if span <= 0:
            raise ScoringError(f"{name}: {span:g} must be above 0")


DEFAULT: Final = ScoringProfile()
"""The numbers of health-index.md."""
