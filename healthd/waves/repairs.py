"""Nodes that are down before they are taken: one that does not run is only started."""

from dataclasses import replace
from typing import Final

from healthd.waves import moves, nodes
from healthd.waves.choice import has_stopped_one, may_take
from healthd.waves.effects import Note, Observe, Step
from healthd.waves.events import Observed
from healthd.waves.gate import Reading
from healthd.waves.moves import BY_HEALTHD, run_of, then
from healthd.waves.naming import name_of
from healthd.waves.state import NodeRun, NodeStatus, Pause, WaveState

DIED_LIMIT: Final = 2
"""How many nodes may die by themselves before a person has to look."""


def ask_repairs(state: WaveState, reading: Reading, at: float) -> Step:
    """Ask the hosts of nodes that are down whether their process runs: if not, it is started.

    Nobody is being looked at for the last time meanwhile: the caller has made sure of that.
    """
    step = Step(state=state)
    if not reading.repairs or not may_take(state) or has_stopped_one(state):
        return step
    for node in sorted(reading.repairs):
        run = step.state.node(node)
        due = run is not None and (
            run.observed_at is None or at - run.observed_at >= nodes.SLOW_POLL_SECONDS
        )
        if run is not None and due:
            asked = step.state.with_node(replace(run, observed_at=at))
            step = then(step, asked, effects=(Observe(node=node),))
    return step


def on_pending_observed(state: WaveState, run: NodeRun, event: Observed) -> Step:
    """A node that waits was asked for: one that does not run is only started."""
    if event.host.is_running is not False or run.observed_at is None:
        return Step(state=state)
    if run.is_watched:
        # Our own stop ended late: nothing may leave it down, not even a pause.
        return nodes.start(state, run, event.at, "its process ended late")
    if not may_take(state) or has_stopped_one(state):
        return Step(state=state)
    return start_repair(state, run, event.at)


def start_repair(state: WaveState, run: NodeRun, at: float) -> Step:
    """Start a node whose host says that it does not run; this asks for nothing else."""
    state, notes = repair_taken(state, run, at)
    if state.is_paused:
        return Step(state=state, notes=notes)
    return nodes.start(state, run_of(state, run.node), at, "it was not running")


def _was_ours(run: NodeRun) -> bool:
    """Whether the wave has stopped or started it before."""
    ours = {NodeStatus.STOPPING.value, NodeStatus.STARTING.value}
    return any(status in ours for status, _ in run.history)


def repair_taken(state: WaveState, run: NodeRun, at: float) -> tuple[WaveState, tuple[Note, ...]]:
    """The node as a repair; the second that died by itself in one wave pauses it instead."""
    by_itself = run.node in state.seen_up and not _was_ours(run) and run.node not in state.died
    died = (*state.died, run.node) if by_itself else state.died
    if by_itself and len(died) >= DIED_LIMIT:
        names = " and ".join(name_of(state, node) for node in died)
        pause = Pause(
            by=BY_HEALTHD, reason=f"{names} went down by themselves in this wave", since=at
        )
        note = Note(event="wave_paused", node=run.node, detail=pause.reason)
        return moves.paused(replace(state, died=died), pause), (note,)
    repaired = replace(run, repair=True)
    return replace(state.with_node(repaired), died=died), ()
