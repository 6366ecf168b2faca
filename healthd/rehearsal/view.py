"""What healthd sees of a model cluster: snapshots with ages, and faults of the sources."""

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from healthd.model.snapshot import NO_LEADER, Broker, ClusterSnapshot, Quorum, Topics
from healthd.model.words import BrokerState, EvidenceGroup
from healthd.rehearsal.cluster import ClusterModel
from healthd.rehearsal.nodes import Node
from healthd.safety.quorum import caught_up

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG_INTERVALS = 20


class Collector:
    """Collects the model as the daemon does: what a round cannot see stays, and grows old.

    Only groups that the snapshot has are collected; one that it shows too old, or never seen, does
    not answer here either.
    """

    def __init__(
        self, cluster: ClusterModel, *, given: ClusterSnapshot, interval_seconds: float
    ) -> None:
        self.cluster = cluster
        self.given = given
        self.interval_seconds = interval_seconds
        self.wall_jump = 0.0
        """By how many seconds the daemon's wall clock has been moved."""
        self.lost: Counter[EvidenceGroup] = Counter()
        """Sources that show nothing new, and for how many reasons."""
        self.exporters_lost: Counter[int] = Counter()
        limit = given.fresh_limit_seconds
        limits = {EvidenceGroup.CONFIGS: CONFIG_INTERVALS * given.interval_seconds}
        self._seen_at: dict[EvidenceGroup, float] = {}
        self._groups = tuple(group for group in EvidenceGroup if group in given.effective_ages)
        for group in self._groups:
            age = given.effective_ages[group]
            if not math.isinf(age):
                self._seen_at[group] = -age
            if age > limits.get(group, limit):
                self.lost[group] += 1
        self._has_metrics = EvidenceGroup.METRICS in self._groups
        self._page_at: dict[int, float] = {}
        self._states: dict[int, BrokerState] = {}
        self._begin_with_pages(limit)
        self._listed = frozenset(broker.id for broker in given.brokers if broker.alive)
        self._fenced = frozenset(broker.id for broker in given.brokers if broker.fenced)
        self._topics = Topics(given.topics)
        self._quorum: Quorum | None = given.quorum
        self._peer = next((b for b in given.brokers if b.request_handler_idle is not None), None)

    def _begin_with_pages(self, limit: float) -> None:
        newest = self.given.age(EvidenceGroup.METRICS)
        for broker in self.given.brokers:
            self._states[broker.id] = broker.state
            if not self._has_metrics or newest is None:
                continue
            has_page = (
                broker.request_handler_idle is not None
                or broker.disk_used_ratio is not None
                or broker.metrics_age_seconds is not None
            )
            age = self.given.metrics_age(broker)
            if has_page and age is not None and not math.isinf(age):
                self._page_at[broker.id] = -age
            runs = self.cluster.nodes[broker.id].runs
            is_silent = not has_page or (age is not None and age > limit)
            if runs and is_silent and not broker.is_pure_controller:
                self.exporters_lost[broker.id] += 1

    @property
    def wall(self) -> float:
        """The daemon's wall clock, in Unix seconds."""
        return self.given.observed_at.timestamp() + self.cluster.agenda.now + self.wall_jump

    def snapshot(self) -> ClusterSnapshot:
        """One collection, now."""
        now = self.cluster.agenda.now
        self._look(now)
        topics = self._topics
        moved = sum(len(topic.adding.keys() | topic.removing.keys()) for topic in topics)
        given = self.given.reassignments
        return ClusterSnapshot(
            cluster=self.given.cluster,
            observed_at=self.given.observed_at + timedelta(seconds=now + self.wall_jump),
            interval_seconds=self.interval_seconds,
            brokers=tuple(self._broker(node, now) for node in self.given.brokers),
            topics=topics,
            quorum=self._quorum,
            reassignments=moved or given,
            unclean_elections_24h=self.given.unclean_elections_24h,
            unreachable=self._is_unreachable(),
            probe=self.given.probe,
            ages={
                group: round(now - self._seen_at[group], 3) if group in self._seen_at else None
                for group in self._groups
            },
        )

    def _is_unreachable(self) -> bool | None:
        if self._can_answer():
            return self.given.unreachable
        return True

    def _can_answer(self) -> bool:
        brokers = [node for node in self.cluster.nodes.values() if node.is_broker]
        # A snapshot in which nobody serves was answered by somebody all the same.
        return any(node.serves for node in brokers) or all(node.is_as_given for node in brokers)

    def _look(self, now: float) -> None:
        nodes = self.cluster.nodes.values()
        can_answer = self._can_answer()
        if can_answer and not self.lost[EvidenceGroup.METADATA]:
            self._listed = frozenset(n.id for n in nodes if n.is_registered and n.is_broker)
            self._fenced = frozenset(n.id for n in nodes if n.is_fenced)
            self._topics = self._read_topics(now)
            self._see(EvidenceGroup.METADATA, now)
            if not self.lost[EvidenceGroup.CONFIGS]:
                self._see(EvidenceGroup.CONFIGS, now)
        if can_answer and not self.lost[EvidenceGroup.QUORUM]:
            self._quorum = self.cluster.quorum.as_seen()
            self._see(EvidenceGroup.QUORUM, now)
        if can_answer and not self.lost[EvidenceGroup.PROBE]:
            self._see(EvidenceGroup.PROBE, now)
        if self._has_metrics and self.lost[EvidenceGroup.METRICS]:
            return
        for node in nodes:
            if node.is_listed and node.runs and not node.is_frozen:
                self._read_page(node, now)

    def _see(self, group: EvidenceGroup, now: float) -> None:
        if group in self._groups:
            self._seen_at[group] = now

    def _read_page(self, node: Node, now: float) -> None:
        if self.exporters_lost[node.id]:
            return
        given = node.given
        if self._has_metrics:
            self._page_at[node.id] = now
            self._see(EvidenceGroup.METRICS, now)
            self._states[node.id] = _state_of(node)
        elif given is not None and given.state is not BrokerState.UNKNOWN:
            self._states[node.id] = _state_of(node)

    def _read_topics(self, now: float) -> Topics:
        """The topics; the very same object when nothing changed, for what remembers them."""
        read = [topic.as_seen(now) for topic in self.cluster.replication.topics.values()]
        known = self._topics
        if len(read) == len(known) and all(a is b for a, b in zip(read, known, strict=True)):
            return known
        return Topics(read)

    def _broker(self, given: Broker, now: float) -> Broker:
        node = self.cluster.nodes[given.id]
        page_at = self._page_at.get(given.id)
        age = None if page_at is None else round(now - page_at, 3)
        if given.metrics_age_seconds is None and age == self._newest_page_age(now):
            age = None  # As the snapshot has it: as old as the newest page.
        idle, disk = given.request_handler_idle, given.disk_used_ratio
        if page_at is not None and idle is None and disk is None and self._peer is not None:
            # It had no page while it was down; it is taken to be like another one.
            idle, disk = self._peer.request_handler_idle, self._peer.disk_used_ratio
        is_seen_as_given = node.is_as_given and not node.behind
        return replace(
            given,
            alive=given.alive if is_seen_as_given else self._is_alive(node, given),
            fenced=given.fenced if is_seen_as_given else given.id in self._fenced,
            state=self._states[given.id],
            request_handler_idle=idle,
            disk_used_ratio=disk,
            metrics_age_seconds=age,
        )

    def _newest_page_age(self, now: float) -> float | None:
        seen = self._seen_at.get(EvidenceGroup.METRICS)
        return None if seen is None else round(now - seen, 3)

    def _is_alive(self, node: Node, given: Broker) -> bool:
        if node.is_broker:
            return node.id in self._listed
        quorum = self._quorum
        if quorum is None or not any(voter.id == node.id for voter in quorum.voters):
            return node.runs
        if quorum.leader_id in {None, NO_LEADER}:
            return given.alive
        return any(voter.id == node.id and caught_up(quorum, voter) for voter in quorum.voters)


def _state_of(node: Node) -> BrokerState:
    if node.is_as_given and node.given is not None:
        return node.given.state
    return BrokerState(node.phase.value)
