"""What the steps of a playbook lead to for a node: prepared, started again, soaking, or failed."""

from dataclasses import replace

from healthd.waves import nodes, returning, steps
from healthd.waves.effects import Step
from healthd.waves.events import CommandEnded, StepObserved
from healthd.waves.moves import changed_broker, failed, followed, moved, run_of, then
from healthd.waves.phases import StepGroup, left
from healthd.waves.playbook import GateNeeded
from healthd.waves.state import NodeRun, NodeStatus, WaveState


def prepare(state: WaveState, run: NodeRun, at: float) -> Step:
    """Take a node for its steps before the stop, or for all where nothing is stopped."""
    step = moved(state, run, NodeStatus.PREPARING, at)
    taken = run_of(step.state, run.node)
    ready = replace(taken, repair=False, steps=replace(taken.steps, cut="", broken=""))
    entered = steps.enter(step.state.with_node(ready), ready, at)
    return _followed_up(followed(step, entered), run.node, at)


def on_ended(state: WaveState, run: NodeRun, event: CommandEnded) -> Step:
    """The command of a step has ended."""
    return _went_on(run, steps.ended(state, run, event), event.at)


def on_observed(state: WaveState, run: NodeRun, event: StepObserved) -> Step:
    """Somebody has said what became of a step."""
    return _went_on(run, steps.observed(state, run, event), event.at)


def on_tick(state: WaveState, run: NodeRun, at: float) -> Step:
    """Time has passed for the step whose turn it is."""
    return _went_on(run, steps.on_tick(state, run, at), at)


def on_confirmed(state: WaveState, run: NodeRun, at: float) -> Step:
    """A person has answered a step's question."""
    return _went_on(run, steps.confirmed(state, run, at), at)


def gone(state: WaveState, run: NodeRun) -> WaveState:
    """The state when a node went down while it was being prepared: it is brought back first."""
    if run.steps.cut or not state.playbook.restarts:
        return state
    cut = "it went down before it was stopped; it is brought back first"
    return state.with_node(replace(run, steps=replace(run.steps, cut=cut)))


def _went_on(before: NodeRun, step: Step, at: float) -> Step:
    """The step of a node whose turn some step was, and what comes when that was the last one."""
    return step if before.steps.at is None else _followed_up(step, before.node, at)


def _followed_up(step: Step, node: int, at: float) -> Step:
    """The step followed by what comes when nothing more is to be done in the node's phase."""
    run = run_of(step.state, node)
    if run.steps.at is not None:
        return step
    if run.status is NodeStatus.PREPARING:
        return followed(step, _prepared(step.state, run, at))
    if run.status is NodeStatus.STOPPED:
        return followed(step, nodes.start_after_steps(step.state, run, at))
    if run.status is NodeStatus.RECOVERING:
        return followed(step, returning.after_steps(step.state, run, at))
    return step


def _prepared(state: WaveState, run: NodeRun, at: float) -> Step:
    if run.steps.broken:
        return failed(state, run, at, run.steps.broken, watched=False)
    if left(state.playbook, run, StepGroup.BEFORE):
        return _waits_again(state, run, at, run.steps.cut or "the wave is being aborted")
    if state.playbook.restarts:
        ready = replace(run, steps=replace(run.steps, is_prepared=True))
        return _waits_again(state.with_node(ready), ready, at, "prepared")
    if state.playbook.gate is GateNeeded.PERMISSION:
        return returning.done(state, run, at)
    return returning.soak(state, run, at)


def _waits_again(state: WaveState, run: NodeRun, at: float, detail: str) -> Step:
    step = moved(state, run, NodeStatus.PENDING, at, detail)
    waits = replace(run_of(step.state, run.node), observed_at=None)
    return then(step, changed_broker(step.state.with_node(waits), at, in_turn=True))
