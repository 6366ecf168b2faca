"""The way of a node that is back in its cluster: its leaders, its soak, and done."""

from dataclasses import replace

from healthd.safety.clean_run import CleanRun
from healthd.waves.effects import ElectLeaders, Note, Step
from healthd.waves.moves import changed_broker, command_id, moved, run_of, then
from healthd.waves.playbook import StepKind
from healthd.waves.soaking import soak_again
from healthd.waves.state import NodeRun, NodeStatus, WaveState


def back(state: WaveState, run: NodeRun, at: float) -> Step:
    """The broker is back in the cluster: give it its leaders, then let it soak."""
    if run.command is not None:
        return Step(state=state)
    election = state.playbook.step(StepKind.ELECT_LEADERS)
    if election is None:
        return soak(state, run, at)
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


def soak(state: WaveState, run: NodeRun, at: float) -> Step:
    """Begin the soak; clean run and soak count from here, side by side."""
    step = moved(state, run, NodeStatus.SOAKING, at)
    after = changed_broker(step.state, at, in_turn=not run.repair)
    return then(
        step, after.with_node(replace(run_of(after, run.node), soak=CleanRun(), soak_since=at))
    )


def relapsed(state: WaveState, run: NodeRun, at: float, detail: str) -> Step:
    """The node left an ISR, or the cluster, in its soak: it recovers once more.

    The recovery time-out goes on from its start: a broker that comes and goes is never through.
    """
    step = moved(state, run, NodeStatus.RECOVERING, at, detail)
    return then(step, replace(soak_again(step.state, None), clean=CleanRun()))


def done(state: WaveState, run: NodeRun, at: float) -> Step:
    """The soak is over: the wave is through with the node."""
    step = moved(state, run, NodeStatus.DONE, at)
    through = replace(run_of(step.state, run.node), is_overdue=False)
    return then(step, step.state.with_node(through))
