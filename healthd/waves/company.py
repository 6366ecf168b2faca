"""Which plain brokers a wave takes in one decision, beside those that it has in flight.

With nothing in flight the plan decides: its next step is taken, so that a wave gets along with as
many steps as `healthd plan` shows. With something in flight whoever is safe beside it is taken at
once, and not when a step of the plan is through. Whoever soaks counts as down.
"""

from collections.abc import Collection, Sequence

from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import BrokerState
from healthd.safety.acknowledgements import Acknowledgements
from healthd.waves.planner import broker_groups
from healthd.waves.planner_spare import Conflicts
from healthd.waves.sequence import is_active_controller


def company(
    snapshot: ClusterSnapshot,
    nodes: Sequence[int],
    *,
    away: frozenset[int],
    room: int | None,
    acknowledged: Acknowledgements,
) -> tuple[int, ...]:
    """Plain brokers that may go together beside those that are away; nobody when none may.

    The whole assignment is gone through once. What it says is what `ok_to_stop` says of sets of
    brokers that serve; whoever stops them asks that once more.

    Args:
        snapshot: what is known of the cluster.
        nodes: plain brokers that need no repair and wait for their turn.
        away: brokers of the wave that count as down, listed in the snapshot.
        room: how many more the wave's concurrency allows; None: as many as is safe.
        acknowledged: what a person accepts, and the margin.
    """
    known = snapshot.brokers_by_id
    if any(known[node].state is BrokerState.RECOVERY for node in away):
        return ()  # It recovers its logs after an unclean stop: nobody else restarts.
    able = [node for node in nodes if known[node].state is not BrokerState.RECOVERY]
    conflicts = Conflicts.beside(snapshot, able, acknowledged, away)
    if not conflicts.nodes or room == 0:
        return ()
    groups, _ = broker_groups(snapshot, conflicts, room)
    if not away:
        return tuple(groups[0])
    ready = [group for group in groups if _is_ready(snapshot, group, nodes)]
    largest: list[int] = max(ready, key=len, default=[])
    return tuple(largest)


def _is_ready(snapshot: ClusterSnapshot, group: Collection[int], waiting: Collection[int]) -> bool:
    """Whether a group's turn may come: the active controller goes with the last of the brokers."""
    is_last = any(is_active_controller(snapshot, node) for node in group)
    return not is_last or len(group) == len(waiting)
