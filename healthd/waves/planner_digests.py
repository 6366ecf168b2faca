"""What a plan remembers of every node, so that a stale one can say what has changed.

The fingerprint says that something differs; these say whose replicas. They are no proof: 64 bits
without a secret, made to be computed for 400,000 partitions in a fraction of a second.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Any, Final

from healthd.model.snapshot import ClusterSnapshot, Topic
from healthd.model.words import Role

_BITS: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMark:
    """One node as a plan saw it."""

    node: int
    rack: str | None
    roles: frozenset[Role] | None
    replicas: int
    """How many replicas it has."""
    digest: str
    """Of the partitions that it has replicas of, and their min.insync.replicas."""

    def as_json(self) -> dict[str, Any]:
        """Its form in a plan."""
        return {
            "id": self.node,
            "rack": self.rack,
            "roles": None if self.roles is None else sorted(role.value for role in self.roles),
            "replicas": self.replicas,
            "digest": self.digest,
        }


def node_marks(snapshot: ClusterSnapshot) -> tuple[NodeMark, ...]:
    """Every node of a snapshot, by rising id."""
    digests = _digests(snapshot)
    replicas = Counter(chain.from_iterable(chain.from_iterable(_rows(snapshot))))
    return tuple(
        NodeMark(
            node=broker.id,
            rack=broker.rack,
            roles=broker.roles,
            replicas=replicas[broker.id],
            digest=f"{digests.get(broker.id, 0) & _BITS:016x}",
        )
        for broker in sorted(snapshot.brokers, key=lambda broker: broker.id)
    )


def _rows(snapshot: ClusterSnapshot) -> tuple[tuple[tuple[int, ...], ...], ...]:
    return tuple(topic.replicas for topic in snapshot.topics)


def _digests(snapshot: ClusterSnapshot) -> Mapping[int, int]:
    """For each node the sum of a number for each partition that it has a replica of.

    A sum does not depend on the order, and a partition that goes or comes changes it.
    """
    totals: dict[int, int] = defaultdict(int)
    of_id = _Numbers()
    for topic in snapshot.topics:
        own = _number(repr((topic.name, topic.min_insync_replicas)))
        for partition, replicas in zip(topic.ids, topic.replicas, strict=True):
            number = own ^ of_id[partition]
            for node in replicas:
                totals[node] += number
        _add_moves(totals, topic)
    return totals


def _add_moves(totals: dict[int, int], topic: Topic) -> None:
    """Add what is being added or removed: it is part of the fingerprint, too."""
    for kind, moving in (("adding", topic.adding), ("removing", topic.removing)):
        for at, nodes in moving.items():
            number = _number(repr((kind, topic.name, topic.ids[at])))
            for node in nodes:
                totals[node] += number


class _Numbers(dict[int, int]):
    """A number for each partition id, made when it is first asked for."""

    def __missing__(self, partition: int) -> int:
        found = self[partition] = _number(f"partition {partition}")
        return found


def _number(text: str) -> int:
    # What is no valid Unicode never gets into a snapshot.
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
