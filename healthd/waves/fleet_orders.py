"""What people say to a wave over a fleet: approvals and orders; refused in words otherwise."""

from dataclasses import replace

from healthd.waves.effects import Note
from healthd.waves.events import Verb
from healthd.waves.fleet_events import (
    ApprovalGiven,
    FleetEffect,
    FleetOrdered,
    FleetStep,
    OrderChild,
)
from healthd.waves.fleet_state import (
    Approved,
    FleetState,
    Member,
    MemberStatus,
    StageStatus,
    failed_clusters,
)
from healthd.waves.spec_stage import Approval
from healthd.waves.state import Pause, WaveStatus


def awaited(state: FleetState) -> str | None:
    """The name of the stage that waits for an approval, or will right after its time."""
    at = _reached(state)
    if at is None or state.status.has_ended or state.abort is not None:
        return None
    return None if state.stages[at].is_approved else state.stages[at].name


def _reached(state: FleetState) -> int | None:
    """The stage whose turn it is, or will be as soon as the one before has soaked."""
    at = state.stage
    if at is None:
        return None
    is_soaking = state.stages[at].status is StageStatus.SOAKING
    at = at + 1 if is_soaking else at
    return at if at < len(state.stages) else None


def approval_refusal(state: FleetState, stage: str, by: str) -> str | None:
    """Why an approval does not count; None when it does."""
    if state.status.has_ended:
        return f"the wave has ended: {state.status.value}"
    if state.abort is not None:
        return f"the wave is being aborted, by {state.abort.by}"
    at = state.named(stage)
    if at is None:
        return f"it has no stage {stage}; its stages are: {', '.join(s.name for s in state.stages)}"
    run = state.stages[at]
    if run.approval is None:
        return f"stage {stage} needs no approval"
    if run.approved is not None:
        return f"stage {stage} is approved already, by {run.approved.by}"
    if at != _reached(state):
        now = state.stage
        where = "" if now is None else f": stage {state.stages[now].name} is not over"
        return f"stage {stage} is not reached yet{where}"
    if run.approval is Approval.TWO_PERSON and _same(by, state.requested_by):
        return (
            f"stage {stage} wants two people: {state.requested_by} started the wave,"
            " so somebody else has to approve it"
        )
    return None


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def approve(state: FleetState, event: ApprovalGiven) -> FleetStep:
    """Take an approval that counts; any other changes nothing."""
    at = state.named(event.stage)
    if at is None or approval_refusal(state, event.stage, event.by) is not None:
        return FleetStep(state=state)
    approved = Approved(by=event.by, reason=event.reason, at=state.clock, wall=event.wall)
    note = Note(
        event="stage_approved",
        detail=f"stage {event.stage}: {event.reason}",
        data={"by": event.by, "stage": event.stage},
    )
    after = state.with_stage(at, replace(state.stages[at], approved=approved))
    return FleetStep(state=after, notes=(note,))


def fleet_refusal(state: FleetState, order: FleetOrdered) -> str | None:
    """Why an order cannot be taken; None when it can."""
    if state.status.has_ended:
        return f"the wave has ended: {state.status.value}"
    match order.verb:
        case Verb.RETRY | Verb.CONFIRM:
            return f"{order.verb.value} needs a cluster and a broker"
        case Verb.SKIP:
            return _skip_refusal(state, order)
        case Verb.RESUME:
            return _resume_refusal(state)
        case Verb.ABORT if state.abort is not None:
            return f"the wave is being aborted already, by {state.abort.by}"
    return None


def _skip_refusal(state: FleetState, order: FleetOrdered) -> str | None:
    if order.cluster is None:
        return "skip needs a cluster"
    parts = [member for member in state.members if member.cluster == order.cluster]
    if not parts:
        names = ", ".join(dict.fromkeys(member.cluster for member in state.members))
        return f"cluster {order.cluster} is not in this wave, which has {names}"
    if not _left(state, order.cluster):
        first = parts[0]
        return (
            f"cluster {order.cluster} is {first.status.value}; only one that waits can be left"
            f" out. Name a broker of it, or abort its wave {first.child}"
        )
    return None


def _left(state: FleetState, cluster: str) -> list[Member]:
    return [
        member
        for member in state.members
        if member.cluster == cluster and member.status is MemberStatus.PENDING
    ]


def _resume_refusal(state: FleetState) -> str | None:
    if state.is_over_budget:
        open_ = [member for member in failed_clusters(state) if not member.status.has_ended]
        if open_:
            first = open_[0]
            brokers = ", ".join(map(str, first.failed))
            return (
                f"cluster {first.cluster} failed (brokers {brokers}): retry or skip them,"
                " or abort the wave"
            )
    if not state.is_paused and not _paused_children(state):
        return f"the wave is not paused, it is {state.status.value}"
    return None


def _paused_children(state: FleetState) -> list[Member]:
    return [member for member in state.active if member.child_status is WaveStatus.PAUSED]


def carry_out(state: FleetState, order: FleetOrdered) -> FleetStep:
    """Take an order that `fleet_refusal` lets through; any other changes nothing."""
    if fleet_refusal(state, order) is not None:
        return FleetStep(state=state)
    after, effects = _changed(state, order)
    subject = "" if order.cluster is None else f"cluster {order.cluster}: "
    note = Note(
        event=f"order_{order.verb.value}",
        detail=f"{subject}{order.reason}",
        data={"by": order.by},
    )
    return FleetStep(state=after, effects=effects, notes=(note,))


def _changed(state: FleetState, order: FleetOrdered) -> tuple[FleetState, tuple[FleetEffect, ...]]:
    wanted = Pause(by=order.by, reason=order.reason, since=state.clock)
    match order.verb:
        case Verb.PAUSE:
            return replace(state, pauses=(*state.pauses, wanted)), ()
        case Verb.ABORT:
            effects = _to_all(state.active, order)
            return replace(state, abort=wanted), effects
        case Verb.RESUME:
            return _resumed(state, order)
        case _:
            left = _left(state, order.cluster or "")
            skipped = [
                replace(member, status=MemberStatus.SKIPPED, since=state.clock) for member in left
            ]
            return state.with_members(skipped), ()


def _resumed(state: FleetState, order: FleetOrdered) -> tuple[FleetState, tuple[FleetEffect, ...]]:
    """Every pause is lifted, here and in the children; what ended badly is accepted as it is."""
    accepted = [
        replace(member, is_accepted=True)
        for member in failed_clusters(state)
        if member.status.has_ended
    ]
    after = replace(state.with_members(accepted), pauses=(), is_over_budget=False)
    return after, _to_all(_paused_children(state), order)


def _to_all(
    members: tuple[Member, ...] | list[Member], order: FleetOrdered
) -> tuple[FleetEffect, ...]:
    return tuple(
        OrderChild(child=member.child, verb=order.verb, by=order.by, reason=order.reason)
        for member in members
    )
