"""MirrorMaker 2's heartbeats, as they arrive on the target: when was the source last seen?

A heartbeat is a record that MirrorMaker writes into the source once a second and replicates like
any other: its time says how much of the source is here, without any exporter. The topic is read
from its end at every look, outside any group; nothing is committed.
"""

import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from healthd.collect.admin import judged
from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.target import ClusterTarget

LAST_RECORDS: Final = 20
"""So many are read from the end of each partition: the last may be a transaction's marker."""
PARTITIONS_AT_MOST: Final = 8
IDENTITY_TOPIC: Final = "heartbeats"
_VALUE: Final = struct.Struct(">hq")
_LENGTH: Final = struct.Struct(">h")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatSeen:
    """One look at the end of one heartbeats topic."""

    seconds: float | None
    """Unix time of the newest heartbeat; None: the topic is not there, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatUnread:
    """Why nobody knows what is in one heartbeats topic."""

    reason: FailureReason
    origin: Origin
    detail: str


HeartbeatFlow = tuple[str, str]
"""The topic of a flow's heartbeats on the target, and MirrorMaker's alias of the source."""
HeartbeatLook = HeartbeatSeen | HeartbeatUnread


class HeartbeatReader:
    """One consumer for the life of a cluster. Blocking: call it on a thread of its own."""

    def __init__(self, target: ClusterTarget) -> None:
        self._target = target
        self._consumer: Any = None
        self._errors: set[int] = set()

    def read(self, flows: Iterable[HeartbeatFlow]) -> dict[HeartbeatFlow, HeartbeatLook]:
        """What is at the end of the topic of each flow; never raises."""
        found: dict[HeartbeatFlow, HeartbeatLook] = {}
        for flow in flows:
            topic, source = flow
            self._errors.clear()
            try:
                found[flow] = HeartbeatSeen(seconds=self._newest(topic, source))
            except KafkaException as error:
                found[flow] = self._unread(topic, error.args[0])
            except AccessError as error:
                found[flow] = HeartbeatUnread(
                    reason=error.reason, origin=Origin.OURS, detail=error.detail.rstrip(".")
                )
        return found

    def close(self) -> None:
        """Let go of the consumer; may be called twice."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _newest(self, topic: str, source: str) -> float | None:
        consumer, limit = self._connected(), self._target.attempt_seconds
        listed = consumer.list_topics(topic, timeout=limit).topics[topic]
        if listed.error is not None:
            if listed.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise KafkaException(listed.error)
        until = time.monotonic() + limit
        wanted: list[TopicPartition] = []
        for partition in sorted(listed.partitions)[:PARTITIONS_AT_MOST]:
            low, high = consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=limit, cached=False
            )
            if high > low:
                wanted.append(TopicPartition(topic, partition, max(low, high - LAST_RECORDS)))
        if not wanted:
            return None
        consumer.assign(wanted)
        try:
            return self._consumed(len(wanted), source, topic, until)
        finally:
            # Nothing is fetched between two looks.
            consumer.unassign()

    def _consumed(self, partitions: int, source: str, topic: str, until: float) -> float | None:
        """The newest heartbeat up to the ends of so many partitions."""
        newest: float | None = None
        at_end: set[int] = set()
        while len(at_end) < partitions:
            left = until - time.monotonic()
            if left <= 0:
                if newest is None:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  # Its public names begin so.
                break
            message = self._consumer.poll(left)
            if message is None:
                continue
            error = message.error()
            if error is None:
                seconds = heartbeat_seconds(message.key(), message.value(), topic, source)
                if seconds is not None and (newest is None or seconds > newest):
                    newest = seconds
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # Its public names begin so.
                at_end.add(message.partition())
            else:
                raise KafkaException(error)
        return newest

    def _connected(self) -> Any:
        if self._consumer is None:
            limit = round(self._target.attempt_seconds * 1000)
            self._target.access.ready()
            try:
                self._consumer = Consumer(
                    {
                        "bootstrap.servers": ",".join(self._target.bootstrap_servers),
                        "client.id": "healthd",
                        # Asked for by the library; no group is joined.
                        "group.id": "healthd",
                        "enable.auto.commit": False,
                        "enable.auto.offset.store": False,
                        "enable.partition.eof": True,
                        "auto.offset.reset": "latest",
                        "allow.auto.create.topics": False,
                        "socket.timeout.ms": max(1000, limit),
                        "socket.connection.setup.timeout.ms": max(1000, limit),
                        "reconnect.backoff.max.ms": 2000,
                        "queued.min.messages": 100,
                        "queued.max.messages.kbytes": 1024,
                        "log.connection.close": False,
                        "log_level": 0,
                        "error_cb": lambda error: self._errors.add(error.code()),
                        **self._target.access.confluent_config(),
                    }
                )
            except ValueError as error:
                raise KafkaException(KafkaError(KafkaError._INVALID_ARG, str(error))) from None  # noqa: SLF001  # Its public names begin so.
        return self._consumer

    def _unread(self, topic: str, error: KafkaError) -> HeartbeatUnread:
        reason, origin, what = judged({*self._errors, error.code()})
        if reason is FailureReason.AUTHORIZATION:
            what = f"grant Read and Describe on topic {topic}"
        return HeartbeatUnread(reason=reason, origin=origin, detail=f"{what} ({error.str()})")


def heartbeat_seconds(
    key: bytes | None, value: bytes | None, topic: str, source: str
) -> float | None:
    """The time in one heartbeat of the source, in Unix seconds; None when it is none.

    With IdentityReplicationPolicy the heartbeats that were written into this cluster lie among
    those that came from the source: only those that were written into the source count.
    """
    if value is None or len(value) < _VALUE.size:
        return None
    if topic == IDENTITY_TOPIC and written_into(key) != source:
        return None
    return float(_VALUE.unpack_from(value)[1]) / 1000


def written_into(key: bytes | None) -> str | None:
    """The alias of the cluster that a heartbeat was written into; None when it does not say."""
    text: str | None = None
    at = 0
    for _ in ("source alias", "target alias"):
        if key is None or at + _LENGTH.size > len(key):
            return None
        (length,) = _LENGTH.unpack_from(key, at)
        at += _LENGTH.size
        text = key[at : at + length].decode("utf-8", "replace")
        at += max(0, length)
    return text
