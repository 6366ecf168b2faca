"""A scripted cluster in memory: the twin of `ClusterCollector`, on the same pure assembly.

Faults show as they show from outside: a frozen broker stays in the metadata until its session ends,
a quorum that is lost freezes the metadata, a silent exporter only lets its values age.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from healthd.collect.assemble import assemble
from healthd.collect.observation import (
    Address,
    BrokerSignals,
    ClusterNode,
    FailureReason,
    ListenerState,
    MetadataSeen,
    Observations,
    Origin,
    PageSeen,
    PartitionKey,
    QuorumSeen,
    Reassigning,
    Source,
    SourceFailure,
)
from healthd.collect.protocol import Collected
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.model.snapshot import NO_LEADER, ClusterSnapshot, Partition, Topic, Voter
from healthd.model.words import BrokerState, EvidenceGroup

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
FETCH_TIMEOUT_MS: Final = 2000
_PORT: Final = 9092
_CONFIG_INTERVALS: Final = 10


@dataclass(slots=True)
class MemoryPartition:
    """One partition; leader and ISR follow from which brokers are well."""

    replicas: tuple[int, ...]
    behind: set[int] = field(default_factory=set)
    """Replicas that are out of the ISR though their broker is well."""
    adding: frozenset[int] = frozenset()


class MemoryCluster:
    """A cluster that does what it is told; share it between sources as real ones share Kafka."""

    def __init__(
        self,
        name: str = "memory",
        *,
        brokers: Iterable[int] = (1, 2, 3),
        controllers: Iterable[int] | None = None,
        racks: Mapping[int, str] | None = None,
        version: str = "4.1.0",
    ) -> None:
        """A healthy cluster without topics; controllers are the first three brokers by default."""
        self.name = name
        self.brokers = tuple(brokers)
        self.controllers = tuple(self.brokers[:3] if controllers is None else controllers)
        self.racks = dict(racks or {})
        self.version = version
        self.topics: dict[str, tuple[int, list[MemoryPartition]]] = {}
        self.dead: set[int] = set()
        self.frozen: set[int] = set()
        self.silent_exporters: set[int] = set()
        self.idle: dict[int, float] = {}
        self.leader: int = self.controllers[0] if self.controllers else NO_LEADER
        self.is_unreachable = False
        """Every listener refuses."""
        self.is_hidden = False
        """Our own network is gone: nothing answers and nothing refuses."""

    def create_topic(
        self, name: str, assignments: Iterable[Iterable[int]], *, min_insync_replicas: int = 2
    ) -> None:
        """A topic with these replica lists."""
        rows = [MemoryPartition(tuple(replicas)) for replicas in assignments]
        self.topics[name] = (min_insync_replicas, rows)

    def delete_topic(self, name: str) -> None:
        """The topic is gone."""
        del self.topics[name]

    def partition(self, topic: str, at: int) -> MemoryPartition:
        """One partition, to be changed in place."""
        return self.topics[topic][1][at]

    def kill(self, *nodes: int) -> None:
        """Their processes are gone."""
        self.dead.update(nodes)
        self._elect()

    def start(self, *nodes: int) -> None:
        """Their processes run, and are in sync at once."""
        self.dead.difference_update(nodes)
        self._elect()

    def freeze(self, *nodes: int) -> None:
        """They accept connections and answer nothing; the cluster has put them out."""
        self.frozen.update(nodes)
        self._elect()

    def thaw(self, *nodes: int) -> None:
        """They go on."""
        self.frozen.difference_update(nodes)
        self._elect()

    @property
    def away(self) -> set[int]:
        """Nodes that serve nobody."""
        return self.dead | self.frozen

    def _elect(self) -> None:
        well = [node for node in self.controllers if node not in self.away]
        if 2 * len(well) <= len(self.controllers):
            self.leader = NO_LEADER
        elif self.leader not in well:
            self.leader = well[0]


class MemorySource:
    """A `ClusterSource` over a `MemoryCluster`, with a clock that only moves when it is told."""

    def __init__(
        self,
        cluster: MemoryCluster,
        *,
        interval_seconds: float = 15.0,
        with_exporters: bool = True,
        known: ClusterSnapshot | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Build a source.

        Args:
            cluster: What it looks at.
            interval_seconds: As in the fleet's settings.
            with_exporters: Metrics are configured.
            known: The last snapshot before a restart, as old as it is now.
            clock: Monotonic seconds; without it, `advance` moves a clock of its own.
        """
        self.cluster = cluster
        self.now = 0.0
        self.collections = 0
        self.config_reads = 0
        self.is_closed = False
        self._clock = clock or (lambda: self.now)
        self.target = ClusterTarget(
            name=cluster.name,
            bootstrap_servers=tuple(f"b{node}:{_PORT}" for node in cluster.brokers),
            nodes={
                node: NodeTarget(
                    id=node,
                    host=f"b{node}",
                    rack=cluster.racks.get(node),
                    exporter_url=f"http://b{node}:9404/metrics" if with_exporters else None,
                )
                for node in sorted({*cluster.brokers, *cluster.controllers})
            },
            interval_seconds=interval_seconds,
        )
        self._last = (
            LastValues() if known is None else LastValues.from_snapshot(known, 0.0, self._clock())
        )
        self._frozen_metadata: MetadataSeen | None = None

    def advance(self, seconds: float) -> None:
        """Let time pass on the source's own clock."""
        self.now += seconds

    async def collect(self, *, read_configs: bool = False) -> Collected:
        """See `ClusterSource.collect`."""
        if self.is_closed:
            raise RuntimeError("collect after aclose")
        self.collections += 1
        self.config_reads += read_configs
        at = self._clock()
        done = assemble(
            self.target,
            self._last,
            self._observe(at, read_configs=read_configs),
            began=at,
            now=Moment(monotonic=at, wall=EPOCH + timedelta(seconds=at)),
        )
        self._last = done.last
        return Collected(
            snapshot=done.snapshot,
            durations=dict.fromkeys((source.value for source in Source), 0.0),
            failures=done.failures,
        )

    async def aclose(self) -> None:
        """See `ClusterSource.aclose`."""
        self.is_closed = True

    def _observe(self, at: float, *, read_configs: bool) -> Observations:
        cluster = self.cluster
        well = [node for node in cluster.brokers if node not in cluster.away]
        hidden = cluster.is_hidden or cluster.is_unreachable
        pages = {} if hidden else self._pages(at)
        failures = [_silent_page(n) for n in self.target.exporter_urls if n not in pages]
        if hidden or not well:
            reason = FailureReason.TIMEOUT if cluster.is_hidden else FailureReason.REFUSED
            origin = Origin.OURS if cluster.is_hidden else Origin.THEIRS
            failures += [_failure(Source.METADATA, origin, reason)]
            failures += [_failure(Source.QUORUM, origin, reason)]
            return Observations(
                pages=pages,
                listeners={} if cluster.is_hidden else self._listeners(),
                all_refused=cluster.is_unreachable or not (cluster.is_hidden or cluster.frozen),
                failures=tuple(failures),
            )
        has_leader = cluster.leader != NO_LEADER
        if has_leader or self._frozen_metadata is None:
            self._frozen_metadata = self._metadata(well)
        configs_at = self._last.seen_at.get(EvidenceGroup.CONFIGS)
        due = configs_at is None or at - configs_at >= _CONFIG_INTERVALS * (
            self.target.interval_seconds
        )
        return Observations(
            metadata=replace(self._frozen_metadata, answered_by=well[-1]),
            min_insync_replicas={
                name: row[0]
                for name, row in cluster.topics.items()
                if read_configs or due or name not in self._last.topics
            }
            if has_leader
            else None,
            configs_complete=has_leader and (read_configs or due),
            quorum=self._quorum(),
            reassigning=self._reassigning() if has_leader else None,
            cluster_nodes=self._nodes() if has_leader else None,
            pages=pages,
            listeners={} if has_leader else self._listeners(),
            any_answered=True,
            failures=tuple(failures),
        )

    def _metadata(self, well: list[int]) -> MetadataSeen:
        topics = tuple(
            Topic.of(name, (_partition(at, row, set(well)) for at, row in enumerate(rows)))
            for name, (_, rows) in sorted(self.cluster.topics.items())
        )
        return MetadataSeen(
            answered_by=well[-1],
            brokers={node: Address(host=f"b{node}", port=_PORT) for node in well},
            topics=topics,
            partition_count=sum(len(topic) for topic in topics),
        )

    def _quorum(self) -> QuorumSeen:
        cluster = self.cluster
        if cluster.leader == NO_LEADER:
            return QuorumSeen(leader_id=NO_LEADER)
        newest = 1_000_000 + round(self._clock() * 1000)
        late = newest - 10 * FETCH_TIMEOUT_MS
        return QuorumSeen(
            leader_id=cluster.leader,
            voters=tuple(
                Voter(
                    id=node,
                    last_caught_up_ms=late if node in cluster.away else newest,
                    log_end_offset=100,
                )
                for node in cluster.controllers
            ),
            observers={
                node: late if node in cluster.away else newest
                for node in cluster.brokers
                if node not in cluster.controllers
            },
            fetch_timeout_ms=FETCH_TIMEOUT_MS,
        )

    def _reassigning(self) -> dict[PartitionKey, Reassigning]:
        return {
            (name, at): Reassigning(adding=row.adding)
            for name, (_, rows) in self.cluster.topics.items()
            for at, row in enumerate(rows)
            if row.adding
        }

    def _nodes(self) -> dict[int, ClusterNode]:
        cluster = self.cluster
        return {
            node: ClusterNode(
                id=node, host=f"b{node}", rack=cluster.racks.get(node), fenced=node in cluster.away
            )
            for node in cluster.brokers
        }

    def _listeners(self) -> dict[int, ListenerState]:
        cluster = self.cluster
        refuses = set(cluster.brokers) if cluster.is_unreachable else cluster.dead
        return {
            node: ListenerState.REFUSED
            if node in refuses
            else ListenerState.TIMED_OUT
            if node in cluster.frozen
            else ListenerState.ANSWERED
            for node in cluster.brokers
        }

    def _pages(self, at: float) -> dict[int, PageSeen]:
        cluster = self.cluster
        answering = [
            node
            for node in self.target.exporter_urls
            if node not in cluster.away and node not in cluster.silent_exporters
        ]
        return {node: PageSeen(signals=self._signals(node), at=at) for node in answering}

    def _signals(self, node: int) -> BrokerSignals:
        cluster = self.cluster
        is_broker = node in cluster.brokers
        is_controller = node in cluster.controllers
        return BrokerSignals(
            state=BrokerState.RUNNING if is_broker else None,
            # The sum of two pools, as a combined node before 4.2 shows it.
            idle_ratio=cluster.idle.get(node, 0.9) + (1.0 if is_broker and is_controller else 0.0),
            offline_log_dirs=0 if is_broker else None,
            version=cluster.version,
            unclean_elections=0.0 if is_controller else None,
            active_controllers=int(node == cluster.leader) if is_controller else None,
        )


def _partition(at: int, row: MemoryPartition, well: set[int]) -> Partition:
    isr = tuple(
        node
        for node in row.replicas
        if node in well and node not in row.behind and node not in row.adding
    )
    return Partition(id=at, leader=isr[0] if isr else NO_LEADER, replicas=row.replicas, isr=isr)


def _silent_page(node: int) -> SourceFailure:
    return SourceFailure(
        source=Source.METRICS,
        origin=Origin.THEIRS,
        reason=FailureReason.TIMEOUT,
        node=node,
        detail=f"The exporter of node {node} gave no page.",
    )


def _failure(source: Source, origin: Origin, reason: FailureReason) -> SourceFailure:
    return SourceFailure(
        source=source, origin=origin, reason=reason, detail=f"{source.value}: {reason.value}."
    )
