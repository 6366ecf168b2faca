"""Kafka's metadata objects into columns: each object is looked at once and then dropped.

A cluster may have 100,000 partitions and is read every few seconds, so this loop is the hot path:
equal replica lists share one tuple, a partition in sync has one tuple for both lists, and a topic
that has not changed is the very object of the sweep before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from healthd.collect.observation import Address, MetadataSeen, PartitionKey
from healthd.model.snapshot import Topic, shared_isr

LISTENER_NOT_FOUND: Final = 72
"""Kafka's error code for a leader without a listener of the kind that the client is on."""

NAMED: Final = 5
"""So many partitions are named in a message."""

Ids = tuple[int, ...]


@dataclass(slots=True)
class Interned:
    """Tuples that partitions share; kept between sweeps and thrown away when it has grown."""

    tuples: dict[Ids, Ids] = field(default_factory=dict)
    ranges: dict[int, Ids] = field(default_factory=dict)
    limit: int = 200_000

    def trim(self) -> None:
        """Forget everything when assignments have come and gone for long enough."""
        if len(self.tuples) > self.limit:
            self.tuples.clear()


def metadata_seen(metadata: Any, previous: Mapping[str, Topic], interned: Interned) -> MetadataSeen:
    """One answer of ``AdminClient.list_topics`` in columns.

    Args:
        metadata: A ``confluent_kafka.admin.ClusterMetadata`` or anything of the same shape.
        previous: The topics of the sweep before by name; unchanged ones are used again.
        interned: Tuples to share, owned by the caller.
    """
    interned.trim()
    topics: list[Topic] = []
    hidden: list[PartitionKey] = []
    missing = count = 0
    for name, found in sorted(metadata.topics.items()):
        partitions = found.partitions
        if not partitions:
            # A topic that is being created, or that only its error is known of.
            continue
        topic, errors = _topic(name, partitions, previous.get(name), interned)
        topics.append(topic)
        count += len(topic.ids)
        if errors:
            lost = [at for at, code in errors.items() if code == LISTENER_NOT_FOUND]
            missing += len(lost)
            hidden.extend((name, at) for at in lost[: NAMED - len(hidden)])
    brokers = {
        broker.id: Address(host=broker.host, port=broker.port)
        for broker in metadata.brokers.values()
    }
    return MetadataSeen(
        answered_by=_origin(metadata, brokers),
        brokers=brokers,
        topics=tuple(topics),
        partition_count=count,
        hidden_listeners=tuple(hidden),
        listeners_missing=missing,
        controller=metadata.controller_id,
        cluster_id=metadata.cluster_id or None,
    )


def _origin(metadata: Any, brokers: Mapping[int, Address]) -> int:
    """The id of the broker that answered; -1 when only a bootstrap address is known of it."""
    if metadata.orig_broker_id >= 0:
        return int(metadata.orig_broker_id)
    address = (metadata.orig_broker_name or "").partition("/")[0]
    for node, found in brokers.items():
        if address == f"{found.host}:{found.port}":
            return node
    return -1


def _topic(
    name: str, partitions: Mapping[int, Any], previous: Topic | None, interned: Interned
) -> tuple[Topic, dict[int, int]]:
    ids = interned.ranges.get(len(partitions))
    if ids is None:
        ids = interned.ranges.setdefault(len(partitions), tuple(range(len(partitions))))
    own = tuple(partitions)
    rows = list(partitions.values())
    if own != ids:
        ids = tuple(sorted(own))
        rows = [partitions[at] for at in ids]
    share = interned.tuples.setdefault
    leaders = tuple([row.leader for row in rows])
    errors = {row.id: row.error.code() for row in rows if row.error is not None}
    replicas, isrs = _assignments(rows, share)
    if (
        previous is not None
        and previous.leaders == leaders
        and previous.isrs == isrs
        and previous.replicas == replicas
        and previous.ids == ids
    ):
        return previous, errors
    return (
        Topic(
            name=name,
            min_insync_replicas=None if previous is None else previous.min_insync_replicas,
            excluded=None if previous is None else previous.excluded,
            ids=ids,
            leaders=leaders,
            replicas=replicas,
            isrs=isrs,
        ),
        errors,
    )


def _assignments(
    rows: list[Any], share: Callable[[Ids, Ids], Ids]
) -> tuple[tuple[Ids, ...], tuple[Ids, ...]]:
    replicas: list[Ids] = []
    isrs: list[Ids] = []
    for row in rows:
        assigned, in_sync = row.replicas, row.isrs
        wanted = tuple(assigned)
        wanted = share(wanted, wanted)
        replicas.append(wanted)
        if assigned == in_sync:
            isrs.append(wanted)
        else:
            isr = shared_isr(wanted, tuple(in_sync))
            isrs.append(isr if isr is wanted else share(isr, isr))
    return tuple(replicas), tuple(isrs)
