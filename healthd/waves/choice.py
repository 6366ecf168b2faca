"""Which node a wave takes next: the order, ok-to-stop, and never two controllers at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.ok_to_stop import ok_to_stop
from healthd.waves.gate import Reading, acknowledged
from healthd.waves.sequence import Rank, is_controller, sequence
from healthd.waves.state import BEFORE_SOAK, NodeStatus, WaveState

CONFIRM_SECONDS: Final = 60.0
"""How long the last look at a candidate may take before it is asked for again."""

_CONTROLLERS: Final = frozenset({Rank.CONTROLLER, Rank.ACTIVE_CONTROLLER})


def may_take(state: WaveState) -> bool:
    """Whether nobody has ordered the wave to take nothing more."""
    return not (state.is_paused or state.abort or state.is_draining or state.status.has_ended)


def is_looking(state: WaveState, at: float) -> bool:
    """Whether candidates are being looked at for the last time."""
    return bool(state.candidates) and at - state.candidate_since < CONFIRM_SECONDS


def has_room(state: WaveState) -> bool:
    """Whether the wave's concurrency allows one more in flight."""
    return state.concurrency is None or len(state.in_flight) < state.concurrency


def has_stopped_one(state: WaveState) -> bool:
    """Whether a node that this wave has stopped is not yet back."""
    return any(
        any(status == NodeStatus.STOPPING.value for status, _ in run.history)
        for run in state.having(BEFORE_SOAK)
    )


def pick(
    state: WaveState, snapshot: ClusterSnapshot, reading: Reading
) -> tuple[int | None, tuple[Reason, ...]]:
    """The next node by order and ok-to-stop, or None with the blockers of all that could be."""
    pending = [run.node for run in state.having({NodeStatus.PENDING})]
    ordered = sequence(snapshot, pending)
    if not ordered:
        return None, tuple(map(_unlisted, pending))
    if reading.repairs:
        if has_stopped_one(state):
            return None, ()
        group = [node for rank, node in ordered if rank is Rank.REPAIR]
    else:
        if not has_room(state):
            return None, ()
        # Plain brokers wait for every controller of the wave, the blocked ones included.
        group = [node for rank, node in ordered if rank in _CONTROLLERS]
        group = group or [node for _, node in ordered]
    return _first_unblocked(state, snapshot, group)


def _first_unblocked(
    state: WaveState, snapshot: ClusterSnapshot, group: Sequence[int]
) -> tuple[int | None, tuple[Reason, ...]]:
    blockers: list[Reason] = []
    for node in group:
        other = _controller_in_flight(state, snapshot, node)
        found = stop_blockers(state, snapshot, node) if other is None else (other,)
        if not found:
            return node, ()
        blockers.extend(_renamed(found, node))
    return None, tuple(blockers)


def stop_blockers(state: WaveState, snapshot: ClusterSnapshot, node: int) -> tuple[Reason, ...]:
    """What stands against stopping a node together with everything in flight."""
    together = (state.in_flight & snapshot.brokers_by_id.keys()) | {node}
    return ok_to_stop(snapshot, together, acknowledged=acknowledged(state))


def _controller_in_flight(state: WaveState, snapshot: ClusterSnapshot, node: int) -> Reason | None:
    """The other controller that is in flight, when the node is one as well."""
    brokers = snapshot.brokers_by_id
    if not is_controller(snapshot, brokers[node]):
        return None
    for other in sorted(state.in_flight - {node}):
        if other in brokers and is_controller(snapshot, brokers[other]):
            return Reason(
                code=ReasonCode.BROKER_IN_FLIGHT,
                object=f"broker:{other}",
                detail="it is a controller, and only one controller is taken at a time",
            )
    return None


def _unlisted(node: int) -> Reason:
    return Reason(
        code=ReasonCode.BROKER_STATE_UNKNOWN,
        object=f"broker:{node}",
        detail="the wave is to take it, and the cluster does not list it",
    )


def _renamed(reasons: Iterable[Reason], node: int) -> Iterable[Reason]:
    """Blockers of a candidate, with the candidate named in their detail."""
    for reason in reasons:
        yield replace(reason, detail=f"{reason.detail} (if broker {node} stopped now)")
