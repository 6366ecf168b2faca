"""One step of a playbook after the other, for one node: sent, observed, verified, over.

What a step's end leads to for the node is not decided here (`stepping`): a node whose `steps.at`
is None has nothing more to do in its phase, or one of its steps is `broken`, or they were `cut`.
A step that has certainly run is never sent again unless the playbook calls it repeatable: what
nobody knows is asked for, and under the same id nothing begins twice.
"""

from dataclasses import replace
from typing import Any, Final

from healthd.waves.effects import Effect, ElectLeaders, Note, ObserveStep, RunStep, Step
from healthd.waves.events import CommandEnded, Outcome, StepObserved, StepState
from healthd.waves.moves import command_id, followed, run_of, store_fails
from healthd.waves.naming import name_of
from healthd.waves.once import must_wait, why_left_out
from healthd.waves.phases import StepGroup, group_of, is_repeatable, left
from healthd.waves.playbook import Step as PlaybookStep
from healthd.waves.playbook import StepKind
from healthd.waves.playbook_steps import OnFailure
from healthd.waves.questions import question_of
from healthd.waves.state import NodeRun, NodeStatus, WaveState
from healthd.waves.step_run import NodeSteps, StepPhase

POLL_SECONDS: Final = 2.0
"""How often somebody is asked what became of a step."""
AGAIN_SECONDS: Final = 5.0
"""How long after a failed try, or one that could not be sent, the next one is sent."""
ANSWER_SECONDS: Final = 30.0
"""So long after its deadline the answer of a step is waited for; then its host is asked."""
END_SECONDS: Final = 60.0
"""So long after its deadline it is asked whether it has ended: its host ends it by itself."""
VERIFY_SECONDS: Final = 10.0
"""A step that took all its time is given so much for its `verify`."""


def enter(state: WaveState, run: NodeRun, at: float) -> Step:
    """The turn of the first step that is left of the node's phase."""
    return go_on(Step(state=state), run.node, at)


def go_on(step: Step, node: int, at: float) -> Step:
    """The step followed by the turn of the node's next one; with none left it is nobody's turn."""
    while True:
        run = run_of(step.state, node)
        after = _next(step.state, run)
        if after is not None and _is_unwritten(step.state, run):
            broken = "its other steps were not done: the state file cannot be written"
            run, after = replace(run, steps=replace(run.steps, broken=broken)), None
        if after is None:
            ended = replace(run.steps, at=None, phase=StepPhase.WAITING, effect="", said="")
            return followed(step, Step(state=_with(step.state, run, ended)))
        step = followed(step, _turn_to(step.state, run, after, at))
        if run_of(step.state, node).steps.at is not None:
            return step


def step_of(state: WaveState, run: NodeRun) -> PlaybookStep | None:
    """The step whose turn it is for a node."""
    return None if run.steps.at is None else state.playbook.steps[run.steps.at]


def is_cut(state: WaveState, run: NodeRun) -> bool:
    """Whether nothing more is begun of the steps before the stop."""
    if group_of(run) is not StepGroup.BEFORE:
        return False
    return bool(run.steps.cut) or (state.abort is not None and state.playbook.restarts)


def _is_unwritten(state: WaveState, run: NodeRun) -> bool:
    """Whether a stopped node has to be brought back because no step can be written any more.

    The step that was under way may have ended, and that could not be written either.
    """
    return run.status is NodeStatus.STOPPED and store_fails(state)


def _next(state: WaveState, run: NodeRun) -> int | None:
    if run.steps.broken or is_cut(state, run):
        return None
    group = group_of(run)
    if group is StepGroup.AFTER and run.status is not NodeStatus.RECOVERING:
        return None  # It is not back: the others are done when it is.
    return next(iter(left(state.playbook, run, group)), None)


def _turn_to(state: WaveState, run: NodeRun, at_step: int, at: float) -> Step:
    it = state.playbook.steps[at_step]
    is_prompt = it.kind is StepKind.PROMPT
    if is_prompt and state.abort is not None:
        # Nobody has agreed to what comes behind the question.
        if group_of(run) is StepGroup.BEFORE:
            cut = replace(run.steps, at=None, cut="the wave is being aborted")
            return Step(state=_with(state, run, cut))
        return _left_out(
            state, run, left(state.playbook, run, group_of(run)), "the wave is being aborted"
        )
    why = why_left_out(state, run, at_step) if it.once else None
    if why is not None:
        return _left_out(state, run, (at_step,), why)
    begun = NodeSteps(
        at=at_step,
        phase=StepPhase.ASKING if is_prompt else StepPhase.WAITING,
        since=at,
        try_since=at,
        due_at=at,
        over=run.steps.over,
        returning_since=run.steps.returning_since,
        is_prepared=run.steps.is_prepared,
        is_worked=run.steps.is_worked,
        cut=run.steps.cut,
    )
    turned = _with(state, run, begun)
    if is_prompt:
        note = _note("step_asked", run.node, it, at_step, question_of(state, run, it))
        return Step(state=turned, notes=(note,))
    return _send(turned, run_of(turned, run.node), at)


def _left_out(state: WaveState, run: NodeRun, steps: tuple[int, ...], why: str) -> Step:
    notes = tuple(
        _note("step_left_out", run.node, state.playbook.steps[each], each, why) for each in steps
    )
    changed = replace(run.steps, at=None, over=(*run.steps.over, *steps))
    return Step(state=_with(state, run, changed), notes=notes)


def _send(state: WaveState, run: NodeRun, at: float) -> Step:
    """Send the step whose turn it is, unless it has to wait."""
    it, steps = step_of(state, run), run.steps
    if it is None or steps.at is None or at < steps.due_at or _has_to_wait(state, run, it):
        return Step(state=state)
    attempt, effect_id = run.attempt, steps.effect
    if not steps.is_same or not effect_id:
        attempt += 1
        effect_id = command_id(run, attempt, f"step-{steps.at}")
    sent = replace(steps, phase=StepPhase.RUNNING, effect=effect_id, sent_at=at, is_same=False)
    seconds = it.timeout_seconds(state.policy)
    command: Effect
    if it.kind is StepKind.ELECT_LEADERS:
        command = ElectLeaders(node=run.node, effect_id=effect_id, timeout_seconds=seconds)
    else:
        command = RunStep(
            node=run.node, effect_id=effect_id, timeout_seconds=seconds, step=steps.at
        )
    after = _with(state, replace(run, attempt=attempt), sent)
    note = _note("step_begun", run.node, it, steps.at, effect=effect_id)
    return Step(state=after, effects=(command,), notes=(note,))


def _has_to_wait(state: WaveState, run: NodeRun, it: PlaybookStep) -> bool:
    if run.status is NodeStatus.STOPPED:
        return False  # Nothing keeps it from being brought back.
    if group_of(run) is StepGroup.AFTER and run.status is not NodeStatus.RECOVERING:
        return True
    return state.is_draining or (it.once and must_wait(state, run))


# What is heard of it -----------------------------------------------------------------------------


def ended(state: WaveState, run: NodeRun, event: CommandEnded) -> Step:
    """Its command has ended: what it says decides, and what nobody knows is asked for."""
    it, steps = step_of(state, run), run.steps
    if it is None or steps.phase not in {StepPhase.RUNNING, StepPhase.OBSERVING}:
        return Step(state=state)
    note = Note(
        event="command_ended",
        node=run.node,
        detail=event.detail,
        data={"effect": event.effect_id, "outcome": event.outcome.value},
    )
    run = replace(run, steps=replace(steps, said=event.detail))
    step = Step(state=state.with_node(run), notes=(note,))
    if event.outcome is Outcome.OK or it.kind is StepKind.ELECT_LEADERS:
        return followed(step, _done(step.state, run, event.at))
    if event.outcome is Outcome.FAILED:
        return followed(step, _failed(step.state, run, event.at, event.detail))
    if event.outcome is Outcome.UNKNOWN:
        return followed(step, _ask(step.state, run, event.at, StepPhase.OBSERVING))
    if steps.phase is StepPhase.OBSERVING:
        return step
    due = event.at + AGAIN_SECONDS
    waits = replace(run.steps, phase=StepPhase.WAITING, is_same=True, due_at=due)
    return followed(step, Step(state=_with(step.state, run, waits)))


def observed(state: WaveState, run: NodeRun, event: StepObserved) -> Step:
    """Somebody has said what became of it."""
    steps = run.steps
    asked = StepPhase.VERIFYING if event.is_verify else StepPhase.OBSERVING
    if steps.at != event.step or steps.effect != event.effect_id or steps.phase is not asked:
        return Step(state=state)
    run = replace(run, steps=replace(steps, said=event.detail or steps.said))
    state = state.with_node(run)
    if event.is_verify:
        return _over(state, run, event.at) if event.state is StepState.DONE else Step(state=state)
    match event.state:
        case StepState.DONE:
            return _done(state, run, event.at)
        case StepState.FAILED:
            return _failed(state, run, event.at, event.detail)
        case StepState.NOT_DONE | StepState.INTERRUPTED:
            return _not_done(state, run, event)
        case _:
            return Step(state=state)


def _not_done(state: WaveState, run: NodeRun, event: StepObserved) -> Step:
    """It has not begun, or not ended: do it now, where that is certainly no second time."""
    it = step_of(state, run)
    if it is None:
        return Step(state=state)
    limit = it.timeout_seconds(state.policy)
    is_late = event.at - run.steps.try_since > limit
    if event.state is StepState.INTERRUPTED and not is_repeatable(it):
        detail = (
            "it was interrupted half-way, and nobody knows how far it came: a person has to look"
        )
        return _given_up(state, run, event.at, _and_said(detail, event.detail))
    if is_late:
        detail = f"it was not done within {limit:g} s"
        return _failed(state, run, event.at, _and_said(detail, event.detail))
    again = replace(
        run.steps, phase=StepPhase.WAITING, is_same=not is_repeatable(it), due_at=event.at
    )
    waiting = _with(state, run, again)
    return _send(waiting, run_of(waiting, run.node), event.at)


def on_tick(state: WaveState, run: NodeRun, at: float) -> Step:
    """Ask in time, send again, and give up what takes too long."""
    it, steps = step_of(state, run), run.steps
    if it is None:
        return Step(state=state)
    limit = it.timeout_seconds(state.policy)
    late = at - steps.sent_at - limit
    match steps.phase:
        case StepPhase.ASKING:
            is_over = is_cut(state, run) or state.abort is not None
            return go_on(Step(state=state), run.node, at) if is_over else Step(state=state)
        case StepPhase.WAITING if is_cut(state, run):
            return go_on(Step(state=state), run.node, at)
        case StepPhase.WAITING if steps.is_same and at - steps.try_since > limit:
            detail = _and_said(f"it could not be begun within {limit:g} s", steps.said)
            return _given_up(state, run, at, detail)
        case StepPhase.WAITING:
            why = why_left_out(state, run, steps.at or 0) if it.once else None
            if why is not None:
                left_out = _left_out(state, run, (steps.at or 0,), why)
                return go_on(left_out, run.node, at)
            return _send(state, run, at)
        case StepPhase.RUNNING if late > ANSWER_SECONDS or _is_unwritten(state, run):
            return _ask(state, run, at, StepPhase.OBSERVING)
        case StepPhase.OBSERVING if late > END_SECONDS:
            detail = _and_said(f"nobody knows how it ended within {limit:g} s", steps.said)
            return _given_up(state, run, at, detail)
        case StepPhase.VERIFYING if late > VERIFY_SECONDS:
            detail = _and_said(f"it has not worked within {limit:g} s", steps.said)
            return _failed(state, run, at, detail)
        case StepPhase.OBSERVING | StepPhase.VERIFYING:
            return _ask(state, run, at, steps.phase)
        case _:
            return Step(state=state)


def taken_up(state: WaveState, run: NodeRun, at: float) -> Step:
    """A daemon took the wave up: whatever the last one had under way is asked for."""
    it, steps = step_of(state, run), run.steps
    if it is None or steps.phase in {StepPhase.WAITING, StepPhase.ASKING}:
        return Step(state=state)
    if it.kind is StepKind.ELECT_LEADERS:
        waits = replace(steps, phase=StepPhase.WAITING, due_at=at)
        return Step(state=_with(state, run, waits))
    asked = replace(steps, asked_at=None)
    phase = StepPhase.OBSERVING if steps.phase is StepPhase.RUNNING else steps.phase
    return _ask(state, replace(run, steps=asked), at, phase)


def confirmed(state: WaveState, run: NodeRun, at: float) -> Step:
    """A person has answered the question of its step."""
    return _over(state, run, at, outcome="confirmed")


def _ask(state: WaveState, run: NodeRun, at: float, phase: StepPhase) -> Step:
    steps = run.steps
    if steps.at is None:
        return Step(state=state)
    is_new = phase is not steps.phase or steps.asked_at is None
    if not is_new and steps.asked_at is not None and at - steps.asked_at < POLL_SECONDS:
        return Step(state=state)
    effect = ObserveStep(
        node=run.node,
        effect_id=steps.effect,
        step=steps.at,
        is_verify=phase is StepPhase.VERIFYING,
    )
    return Step(
        state=_with(state, run, replace(steps, phase=phase, asked_at=at)), effects=(effect,)
    )


# How it ends -------------------------------------------------------------------------------------


def _done(state: WaveState, run: NodeRun, at: float) -> Step:
    it = step_of(state, run)
    if it is not None and it.verify:
        return _ask(state, run, at, StepPhase.VERIFYING)
    return _over(state, run, at)


def _over(state: WaveState, run: NodeRun, at: float, *, outcome: str = "done") -> Step:
    it, steps = step_of(state, run), run.steps
    if it is None or steps.at is None:
        return Step(state=state)
    note = _note(
        "step_done", run.node, it, steps.at, steps.said, outcome=outcome, seconds=at - steps.since
    )
    changed = replace(steps, at=None, over=(*steps.over, steps.at))
    return go_on(Step(state=_with(state, run, changed), notes=(note,)), run.node, at)


def _failed(state: WaveState, run: NodeRun, at: float, detail: str) -> Step:
    """A try has failed: the next one, when there is one left."""
    it, steps = step_of(state, run), run.steps
    if it is None or steps.at is None:
        return Step(state=state)
    if steps.failures + 1 >= it.tries or not is_repeatable(it) or is_cut(state, run):
        return _given_up(state, run, at, detail)
    due = at + AGAIN_SECONDS
    again = replace(
        steps,
        phase=StepPhase.WAITING,
        failures=steps.failures + 1,
        is_same=False,
        due_at=due,
        try_since=due,
    )
    note = _note(
        "step_failed", run.node, it, steps.at, detail, outcome="again", seconds=at - steps.since
    )
    return Step(state=_with(state, run, again), notes=(note,))


def _given_up(state: WaveState, run: NodeRun, at: float, detail: str) -> Step:
    it, steps = step_of(state, run), run.steps
    if it is None or steps.at is None:
        return Step(state=state)
    is_ignored = it.on_failure is OnFailure.IGNORE
    outcome = "ignored" if is_ignored else "failed"
    note = _note(
        "step_failed", run.node, it, steps.at, detail, outcome=outcome, seconds=at - steps.since
    )
    if is_ignored:
        changed = replace(steps, at=None, over=(*steps.over, steps.at))
    else:
        broken = f"its step '{it.name}' failed" + (f": {detail}" if detail else "")
        changed = replace(steps, at=None, broken=broken)
    return go_on(Step(state=_with(state, run, changed), notes=(note,)), run.node, at)


def waits_for_person(state: WaveState, run: NodeRun) -> str | None:
    """What a person is asked before a node goes on; None when nobody is asked."""
    it = step_of(state, run)
    if it is None or run.steps.phase is not StepPhase.ASKING:
        return None
    return f"{name_of(state, run.node)}, step '{it.name}': {question_of(state, run, it)}"


def _with(state: WaveState, run: NodeRun, steps: NodeSteps) -> WaveState:
    return state.with_node(replace(run, steps=steps))


def _note(
    event: str, node: int, step: PlaybookStep, at_step: int, detail: str = "", **data: Any
) -> Note:
    said = f"{step.name}: {detail}" if detail else step.name
    if "seconds" in data:
        data["seconds"] = round(data["seconds"], 1)
    return Note(
        event=event, node=node, detail=said, data={"step": at_step, "name": step.name, **data}
    )


def _and_said(detail: str, said: str) -> str:
    return f"{detail}: {said}" if said else detail
