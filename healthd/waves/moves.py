"""What every change of a node is made of: another status, a command's id, a pause, a failure."""

from dataclasses import replace
from typing import Final

from healthd.safety.clean_run import CleanRun
from healthd.waves.effects import Effect, FetchLogs, Note, Step
from healthd.waves.naming import name_of
from healthd.waves.soaking import soak_again
from healthd.waves.state import NodeRun, NodeStatus, Pause, WaveState

BY_HEALTHD: Final = "healthd"
STORE: Final = "the state file"
"""How the reason of a pause begins that a failing journal has caused."""


def moved(state: WaveState, run: NodeRun, status: NodeStatus, at: float, detail: str = "") -> Step:
    """The node in another status, with its line in the story."""
    changed = run.moved(status, at, detail)
    note = Note(event=f"node_{status.value}", node=run.node, detail=detail)
    return Step(state=state.with_node(changed), notes=(note,))


def then(
    step: Step,
    state: WaveState,
    *,
    effects: tuple[Effect, ...] = (),
    notes: tuple[Note, ...] = (),
) -> Step:
    """The step followed by more."""
    return Step(state=state, effects=step.effects + effects, notes=step.notes + notes)


def followed(step: Step, more: Step) -> Step:
    """Both steps as one; the second was made of the first one's state."""
    return then(step, more.state, effects=more.effects, notes=more.notes)


def command_id(run: NodeRun, attempt: int, verb: str) -> str:
    """The id of a command: unique in its wave."""
    return f"{run.node}.{attempt}.{verb}"


def failed(state: WaveState, run: NodeRun, at: float, detail: str, *, watched: bool) -> Step:
    """Give the node up; beyond the budget the wave pauses and names it."""
    step = moved(state, run, NodeStatus.FAILED, at, detail)
    ended = replace(run.steps, at=None, effect="", said="", broken="", cut="")
    changed = replace(run_of(step.state, run.node), is_watched=watched, command=None, steps=ended)
    after = step.state.with_node(changed)
    notes: tuple[Note, ...] = ()
    count = len(after.having({NodeStatus.FAILED}))
    if count > state.policy.max_failed_brokers:
        reason = f"{name_of(state, run.node)} failed: {detail}"
        after = paused(after, Pause(by=BY_HEALTHD, reason=reason, since=at, node=run.node))
        notes = (Note(event="wave_paused", node=run.node, detail=reason),)
    return then(step, after, effects=(FetchLogs(node=run.node),), notes=notes)


def paused(state: WaveState, pause: Pause) -> WaveState:
    """The state with one more pause; nothing new is taken."""
    return replace(state, pauses=(*state.pauses, pause), candidates=())


def changed_broker(state: WaveState, at: float, *, in_turn: bool) -> WaveState:
    """The state after healthd changed a broker: older evidence and clean time are void.

    The soaks of others go on only when the broker was taken in its turn.
    """
    after = replace(state, last_change=at, clean=CleanRun())
    return after if in_turn else soak_again(after, None)


def store_fails(state: WaveState) -> bool:
    """Whether the journal could not be written, and nobody has said that it can be again."""
    return any(pause.reason.startswith(STORE) for pause in state.pauses)


def run_of(state: WaveState, node: int) -> NodeRun:
    """The run of a node that the wave has."""
    run = state.node(node)
    if run is None:
        raise LookupError(f"node {node} is not in wave {state.wave}")
    return run
