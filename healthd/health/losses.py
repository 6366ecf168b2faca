"""What this cluster can lose: which single brokers, racks and controllers could go now.

The question is ok-to-stop's, asked of every node and rack at once and answered in codes: would it
take partitions under min.insync.replicas, and would the quorum survive. What is broken already is
nobody's loss to come.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from healthd.health.racks import rack_codes
from healthd.model.codes import ReasonCode
from healthd.model.snapshot import ClusterSnapshot, remembered
from healthd.model.words import EvidenceGroup
from healthd.safety.acknowledgements import NONE
from healthd.safety.partitions import BrokerSets, breaking_counts
from healthd.safety.quorum import quorum_blockers
from healthd.safety.replication import serving_brokers

_BREAKS: Final = frozenset({
    ReasonCode.RF_ONE, ReasonCode.RF_LE_MIN_ISR, ReasonCode.WOULD_GO_UNDER_MIN_ISR,
    ReasonCode.QUORUM_WITHOUT_SPARE, ReasonCode.WOULD_LOSE_QUORUM,
})  # fmt: skip
_UNKNOWN: Final = frozenset({
    ReasonCode.MIN_ISR_UNKNOWN, ReasonCode.QUORUM_UNKNOWN, ReasonCode.EVIDENCE_STALE,
})  # fmt: skip


class LossKind(StrEnum):
    """What could be lost."""

    BROKER = "broker"
    RACK = "rack"
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What the loss of one node or rack would break."""

    kind: LossKind
    name: str
    breaks: tuple[ReasonCode, ...] = ()
    """What would happen to partitions or to the quorum; empty: nothing."""
    partitions: int | None = None
    """How many partitions it would break; None: not counted."""

    @property
    def is_tolerated(self) -> bool | None:
        """Whether it could go without taking anything under min ISR; None: not known."""
        if not _BREAKS.isdisjoint(self.breaks):
            return False
        return None if self.breaks else True

    def as_json(self) -> dict[str, Any]:
        """The form of the API."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "tolerated": self.is_tolerated,
            "breaks": [code.value for code in self.breaks],
            "partitions": self.partitions,
        }


def losses(snapshot: ClusterSnapshot) -> tuple[Loss, ...]:
    """The loss of every broker that is up, every rack and every voter, in natural order.

    healthd's own topic and topics being deleted are left out. One pass over the assignment for the
    brokers; of the partitions that lie alike over the racks one is asked for all. While metadata
    or the quorum's state is stale nothing is known.
    """
    found = (*_brokers(snapshot), *_racks(snapshot), *_controllers(snapshot))
    ages = [snapshot.age(group) for group in (EvidenceGroup.METADATA, EvidenceGroup.QUORUM)]
    if any(age is not None and age > snapshot.fresh_limit_seconds for age in ages):
        return tuple(
            Loss(kind=loss.kind, name=loss.name, breaks=(ReasonCode.EVIDENCE_STALE,))
            for loss in found
        )
    return found


def _brokers(snapshot: ClusterSnapshot) -> Iterable[Loss]:
    up = [node.id for node in snapshot.brokers if not node.is_down and not node.is_pure_controller]
    sets = BrokerSets.of(snapshot, [frozenset({node}) for node in up])
    counts = remembered(
        snapshot.topics,
        "partitions that the loss of a broker breaks",
        (tuple(up), sets, serving_brokers(snapshot)),
        lambda: breaking_counts(snapshot, sets, _BREAKS | _UNKNOWN),
    )
    for at, node in enumerate(up):
        found: Mapping[ReasonCode, int] = counts.get(at, {})
        yield Loss(
            kind=LossKind.BROKER,
            name=str(node),
            breaks=_codes([*found, *_quorum(snapshot, {node})]),
            partitions=sum(many for code, many in found.items() if code in _BREAKS),
        )


def _racks(snapshot: ClusterSnapshot) -> Iterable[Loss]:
    is_unknown = remembered(
        snapshot.topics,
        "whether a min.insync.replicas is unknown",
        None,
        lambda: any(
            topic.min_insync_replicas is None and len(topic) and topic.excluded is None
            for topic in snapshot.topics
        ),
    )
    for rack, codes in rack_codes(snapshot).items():
        found = [*codes, ReasonCode.MIN_ISR_UNKNOWN] if is_unknown else list(codes)
        yield Loss(kind=LossKind.RACK, name=rack, breaks=_codes(found))


def _controllers(snapshot: ClusterSnapshot) -> Iterable[Loss]:
    quorum = snapshot.quorum
    listed = snapshot.brokers_by_id
    # In ZooKeeper mode the voters are another kind of server, in no list of brokers.
    for voter in sorted(voter.id for voter in (() if quorum is None else quorum.voters)):
        if voter in listed:
            yield Loss(
                kind=LossKind.CONTROLLER,
                name=str(voter),
                breaks=_codes(_quorum(snapshot, {voter})),
            )


def _quorum(snapshot: ClusterSnapshot, nodes: set[int]) -> list[ReasonCode]:
    return [reason.code for reason in quorum_blockers(snapshot, nodes, NONE)]


def _codes(found: Collection[ReasonCode]) -> tuple[ReasonCode, ...]:
    return tuple(sorted({code for code in found if code in _BREAKS | _UNKNOWN}))
