"""A wave over several stages or clusters as JSON, for the API and the command line."""

from collections import Counter
from datetime import timedelta
from typing import Any

from healthd.engine.view import FleetView, WaveView
from healthd.model.render import render_time
from healthd.serve.wave_json import in_flight, node_counts, wave_document, wave_summary
from healthd.waves.fleet_orders import awaited
from healthd.waves.fleet_report import left_out_json
from healthd.waves.fleet_state import (
    FleetState,
    Member,
    MemberStatus,
    StageRun,
    StageStatus,
    failed_clusters,
)
from healthd.waves.state import Hold, NodeStatus, Pause

KIND = "fleet"
"""By this a program tells such a wave from one on a single cluster, which has no `kind`."""


def summary_of(view: WaveView | FleetView) -> dict[str, Any]:
    """What a list of waves shows of each."""
    return fleet_summary(view) if isinstance(view, FleetView) else wave_summary(view)


def document_of(view: WaveView | FleetView) -> dict[str, Any]:
    """Everything about one wave."""
    return fleet_document(view) if isinstance(view, FleetView) else wave_document(view)


def fleet_summary(view: FleetView) -> dict[str, Any]:
    """What a list of waves shows of it; counts are over all its clusters."""
    state = view.state
    counts: Counter[str] = Counter()
    for member in state.members:
        counts.update(member_counts(view, member))
    return {
        "wave": state.wave,
        "kind": KIND,
        "dryRun": state.is_dry_run,
        "clusters": list(dict.fromkeys(member.cluster for member in state.members)),
        "playbook": state.playbook.name,
        "reason": state.reason,
        "requestedBy": state.requested_by,
        "status": state.status.value,
        "stage": None if state.stage is None else state.stages[state.stage].name,
        "nodeCounts": {status.value: counts[status.value] for status in NodeStatus},
        "inFlight": [
            {"cluster": member.cluster, "node": node}
            for member in state.members
            if (child := view.children.get(member.child)) is not None
            for node in in_flight(child.state)
        ],
        "createdAt": render_time(view.created_at),
        "updatedAt": render_time(view.updated_at),
    }


def fleet_document(view: FleetView) -> dict[str, Any]:
    """Everything about one such wave; `seconds` are on its wave clock."""
    state = view.state
    return {
        **fleet_summary(view),
        "clockSeconds": state.clock,
        "awaits": awaited(state),
        "stages": [_stage(view, at, stage) for at, stage in enumerate(state.stages)],
        "gate": {
            "open": not state.holds and not state.status.has_ended,
            "holds": [_hold(view, hold) for hold in state.holds],
        },
        "pauses": [_pause(view, pause) for pause in state.pauses],
        "abort": None if state.abort is None else _pause(view, state.abort),
        "failedClusters": [member.cluster for member in failed_clusters(state)],
        "maxFailedClusters": state.max_failed_clusters,
        "clustersAtOncePer": dict(state.limits),
        "trouble": view.trouble,
    }


def clusters_of(view: FleetView) -> list[dict[str, Any]]:
    """Each cluster of each stage, in order."""
    return [
        {"stage": view.state.stages[member.stage].name, **_member(view, member)}
        for member in view.state.members
    ]


def approvals_of(view: FleetView) -> dict[str, Any] | None:
    """The approval that a wave waits for; None when it waits for none."""
    state = view.state
    name = awaited(state)
    at = None if name is None else state.named(name)
    if name is None or at is None:
        return None
    stage = state.stages[at]
    return {
        "wave": state.wave,
        "stage": name,
        "approval": None if stage.approval is None else stage.approval.value,
        "requestedBy": state.requested_by,
        "reason": state.reason,
        "playbook": state.playbook.name,
        "clusters": [
            {"cluster": member.cluster, "nodes": list(member.nodes)}
            for member in state.of_stage(at)
        ],
        "concurrency": "safe" if stage.concurrency is None else stage.concurrency,
        "clustersAtOnce": stage.clusters_at_once,
    }


def member_counts(view: FleetView, member: Member) -> dict[str, int]:
    """A cluster's nodes by status; those of one that has not begun are pending, or skipped."""
    child = view.children.get(member.child)
    if child is not None:
        return node_counts(child.state)
    is_out = member.status is MemberStatus.SKIPPED
    status = NodeStatus.SKIPPED if is_out else NodeStatus.PENDING
    return {each.value: len(member.nodes) if each is status else 0 for each in NodeStatus}


def _stage(view: FleetView, at: int, stage: StageRun) -> dict[str, Any]:
    state = view.state
    is_soaking = stage.status is StageStatus.SOAKING and state.soak_since is not None
    soaked = state.clock - state.soak_since if is_soaking and state.soak_since is not None else 0.0
    approved = stage.approved
    return {
        "name": stage.name,
        "status": stage.status.value,
        **_span(view, stage.since),
        "concurrency": "safe" if stage.concurrency is None else stage.concurrency,
        "clustersAtOnce": stage.clusters_at_once,
        "approval": None if stage.approval is None else stage.approval.value,
        "approved": None
        if approved is None
        else {"by": approved.by, "reason": approved.reason, **_span(view, approved.at)},
        "leftOut": left_out_json(stage.left_out),
        "soak": {"seconds": round(soaked, 3), "ofSeconds": stage.soak_seconds},
        "clusters": [_member(view, member) for member in state.of_stage(at)],
    }


def _member(view: FleetView, member: Member) -> dict[str, Any]:
    child = view.children.get(member.child)
    status = member.status.value
    if member.status is MemberStatus.RUNNING and member.child_status is not None:
        status = member.child_status.value
    return {
        "cluster": member.cluster,
        "wave": member.child,
        "status": status,
        "nodes": list(member.nodes),
        "nodeCounts": member_counts(view, member),
        "inFlight": [] if child is None else in_flight(child.state),
        "failed": list(member.failed),
        "holds": []
        if child is None or child.state.status.has_ended
        else [hold.reason.as_json() for hold in child.state.holds],
        "pauses": [] if child is None else [pause.reason for pause in child.state.pauses],
    }


def _span(view: FleetView, since: float) -> dict[str, Any]:
    state: FleetState = view.state
    seconds = round(max(0.0, state.clock - since), 3)
    moment = view.updated_at - timedelta(seconds=seconds)
    return {"since": render_time(moment), "seconds": seconds}


def _hold(view: FleetView, hold: Hold) -> dict[str, Any]:
    return {**hold.reason.as_json(), **_span(view, hold.since)}


def _pause(view: FleetView, pause: Pause) -> dict[str, Any]:
    return {"by": pause.by, "reason": pause.reason, **_span(view, pause.since)}
