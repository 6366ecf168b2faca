"""The gate of a wave: one snapshot, judged with what the wave itself has in flight taken out.

What is read here is the snapshot; what only time can show (clean run, soak) is kept in the state.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from healthd.health.counterfactual import as_if_back
from healthd.health.index import index_of
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason, in_order, joined
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.gate import snapshot_holds_found
from healthd.safety.replica_lag import lag_holds
from healthd.safety.trend import changes_found
from healthd.waves.ensemble import explained
from healthd.waves.events import Confirmed, SnapshotSeen
from healthd.waves.overrides import standing
from healthd.waves.permission import windows_closed
from healthd.waves.playbook import GateNeeded
from healthd.waves.sequence import needs_repair
from healthd.waves.state import NodeStatus, WaveState

_FULL_INDEX: Final = 100.0
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
    outdated: frozenset[Reason] = frozenset()
    """Those of the holds that only say that evidence is older than the wave's last change."""
    oldest: float = -math.inf
    """Of when the oldest fresh evidence is that a restart changes, on the wave clock."""


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
    if not state.playbook.restarts:
        return frozenset()  # It starts nobody.
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
    if state.playbook.gate is GateNeeded.PERMISSION:
        return _permission(state, event, snapshot)
    repairs = waiting_repairs(state, snapshot)
    away = state.away | repairs
    found = snapshot_holds_found(
        snapshot, in_flight=state.away, repairs=repairs, baseline=state.policy.baseline
    )
    if isinstance(event, SnapshotSeen) and event.previous is not None:
        # Their codes are others: no hold is found in both.
        found += changes_found(event.previous, snapshot, in_flight=away)
    more = [
        *event.holds,
        *windows_closed(state.policy, wall=wall_of(event, snapshot), cluster=state.cluster),
    ]
    limit = state.policy.max_replica_lag_messages
    more.extend(lag_holds(snapshot, limit=limit, away=away))
    outdated = frozenset(_not_seen_since_change(state, snapshot, event.at))
    more.extend(outdated)
    if asked_at is not None:
        more.extend(_configs_not_read(snapshot, event.at, asked_at))
    index = event.index_beside
    if index is None:
        index = index_of(as_if_back(snapshot, away, baseline=state.policy.baseline))
    return Reading(
        holds=standing(state, in_order(joined(explained(snapshot, found), more))),
        repairs=repairs,
        index=index,
        outdated=outdated,
        oldest=event.at - max(_changing_ages(snapshot).values(), default=0.0),
    )


def _permission(
    state: WaveState, event: SnapshotSeen | Confirmed, snapshot: ClusterSnapshot
) -> Reading:
    """What a wave waits for that asks nothing of the cluster's health: leave to work."""
    found = (
        *(hold for hold in event.holds if hold.code is not ReasonCode.CRUISE_CONTROL),
        *windows_closed(state.policy, wall=wall_of(event, snapshot), cluster=state.cluster),
    )
    return Reading(
        holds=standing(state, in_order(dict.fromkeys(found))),
        repairs=frozenset(),
        index=_FULL_INDEX,
        oldest=event.at,
    )


def wall_of(event: SnapshotSeen | Confirmed, snapshot: ClusterSnapshot) -> float:
    """The time of day at which the gate is read, in Unix seconds."""
    return snapshot.observed_at.timestamp() if event.wall is None else event.wall


def _not_seen_since_change(
    state: WaveState, snapshot: ClusterSnapshot, at: float
) -> Iterable[Reason]:
    """Evidence from before the last restart says nothing about the time after it."""
    for group, age in _changing_ages(snapshot).items():
        if at - age < state.last_change:
            yield Reason(
                code=ReasonCode.EVIDENCE_STALE,
                object=f"source:{group.value}",
                detail=f"last seen {age:.0f} s ago, before the last change to a broker",
            )


def _changing_ages(snapshot: ClusterSnapshot) -> Mapping[EvidenceGroup, float]:
    """The ages of fresh evidence that a restart changes; what is stale is held as such already."""
    ages = {group: snapshot.age(group) for group in _CHANGING}
    return {
        group: age
        for group, age in ages.items()
        if age is not None and age <= snapshot.fresh_limit_seconds
    }


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
