"""What a person orders, pause, resume, retry, skip, confirm, abort; refused in words or taken."""

from dataclasses import replace

from healthd.waves import pinning, stepping
from healthd.waves.effects import Note, Step
from healthd.waves.events import Ordered, Verb
from healthd.waves.moves import then
from healthd.waves.naming import name_of
from healthd.waves.overrides import overridden, refusal_of_override, told
from healthd.waves.phases import is_repeatable
from healthd.waves.state import NodeRun, NodeStatus, Pause, WaveState
from healthd.waves.step_run import NodeSteps
from healthd.waves.steps import step_of, waits_for_person


def refusal_of(state: WaveState, order: Ordered) -> str | None:
    """Why an order cannot be taken; None when it can."""
    if state.status.has_ended:
        return f"the wave has ended: {state.status.value}"
    if order.verb is Verb.OVERRIDE:
        return refusal_of_override(state, order)
    if order.verb in {Verb.RETRY, Verb.SKIP, Verb.CONFIRM}:
        return _refusal_for_node(state, order)
    if order.verb is Verb.RESUME:
        if not state.is_paused:
            return f"the wave is not paused, it is {state.status.value}"
        failed = [pause.node for pause in state.pauses if _rests_on_failure(state, pause)]
        if failed:
            return f"{name_of(state, failed[0])} failed: retry it or skip it, or abort the wave"
    if order.verb is Verb.ABORT and state.abort is not None:
        return f"the wave is being aborted already, by {state.abort.by}"
    return None


def _refusal_for_node(state: WaveState, order: Ordered) -> str | None:
    if order.node is None:
        return f"{order.verb.value} needs a broker"
    run = state.node(order.node)
    if run is None:
        named = ", ".join(str(each.node) for each in state.nodes)
        return f"{name_of(state, order.node)} is not in this wave, which has {named}"
    if order.verb is Verb.CONFIRM:
        return _refusal_of_confirm(state, run)
    if order.verb is Verb.SKIP and waits_for_person(state, run) is not None:
        return None
    step = step_of(state, run)
    if step is not None:
        return f"{name_of(state, order.node)} is in its step '{step.name}'; wait until that is over"
    is_stuck = run.status is NodeStatus.FAILED or run.is_overdue
    if order.verb is Verb.RETRY and state.abort is not None:
        return f"the wave is being aborted, by {state.abort.by}; nothing new is begun"
    if order.verb is Verb.RETRY and not is_stuck:
        return (
            f"{name_of(state, order.node)} is {run.status.value}; only a failed one can be retried"
        )
    if order.verb is Verb.SKIP and not is_stuck and run.status is not NodeStatus.PENDING:
        return (
            f"{name_of(state, order.node)} is {run.status.value}; only one that is pending, failed"
            " or overdue can be skipped"
        )
    return None


def _refusal_of_confirm(state: WaveState, run: NodeRun) -> str | None:
    if waits_for_person(state, run) is not None:
        return None
    return f"{name_of(state, run.node)} is {run.status.value}; it waits for nobody's confirmation"


def _rests_on_failure(state: WaveState, pause: Pause) -> bool:
    run = None if pause.node is None else state.node(pause.node)
    return run is not None and run.status is NodeStatus.FAILED


def carry_out(state: WaveState, order: Ordered) -> Step:
    """Take an order that `refusal_of` lets through; any other changes nothing."""
    if refusal_of(state, order) is not None:
        return Step(state=state)
    step = _CARRY_OUT[order.verb](state, order)
    note = Note(
        event=f"order_{order.verb.value}",
        node=order.node,
        detail=told(order),
        data={"by": order.by},
    )
    return Step(state=step.state, effects=step.effects, notes=(note, *step.notes))


def _pause(state: WaveState, order: Ordered) -> Step:
    pause = Pause(by=order.by, reason=order.reason, since=order.at)
    return Step(state=replace(state, pauses=(*state.pauses, pause), candidates=()))


def _resume(state: WaveState, order: Ordered) -> Step:
    accepted = pinning.accepted(state)
    after = replace(accepted.state, pauses=())
    for run in state.nodes:
        if run.is_overdue:
            # The person grants it the whole time once more.
            after = after.with_node(replace(run, is_overdue=False, starting_since=order.at))
    return then(accepted, after, notes=())


def _retry(state: WaveState, order: Ordered) -> Step:
    """The stop or the start is done again, whichever is missing.

    The node waits for its turn like any other: one that is down is a repair and only started,
    one that still runs its old process is stopped through the whole gate, and one that runs a new
    process is not restarted again. One whose stop timed out stays watched meanwhile.
    """
    run = _run(state, order)
    lifted = _without_pauses_of(state, run.node)
    pending = run.moved(NodeStatus.PENDING, order.at, "to be tried again")
    again = replace(
        pending,
        is_overdue=False,
        is_stop_due=False,
        command=None,
        starting_since=None,
        observed_at=None,
        steps=_steps_again(state, run),
    )
    note = Note(event="node_pending", node=run.node, detail="to be tried again")
    return then(Step(state=lifted), lifted.with_node(again), notes=(note,))


def _steps_again(state: WaveState, run: NodeRun) -> NodeSteps:
    """Its steps for another try: what has certainly run is done again only where it may be."""
    steps = state.playbook.steps
    return replace(
        run.steps,
        over=tuple(at for at in run.steps.over if not is_repeatable(steps[at])),
        returning_since=None,
        broken="",
        cut="",
    )


def _confirm(state: WaveState, order: Ordered) -> Step:
    return stepping.on_confirmed(state, _run(state, order), order.at)


def _skip(state: WaveState, order: Ordered) -> Step:
    run = _run(state, order)
    lifted = _without_pauses_of(state, run.node)
    moved = run.moved(NodeStatus.SKIPPED, order.at, order.reason)
    steps = replace(run.steps, at=None, effect="", said="")
    skipped = replace(moved, is_overdue=False, command=None, steps=steps)
    left = tuple(node for node in state.candidates if node != run.node)
    after = replace(lifted.with_node(skipped), candidates=left)
    return Step(state=after, notes=(Note(event="node_skipped", node=run.node),))


def _abort(state: WaveState, order: Ordered) -> Step:
    wanted = Pause(by=order.by, reason=order.reason, since=order.at)
    return Step(state=replace(state, abort=wanted, candidates=()))


_CARRY_OUT = {
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.RETRY: _retry,
    Verb.SKIP: _skip,
    Verb.ABORT: _abort,
    Verb.CONFIRM: _confirm,
    Verb.OVERRIDE: overridden,
}


def _run(state: WaveState, order: Ordered) -> NodeRun:
    run = None if order.node is None else state.node(order.node)
    if run is None:
        raise LookupError(f"node {order.node} is not in wave {state.wave}")
    return run


def _without_pauses_of(state: WaveState, node: int) -> WaveState:
    return replace(state, pauses=tuple(each for each in state.pauses if each.node != node))
