"""The snapshot that ``kcat -L -J`` gives: metadata and nothing else.

Whoever has kcat can ask ok-to-stop and plan before installing anything. min.insync.replicas and
the quorum are unknown there, and unknown blocks.
"""

from datetime import UTC, datetime
from typing import Any

from healthd.model import json_reader as read
from healthd.model.json_reader import member, refuse
from healthd.model.snapshot import Broker, ClusterSnapshot, Partition, Topic
from healthd.model.words import EvidenceGroup


def is_kcat(value: Any) -> bool:
    """Whether a JSON value is what ``kcat -L -J`` prints, and no snapshot."""
    return isinstance(value, dict) and "originating_broker" in value and "apiVersion" not in value


def kcat_snapshot(value: Any, *, is_min_isr_assumed: bool = False) -> ClusterSnapshot:
    """The snapshot of a kcat listing; `observed_at` is the epoch, for kcat names no time.

    Args:
        value: what kcat printed.
        is_min_isr_assumed: somebody says what min.insync.replicas is, so the topics' configs,
            which kcat does not read, are not asked for.

    Raises:
        InputError: with the path of the first thing that is wrong.
    """
    found = _object(value, "")
    _refuse_part(found.get("query"))
    origin = _object(read.required(found, "originating_broker", ""), "originating_broker")
    brokers = [
        _broker(row, f"brokers[{at}]")
        for at, row in enumerate(read.a_list(read.required(found, "brokers", ""), "brokers"))
    ]
    read.unique([broker.id for broker in brokers], lambda at: f"brokers[{at}].id")
    topics = [
        _topic(row, f"topics[{at}]")
        for at, row in enumerate(read.a_list(read.required(found, "topics", ""), "topics"))
    ]
    read.unique([topic.name for topic in topics], lambda at: f"topics[{at}].topic")
    never_seen = [EvidenceGroup.QUORUM]
    if not is_min_isr_assumed:
        never_seen.insert(0, EvidenceGroup.CONFIGS)
    return ClusterSnapshot(
        cluster=read.a_text(
            read.required(origin, "name", "originating_broker"), "originating_broker.name"
        ),
        observed_at=datetime.fromtimestamp(0, UTC),
        brokers=tuple(brokers),
        topics=tuple(topics),
        ages={EvidenceGroup.METADATA: 0.0, **dict.fromkeys(never_seen)},
    )


def _refuse_part(query: Any) -> None:
    # `kcat -t` leaves every other topic out; nothing may be called safe from a part.
    topic = query.get("topic") if isinstance(query, dict) else None
    if isinstance(topic, str) and topic != "*":
        refuse("query.topic", f"only topic {topic} is listed; run kcat -L -J without -t")


def _object(value: Any, path: str) -> dict[str, Any]:
    # kcat may add fields of its own; only what is read here is checked.
    if not isinstance(value, dict):
        refuse(path, f"must be an object, not {read.kind_of(value)}")
    return value


def _broker(value: Any, at: str) -> Broker:
    found = _object(value, at)
    name = found.get("name")
    return Broker(
        id=read.an_id(read.required(found, "id", at), member(at, "id")),
        alive=True,
        host=None if name is None else read.a_text(name, member(at, "name")),
    )


def _topic(value: Any, at: str) -> Topic:
    found = _object(value, at)
    name = read.a_text(read.required(found, "topic", at), member(at, "topic"))
    path = member(at, "partitions")
    rows = read.a_list(read.required(found, "partitions", at), path)
    if not rows and found.get("error"):
        refuse(member(at, "error"), f"the listing lacks this topic's partitions: {found['error']}")
    partitions = [_partition(row, f"{path}[{position}]") for position, row in enumerate(rows)]
    read.unique([row.id for row in partitions], lambda at: f"{path}[{at}].partition")
    return Topic.of(name, partitions)


def _partition(value: Any, at: str) -> Partition:
    found = _object(value, at)
    return Partition(
        id=read.an_id(read.required(found, "partition", at), member(at, "partition")),
        leader=read.an_id(read.required(found, "leader", at), member(at, "leader"), -1),
        replicas=_ids(found, "replicas", at),
        isr=_ids(found, "isrs", at),
    )


def _ids(found: dict[str, Any], key: str, at: str) -> tuple[int, ...]:
    path = member(at, key)
    ids = []
    for position, row in enumerate(read.a_list(read.required(found, key, at), path)):
        where = f"{path}[{position}]"
        node = _object(row, where)
        ids.append(read.an_id(read.required(node, "id", where), member(where, "id")))
    read.unique(ids, lambda position: f"{path}[{position}].id")
    return tuple(ids)
