"""Steps that are done once for a cluster: by its last node, when every other one is through."""

from healthd.waves.naming import name_of
from healthd.waves.phases import has_to_be_taken_again
from healthd.waves.state import NodeRun, NodeStatus, WaveState

_THROUGH = frozenset({NodeStatus.DONE, NodeStatus.SOAKING})
_NEVER = frozenset({NodeStatus.FAILED, NodeStatus.SKIPPED})


def why_left_out(state: WaveState, run: NodeRun, step: int) -> str | None:
    """Why a node leaves such a step out; None when it is the one that does it, now or later."""
    for other in state.nodes:
        if other.node == run.node:
            continue
        if other.status in _NEVER:
            return f"{name_of(state, other.node)} is {other.status.value}"
        is_again = has_to_be_taken_again(state.playbook, other)
        if other.status in _THROUGH and not is_again:
            continue
        if step not in other.steps.over or other.status is NodeStatus.PENDING or is_again:
            return f"{name_of(state, other.node)} is yet to come to it"
    return None


def must_wait(state: WaveState, run: NodeRun) -> bool:
    """Whether another node, which has left the step to this one, is not through its own yet."""
    return any(
        other.node != run.node and other.status not in _THROUGH | _NEVER for other in state.nodes
    )
