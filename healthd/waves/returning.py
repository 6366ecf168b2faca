"""The way of a node that is back in its cluster: its leaders, its soak, and done."""

from dataclasses import replace

from healthd.safety.clean_run import CleanRun
from healthd.waves.effects import ElectLeaders, Note, Step
from healthd.waves.moves import changed_broker, command_id, failed, followed, moved, run_of, then
from healthd.waves.phases import has_to_be_taken_again
from healthd.waves.playbook import StepKind
from healthd.waves.soaking import soak_again
from healthd.waves.state import NodeRun, NodeStatus, WaveState
from healthd.waves.steps import enter


def back(state: WaveState, run: NodeRun, at: float) -> Step:
    """The broker is back in the cluster: give it its leaders, then let it soak."""
    if run.command is not None or run.steps.at is not None:
        return Step(state=state)
    if run.steps.broken:
        return failed(state, run, at, run.steps.broken, watched=False)
    if run.steps.is_worked:
        return _begin_steps(state, run, at)
    election = state.playbook.step(StepKind.ELECT_LEADERS)
    if election is None:
        return soak(state, run, at, is_judged=False)
    attempt = run.attempt + 1
    effect_id = command_id(run, attempt, "elect")
    changed = replace(run, attempt=attempt, command=effect_id, command_at=at)
    effect = ElectLeaders(
        node=run.node,
        effect_id=effect_id,
        timeout_seconds=election.timeout_seconds(state.policy),
    )
    note = Note(event="node_back", node=run.node, detail="in every ISR that it belongs to")
    return Step(state=state.with_node(changed), effects=(effect,), notes=(note,))


def _begin_steps(state: WaveState, run: NodeRun, at: float) -> Step:
    """The playbook's steps after the restart; without any that are left, the soak."""
    note = Note(event="node_back", node=run.node, detail="in every ISR that it belongs to")
    began = replace(run, steps=replace(run.steps, returning_since=at))
    entered = enter(state.with_node(began), began, at)
    step = replace(entered, notes=(note, *entered.notes))
    now = run_of(step.state, run.node)
    if now.steps.at is not None:
        return step
    return followed(step, after_steps(step.state, now, at, is_judged=False))


def after_steps(state: WaveState, run: NodeRun, at: float, *, is_judged: bool = True) -> Step:
    """The steps after the restart are over: the soak, or the failure that one of them was."""
    if run.steps.broken:
        return failed(state, run, at, run.steps.broken, watched=False)
    since, began = run.steps.returning_since, run.starting_since
    if since is not None and began is not None:
        # What its steps took, or the person who was asked, is no time of its recovery.
        began += at - since
    through = replace(run, starting_since=began, steps=replace(run.steps, returning_since=None))
    return soak(state.with_node(through), through, at, is_judged=is_judged)


def soak(state: WaveState, run: NodeRun, at: float, *, is_judged: bool = True) -> Step:
    """Begin the soak; clean run and soak count from here, side by side.

    The soaks of others go on, also when a repair is back: that is no trouble.

    Args:
        state: the wave.
        run: the node that is back.
        at: now.
        is_judged: the snapshot that showed it back has been judged. Clean time counts from here
            only after one that was clean; else from the next one that is.
    """
    is_clean = is_judged and state.clean.since is not None
    begun = CleanRun(since=at if is_clean else None)
    step = moved(state, run, NodeStatus.SOAKING, at)
    after = replace(changed_broker(step.state, at, in_turn=True), clean=begun)
    return then(step, after.with_node(replace(run_of(after, run.node), soak=begun, soak_since=at)))


def relapsed(state: WaveState, run: NodeRun, at: float, detail: str) -> Step:
    """The node left an ISR, or the cluster, in its soak: it recovers once more.

    The recovery time-out goes on from its start: a broker that comes and goes is never through.
    """
    again = tuple(
        each
        for each in run.steps.over
        if state.playbook.steps[each].kind is not StepKind.ELECT_LEADERS
    )
    run = replace(run, steps=replace(run.steps, over=again))
    step = moved(state, run, NodeStatus.RECOVERING, at, detail)
    return then(step, replace(soak_again(step.state, None), clean=CleanRun()))


def done(state: WaveState, run: NodeRun, at: float) -> Step:
    """The soak is over: the wave is through with the node, when it has had its turn."""
    if has_to_be_taken_again(state.playbook, run):
        detail = "it runs again, and its own turn is still to come"
        step = moved(state, run, NodeStatus.PENDING, at, detail)
        waits = replace(
            run_of(step.state, run.node),
            repair=False,
            is_overdue=False,
            observed_at=None,
            starting_since=None,
        )
        return then(step, step.state.with_node(waits))
    step = moved(state, run, NodeStatus.DONE, at)
    through = replace(run_of(step.state, run.node), is_overdue=False)
    return then(step, step.state.with_node(through))
