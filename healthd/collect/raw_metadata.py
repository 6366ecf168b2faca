"""The bytes of a Metadata answer into columns; what has not changed is not looked at.

Between two refreshes of a quiet cluster the answer is the same to the byte, but for the throttle
time and the controller's id at its head (tried: across refreshes and across brokers). So the bytes
are compared first: when all are the same, the very objects of the last time are given again; else
each topic whose own bytes are the same keeps its object, and only the others are decoded.

The layout is that of MetadataResponse versions 9 to 13 (Kafka's MetadataResponse.json). What
librdkafka makes of the same answer is the oracle in the tests.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import is_
from typing import Final

from healthd.collect.compact_encoding import (
    ONE_BYTE,
    DecodeError,
    after_tags,
    length_at,
    string_at,
)
from healthd.collect.metadata import LISTENER_NOT_FOUND, NAMED, Ids, Interned
from healthd.collect.observation import Address, MetadataSeen, PartitionKey
from healthd.collect.raw_request import RawMetadata
from healthd.model.snapshot import Topic, shared_isr

_WITH_TOPIC_ID: Final = 10
_WITH_CLUSTER_RIGHTS: Final = range(8, 11)
_WITH_ERROR: Final = 13

_INT16: Final = struct.Struct(">h")
_INT32: Final = struct.Struct(">i")


@dataclass(slots=True)
class _Kept:
    """One topic of the last answer."""

    start: int
    end: int
    """Where its bytes are in the tail."""
    topic: Topic | None
    """None: it has no partitions."""
    lost: Ids
    """Partitions whose leader has no listener of our kind."""


@dataclass(slots=True)
class _Rows:
    """The partitions of one topic, column by column."""

    errors: Iterable[int]
    ids: Ids
    leaders: Ids
    replicas: list[Ids]
    isrs: list[Ids]


class MetadataDecoder:
    """Decodes the answers of one cluster, and remembers the last one."""

    def __init__(self) -> None:
        self._interned = Interned()
        self._version = 0
        self._tail = b""
        self._kept: dict[bytes, _Kept] = {}
        self._brokers_bytes = b""
        self._brokers: Mapping[int, Address] = {}
        self._previous: Mapping[str, Topic] | None = None
        self._seen: MetadataSeen | None = None
        self.decoded = 0
        """How many topics have been decoded since the beginning."""

    def decode(
        self, raw: RawMetadata, previous: Mapping[str, Topic], answered_by: int
    ) -> MetadataSeen:
        """One answer in columns.

        Args:
            raw: The answer.
            previous: The topics of the sweep before by name; unchanged ones are used again.
            answered_by: The broker that was asked.

        Raises:
            DecodeError: the bytes are cut off, or mean something else.
        """
        try:
            return self._decode(raw, previous, answered_by)
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise DecodeError(f"{raw!r}: {error}") from None

    def _decode(
        self, raw: RawMetadata, previous: Mapping[str, Topic], answered_by: int
    ) -> MetadataSeen:
        brokers, cluster_id, at = self._head(raw.body)
        # In KRaft that of any broker.
        (controller,) = _INT32.unpack_from(raw.body, at - _INT32.size)
        tail = raw.body
        is_same = (
            raw.version == self._version
            and len(tail) - at == len(self._tail)
            and tail.endswith(self._tail)
        )
        seen = self._seen
        if seen is None or not is_same:
            tail = tail[at:]
            kept = self._read_topics(tail, raw.version)
            self._tail, self._version, self._kept = tail, raw.version, kept
        if seen is None or not is_same or previous is not self._previous:
            seen = self._joined(previous, answered_by, brokers)
        self._previous = previous
        if seen.cluster_id != cluster_id:
            seen = replace(seen, cluster_id=cluster_id)
        self._seen = _answered(seen, answered_by, brokers, controller)
        return self._seen

    def _head(self, body: bytes) -> tuple[Mapping[int, Address], str | None, int]:
        """The brokers, the cluster's id, and where the topics begin."""
        start = _INT32.size
        if self._brokers_bytes and body.startswith(self._brokers_bytes, start):
            brokers, at = self._brokers, start + len(self._brokers_bytes)
        else:
            brokers, at = _brokers(body, start)
            self._brokers, self._brokers_bytes = brokers, body[start:at]
        cluster_id, at = string_at(body, at)
        # The controller's id follows.
        return brokers, (cluster_id or b"").decode() or None, at + _INT32.size

    def _read_topics(self, tail: bytes, version: int) -> dict[bytes, _Kept]:
        self._interned.trim()
        old_tail = self._tail
        # Topic ids came in version 10: bytes of another version cannot be compared.
        old = self._kept if version == self._version else {}
        name_at = _INT16.size
        found: dict[bytes, _Kept] = {}
        count, at = length_at(tail, 0)
        for _ in range(count):
            start = at
            name, at = string_at(tail, start + name_at)
            kept = None if name is None else old.get(name)
            if kept is not None and tail.startswith(old_tail[kept.start : kept.end], start):
                # A topic's encoding ends by its own word, so equal bytes are the whole topic.
                at = start + kept.end - kept.start
                new = _Kept(start, at, kept.topic, kept.lost)
            else:
                topic, lost, at = self._topic(tail, at, version, name or b"")
                new = _Kept(start, at, topic, lost)
            if name is not None:
                found[name] = new
        if version in _WITH_CLUSTER_RIGHTS:
            at += _INT32.size
        if version >= _WITH_ERROR:
            (error,) = _INT16.unpack_from(tail, at)
            at += _INT16.size
            if error:
                raise DecodeError(f"the answer holds error code {error} and no metadata")
        if after_tags(tail, at) != len(tail):
            raise DecodeError(f"{len(tail)} bytes of topics end at {at}")
        return found

    def _topic(
        self, tail: bytes, at: int, version: int, name: bytes
    ) -> tuple[Topic | None, Ids, int]:
        """One topic from behind its name, its hidden partitions, and where it ends."""
        at += 16 + 1 if version >= _WITH_TOPIC_ID else 1
        count, at = length_at(tail, at)
        rows: _Rows | None = None
        if count:
            rows, at = _partitions(tail, at, count)
        # The rights on the topic, which were not asked for.
        at = after_tags(tail, at + _INT32.size)
        if rows is None:
            return None, (), at
        topic = self._built(name.decode(), rows)
        self.decoded += 1
        lost = tuple(
            node
            for error, node in zip(rows.errors, rows.ids, strict=True)
            if error == LISTENER_NOT_FOUND
        )
        return topic, lost, at

    def _built(self, name: str, rows: _Rows) -> Topic:
        share = self._interned.tuples.setdefault
        count = len(rows.ids)
        ids = self._interned.ranges.setdefault(count, tuple(range(count)))
        if rows.ids != ids:
            order = sorted(range(count), key=rows.ids.__getitem__)
            rows = _Rows(
                errors=tuple(map(tuple(rows.errors).__getitem__, order)),
                ids=tuple(map(rows.ids.__getitem__, order)),
                leaders=tuple(map(rows.leaders.__getitem__, order)),
                replicas=list(map(rows.replicas.__getitem__, order)),
                isrs=list(map(rows.isrs.__getitem__, order)),
            )
            if len(set(rows.ids)) < count:
                raise DecodeError(f"topic {name} has a partition twice")
            ids = rows.ids
        replicas = tuple(map(share, rows.replicas, rows.replicas))
        isrs = replicas
        if rows.isrs != rows.replicas:
            isrs = tuple(map(self._isr, replicas, rows.isrs))
        return Topic(name=name, ids=ids, leaders=rows.leaders, replicas=replicas, isrs=isrs)

    def _isr(self, replicas: Ids, isr: Ids) -> Ids:
        if isr == replicas:
            return replicas
        found = shared_isr(replicas, isr)
        return found if found is replicas else self._interned.tuples.setdefault(found, found)

    def _joined(
        self, previous: Mapping[str, Topic], answered_by: int, brokers: Mapping[int, Address]
    ) -> MetadataSeen:
        """The kept topics as the objects that the collector has of them, where they are equal."""
        topics: list[Topic] = []
        hidden: list[PartitionKey] = []
        missing = count = 0
        for kept in self._kept.values():
            if kept.topic is None:
                continue
            kept.topic = topic = _known(kept.topic, previous.get(kept.topic.name))
            topics.append(topic)
            count += len(topic.ids)
            if kept.lost:
                missing += len(kept.lost)
                hidden.extend((topic.name, at) for at in kept.lost)
        topics.sort(key=_name)
        found = tuple(topics)
        last = () if self._seen is None else self._seen.topics
        if len(last) == len(found) and all(map(is_, last, found)):
            found = last
        return MetadataSeen(
            answered_by=answered_by,
            brokers=brokers,
            topics=found,
            partition_count=count,
            hidden_listeners=_first(hidden),
            listeners_missing=missing,
        )


def _answered(
    seen: MetadataSeen, node: int, brokers: Mapping[int, Address], controller: int
) -> MetadataSeen:
    if (seen.answered_by, seen.controller) == (node, controller) and seen.brokers is brokers:
        return seen
    return replace(seen, answered_by=node, brokers=brokers, controller=controller)


def _first(hidden: list[PartitionKey]) -> tuple[PartitionKey, ...]:
    return tuple(sorted(hidden)[:NAMED])


def _name(topic: Topic) -> str:
    return topic.name


def _known(topic: Topic, previous: Topic | None) -> Topic:
    """The collector's own object of an unchanged topic; a changed one with what configs told."""
    if previous is None or previous is topic:
        return topic
    if (
        _equal(previous.leaders, topic.leaders)
        and _equal(previous.isrs, topic.isrs)
        and _equal(previous.replicas, topic.replicas)
        and _equal(previous.ids, topic.ids)
    ):
        return previous
    known = previous.min_insync_replicas, previous.excluded
    if known != (topic.min_insync_replicas, topic.excluded):
        topic = replace(topic, min_insync_replicas=known[0], excluded=known[1])
    return topic.knowing(previous) if _equal(previous.replicas, topic.replicas) else topic


def _equal(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return one is other or one == other


def _partitions(tail: bytes, at: int, count: int) -> tuple[_Rows, int]:
    """So many partitions; nearly always all have as many replicas and are in sync."""
    shape = _shape(tail, at)
    if shape is not None:
        form, replicas, isr = shape
        end = at + count * form.size
        if end <= len(tail):
            columns = tuple(zip(*form.iter_unpack(memoryview(tail)[at:end]), strict=True))
            if _is_uniform(columns, replicas, isr):
                first_isr = 6 + replicas
                return _Rows(
                    errors=columns[0],
                    ids=columns[1],
                    leaders=columns[2],
                    replicas=_transposed(columns[5 : 5 + replicas], count),
                    isrs=_transposed(columns[first_isr : first_isr + isr], count),
                ), end
    return _each_partition(tail, at, count)


def _transposed(columns: tuple[Ids, ...], count: int) -> list[Ids]:
    return list(zip(*columns, strict=True)) if columns else [()] * count


def _is_uniform(columns: tuple[Ids, ...], replicas: int, isr: int) -> bool:
    """Whether every row has the lengths of the first, and no tagged field."""
    count = len(columns[0])
    offline = len(columns) - 8 - replicas - isr
    return (
        columns[4].count(replicas + 1) == count
        and columns[5 + replicas].count(isr + 1) == count
        and columns[6 + replicas + isr].count(offline + 1) == count
        and columns[-1].count(0) == count
    )


def _shape(tail: bytes, at: int) -> tuple[struct.Struct, int, int] | None:
    """How one partition lies in memory, its replicas and ISR; None when it is unusual."""
    replicas = tail[at + 14]
    if not 0 < replicas < ONE_BYTE:
        return None
    isr = tail[at + 11 + 4 * replicas]
    if not 0 < isr < ONE_BYTE:
        return None
    offline = tail[at + 8 + 4 * (replicas + isr)]
    if not 0 < offline < ONE_BYTE:
        return None
    return _form(replicas - 1, isr - 1, offline - 1), replicas - 1, isr - 1


@lru_cache(maxsize=1024)
def _form(replicas: int, isr: int, offline: int) -> struct.Struct:
    # Error, id, leader, leader epoch; three lists, each behind its length; the tags.
    return struct.Struct(f">hiiiB{replicas}iB{isr}iB{offline}iB")


def _each_partition(tail: bytes, at: int, count: int) -> tuple[_Rows, int]:
    """Partitions one by one, as it is when some are not like the others."""
    errors, ids, leaders = [], [], []
    all_replicas, isrs = [], []
    for _ in range(count):
        shape = _shape(tail, at)
        fields = None if shape is None else shape[0].unpack_from(tail, at)
        if shape is None or fields is None or fields[-1]:
            fields, replicas, isr, at = _odd_partition(tail, at)
        else:
            form, many, in_sync = shape
            replicas, isr = fields[5 : 5 + many], fields[6 + many : 6 + many + in_sync]
            at += form.size
        errors.append(fields[0])
        ids.append(fields[1])
        leaders.append(fields[2])
        all_replicas.append(replicas)
        isrs.append(isr)
    rows = _Rows(
        errors=errors, ids=tuple(ids), leaders=tuple(leaders), replicas=all_replicas, isrs=isrs
    )
    return rows, at


def _odd_partition(tail: bytes, at: int) -> tuple[tuple[int, ...], Ids, Ids, int]:
    """A partition with long lists or tagged fields: head, replicas, ISR, and where it ends."""
    fields = struct.unpack_from(">hiii", tail, at)
    replicas, at = _ids(tail, at + 14)
    isr, at = _ids(tail, at)
    _, at = _ids(tail, at)
    return fields, replicas, isr, after_tags(tail, at)


def _ids(body: bytes, at: int) -> tuple[Ids, int]:
    count, at = length_at(body, at)
    return struct.unpack_from(f">{count}i", body, at), at + 4 * count


def _brokers(body: bytes, at: int) -> tuple[dict[int, Address], int]:
    found: dict[int, Address] = {}
    count, at = length_at(body, at)
    for _ in range(count):
        (node,) = _INT32.unpack_from(body, at)
        host, at = string_at(body, at + _INT32.size)
        (port,) = _INT32.unpack_from(body, at)
        _, at = string_at(body, at + _INT32.size)
        at = after_tags(body, at)
        found[node] = Address(host=(host or b"").decode(), port=port)
    return found, at
