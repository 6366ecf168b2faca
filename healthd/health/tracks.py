"""What goes on over time, as seen snapshot by snapshot: how long, how often.

Durations add up from snapshot to snapshot on a clock of their own, which grows by at most the
stale limit at a time: a wall clock that jumps, or a daemon that was away, proves nothing.
What a snapshot cannot show keeps its last value (a check stays while its data is stale).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from healthd.health.freshness import is_fresh, limits_seconds
from healthd.health.saturation import cluster_idle_ratio
from healthd.health.scoring import ChecksScoring, ScoringProfile
from healthd.health.versions import versions_in_use
from healthd.model.snapshot import NO_LEADER, Broker, ClusterSnapshot, Topic
from healthd.model.words import EvidenceGroup

CONTROLLERS_SECTION: Final = "controllers"
"""In `extra`: `active` names the nodes whose fresh pages claim to be the active controller."""

ISR_SECTION: Final = "isr"
"""In `extra`: `shrinks` has each broker's own count of ISR shrinks since its start."""

ReplicaKey = tuple[str, int, int]
"""Topic, partition id, broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Durations and repetitions; all times are seconds on the tracks' own clock."""

    at: datetime | None = None
    """`observedAt` of the last snapshot."""
    elapsed: float = 0.0
    saturated_seconds: float = 0.0
    """So long without a break the request handlers have been saturated."""
    mixed_versions_seconds: float = 0.0
    controller: int | None = None
    """The last active controller that was known."""
    controller_changes: tuple[float, ...] = ()
    """When it changed, within the time that counts."""
    split_rounds: int = 0
    """So many snapshots in a row more than one node claimed to be the active controller."""
    split_nodes: tuple[int, ...] = ()
    isr_leaves: Mapping[ReplicaKey, tuple[float, ...]] = field(default_factory=dict)
    """When each replica left the ISR of its partition, within the time that counts."""
    isr_counts: Mapping[int, float] = field(default_factory=dict)
    """Each broker's own count of ISR shrinks, as it was last seen."""
    isr_rises: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """When that count had risen, within the time that counts: it sees what comes and goes between
    two snapshots."""
    imbalanced_seconds: Mapping[int, float] = field(default_factory=dict)
    """So long a broker has led too few of the partitions that prefer it."""
    balance_at: float | None = None
    """When leaders were counted last: once a minute is enough for a rule of half an hour."""
    topics: tuple[Topic, ...] = ()
    """Of the last snapshot whose metadata was fresh."""


NO_TRACKS: Final = Tracks()
_BALANCE_EVERY_SECONDS: Final = 60.0


def advance(before: Tracks, snapshot: ClusterSnapshot, scoring: ScoringProfile) -> Tracks:
    """The tracks with one more snapshot; call it once for each, before it is judged."""
    step = _step(before, snapshot, scoring)
    now = replace(before, at=snapshot.observed_at, elapsed=before.elapsed + step)
    if is_fresh(snapshot, scoring.freshness, EvidenceGroup.METRICS):
        now = _with_metrics(now, snapshot, scoring, step)
    if is_fresh(snapshot, scoring.freshness, EvidenceGroup.QUORUM):
        now = _with_controller(now, snapshot, scoring.checks)
    if is_fresh(snapshot, scoring.freshness, EvidenceGroup.METADATA):
        now = _with_partitions(now, snapshot, scoring.checks)
    return now


def _step(before: Tracks, snapshot: ClusterSnapshot, scoring: ScoringProfile) -> float:
    if before.at is None:
        return 0.0
    _, longest = limits_seconds(snapshot, scoring.freshness, EvidenceGroup.METADATA)
    return min(longest, max(0.0, (snapshot.observed_at - before.at).total_seconds()))


def _with_metrics(
    now: Tracks, snapshot: ClusterSnapshot, scoring: ScoringProfile, step: float
) -> Tracks:
    limit, _ = limits_seconds(snapshot, scoring.freshness, EvidenceGroup.METRICS)
    serving = [
        broker
        for broker in snapshot.brokers
        if broker.alive and not broker.is_pure_controller and _age(snapshot, broker) <= limit
    ]
    lowest = cluster_idle_ratio(serving, scoring)
    if lowest is not None:
        is_saturated = lowest < scoring.checks.saturated_below_ratio
        now = replace(now, saturated_seconds=now.saturated_seconds + step if is_saturated else 0.0)
    versions = versions_in_use(serving)
    if versions:
        mixed = now.mixed_versions_seconds + step if len(versions) > 1 else 0.0
        now = replace(now, mixed_versions_seconds=mixed)
    return replace(now, **_split(now, snapshot), **_rises(now, snapshot, scoring.checks))


def _age(snapshot: ClusterSnapshot, broker: Broker) -> float:
    age = snapshot.metrics_age(broker)
    return float("inf") if age is None else age


def _split(now: Tracks, snapshot: ClusterSnapshot) -> dict[str, Any]:
    section = (snapshot.extra or {}).get(CONTROLLERS_SECTION, {})
    claimed = section.get("active")
    if not isinstance(claimed, list) or not all(type(node) is int for node in claimed):
        return {}
    is_split = len(claimed) > 1
    return {
        "split_rounds": now.split_rounds + 1 if is_split else 0,
        "split_nodes": tuple(claimed) if is_split else (),
    }


def _rises(now: Tracks, snapshot: ClusterSnapshot, limits: ChecksScoring) -> dict[str, Any]:
    shrinks = (snapshot.extra or {}).get(ISR_SECTION, {}).get("shrinks")
    counts: dict[int, float] = dict(now.isr_counts)
    rises = {
        node: recent
        for node, times in now.isr_rises.items()
        if (recent := tuple(at for at in times if now.elapsed - at <= limits.churn_over_seconds))
    }
    for name, count in shrinks.items() if isinstance(shrinks, dict) else ():
        if not name.isdigit() or not isinstance(count, int | float):
            continue
        node = int(name)
        # A count that fell is that of a new process: it begins anew.
        if count > counts.get(node, count):
            rises[node] = (*rises.get(node, ()), now.elapsed)
        counts[node] = float(count)
    return {"isr_counts": counts, "isr_rises": rises}


def _with_controller(now: Tracks, snapshot: ClusterSnapshot, limits: ChecksScoring) -> Tracks:
    changes = tuple(
        at for at in now.controller_changes if now.elapsed - at <= limits.flapping_over_seconds
    )
    leader = None if snapshot.quorum is None else snapshot.quorum.leader_id
    if leader is None or leader < 0:
        return replace(now, controller_changes=changes)
    if now.controller is not None and leader != now.controller:
        changes = (*changes, now.elapsed)
    return replace(now, controller=leader, controller_changes=changes)


def _with_partitions(now: Tracks, snapshot: ClusterSnapshot, limits: ChecksScoring) -> Tracks:
    leaves = {
        key: recent
        for key, times in now.isr_leaves.items()
        if (recent := tuple(at for at in times if now.elapsed - at <= limits.churn_over_seconds))
    }
    for key in _left(now.topics, snapshot.topics):
        leaves[key] = (*leaves.get(key, ()), now.elapsed)
    now = replace(now, isr_leaves=leaves, topics=snapshot.topics)
    since = now.balance_at
    if since is not None and now.elapsed - since < _BALANCE_EVERY_SECONDS:
        return now
    step = 0.0 if since is None else now.elapsed - since
    imbalanced = {
        node: now.imbalanced_seconds.get(node, -step) + step
        for node in _imbalanced(snapshot, limits.imbalance_above_share)
    }
    return replace(now, imbalanced_seconds=imbalanced, balance_at=now.elapsed)


def _left(before: tuple[Topic, ...], after: tuple[Topic, ...]) -> Iterator[ReplicaKey]:
    """The replicas that were in sync before, are assigned still, and are not in sync now."""
    if before is after:
        return
    known = {topic.name: topic for topic in before}
    for topic in after:
        old = known.get(topic.name)
        if old is None or topic.excluded or old.isrs is topic.isrs or old.isrs == topic.isrs:
            continue
        rows = zip(topic.ids, topic.replicas, topic.isrs, strict=True)
        was = old.isrs if old.ids == topic.ids else None
        by_id = {} if was is not None else dict(zip(old.ids, old.isrs, strict=True))
        for at, (partition, replicas, isr) in enumerate(rows):
            earlier = was[at] if was is not None else by_id.get(partition, ())
            if earlier == isr:
                continue
            for node in earlier:
                if node not in isr and node in replicas:
                    yield topic.name, partition, node


def _imbalanced(snapshot: ClusterSnapshot, above_share: float) -> list[int]:
    """Alive brokers that do not lead more than a share of the partitions that prefer them."""
    preferring: Counter[int] = Counter()
    elsewhere: Counter[int] = Counter()
    for topic in snapshot.topics:
        if topic.excluded is not None:
            continue
        firsts = [replicas[0] if replicas else NO_LEADER for replicas in topic.replicas]
        preferring.update(firsts)
        if tuple(firsts) != topic.leaders:
            elsewhere.update(
                first
                for first, leader in zip(firsts, topic.leaders, strict=True)
                if leader not in {first, NO_LEADER}
            )
    alive = {broker.id for broker in snapshot.brokers if not broker.is_down}
    return sorted(
        node
        for node, many in elsewhere.items()
        if node in alive and many > above_share * preferring[node]
    )
