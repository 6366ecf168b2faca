"""The gate of a wave: one snapshot, judged with what the wave itself has in flight taken out.

What is read here is the snapshot; what only time can show (clean run, soak) is kept in the state.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from healthd.health.counterfactual import as_if_back
from healthd.health.index import evaluate
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason, in_order
from healthd.model.snapshot import Broker, ClusterSnapshot
from healthd.model.words import BrokerState, EvidenceGroup, Excluded
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.gate import snapshot_holds
from healthd.safety.quorum import voters_behind
from healthd.safety.trend import changes_between
from healthd.waves.events import Confirmed, SnapshotSeen
from healthd.waves.sequence import needs_repair
from healthd.waves.state import Hold, NodeStatus, WaveState


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one snapshot says to one wave."""

    holds: tuple[Reason, ...]
    """What is in the way; any of them starts the clean run again."""
    repairs: frozenset[int]
    """Nodes of the wave that wait for repair."""
    index: float
    """The Health Index without the wave's own effect."""


def acknowledged(state: WaveState) -> Acknowledgements:
    """What the wave's policy accepts of ok-to-stop."""
    policy = state.policy
    return Acknowledgements(
        margin=policy.margin,
        allow_rf_one=policy.allow_rf_one,
        allow_rf_le_min_isr=policy.allow_rf_le_min_isr,
        allow_quorum_without_spare=policy.allow_quorum_without_spare,
    )


def waiting_repairs(state: WaveState, snapshot: ClusterSnapshot) -> frozenset[int]:
    """Nodes that this wave has yet to take and that are down, fenced or not running."""
    brokers = snapshot.brokers_by_id
    return frozenset(
        run.node
        for run in state.having({NodeStatus.PENDING})
        if run.node in brokers and needs_repair(brokers[run.node])
    )


def read_gate(state: WaveState, event: SnapshotSeen | Confirmed) -> Reading:
    """Everything that one snapshot, and what the daemon knows beside it, puts in the way."""
    snapshot = event.snapshot
    if snapshot is None:
        raise ValueError("a gate is read from a snapshot")
    repairs = waiting_repairs(state, snapshot)
    away = state.in_flight | repairs
    found = [
        *event.holds,
        *snapshot_holds(
            snapshot,
            in_flight=state.in_flight,
            repairs=repairs,
            baseline=state.policy.baseline,
        ),
    ]
    if isinstance(event, SnapshotSeen):
        found.extend(_not_seen_since(state, event))
        if event.previous is not None:
            found.extend(changes_between(event.previous, snapshot, in_flight=away))
    as_if = as_if_back(snapshot, away, baseline=state.policy.baseline)
    index = evaluate(as_if).health_index
    return Reading(holds=in_order(set(found)), repairs=repairs, index=index)


def _not_seen_since(state: WaveState, event: SnapshotSeen) -> Iterable[Reason]:
    """Evidence from before the last restart says nothing about the time after it."""
    for group in (EvidenceGroup.METADATA, EvidenceGroup.QUORUM, EvidenceGroup.METRICS):
        age = event.snapshot.age(group)
        if age is None or age > event.snapshot.fresh_limit_seconds:
            continue  # Not configured, or held as stale already.
        if event.at - age < state.last_change:
            yield Reason(
                code=ReasonCode.EVIDENCE_STALE,
                object=f"source:{group.value}",
                detail=f"last seen {age:.0f} s ago, before the last change to a broker",
            )


def not_back(snapshot: ClusterSnapshot, node: int) -> str | None:
    """Why a restarted node is not back yet; None when it is.

    Back is: listed, unfenced, running where its state can be seen, caught up as a voter, and in
    the ISR of every partition whose replica it has (those being added or deleted left out).
    """
    broker = snapshot.brokers_by_id.get(node)
    if broker is None:
        return "the cluster does not list it"
    for is_missing, words in (
        (not broker.alive, "the cluster's metadata does not list it as alive"),
        (broker.fenced, "it is fenced"),
        (not _is_running(snapshot, broker), f"its state is {broker.state.value}"),
        (not _has_metrics(snapshot, broker), "its exporter has not answered since the start"),
        (
            _is_voter_behind(snapshot, node),
            "its quorum voter is behind",
        ),
    ):
        if is_missing:
            return words
    missing = partitions_missing(snapshot, node)
    if missing:
        return f"out of the ISR of {len(missing)} partitions, first {missing[0]}"
    return None


def _is_running(snapshot: ClusterSnapshot, broker: Broker) -> bool:
    if broker.state is BrokerState.RUNNING or broker.is_pure_controller:
        return True
    seen = snapshot.age(EvidenceGroup.METRICS) is not None
    return broker.state is BrokerState.UNKNOWN and not seen


def _is_voter_behind(snapshot: ClusterSnapshot, node: int) -> bool:
    quorum = snapshot.quorum
    return quorum is not None and any(voter.id == node for voter in voters_behind(quorum))


def _has_metrics(snapshot: ClusterSnapshot, broker: Broker) -> bool:
    if broker.is_pure_controller:
        return True
    age = snapshot.metrics_age(broker)
    return age is None or age <= snapshot.fresh_limit_seconds


def partitions_missing(snapshot: ClusterSnapshot, node: int) -> tuple[str, ...]:
    """The partitions that have a replica on a node and lack it in their ISR, or have no leader."""
    missing: list[str] = []
    for topic in snapshot.topics:
        if topic.excluded is Excluded.DELETING:
            continue
        for at, (replicas, isr) in enumerate(zip(topic.replicas, topic.isrs, strict=True)):
            if isr is replicas or node not in replicas or node in isr:
                continue
            if node not in topic.adding.get(at, ()):
                missing.append(topic.label(at))
    return tuple(missing)


def with_since(before: tuple[Hold, ...], reasons: Iterable[Reason], at: float) -> tuple[Hold, ...]:
    """The reasons as holds; one that was there before keeps the time it began."""
    since = {(hold.reason.code, hold.reason.object): hold.since for hold in before}
    return tuple(
        Hold(reason=reason, since=since.get((reason.code, reason.object), at)) for reason in reasons
    )


def same_objects(before: tuple[Hold, ...], after: tuple[Hold, ...]) -> bool:
    """Whether two sets of holds are about the same codes and objects."""
    return {(h.reason.code, h.reason.object) for h in before} == {
        (h.reason.code, h.reason.object) for h in after
    }


def renamed(reasons: Iterable[Reason], node: int) -> tuple[Reason, ...]:
    """Blockers of a candidate, with the candidate named in their detail."""
    return tuple(
        replace(reason, detail=f"{reason.detail} (if broker {node} stopped now)")
        for reason in reasons
    )
