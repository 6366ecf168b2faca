"""What a driver may and may not do with a step, read off the states of its wave."""

import itertools
from typing import Final

from healthd.waves import effects
from healthd.waves.effects import Step
from healthd.waves.state import BETWEEN_STOP_AND_START, NodeStatus, WaveState

_PHASES: Final = ("stopping", "stopped", "starting", "recovering", "soaking")


def is_halfway(state: WaveState) -> bool:
    """Whether going away now could leave a node stopped."""
    if state.having(BETWEEN_STOP_AND_START):
        return True
    # A stop that took effect late is being made good.
    return any(run.command is not None for run in state.watched)


def may_go_unwritten(before: WaveState, step: Step) -> bool:
    """Whether a step may be carried out though it is not on disk.

    Only a start may, of a node that the wave has stopped: its intent was written with the stop's.
    """
    for command in step.commands:
        run = before.node(command.node)
        is_new = run is None or run.status is NodeStatus.PENDING
        if is_new or not isinstance(command, effects.StartService):
            return False
    return True


def phase_seconds(history: tuple[tuple[str, float], ...]) -> list[tuple[str, float]]:
    """How long each phase of a node's restart took, from the times it entered them."""
    return [
        (status, until - at)
        for (status, at), (_, until) in itertools.pairwise(history)
        if status in _PHASES
    ]
