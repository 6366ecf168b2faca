"""What would break if exactly these brokers stopped now (restart-safety.md section 1).

Blockers are in the order of `ReasonCode`, and of one code in natural order of their objects.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from healthd.model.codes import ReasonCode, reason_order
from healthd.model.order import natural_key
from healthd.model.reason import Reason, in_order
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import BrokerState
from healthd.safety.acknowledgements import NONE, Acknowledgements
from healthd.safety.partitions import BrokerSets, partition_blockers
from healthd.safety.quorum import controller_absent, is_controller_absent, quorum_blockers

_MOST_NAMED = 20
"""Ids that an error names; a cluster may have 1,500."""


class UnknownBroker(LookupError):  # noqa: N818 - reads as what it says
    """Ids were named that the snapshot's brokers do not have."""

    def __init__(self, ids: Iterable[int], snapshot: ClusterSnapshot) -> None:
        self.ids = tuple(sorted(ids))
        named = ", ".join(map(str, self.ids))
        known = sorted(snapshot.brokers_by_id)
        shown = ", ".join(map(str, known[:_MOST_NAMED])) or "none"
        more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
        super().__init__(f"unknown broker {named}: {snapshot.cluster} has {shown}{more}")


def ok_to_stop(
    snapshot: ClusterSnapshot,
    brokers: Collection[int],
    *,
    acknowledged: Acknowledgements = NONE,
    include_excluded: bool = True,
    claimed: Iterable[int] | None = None,
) -> tuple[Reason, ...]:
    """The blockers against stopping these nodes, together; empty when they may stop.

    Args:
        snapshot: what is known of the cluster.
        brokers: ids of nodes that the snapshot lists.
        acknowledged: what a person accepts.
        include_excluded: whether healthd's own topic and topics being deleted count.
        claimed: the node id of each host in the inventory; None when no inventory is at hand.

    Raises:
        UnknownBroker: an id is not listed in the snapshot.
    """
    known = require_known(snapshot, brokers)
    (blockers,) = _blockers(snapshot, [known], acknowledged, include_excluded=include_excluded)
    if claimed is None:
        return blockers
    return in_order((*blockers, *_identities(known, list(claimed))))


def each_broker(
    snapshot: ClusterSnapshot,
    *,
    acknowledged: Acknowledgements = NONE,
    include_excluded: bool = True,
) -> Mapping[int, tuple[Reason, ...]]:
    """The blockers of every single node, pure controllers included, by rising id."""
    nodes = sorted(snapshot.brokers_by_id)
    found = _blockers(
        snapshot,
        [frozenset({node}) for node in nodes],
        acknowledged,
        include_excluded=include_excluded,
    )
    return dict(zip(nodes, found, strict=True))


def each_set(
    snapshot: ClusterSnapshot,
    sets: Sequence[Collection[int]],
    *,
    acknowledged: Acknowledgements = NONE,
) -> tuple[tuple[Reason, ...], ...]:
    """The blockers of each of these sets as a whole, in their order.

    Raises:
        UnknownBroker: an id is not listed in the snapshot.
    """
    known = [require_known(snapshot, brokers) for brokers in sets]
    return tuple(_blockers(snapshot, known, acknowledged, include_excluded=True))


def each_rack(
    snapshot: ClusterSnapshot,
    *,
    acknowledged: Acknowledgements = NONE,
    include_excluded: bool = True,
) -> Mapping[str, tuple[Reason, ...]]:
    """The blockers of every rack as a whole, in natural order; who has no rack is in none."""
    racks = _racks(snapshot)
    found = _blockers(
        snapshot, list(racks.values()), acknowledged, include_excluded=include_excluded
    )
    return dict(zip(racks, found, strict=True))


def rack_blockers(
    snapshot: ClusterSnapshot, *, include_excluded: bool = True
) -> Mapping[str, tuple[Reason, ...]]:
    """The blockers of every rack when nothing is acknowledged."""
    return each_rack(snapshot, include_excluded=include_excluded)


def require_known(snapshot: ClusterSnapshot, brokers: Collection[int]) -> frozenset[int]:
    """The ids as a set.

    Raises:
        UnknownBroker: an id is not listed in the snapshot.
    """
    ids = frozenset(brokers)
    unknown = ids - snapshot.brokers_by_id.keys()
    if unknown:
        raise UnknownBroker(unknown, snapshot)
    return ids


def _blockers(
    snapshot: ClusterSnapshot,
    members: Sequence[frozenset[int]],
    acknowledged: Acknowledgements,
    *,
    include_excluded: bool,
) -> list[tuple[Reason, ...]]:
    """The blockers of each set by itself."""
    sets = BrokerSets.of(snapshot, members)
    partitions = partition_blockers(snapshot, sets, acknowledged, include_excluded=include_excluded)
    return [
        _merged(found, _others(snapshot, brokers, acknowledged))
        for brokers, found in zip(members, partitions, strict=True)
    ]


def _racks(snapshot: ClusterSnapshot) -> dict[str, frozenset[int]]:
    racks: dict[str, set[int]] = {}
    for broker in snapshot.brokers:
        if broker.rack is not None:
            racks.setdefault(broker.rack, set()).add(broker.id)
    return {name: frozenset(racks[name]) for name in sorted(racks, key=natural_key)}


def _merged(partitions: list[Reason], others: Iterable[Reason]) -> tuple[Reason, ...]:
    # Partitions come in natural order already, and share no code with the rest: a stable sort by
    # code is `in_order` of all without splitting 100,000 names again.
    return tuple(
        sorted((*partitions, *in_order(others)), key=lambda reason: reason_order(reason.code))
    )


def _others(
    snapshot: ClusterSnapshot, brokers: frozenset[int], acknowledged: Acknowledgements
) -> Iterator[Reason]:
    """What controllers and the nodes themselves have against it."""
    nodes = [snapshot.brokers_by_id[node] for node in brokers]
    if is_controller_absent(snapshot) and any(
        not node.is_down and not node.is_pure_controller for node in nodes
    ):
        yield controller_absent(snapshot)
    yield from quorum_blockers(snapshot, brokers, acknowledged)
    for node in nodes:
        if node.state is BrokerState.RECOVERY:
            yield Reason(
                code=ReasonCode.BROKER_RECOVERING,
                object=f"broker:{node.id}",
                detail="it is recovering its logs: a stop would make it begin again",
            )


def _identities(brokers: Iterable[int], claimed: list[int]) -> Iterator[Reason]:
    for node in brokers:
        hosts = claimed.count(node)
        if hosts != 1:
            many = "no host" if hosts == 0 else f"{hosts} hosts"
            yield Reason(
                code=ReasonCode.IDENTITY,
                object=f"broker:{node}",
                detail=f"{many} of the inventory have this id: nobody knows what would be stopped",
            )
