"""What the index is made from: one value a term, read from a snapshot (health-index.md section 2).

A group that is not configured or was never seen gives nothing here, whatever the snapshot holds
for it; what was seen keeps its last value, however old.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from healthd.health.freshness import TermAge, limits_seconds
from healthd.health.history import History
from healthd.health.partitions import PartitionFacts, read_partitions
from healthd.health.saturation import cluster_idle_ratio
from healthd.health.scoring import ScoringProfile
from healthd.health.words import Term
from healthd.model.snapshot import Broker, ClusterSnapshot
from healthd.model.words import EvidenceGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """How full one broker's fullest log directory is."""

    broker: int
    used_ratio: float
    is_certain: bool
    """Fresh, or of a broker that is not alive and cannot tell anything newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """The last values of everything that the sum and the caps read."""

    partitions: PartitionFacts
    expected_brokers: int
    down_brokers: tuple[int, ...]
    controller_absent_seconds: float | None
    idle_ratio: float | None
    """x: the ceil(n/10)-th smallest request handler idle ratio."""
    probe_attempts: int
    success_ratio: float | None
    """q, once there are enough attempts."""
    disks: tuple[DiskUse, ...]
    unclean_elections: int
    is_unreachable: bool
    coverage: Mapping[Term, float]

    @property
    def down_share(self) -> float:
        """b: the share of expected brokers that are down, 0 when none is expected."""
        return len(self.down_brokers) / self.expected_brokers if self.expected_brokers else 0.0

    @property
    def disk_used(self) -> float | None:
        """u: the fullest log directory of all brokers that have a value."""
        return max((disk.used_ratio for disk in self.disks), default=None)

    @property
    def disk_used_certain(self) -> float | None:
        """The same without stale values of alive brokers."""
        return max((disk.used_ratio for disk in self.disks if disk.is_certain), default=None)


def read_signals(
    snapshot: ClusterSnapshot,
    ages: Mapping[Term, TermAge],
    scoring: ScoringProfile,
    history: History,
) -> Signals:
    """The values that a snapshot holds of every term that was seen."""
    is_metadata_seen = ages[Term.BROKERS].is_seen
    partitions = read_partitions(
        snapshot.topics if is_metadata_seen else (),
        grace_seconds=scoring.risk.leaderless_grace_seconds,
        history=history,
    )
    expected, down = _brokers(snapshot) if is_metadata_seen else (0, ())
    serving = [broker for broker in snapshot.brokers if not broker.is_pure_controller]
    fresh_limit, _ = limits_seconds(snapshot, scoring.freshness, EvidenceGroup.METRICS)
    fresh = {broker.id for broker in serving if _is_fresh(snapshot, broker, fresh_limit)}
    are_metrics_seen = ages[Term.STORAGE].is_seen
    quorum = snapshot.quorum if ages[Term.CONTROLLER].is_seen else None
    probe = snapshot.probe if ages[Term.PROBE].is_seen else None
    absent = None if quorum is None else quorum.controller_absent_seconds
    has_enough = probe is not None and probe.attempts >= scoring.severities.probe_attempts
    return Signals(
        partitions=partitions,
        expected_brokers=expected,
        down_brokers=down,
        controller_absent_seconds=absent,
        idle_ratio=cluster_idle_ratio(serving, scoring) if are_metrics_seen else None,
        probe_attempts=probe.attempts if probe else 0,
        success_ratio=probe.succeeded / probe.attempts if probe and has_enough else None,
        disks=tuple(_disks(serving, fresh)) if are_metrics_seen else (),
        unclean_elections=(snapshot.unclean_elections_24h or 0) if is_metadata_seen else 0,
        is_unreachable=snapshot.unreachable is True,
        coverage={
            Term.PARTITIONS: partitions.coverage,
            Term.BROKERS: 1.0,
            Term.CONTROLLER: 0.0 if absent is None else 1.0,
            Term.SATURATION: _share_with_value(
                serving, fresh, {b.id for b in serving if b.request_handler_idle is not None}
            ),
            Term.PROBE: 0.0 if probe is None else 1.0,
            Term.STORAGE: _share_with_value(
                serving, fresh, {b.id for b in serving if b.disk_used_ratio is not None}
            ),
        },
    )


def _brokers(snapshot: ClusterSnapshot) -> tuple[int, tuple[int, ...]]:
    """The number of expected brokers, and the ids of those that are down."""
    listed = snapshot.brokers_by_id
    expected = {broker.id for broker in snapshot.brokers if not broker.is_pure_controller}
    expected |= snapshot.replica_holders
    down = sorted(node for node in expected if node not in listed or listed[node].is_down)
    return len(expected), tuple(down)


def _is_fresh(snapshot: ClusterSnapshot, broker: Broker, limit_seconds: float) -> bool:
    age = snapshot.metrics_age(broker)
    return age is not None and age <= limit_seconds


def _disks(serving: Iterable[Broker], fresh: set[int]) -> Iterable[DiskUse]:
    for broker in serving:
        if broker.disk_used_ratio is not None:
            yield DiskUse(
                broker=broker.id,
                used_ratio=broker.disk_used_ratio,
                is_certain=broker.id in fresh or not broker.alive,
            )


def _share_with_value(serving: Iterable[Broker], fresh: set[int], with_value: set[int]) -> float:
    """The share of alive brokers that have a fresh value, 1 when none is alive."""
    alive = {broker.id for broker in serving if broker.alive}
    return len(alive & fresh & with_value) / len(alive) if alive else 1.0
