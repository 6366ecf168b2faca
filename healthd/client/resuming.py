"""Where a consumer goes on in a cluster that it has come to from another one."""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from confluent_kafka import TopicPartition

PlaceOf = tuple[str, int]
"""A topic and a partition."""
LOOKUP_SECONDS: Final = 10.0


class Resume(StrEnum):
    """Where a consumer begins after a move."""

    COMMITTED = "committed"
    """At the offsets that its group has committed in that cluster: right where clusters hold
    different messages, or the offsets are translated (MirrorMaker's `sync.group.offsets`)."""
    TIMESTAMP = "timestamp"
    """A margin before the last message that it has consumed in the other cluster, by timestamps;
    never before the group's own offsets: for mirrored topics without translated offsets."""


class Trail:
    """The timestamps of what was consumed last, by topic and partition, in one cluster."""

    def __init__(self) -> None:
        self._here: dict[PlaceOf, int] = {}
        self._before: dict[PlaceOf, int] = {}

    @property
    def before(self) -> Mapping[PlaceOf, int]:
        """Milliseconds, of partitions that nothing was consumed of since the move."""
        return self._before

    def consumed(self, message: Any) -> None:
        """A message was handed to the application."""
        place = message.topic(), message.partition()
        kind, at = message.timestamp()
        # 0: the message has none.
        if kind != 0:
            self._here[place] = max(at, self._here.get(place, at))
        self._before.pop(place, None)

    def moved(self) -> None:
        """What was seen until now was seen in another cluster."""
        self._before = {**self._before, **self._here}
        self._here = {}


def starting_points(
    consumer: Any,
    partitions: list[TopicPartition],
    before: Mapping[PlaceOf, int],
    margin_seconds: float,
    now: Callable[[], float] = time.monotonic,
) -> list[TopicPartition]:
    """The partitions with the offset to begin at; none where the group's own counts as usual.

    Args:
        consumer: Connected to the new cluster.
        partitions: That were assigned.
        before: The timestamps of the last messages consumed in the other cluster.
        margin_seconds: So much earlier: what was written at one time is not in one order.
        now: Monotonic seconds.

    Raises:
        KafkaException: The cluster did not tell.
    """
    known = [place for place in partitions if (place.topic, place.partition) in before]
    if not known:
        return partitions
    limit = now() + LOOKUP_SECONDS

    def left() -> float:
        return max(0.1, limit - now())

    # The ends first: what arrives between two questions must not be skipped.
    ends = {
        (place.topic, place.partition): consumer.get_watermark_offsets(
            TopicPartition(place.topic, place.partition), timeout=left(), cached=False
        )[1]
        for place in known
    }
    asked = [
        TopicPartition(
            place.topic,
            place.partition,
            max(0, before[place.topic, place.partition] - int(margin_seconds * 1000)),
        )
        for place in known
    ]
    by_time = {
        (found.topic, found.partition): found.offset
        for found in consumer.offsets_for_times(asked, timeout=left())
        if found.error is None
    }
    own = {
        (found.topic, found.partition): found.offset
        for found in consumer.committed(known, timeout=left())
        if found.error is None
    }
    return [_start(place, by_time, own, ends) for place in partitions]


def _start(
    place: TopicPartition,
    by_time: Mapping[PlaceOf, int],
    own: Mapping[PlaceOf, int],
    ends: Mapping[PlaceOf, int],
) -> TopicPartition:
    key = place.topic, place.partition
    at = by_time.get(key)
    if at is None or key not in own:
        return place
    # Nothing so young is there yet: from the end as it was before we asked.
    offset = at if at >= 0 else ends[key]
    return TopicPartition(place.topic, place.partition, max(offset, own[key]))
