"""Why a step is as it is, in words for a person."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from healthd.model.snapshot import Broker, ClusterSnapshot
from healthd.model.words import BrokerState, Role
from healthd.safety.acknowledgements import Acknowledgements
from healthd.waves.planner_packing import bitset
from healthd.waves.planner_spare import Conflicts, SparedPartition, spared_partitions
from healthd.waves.sequence import is_active_controller

_MOST_NAMED: Final = 6
"""Ids that a reason names; a step may have 500."""


def repair_reason(brokers: Sequence[Broker]) -> str:
    """Why these nodes come first."""
    kinds: dict[str, list[int]] = {}
    for broker in brokers:
        kinds.setdefault(_trouble(broker), []).append(broker.id)
    found = "; ".join(f"{_named(nodes)} {kind}" for kind, nodes in kinds.items())
    return f"repairs come first: {found}"


def _trouble(broker: Broker) -> str:
    if broker.state is BrokerState.NOT_RUNNING:
        return "not running"
    return "fenced" if broker.alive else "down"


def controller_reason(*, is_active: bool) -> str:
    """Why a controller is taken now, and alone."""
    if is_active:
        return "the active controller, the last of the controllers"
    return "controllers come before brokers, one at a time"


def broker_reasons(
    snapshot: ClusterSnapshot,
    groups: Sequence[Sequence[int]],
    conflicts: Conflicts,
    limit: int | None,
    acknowledged: Acknowledgements,
) -> list[str]:
    """Why each step of plain brokers is as large as it is, in the order of the steps."""
    words = _Words(snapshot, conflicts, limit)
    alone = [] if limit == 1 else [group[0] for group in groups if len(group) == 1]
    examples = _examples(snapshot, alone, conflicts, acknowledged)
    reasons = [words.of(group, examples) for group in groups]
    if groups and any(is_active_controller(snapshot, node) for node in groups[-1]):
        reasons[-1] = f"the active controller is in the last step; {reasons[-1]}"
    return reasons


class _Words:
    """Tells of steps on one snapshot."""

    def __init__(self, snapshot: ClusterSnapshot, conflicts: Conflicts, limit: int | None) -> None:
        self._brokers = snapshot.brokers_by_id
        self._conflicts = conflicts
        self._limit = limit
        self._position = {node: at for at, node in enumerate(conflicts.nodes)}
        self._of_rack: dict[str | None, int] = {}
        for broker in snapshot.brokers:
            # Those that cannot be taken are in the rack all the same: without them it is no rack.
            if broker.roles is None or Role.BROKER in broker.roles:
                self._of_rack[broker.rack] = self._of_rack.get(broker.rack, 0) + 1

    def of(self, group: Sequence[int], examples: Mapping[int, SparedPartition]) -> str:
        """Why a step has these brokers and not more."""
        if self._limit == 1:
            return "one at a time: that is the concurrency"
        if len(group) == 1:
            return self._alone(group[0], examples.get(group[0]))
        safe = "no partition loses more replicas in sync than it can spare"
        if len(group) == self._limit:
            return f"{self._which(group)}: {safe}; more than {self._limit} are not allowed"
        return f"{self._which(group)}: {safe}{self._why_not_more(group)}"

    def _which(self, group: Sequence[int]) -> str:
        racks = {self._brokers[node].rack for node in group}
        if len(racks) != 1 or None in racks:
            return f"{len(group)} brokers together"
        (rack,) = racks
        if len(group) == self._of_rack[rack]:
            return f"rack {rack} at once"
        return f"{len(group)} of the {self._of_rack[rack]} brokers of rack {rack} together"

    def _why_not_more(self, group: Sequence[int]) -> str:
        others = len(self._conflicts.nodes) - len(group)
        shut_out = self._shut_out(group)
        if not others or shut_out < others:
            return ""
        return f", and each of the {others} others would take one too many from some partition"

    def _shut_out(self, group: Sequence[int]) -> int:
        """How many others may not be down together with some broker of the group."""
        mine = [self._position[node] for node in group]
        found = 0
        for at in mine:
            found |= self._conflicts.pairs[at]
        return (found & ~bitset(mine)).bit_count()

    def _alone(self, node: int, example: SparedPartition | None) -> str:
        others = len(self._conflicts.nodes) - 1
        shut_out = self._shut_out([node])
        if not others:
            return "the only plain broker"
        if example is None or not shut_out:
            return "alone: nobody who is left may be down together with it"
        shared = (
            f"{example.name} can spare one of {_named(example.members)}, and such partitions are"
            " shared with"
        )
        if shut_out == others:
            many = "the other broker" if others == 1 else f"each of the {others} other brokers"
            return f"only one at a time is safe: {shared} {many}"
        return f"alone: {shared} {shut_out} of {others} others; the rest is in other steps"


def _examples(
    snapshot: ClusterSnapshot,
    nodes: Iterable[int],
    conflicts: Conflicts,
    acknowledged: Acknowledgements,
) -> Mapping[int, SparedPartition]:
    """For each of these nodes a partition that keeps it from going with others."""
    pairs = dict(zip(conflicts.nodes, conflicts.pairs, strict=True))
    missing = {node for node in nodes if pairs[node]}
    plain = frozenset(conflicts.nodes)
    return dict(_found(spared_partitions(snapshot, acknowledged, spare=1), missing, plain))


def _found(
    partitions: Iterable[SparedPartition], missing: set[int], plain: frozenset[int]
) -> Iterator[tuple[int, SparedPartition]]:
    if not missing:
        return
    for partition in partitions:
        new = missing.intersection(partition.members)
        # One that is shared with controllers only is no example.
        if new and len(plain.intersection(partition.members)) > 1:
            for node in sorted(new):
                yield node, partition
            missing -= new
            if not missing:
                return


def _named(nodes: Sequence[int]) -> str:
    shown = ", ".join(map(str, nodes[:_MOST_NAMED]))
    more = len(nodes) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
