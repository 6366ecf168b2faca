"""What healthd sees of a model cluster: snapshots with ages, and faults of the sources."""

from datetime import UTC, datetime, timedelta

from support.cluster_model import ClusterModel, Phase

from healthd.model.snapshot import Broker, ClusterSnapshot, Partition, Quorum, Topic, Voter
from healthd.model.words import BrokerState, EvidenceGroup, QuorumMode, Role

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
FETCH_TIMEOUT_MS = 2000


class Collector:
    """Collects the model as the daemon does: what a round cannot see stays, and grows old."""

    def __init__(self, cluster: ClusterModel, *, interval_seconds: float) -> None:
        self.cluster = cluster
        self.interval_seconds = interval_seconds
        self.lost: set[EvidenceGroup] = set()
        """Sources that do not answer."""
        self.exporters_lost: set[int] = set()
        self._seen_at: dict[EvidenceGroup, float] = {}
        self._page_at: dict[int, float] = {}
        self._states: dict[int, BrokerState] = {}
        self._listed: frozenset[int] = frozenset()
        self._topics: tuple[Topic, ...] = ()
        self._quorum: Quorum | None = None

    def snapshot(self) -> ClusterSnapshot:
        """One collection, now."""
        now = self.cluster.agenda.now
        self._look(now)
        groups = (
            EvidenceGroup.METADATA,
            EvidenceGroup.CONFIGS,
            EvidenceGroup.QUORUM,
            EvidenceGroup.METRICS,
        )
        return ClusterSnapshot(
            cluster="model",
            observed_at=EPOCH + timedelta(seconds=now),
            interval_seconds=self.interval_seconds,
            brokers=tuple(self._broker(node, now) for node in sorted(self.cluster.nodes)),
            topics=self._topics,
            quorum=self._quorum,
            reassignments=0,
            unclean_elections_24h=0,
            unreachable=False,
            ages={
                group: round(now - self._seen_at[group], 3) if group in self._seen_at else None
                for group in groups
            },
        )

    def _look(self, now: float) -> None:
        can_answer = any(node.serves for node in self.cluster.nodes.values())
        if can_answer and EvidenceGroup.METADATA not in self.lost:
            nodes = self.cluster.nodes.values()
            self._listed = frozenset(n.id for n in nodes if n.is_registered and n.is_broker)
            self._topics = self._read_topics()
            self._seen_at[EvidenceGroup.METADATA] = now
            if EvidenceGroup.CONFIGS not in self.lost:
                self._seen_at[EvidenceGroup.CONFIGS] = now
        if can_answer and EvidenceGroup.QUORUM not in self.lost:
            self._quorum = self._read_quorum(now)
            self._seen_at[EvidenceGroup.QUORUM] = now
        for node in self.cluster.nodes.values():
            if node.runs and not node.is_frozen and node.id not in self.exporters_lost:
                self._page_at[node.id] = self._seen_at[EvidenceGroup.METRICS] = now
                self._states[node.id] = BrokerState(node.phase.value)

    def _read_topics(self) -> tuple[Topic, ...]:
        by_name: dict[str, list[Partition]] = {}
        minimum: dict[str, int] = {}
        for row in self.cluster.partitions:
            minimum[row.topic] = row.min_isr
            by_name.setdefault(row.topic, []).append(
                Partition(
                    id=row.number,
                    leader=row.leader,
                    replicas=row.replicas,
                    isr=tuple(sorted(row.isr)),
                )
            )
        return tuple(
            Topic.of(name, rows, min_insync_replicas=minimum[name])
            for name, rows in by_name.items()
        )

    def _read_quorum(self, now: float) -> Quorum:
        absent = self.cluster.controller_absent_since
        return Quorum(
            mode=QuorumMode.KRAFT,
            leader_id=self.cluster.controller,
            fetch_timeout_ms=FETCH_TIMEOUT_MS,
            absent_seconds=0.0 if absent is None else max(0.001, now - absent),
            voters=tuple(
                Voter(
                    id=node.id,
                    last_caught_up_ms=int(1000 * (now if node.votes else node.caught_up_at)),
                )
                for node in self.cluster.nodes.values()
                if node.is_voter
            ),
        )

    def _broker(self, node: int, now: float) -> Broker:
        it = self.cluster.nodes[node]
        roles = {Role.BROKER} if it.is_broker else set()
        if it.is_voter:
            roles.add(Role.CONTROLLER)
        page_at = self._page_at.get(node)
        is_alive = node in self._listed if it.is_broker else it.phase is Phase.RUNNING
        return Broker(
            id=node,
            alive=is_alive,
            roles=frozenset(roles),
            state=self._states.get(node, BrokerState.UNKNOWN),
            request_handler_idle=None if page_at is None else 0.9,
            disk_used_ratio=None if page_at is None else 0.4,
            offline_log_dirs=None if page_at is None else 0,
            metrics_age_seconds=None if page_at is None else round(now - page_at, 3),
        )
