"""A wave's life: (state, event) -> (state, effects, notes). Pure.

Invariants, whatever happens in whatever order:

- a node is stopped only right after a fresh snapshot on which the whole gate is open and
  ok-to-stop holds for it together with everything in flight;
- a stop is never wanted without the intent of its start beside it;
- a stop is repeated only for the very process that it was meant for;
- nothing is taken while the wave is paused, aborted or draining; what is in flight is finished.
"""

from collections.abc import Callable
from dataclasses import replace

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.safety.clean_run import CleanRun
from healthd.waves import (
    ensemble,
    holding,
    look,
    nodes,
    orders,
    overrides,
    pinning,
    reckoning,
    repairs,
    stepping,
    taking,
)
from healthd.waves.effects import Effect, Note, Observe, Step
from healthd.waves.events import (
    Began,
    CommandEnded,
    Confirmed,
    Draining,
    Event,
    LogsSeen,
    Noted,
    Observed,
    Ordered,
    PinsSeen,
    Resumed,
    SnapshotSeen,
    StepObserved,
    StoreFailed,
    Ticked,
)
from healthd.waves.moves import BY_HEALTHD, STORE, followed, paused, run_of, store_fails, then
from healthd.waves.playbook import StepKind
from healthd.waves.soaking import soak_again
from healthd.waves.state import (
    BEFORE_SOAK,
    NOT_ENDED,
    NodeRun,
    NodeStatus,
    Pause,
    WaveState,
    WaveStatus,
)
from healthd.waves.steps import taken_up as taken_up_step


def reduce(state: WaveState, event: Event) -> Step:
    """What an event leads to. A wave that has ended only finishes what it had begun."""
    event = ensemble.as_read(state, event)
    wall = state.wall if event.wall is None else event.wall
    tally = reckoning.time_passed(state, event.at)
    state = replace(state, clock=max(state.clock, event.at), wall=wall, tally=tally)
    lapsed = overrides.without_ended(state)
    step = _dispatch(lapsed.state, event)
    if lapsed.notes:
        step = replace(step, notes=(*lapsed.notes, *step.notes))
    return reckoning.reckoned(_settled(state, step, event.at), event.at)


def _dispatch(  # noqa: C901, PLR0911, PLR0912 - a case for each event.
    state: WaveState, event: Event
) -> Step:
    match event:
        case Began():
            began = _not_judged_yet(replace(state, status=WaveStatus.RUNNING), event.at)
            return Step(state=began, notes=(Note(event="wave_started", detail=state.reason),))
        case Resumed():
            return _resumed(state, event)
        case Ticked():
            return _ticked(state, event)
        case SnapshotSeen():
            return _pinned(state, event, lambda after: taking.on_snapshot(after, event))
        case Confirmed():
            return _pinned(state, event, lambda after: look.on_confirmed(after, event))
        case PinsSeen():
            return pinning.on_seen(state, event)
        case Observed():
            return _for_node(state, event.node, lambda run: _observed(state, run, event))
        case CommandEnded():
            return _for_node(state, event.node, lambda run: _command_ended(state, run, event))
        case StepObserved():
            return _for_node(state, event.node, lambda run: stepping.on_observed(state, run, event))
        case LogsSeen() | Noted():
            return Step(state=state, notes=(_told(event),))
        case Ordered():
            return orders.carry_out(state, event)
        case StoreFailed():
            return _store_failed(state, event)
        case Draining():
            drained = replace(state, is_draining=True, candidates=())
            return Step(state=drained, notes=(Note(event="daemon_stopping"),))
        case _:
            raise TypeError(f"no event of a wave: {event!r}")


def _pinned(
    state: WaveState, event: SnapshotSeen | Confirmed, act: Callable[[WaveState], Step]
) -> Step:
    """Act on a snapshot; a wave that does not rest on what it was accepted with is paused first."""
    found = pinning.on_snapshot(state, event)
    step = act(found.state)
    return replace(step, notes=(*found.notes, *step.notes)) if found.notes else step


def _told(event: LogsSeen | Noted) -> Note:
    if isinstance(event, LogsSeen):
        return Note(event="logs_seen", node=event.node, detail=event.text)
    return Note(event=event.what, node=event.node, detail=event.detail)


def _for_node(state: WaveState, node: int, act: Callable[[NodeRun], Step]) -> Step:
    run = state.node(node)
    return Step(state=state) if run is None else act(run)


def _command_ended(state: WaveState, run: NodeRun, event: CommandEnded) -> Step:
    if run.steps.at is not None and event.effect_id == run.steps.effect:
        return stepping.on_ended(state, run, event)
    return nodes.on_command_ended(state, run, event)


def _observed(state: WaveState, run: NodeRun, event: Observed) -> Step:
    if run.status is NodeStatus.PENDING:
        return repairs.on_pending_observed(state, run, event)
    return nodes.on_observed(state, run, event)


def _ticked(state: WaveState, event: Ticked) -> Step:
    step = Step(state=state)
    for node in [run.node for run in state.busy]:
        for act in (stepping.on_tick, nodes.on_tick):
            step = followed(step, act(step.state, run_of(step.state, node), event.at))
    return step


def _not_judged_yet(state: WaveState, at: float) -> WaveState:
    """The state before its first snapshot: the gate is not open because nothing was looked at."""
    standing = tuple(hold.reason for hold in holding.held(state.holds))
    bare = replace(state, holds=())
    return replace(
        state, holds=holding.holds_with(bare, (*standing, *holding.waiting(state, at)), at)
    )


def _resumed(state: WaveState, event: Resumed) -> Step:
    """Observe everything in flight before anything else; soak and clean run start again."""
    after = replace(
        state,
        # It was accepted, and its daemon died before it began.
        status=WaveStatus.RUNNING if state.status is WaveStatus.PLANNED else state.status,
        candidates=(),
        last_look=(),
        clean=CleanRun(),
        is_draining=False,
        last_change=max(state.last_change, event.at),
    )
    after = _not_judged_yet(soak_again(after, event.at), event.at)
    asked: list[Effect] = []
    taken_up = after.busy
    for run in taken_up:
        changed = replace(
            run,
            command=None,
            command_at=None,
            observed_at=event.at,
            is_stop_due=run.status is NodeStatus.STOPPING,
            # The deadline of a stop counts again: nobody watched it meanwhile.
            since=event.at if run.status is NodeStatus.STOPPING else run.since,
        )
        asked.append(Observe(node=run.node))
        step = taken_up_step(after.with_node(changed), changed, event.at)
        after = step.state
        asked.extend(step.effects)
    detail = f"{len(taken_up)} nodes are observed first"
    note = Note(event="wave_resumed_by_daemon", detail=detail)
    return Step(state=after, effects=tuple(asked), notes=(note,))


def _store_failed(state: WaveState, event: StoreFailed) -> Step:
    if store_fails(state):
        return Step(state=state)
    pause = Pause(by=BY_HEALTHD, reason=f"{STORE}: {event.detail}", since=event.at)
    hold = Reason(code=ReasonCode.STORE_UNSAFE, object=f"wave:{state.wave}", detail=event.detail)
    after = paused(state, pause)
    return Step(
        state=replace(after, holds=holding.holds_with(after, (hold,), event.at)),
        notes=(Note(event="wave_paused", detail=pause.reason),),
    )


def _settled(before: WaveState, step: Step, at: float) -> Step:
    """The step with the wave's own status brought in line with its nodes."""
    state = step.state
    if state.status.has_ended or state.status is WaveStatus.PLANNED:
        return step
    status = _status(state, at)
    if status is state.status:
        return step
    after = replace(state, status=status)
    if status.has_ended:
        after = replace(after, candidates=(), holds=(), pauses=())
    detail = ""
    if status is WaveStatus.HOLDING:
        first = holding.held(state.holds)[0].reason
        detail = f"{first.code.value} {first.object}: {first.detail}"
    elif status is WaveStatus.PAUSED:
        detail = state.pauses[-1].reason
    note = Note(event=f"wave_{status.value}", detail=detail, data={"before": before.status.value})
    if any(existing.event == note.event for existing in step.notes):
        return then(step, after)
    return then(step, after, notes=(note,))


def _status(state: WaveState, at: float) -> WaveStatus:
    if not _is_watching(state, at):
        if not state.has_any(NOT_ENDED):
            any_failed = state.has_any({NodeStatus.FAILED})
            return WaveStatus.FAILED if any_failed else WaveStatus.SUCCEEDED
        working = BEFORE_SOAK | {NodeStatus.PREPARING}
        busy = [run for run in state.having(working) if not _may_be_left(run)]
        if state.abort is not None and not busy:
            return WaveStatus.ABORTED
    if state.is_paused:
        return WaveStatus.PAUSED
    return WaveStatus.HOLDING if holding.is_held(state) else WaveStatus.RUNNING


def _may_be_left(run: NodeRun) -> bool:
    """Whether an aborted wave need not wait for it: it runs, and is not back for too long."""
    is_running = run.status is NodeStatus.RECOVERING and run.steps.at is None
    return is_running and run.is_overdue


def _is_watching(state: WaveState, at: float) -> bool:
    """Whether a stop that timed out may still take effect; the wave stays to start it again."""
    if not state.watched:
        return False
    limit = state.playbook.timeout_seconds(StepKind.STOP, state.policy)
    return any(run.status.has_ended and at - run.since <= limit for run in state.watched)
