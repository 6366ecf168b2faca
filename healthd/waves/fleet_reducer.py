"""The life of a wave over a fleet: (state, event) -> (state, effects, notes). Pure.

Invariants, whatever happens in whatever order:

- a child is begun only in the first stage that is not over, and only when that stage is approved;
- never more than `clustersAtOnce` clusters of a stage are at work, and never more than
  `clustersAtOncePer` with one value of a label are active;
- nothing is begun while the wave is paused, aborted or draining, or its budget is used up;
- a stage is over when every cluster of it has ended and all have been well for its soak.
"""

from dataclasses import replace
from typing import Final

from healthd.waves import fleet_orders, fleet_starting
from healthd.waves.effects import Note
from healthd.waves.events import Event, Verb
from healthd.waves.fleet_events import (
    ApprovalGiven,
    Began,
    ChildSeen,
    FleetDraining,
    FleetEffect,
    FleetOrdered,
    FleetStep,
    Looked,
    OrderChild,
    Resumed,
    StartRefused,
)
from healthd.waves.fleet_holding import fleet_holds, is_held, troubles_of_stage, with_holds
from healthd.waves.fleet_state import (
    FleetState,
    Member,
    MemberStatus,
    StageStatus,
    failed_clusters,
)
from healthd.waves.state import WaveStatus

_ENDS: Final = {
    WaveStatus.SUCCEEDED: MemberStatus.SUCCEEDED,
    WaveStatus.FAILED: MemberStatus.FAILED,
    WaveStatus.ABORTED: MemberStatus.ABORTED,
}


def reduce_fleet(state: FleetState, event: Event) -> FleetStep:
    """What an event leads to; a wave that has ended stays as it is."""
    if state.status.has_ended:
        return FleetStep(state=state)
    wall = state.wall if event.wall is None else event.wall
    state = replace(state, clock=max(state.clock, event.at), wall=wall)
    step = _dispatch(state, event)
    return _settled(state, step)


def _dispatch(state: FleetState, event: Event) -> FleetStep:
    match event:
        case Began():
            running = replace(state, status=WaveStatus.RUNNING)
            note = Note(event="wave_started", detail=state.reason)
            return FleetStep(state=running, notes=(note,))
        case Resumed():
            return _resumed(state)
        case Looked():
            return _looked(state, event)
        case StartRefused():
            return _start_refused(state, event)
        case ApprovalGiven():
            return fleet_orders.approve(state, event)
        case FleetOrdered():
            return fleet_orders.carry_out(state, event)
        case FleetDraining():
            note = Note(event="daemon_stopping")
            return FleetStep(state=replace(state, is_draining=True), notes=(note,))
        case _:
            raise TypeError(f"no event of a wave over a fleet: {event!r}")


def _resumed(state: FleetState) -> FleetStep:
    """Nobody has watched the clusters meanwhile: a soak begins again."""
    status = WaveStatus.RUNNING if state.status is WaveStatus.PLANNED else state.status
    after = replace(state, status=status, is_draining=False, soak_since=None)
    return FleetStep(state=after, notes=(Note(event="wave_resumed_by_daemon"),))


def _start_refused(state: FleetState, event: StartRefused) -> FleetStep:
    """The member waits again; what stood in its way is among the next look's blocks."""
    member = next((each for each in state.members if each.child == event.child), None)
    if member is None or member.status is not MemberStatus.STARTING:
        return FleetStep(state=state)
    back = replace(member, status=MemberStatus.PENDING, since=state.clock)
    return FleetStep(state=state.with_members([back]))


def _looked(state: FleetState, event: Looked) -> FleetStep:
    after, notes = _with_children(_never_made(state, event), event)
    after, more = _with_budget(after)
    notes += more
    after, more, effects = _with_stages(after, event)
    notes += more
    effects += _aborts(after, event)
    holds = fleet_holds(after, event)
    after, more = with_holds(after, holds)
    return FleetStep(state=after, effects=effects, notes=notes + more)


def _never_made(state: FleetState, event: Looked) -> FleetState:
    """An aborted wave does not wait for children that were wanted and never made."""
    if state.abort is None:
        return state
    return state.with_members(
        replace(member, status=MemberStatus.PENDING, since=state.clock)
        for member in state.active
        if member.status is MemberStatus.STARTING and member.child not in event.children
    )


def _with_children(state: FleetState, event: Looked) -> tuple[FleetState, tuple[Note, ...]]:
    changed: list[Member] = []
    notes: list[Note] = []
    for member in state.active:
        seen = event.children.get(member.child)
        if seen is None:
            continue
        after = _as_seen(member, seen, state.clock)
        if after != member:
            changed.append(after)
        if _is_told(member, after):
            notes.append(_child_note(after))
    return state.with_members(changed), tuple(notes)


def _as_seen(member: Member, seen: ChildSeen, at: float) -> Member:
    status = _ENDS.get(seen.status, MemberStatus.RUNNING)
    return replace(
        member,
        status=status,
        since=member.since if status is member.status else at,
        child_status=seen.status,
        failed=seen.failed,
    )


def _is_told(before: Member, after: Member) -> bool:
    """Whether the story tells of it: a hundred clusters that hold and go on would fill it."""
    if after.child_status is before.child_status:
        return False
    paused = {before.child_status, after.child_status} & {WaveStatus.PAUSED}
    return bool(paused) or after.status is not before.status


def _child_note(member: Member) -> Note:
    status = member.child_status
    detail = f"cluster {member.cluster}"
    if member.failed:
        detail += f": failed brokers: {', '.join(map(str, member.failed))}"
    data = {"cluster": member.cluster, "wave": member.child}
    return Note(event=f"cluster_{'' if status is None else status.value}", detail=detail, data=data)


def _with_budget(state: FleetState) -> tuple[FleetState, tuple[Note, ...]]:
    """The state with its budget of failed clusters judged anew."""
    failed = failed_clusters(state)
    is_over = len(failed) > state.max_failed_clusters
    if is_over is state.is_over_budget:
        return state, ()
    after = replace(state, is_over_budget=is_over)
    names = ", ".join(dict.fromkeys(member.cluster for member in failed))
    event = "budget_used_up" if is_over else "budget_free"
    detail = f"failed clusters: {names or 'none'}; allowed: {state.max_failed_clusters}"
    return after, (Note(event=event, detail=detail),)


def _with_stages(
    state: FleetState, event: Looked
) -> tuple[FleetState, tuple[Note, ...], tuple[FleetEffect, ...]]:
    """The state with its stages brought on as far as they go, and the children that begin."""
    notes: tuple[Note, ...] = ()
    if state.abort is not None:
        return state, notes, ()  # It ends where it is, as soon as its children have.
    while (at := state.stage) is not None:
        state, more, is_over = _with_stage(state, at, event)
        notes += more
        if not is_over:
            break
    state, more, effects = fleet_starting.begin(state, event)
    return state, notes + more, effects


def _with_stage(
    state: FleetState, at: int, event: Looked
) -> tuple[FleetState, tuple[Note, ...], bool]:
    """One stage as it is now, and whether it is over."""
    stage, members = state.stages[at], state.of_stage(at)
    if not all(member.status.has_ended for member in members):
        wanted = StageStatus.RUNNING if stage.is_approved else StageStatus.AWAITING_APPROVAL
        return *_moved(state, at, wanted), False
    state, notes = _moved(state, at, StageStatus.SOAKING)
    state = _soaked(state, at, event)
    if state.is_paused or not _is_soaked(state, at):
        return state, notes, False
    state, more = _moved(replace(state, soak_since=None), at, StageStatus.DONE)
    return state, notes + more, True


def _moved(state: FleetState, at: int, status: StageStatus) -> tuple[FleetState, tuple[Note, ...]]:
    stage = state.stages[at]
    if stage.status is status:
        return state, ()
    after = state.with_stage(at, replace(stage, status=status, since=state.clock))
    if status is StageStatus.SOAKING and not stage.soak_seconds:
        return after, ()  # It is over in the same breath.
    event = f"stage_{status.value}"
    return after, (Note(event=event, detail=f"stage {stage.name}", data={"stage": stage.name}),)


def _soaked(state: FleetState, at: int, event: Looked) -> FleetState:
    """The soak counts only while every cluster of the stage is well."""
    if not state.stages[at].soak_seconds:
        return state
    if troubles_of_stage(state, at, event):
        return replace(state, soak_since=None)
    return state if state.soak_since is not None else replace(state, soak_since=state.clock)


def _is_soaked(state: FleetState, at: int) -> bool:
    wanted = state.stages[at].soak_seconds
    if not wanted:
        return True
    return state.soak_since is not None and state.clock - state.soak_since >= wanted


def _aborts(state: FleetState, event: Looked) -> tuple[FleetEffect, ...]:
    """The order to end for every child that has not heard of it."""
    if state.abort is None:
        return ()
    return tuple(
        OrderChild(
            child=member.child, verb=Verb.ABORT, by=state.abort.by, reason=state.abort.reason
        )
        for member in state.active
        if (seen := event.children.get(member.child)) is not None
        and not seen.is_aborting
        and not seen.status.has_ended
    )


def _settled(before: FleetState, step: FleetStep) -> FleetStep:
    """The step with the wave's own status brought in line with its members."""
    state = step.state
    if state.status is WaveStatus.PLANNED:
        return step
    status = _status(state)
    if status is before.status:
        return replace(step, state=replace(state, status=status))
    after = replace(state, status=status)
    if status.has_ended:
        after = replace(after, holds=(), pauses=(), is_over_budget=False)
    if status is WaveStatus.RUNNING and before.status is WaveStatus.PLANNED:
        return replace(step, state=after)
    note = Note(event=f"wave_{status.value}", data={"before": before.status.value})
    return replace(step, state=after, notes=(*step.notes, note))


def _status(state: FleetState) -> WaveStatus:
    active = state.active
    if not active:
        if state.stage is None:
            is_bad = any(_is_bad(member) for member in state.members)
            return WaveStatus.FAILED if is_bad else WaveStatus.SUCCEEDED
        if state.abort is not None:
            return WaveStatus.ABORTED
    if state.is_paused:
        return WaveStatus.PAUSED
    if not active:
        if _awaits_first_approval(state):
            return WaveStatus.AWAITING_APPROVAL
        return WaveStatus.HOLDING if is_held(state) else WaveStatus.RUNNING
    statuses = {member.child_status for member in active}
    if statuses <= {WaveStatus.PAUSED}:
        return WaveStatus.PAUSED
    if statuses <= {WaveStatus.PAUSED, WaveStatus.HOLDING}:
        return WaveStatus.HOLDING
    return WaveStatus.RUNNING


def _is_bad(member: Member) -> bool:
    return bool(member.failed) or member.status in {MemberStatus.FAILED, MemberStatus.ABORTED}


def _awaits_first_approval(state: FleetState) -> bool:
    """Whether nothing was begun yet, for nobody has approved it."""
    at = state.stage
    is_untouched = all(member.status is MemberStatus.PENDING for member in state.members)
    return at is not None and is_untouched and not state.stages[at].is_approved
