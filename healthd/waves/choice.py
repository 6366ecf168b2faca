"""Which nodes a wave takes next: the order, ok-to-stop, and never two controllers at a time."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import QuorumMode
from healthd.safety.ok_to_stop import each_set, ok_to_stop
from healthd.waves.company import company
from healthd.waves.gate import Reading, acknowledged
from healthd.waves.naming import name_of, object_of
from healthd.waves.sequence import Rank, is_active_controller, is_controller, sequence
from healthd.waves.state import BEFORE_SOAK, NodeStatus, WaveState

CONFIRM_SECONDS: Final = 60.0
"""How long the last look at the candidates may take before it is asked for again."""

_CONTROLLERS: Final = frozenset({Rank.CONTROLLER, Rank.ACTIVE_CONTROLLER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Whom a wave takes next."""

    nodes: tuple[int, ...] = ()
    """Together they pass ok-to-stop beside everything in flight."""
    blockers: tuple[Reason, ...] = ()
    """What stands against all that could be taken, when it is not only the wave's own course."""


def may_take(state: WaveState) -> bool:
    """Whether nobody has ordered the wave to take nothing more."""
    return not (state.is_paused or state.abort or state.is_draining or state.status.has_ended)


def is_looking(state: WaveState, at: float) -> bool:
    """Whether candidates are being looked at for the last time."""
    return bool(state.candidates) and at - state.candidate_since < CONFIRM_SECONDS


def room(state: WaveState) -> int | None:
    """How many more the wave's concurrency allows in flight; None: as many as is safe."""
    if state.concurrency is None:
        return None
    return max(0, state.concurrency - len(state.at_work))


def has_stopped_one(state: WaveState) -> bool:
    """Whether a node that this wave has stopped is not yet back."""
    return any(
        any(status == NodeStatus.STOPPING.value for status, _ in run.history)
        for run in state.having(BEFORE_SOAK)
    )


def pick(
    state: WaveState,
    snapshot: ClusterSnapshot,
    reading: Reading,
    *,
    among: Collection[int] | None = None,
) -> Choice:
    """The next nodes by order and ok-to-stop, or the blockers of all that could be.

    Args:
        state: the wave.
        snapshot: what is known of the cluster.
        reading: what the gate says of it.
        among: in the last look, the nodes that were looked at: nobody else is taken.
    """
    pending = [run.node for run in state.having({NodeStatus.PENDING})]
    ordered = sequence(snapshot, pending)
    if not ordered:
        return Choice(blockers=tuple(_unlisted(state, node) for node in pending))
    if not state.playbook.restarts:
        return _beside(state, [node for _, node in ordered], among)
    # Whoever is prepared goes before the others of its group: what was done for it grows old.
    ordered = tuple(sorted(ordered, key=lambda item: (item[0], not _is_prepared(state, item[1]))))
    if reading.repairs:
        return _repairs(state, snapshot, [node for rank, node in ordered if rank is Rank.REPAIR])
    if room(state) == 0 or any(run.repair for run in state.having(BEFORE_SOAK)):
        return Choice()  # Repairs come before everybody else, until they are back.
    controllers = [node for rank, node in ordered if rank in _CONTROLLERS]
    if state.at_work and len(controllers) > 1:
        # Whoever is blocked by those in flight is not passed over for the active one.
        controllers = [node for rank, node in ordered if rank is Rank.CONTROLLER]
    plain = [node for rank, node in ordered if rank is Rank.BROKER]
    if controllers or state.concurrency == 1:
        chosen = _one(state, snapshot, controllers or plain)
        # Who waits only for those in flight is in the wave's ordinary course.
        return chosen if chosen.nodes or not state.at_work else Choice()
    if _has_controller(snapshot, state.at_work):
        return Choice()  # Plain brokers wait for every controller of the wave.
    return _several(state, snapshot, plain, among)


def _beside(state: WaveState, ordered: Sequence[int], among: Collection[int] | None) -> Choice:
    """The next nodes of a playbook that stops nothing: nothing stands against them but the gate."""
    looked_at = [node for node in ordered if among is None or node in among]
    return Choice(nodes=tuple(looked_at[: room(state)]))


def _is_prepared(state: WaveState, node: int) -> bool:
    run = state.node(node)
    return run is not None and run.steps.is_prepared


def _one(state: WaveState, snapshot: ClusterSnapshot, group: Sequence[int]) -> Choice:
    """The first of a group that nothing stands against."""
    free = [node for node in group if not _is_second_controller(state, snapshot, node)]
    blockers: list[Reason] = []
    for node, found in _each(state, snapshot, free):
        if not found:
            return Choice(nodes=(node,))
        blockers.extend(_renamed(found, name_of(state, node)))
    return Choice(blockers=tuple(blockers))


def _each(
    state: WaveState, snapshot: ClusterSnapshot, nodes: Sequence[int]
) -> Iterator[tuple[int, tuple[Reason, ...]]]:
    """What stands against each of them; all that the first leaves over are judged in one pass."""
    for node in nodes[:1]:
        yield node, stop_blockers(state, snapshot, {node})
    away = _away(state, snapshot)
    sets = [away | {node} for node in nodes[1:]]
    yield from zip(
        nodes[1:], each_set(snapshot, sets, acknowledged=acknowledged(state)), strict=True
    )


def _repairs(state: WaveState, snapshot: ClusterSnapshot, group: Sequence[int]) -> Choice:
    """The next repairs; they wait until whoever was stopped is back.

    The limit counts nodes that were stopped and do not soak yet, and of those there are none.
    Brokers go along with the last of the controllers, as in the plan.
    """
    if has_stopped_one(state):
        return Choice()
    first = _one(state, snapshot, group)
    if not first.nodes:
        return first
    others = group[group.index(first.nodes[0]) + 1 :]
    together = (*first.nodes, *others)[: state.concurrency]
    if _has_controller(snapshot, others) or stop_blockers(state, snapshot, together):
        return first
    return Choice(nodes=together)


def _several(
    state: WaveState,
    snapshot: ClusterSnapshot,
    plain: Sequence[int],
    among: Collection[int] | None,
) -> Choice:
    """The plain brokers that go together beside those in flight."""
    left, away = room(state), _away(state, snapshot)
    looked_at = plain if among is None else [node for node in plain if node in among]
    if among is not None and _may_all_go(state, snapshot, looked_at):
        return Choice(nodes=tuple(looked_at))
    prepared = [node for node in plain if _is_prepared(state, node)]
    chosen = [
        node
        for node in company(
            snapshot, prepared or plain, away=away, room=left, acknowledged=acknowledged(state)
        )
        if among is None or node in among
    ]
    if chosen and not stop_blockers(state, snapshot, chosen):
        return Choice(nodes=tuple(chosen))
    # Who waits only for those in flight is in the wave's ordinary course.
    return Choice() if away else _one(state, snapshot, looked_at)


def _may_all_go(state: WaveState, snapshot: ClusterSnapshot, looked_at: Sequence[int]) -> bool:
    """Whether all that were looked at are still free to go, and none of them has to be the last."""
    left = room(state)
    if left is not None and len(looked_at) > left:
        return False
    if any(is_active_controller(snapshot, node) for node in looked_at):
        return False
    return not stop_blockers(state, snapshot, looked_at)


def stop_blockers(
    state: WaveState, snapshot: ClusterSnapshot, nodes: Iterable[int]
) -> tuple[Reason, ...]:
    """What stands against stopping nodes together with everything in flight."""
    together = _away(state, snapshot).union(nodes)
    return ok_to_stop(snapshot, together, acknowledged=acknowledged(state))


def _away(state: WaveState, snapshot: ClusterSnapshot) -> frozenset[int]:
    """What is at work and listed: whoever is being prepared is about to be stopped."""
    return state.at_work & snapshot.brokers_by_id.keys()


def _is_second_controller(state: WaveState, snapshot: ClusterSnapshot, node: int) -> bool:
    """Whether it is a controller and another one is in flight."""
    return _has_controller(snapshot, (node,)) and _has_controller(snapshot, state.at_work - {node})


def _has_controller(snapshot: ClusterSnapshot, nodes: Iterable[int]) -> bool:
    """Whether one of the nodes, listed or not, is a controller."""
    brokers, quorum = snapshot.brokers_by_id, snapshot.quorum
    is_kraft = quorum is not None and quorum.mode is QuorumMode.KRAFT
    voters = {voter.id for voter in quorum.voters} if quorum is not None and is_kraft else set()
    return any(
        node in voters or (node in brokers and is_controller(snapshot, brokers[node]))
        for node in nodes
    )


def _unlisted(state: WaveState, node: int) -> Reason:
    return Reason(
        code=ReasonCode.BROKER_STATE_UNKNOWN,
        object=object_of(state, node),
        detail="the wave is to take it, and the cluster does not list it",
    )


def _renamed(reasons: Iterable[Reason], name: str) -> Iterable[Reason]:
    """Blockers of a candidate, with the candidate named in their detail."""
    for reason in reasons:
        yield replace(reason, detail=f"{reason.detail} (if {name} stopped now)")
