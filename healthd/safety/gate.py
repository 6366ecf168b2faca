"""What one snapshot shows to be in the way of the next broker (restart-safety.md section 2).

Each function answers one line of the gate. `Wave` says what the wave itself has brought about:
its own effect is no reason to stop, everybody else's is.
"""

import math
from collections.abc import Collection, Iterator

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason, in_order
from healthd.model.snapshot import Broker, ClusterSnapshot
from healthd.model.words import BrokerState, EvidenceGroup, QuorumMode
from healthd.safety.acknowledgements import NONE, Acknowledgements
from healthd.safety.gate_partitions import partition_holds, reassignments
from healthd.safety.quorum import (
    behind_text,
    controller_absent,
    is_controller_absent,
    unjudgeable,
    voters_behind,
)

_CONFIG_INTERVALS = 20
"""Configs change rarely; they are read again right before a stop."""

_STATE_HOLDS = {
    BrokerState.STARTING: (ReasonCode.BROKER_STARTING, "it is starting"),
    BrokerState.RECOVERY: (ReasonCode.BROKER_RECOVERING, "it is recovering its logs"),
    BrokerState.PENDING_CONTROLLED_SHUTDOWN: (ReasonCode.BROKER_STOPPING, "it is shutting down"),
    BrokerState.SHUTTING_DOWN: (ReasonCode.BROKER_STOPPING, "it is shutting down"),
    BrokerState.NOT_RUNNING: (ReasonCode.BROKER_NOT_RUNNING, "its process does not run"),
}


def snapshot_holds(
    snapshot: ClusterSnapshot,
    *,
    in_flight: Collection[int] = (),
    repairs: Collection[int] = (),
    baseline: Collection[str] = (),
    acknowledged: Acknowledgements = NONE,
) -> tuple[Reason, ...]:
    """The holds that this snapshot alone gives, by code and object; empty when it is clear.

    Args:
        snapshot: what is known of the cluster.
        in_flight: nodes that the wave has between stopping and done.
        repairs: nodes of the wave that are down, fenced or not running and wait to be taken.
        baseline: partitions (`topic-partition`) that may be under-replicated, as recorded.
        acknowledged: only what is assumed for an unknown min.insync.replicas is read here.
    """
    return in_order(
        snapshot_holds_found(
            snapshot,
            in_flight=in_flight,
            repairs=repairs,
            baseline=baseline,
            acknowledged=acknowledged,
        )
    )


def snapshot_holds_found(
    snapshot: ClusterSnapshot,
    *,
    in_flight: Collection[int],
    repairs: Collection[int],
    baseline: Collection[str],
    acknowledged: Acknowledgements = NONE,
) -> tuple[Reason, ...]:
    """The same holds for who puts them in order with others; no two of them are the same."""
    repaired = frozenset(repairs)
    own = repaired.union(in_flight)
    partitions = partition_holds(
        snapshot,
        own=own,
        repairs=repaired,
        baseline=frozenset(baseline),
        acknowledged=acknowledged,
    )
    return (
        *_evidence(snapshot, own),
        *_cluster(snapshot),
        *reassignments(snapshot),
        *_nodes(snapshot, own),
        *_voters(snapshot, own),
        *partitions,
    )


def repairs_among(snapshot: ClusterSnapshot, brokers: Collection[int]) -> frozenset[int]:
    """Those of the nodes that are down or whose process does not run: `ok-to-stop` repairs them."""
    return frozenset(
        broker.id
        for broker in snapshot.brokers
        if broker.id in brokers and (broker.is_down or broker.state is BrokerState.NOT_RUNNING)
    )


def _evidence(snapshot: ClusterSnapshot, own: frozenset[int]) -> Iterator[Reason]:
    """Groups that were never seen or are too old, and brokers without fresh metrics."""
    fresh = snapshot.fresh_limit_seconds
    for group, age in snapshot.effective_ages.items():
        limit = (
            _CONFIG_INTERVALS * snapshot.interval_seconds
            if group is EvidenceGroup.CONFIGS
            else fresh
        )
        if math.isinf(age):
            yield _missing(f"source:{group}", f"{group} is configured and was never seen")
        elif age > limit:
            yield _stale(f"source:{group}", age, limit)
    newest = snapshot.age(EvidenceGroup.METRICS)
    if newest is None or newest > fresh:
        # Not configured, or the group itself is held: naming every broker would say no more.
        return
    for broker in snapshot.brokers:
        if not broker.alive or broker.id in own or broker.is_pure_controller:
            continue
        if not _has_metrics(broker):
            yield _missing(f"broker:{broker.id}", "none of its metrics was ever seen")
        elif broker.metrics_age_seconds is not None and broker.metrics_age_seconds > fresh:
            yield _stale(f"broker:{broker.id}", broker.metrics_age_seconds, fresh)


def _has_metrics(broker: Broker) -> bool:
    # What makes a group "metrics" in the snapshot (contract.md); `offlineLogDirs`, `state` and
    # `version` have other sources too and prove no page.
    return any(
        value is not None
        for value in (
            broker.request_handler_idle,
            broker.disk_used_ratio,
            broker.metrics_age_seconds,
        )
    )


def _missing(subject: str, detail: str) -> Reason:
    return Reason(code=ReasonCode.EVIDENCE_MISSING, object=subject, detail=detail)


def _stale(subject: str, age: float, limit: float) -> Reason:
    return Reason(
        code=ReasonCode.EVIDENCE_STALE,
        object=subject,
        detail=f"last seen {age:g} s ago, the limit is {limit:g} s",
    )


def _cluster(snapshot: ClusterSnapshot) -> Iterator[Reason]:
    """What concerns the cluster as a whole."""
    subject = f"cluster:{snapshot.cluster}"
    if snapshot.unreachable:
        yield Reason(code=ReasonCode.UNREACHABLE, object=subject, detail="no broker can be reached")
    if is_controller_absent(snapshot):
        yield controller_absent(snapshot)
    unknown = _quorum_unknown(snapshot)
    if unknown is not None:
        yield Reason(code=ReasonCode.QUORUM_UNKNOWN, object=subject, detail=unknown)


def _quorum_unknown(snapshot: ClusterSnapshot) -> str | None:
    """Why the quorum cannot be judged; None when it can."""
    quorum = snapshot.quorum
    if quorum is None:
        return "nothing is known of the quorum"
    if quorum.mode is QuorumMode.KRAFT:
        return unjudgeable(quorum)
    if quorum.leader_id is None and quorum.absent_seconds is None:
        return "it is not known whether a controller is active"
    return None


def _nodes(snapshot: ClusterSnapshot, own: frozenset[int]) -> Iterator[Reason]:
    """Expected nodes that are not all there; at most one hold a node."""
    asks_state = snapshot.age(EvidenceGroup.METRICS) is not None
    for broker in snapshot.brokers:
        if broker.id in own:
            continue
        found = _node_hold(broker, asks_state=asks_state)
        if found is not None:
            code, detail = found
            yield Reason(code=code, object=f"broker:{broker.id}", detail=detail)
    for node in snapshot.unlisted_holders - own:
        yield Reason(
            code=ReasonCode.BROKER_DOWN,
            object=f"broker:{node}",
            detail="it is in a replica list and among no brokers",
        )


def _node_hold(broker: Broker, *, asks_state: bool) -> tuple[ReasonCode, str] | None:
    by_state = _STATE_HOLDS.get(broker.state)
    if broker.is_pure_controller:
        # Whether it is there is a matter of the quorum's own evidence.
        return None if broker.state is BrokerState.NOT_RUNNING else by_state
    if not broker.alive:
        return ReasonCode.BROKER_DOWN, "it is not alive"
    if broker.fenced:
        return ReasonCode.BROKER_FENCED, "it is fenced by the controller"
    if asks_state and broker.state is BrokerState.UNKNOWN:
        return ReasonCode.BROKER_STATE_UNKNOWN, "its state is not known"
    return by_state


def _voters(snapshot: ClusterSnapshot, own: frozenset[int]) -> Iterator[Reason]:
    """Voters that are behind, where the quorum can be judged."""
    quorum = snapshot.quorum
    if quorum is None or unjudgeable(quorum) is not None:
        return
    for voter in voters_behind(quorum):
        if voter.id not in own:
            yield Reason(
                code=ReasonCode.VOTER_BEHIND,
                object=f"node:{voter.id}",
                detail=behind_text(quorum, voter),
            )
