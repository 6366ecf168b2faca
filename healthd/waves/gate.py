"""The gate of a wave: one snapshot, judged with what the wave itself has in flight taken out.

What is read here is the snapshot; what only time can show (clean run, soak) is kept in the state.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from healthd.health.counterfactual import as_if_back
from healthd.health.index import evaluate
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason, in_order
from healthd.model.snapshot import Broker, ClusterSnapshot
from healthd.model.words import BrokerState, EvidenceGroup, Excluded, QuorumMode
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.gate import snapshot_holds
from healthd.safety.quorum import voters_behind
from healthd.safety.trend import changes_between
from healthd.waves.events import Confirmed, SnapshotSeen
from healthd.waves.sequence import needs_repair
from healthd.waves.state import NodeStatus, WaveState

_CHANGING: Final = (EvidenceGroup.METADATA, EvidenceGroup.QUORUM, EvidenceGroup.METRICS)
"""Evidence that a restart changes."""


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


def read_gate(
    state: WaveState, event: SnapshotSeen | Confirmed, *, asked_at: float | None = None
) -> Reading:
    """Everything that one snapshot, and what the daemon knows beside it, puts in the way.

    Args:
        state: the wave.
        event: a snapshot seen, or the last look at a candidate.
        asked_at: when the last look was asked for: configs must have been read since.
    """
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
    found.extend(_not_seen_since_change(state, snapshot, event.at))
    if asked_at is not None:
        found.extend(_configs_not_read(snapshot, event.at, asked_at))
    if isinstance(event, SnapshotSeen) and event.previous is not None:
        found.extend(changes_between(event.previous, snapshot, in_flight=away))
    as_if = as_if_back(snapshot, away, baseline=state.policy.baseline)
    index = evaluate(as_if).health_index
    return Reading(holds=in_order(set(found)), repairs=repairs, index=index)


def _not_seen_since_change(
    state: WaveState, snapshot: ClusterSnapshot, at: float
) -> Iterable[Reason]:
    """Evidence from before the last restart says nothing about the time after it."""
    for group in _CHANGING:
        age = snapshot.age(group)
        if age is None or age > snapshot.fresh_limit_seconds:
            continue  # Not configured, or held as stale already.
        if at - age < state.last_change:
            yield Reason(
                code=ReasonCode.EVIDENCE_STALE,
                object=f"source:{group.value}",
                detail=f"last seen {age:.0f} s ago, before the last change to a broker",
            )


def _configs_not_read(snapshot: ClusterSnapshot, at: float, asked_at: float) -> Iterable[Reason]:
    """The configs are read again right before a stop; older ones do not count there."""
    age = snapshot.age(EvidenceGroup.CONFIGS)
    if age is not None and at - age < asked_at:
        yield Reason(
            code=ReasonCode.EVIDENCE_STALE,
            object=f"source:{EvidenceGroup.CONFIGS.value}",
            detail="the configs could not be read again right before the stop",
        )


def seen_key(snapshot: ClusterSnapshot) -> str:
    """What tells snapshots apart by their evidence: one that only grew older is no new one."""
    age = snapshot.age(EvidenceGroup.METADATA) or 0.0
    seen_at = snapshot.observed_at.timestamp() - (0.0 if math.isinf(age) else age)
    return f"{seen_at:.2f}"


def not_back(
    snapshot: ClusterSnapshot, node: int, *, at: float = 0.0, since: float | None = None
) -> str | None:
    """Why a restarted node is not back yet; None when it is.

    Back is: listed, unfenced, running where its state can be seen, caught up as a voter, and in
    the ISR of every partition whose replica it has (those being added or deleted left out).

    Args:
        snapshot: what is known of the cluster.
        node: the restarted node.
        at: the time of the snapshot on the wave clock.
        since: when its new process was seen; evidence from before then does not count. None when
            the node was back already: then only what shows that it left again counts.
    """
    broker = snapshot.brokers_by_id.get(node)
    if broker is None:
        return "the cluster does not list it"
    is_pure_controller = broker.is_pure_controller
    for is_missing, words in (
        (not broker.alive, "the cluster's metadata does not list it as alive"),
        (broker.fenced, "it is fenced"),
        (
            not _is_running(snapshot, broker, is_proof_needed=since is not None),
            f"its state is {broker.state.value}",
        ),
        (
            not is_pure_controller and _is_old(snapshot.metrics_age(broker), snapshot, at, since),
            "its exporter has not answered since the start",
        ),
        (
            _is_old(snapshot.age(EvidenceGroup.METADATA), snapshot, at, since),
            "the cluster's metadata has not been read since the start",
        ),
        (
            _is_voter(snapshot, node)
            and _is_old(snapshot.age(EvidenceGroup.QUORUM), snapshot, at, since),
            "the quorum has not been read since the start",
        ),
        (_is_voter_behind(snapshot, node), "its quorum voter is behind"),
    ):
        if is_missing:
            return words
    missing = partitions_missing(snapshot, node)
    if missing:
        return f"out of the ISR of {len(missing)} partitions, first {missing[0]}"
    return None


def _is_old(age: float | None, snapshot: ClusterSnapshot, at: float, since: float | None) -> bool:
    """Whether evidence is from before a time that was given, or older than evidence may be."""
    if age is None or since is None:
        return False
    return age > snapshot.fresh_limit_seconds or at - age < since


def _is_running(snapshot: ClusterSnapshot, broker: Broker, *, is_proof_needed: bool) -> bool:
    if broker.state is BrokerState.RUNNING or broker.is_pure_controller:
        return True
    can_be_seen = snapshot.age(EvidenceGroup.METRICS) is not None
    return broker.state is BrokerState.UNKNOWN and not (can_be_seen and is_proof_needed)


def _is_voter_behind(snapshot: ClusterSnapshot, node: int) -> bool:
    quorum = snapshot.quorum
    return quorum is not None and any(voter.id == node for voter in voters_behind(quorum))


def _is_voter(snapshot: ClusterSnapshot, node: int) -> bool:
    quorum = snapshot.quorum
    if quorum is None or quorum.mode is not QuorumMode.KRAFT:
        return False
    return any(voter.id == node for voter in quorum.voters)


def partitions_missing(snapshot: ClusterSnapshot, node: int) -> tuple[str, ...]:
    """The partitions that have a replica on a node and lack it in their ISR."""
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
