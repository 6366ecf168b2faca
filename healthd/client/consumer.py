"""A consumer that moves to another cluster when its profile says so.

It moves inside `poll`, in the application's own thread, so that nothing is taken away from under
it. Offsets belong to a cluster: what was received in one is never committed in another.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from healthd.client.moving import ClusterConfig, Move, Pulse, Spread, configuration, refuse
from healthd.client.resolver import ProfileResolver
from healthd.client.resuming import Resume, Trail, starting_points
from healthd.client.route import Member

log = logging.getLogger("healthd.client")

_SLICE_SECONDS: Final = 0.2
"""One look at the profile for each so long of waiting."""
_DOWN_CLOSE_SECONDS: Final = 1.0
"""A cluster that is down is not waited for longer."""
_AGAIN_SECONDS: Final = 1.0
"""Pause before a configuration that was refused is tried again."""
_REFUSED: Final = {"on_commit": "commit synchronously, or leave it to enable.auto.commit"}

Rebalanced = Callable[[str, Sequence[TopicPartition]], None]
"""Called with the cluster's name and the partitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message, and the cluster that it is from."""

    cluster: str
    message: Any
    """confluent-kafka's."""
    link: int
    """The connection that it came by."""


class _Link:
    """One membership of the group in one cluster."""

    def __init__(self, number: int, member: Member, config: Mapping[str, Any]) -> None:
        self.number = number
        self.member = member
        self.pulse = Pulse()
        self.is_left = False
        """Its rebalances are nobody's business any more."""
        self.assigned: dict[tuple[str, int], TopicPartition] = {}
        self.consumer: Any = Consumer({**config, "error_cb": self._on_error})

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # librdkafka's own code.
            self.pulse.lost(time.monotonic())


class FailoverConsumer:
    """Consumes from the cluster that a profile resolves to; used by one thread.

    Args:
        resolver: Started; it may be shared by many clients of one process.
        config: librdkafka's, with `group.id`, without `bootstrap.servers`. Where the group has no
            offset it begins with the earliest message, unless it says otherwise.
        of_cluster: More of it for one cluster, such as credentials.
        resume: Where it begins after a move.
        margin_seconds: So much is read again with `Resume.TIMESTAMP`.
        spread: Over what time clients move.
        drain_seconds: How long it goes on to read a cluster that it is to leave, and that is not
            down, until nothing came for `quiet_seconds`.
        quiet_seconds: See `drain_seconds`.
        leave_seconds: How long the last commit and leaving the group may take.

    Raises:
        ValueError: The configuration has a key that cannot be followed, or lacks one.
    """

    def __init__(
        self,
        resolver: ProfileResolver,
        config: Mapping[str, Any],
        *,
        of_cluster: ClusterConfig | None = None,
        resume: Resume = Resume.COMMITTED,
        margin_seconds: float = 60.0,
        spread: Spread | None = None,
        drain_seconds: float = 30.0,
        quiet_seconds: float = 2.0,
        leave_seconds: float = 10.0,
    ) -> None:
        refuse(config, _REFUSED)
        if not config.get("group.id"):
            raise ValueError("group.id: is needed; offsets are kept by group in each cluster")
        self._resolver = resolver
        self._config = {"auto.offset.reset": "earliest", **config}
        self._of_cluster = of_cluster
        self._resume = resume
        self._margin_seconds = margin_seconds
        self._move = Move(spread or Spread())
        self._drain_seconds = drain_seconds
        self._quiet_seconds = quiet_seconds
        self._leave_seconds = leave_seconds
        self._topics: list[str] = []
        self._on_assign: Rebalanced | None = None
        self._on_revoke: Rebalanced | None = None
        self._trail = Trail()
        self._link: _Link | None = None
        self._links = 0
        self._leaving_since: float | None = None
        self._heard_at = 0.0
        self._next_try = 0.0
        self._is_closed = False
        self.moves = 0
        """How often it has moved."""

    @property
    def cluster(self) -> str | None:
        """The cluster that messages come from."""
        return None if self._link is None else self._link.member.cluster

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assign: Rebalanced | None = None,
        on_revoke: Rebalanced | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        """Join the group, once the profile has been resolved.

        `on_revoke` is also called at a move, when the partitions of the old cluster are gone.

        Raises:
            ResolveError: It was not, in time.
            KafkaException: The configuration is wrong.
        """
        self._topics = list(topics)
        self._on_assign, self._on_revoke = on_assign, on_revoke
        if self._link is not None:
            self._subscribe(self._link)
            return
        self._resolver.wait(timeout_seconds)
        member = self._resolver.member
        if member is not None:
            self._join(member)

    def poll(self, timeout_seconds: float = 1.0) -> Received | None:
        """The next message; None when there was none in time. Moves when it is time to.

        Raises:
            KafkaException: The message is an error that is not of one partition's end.
            ValueError: The consumer is closed, or has not subscribed.
        """
        if self._is_closed or not self._topics:
            raise ValueError("the consumer is closed" if self._is_closed else "subscribe first")
        limit = time.monotonic() + timeout_seconds
        while True:
            self._look()
            left = max(0.0, limit - time.monotonic())
            link = self._link
            if link is None:
                time.sleep(min(left, _SLICE_SECONDS))
                message = None
            else:
                message = link.consumer.poll(min(left, _SLICE_SECONDS))
            if link is not None and message is not None:
                received = self._received(link, message)
                if received is not None:
                    return received
            if time.monotonic() >= limit:
                return None

    def commit(self, received: Received | None = None, *, asynchronous: bool = True) -> bool:
        """Whether it was committed; never what came from a cluster that was left.

        Args:
            received: The offset after it; None: all that was received of this cluster.
            asynchronous: Do not wait for the broker's answer.

        Raises:
            KafkaException: The broker refused.
        """
        link = self._link
        if link is None or (received is not None and received.link != link.number):
            return False
        if received is None:
            link.consumer.commit(asynchronous=asynchronous)
        else:
            link.consumer.commit(message=received.message, asynchronous=asynchronous)
        return True

    def close(self) -> None:
        """Leave the group; what is to be committed by itself is committed."""
        self._is_closed = True
        if self._link is not None:
            # An on_revoke may still commit by it.
            self._leave(self._link, self._leave_seconds)
            self._link = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _received(self, link: _Link, message: Any) -> Received | None:
        error = message.error()
        if error is None:
            link.pulse.heard()
            self._heard_at = time.monotonic()
            self._trail.consumed(message)
            return Received(cluster=link.member.cluster, message=message, link=link.number)
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # As above.
            link.pulse.lost(time.monotonic())
        elif error.code() != KafkaError._PARTITION_EOF and not error.retriable():  # noqa: SLF001
            if error.code() in _PASSING:
                log.warning("%s: %s", link.member.cluster, error)
            else:
                raise KafkaException(error)
        return None

    def _look(self) -> None:
        """Move when it is time to, and what is to be read before was read."""
        now = time.monotonic()
        if now < self._next_try:
            return
        link, wanted = self._link, self._resolver.member
        is_down = link is not None and link.pulse.is_down(now)
        current = None if link is None else link.member
        if wanted is None or not self._move.is_due(current, wanted, is_down=is_down, now=now):
            self._leaving_since = None
            return
        if link is not None and not is_down and not self._is_drained(now):
            return
        try:
            self._change(link, wanted, _DOWN_CLOSE_SECONDS if is_down else self._leave_seconds)
        except KafkaException as error:
            log.error("%s: cannot move there: %s", wanted.cluster, error)
            self._next_try = time.monotonic() + _AGAIN_SECONDS

    def _is_drained(self, now: float) -> bool:
        if self._leaving_since is None:
            self._leaving_since = now
        silent_since = max(self._heard_at, self._leaving_since)
        return (
            now - silent_since >= self._quiet_seconds
            or now - self._leaving_since >= self._drain_seconds
        )

    def _change(self, old: _Link | None, member: Member, leave_seconds: float) -> None:
        self._leaving_since = None
        if old is not None:
            log.info("moving from %s to %s", old.member.cluster, member.cluster)
            # Before the new one is there: nobody is told of partitions of two clusters at once.
            self._leave(old, leave_seconds)
            self._link = None
            self._trail.moved()
            self.moves += 1
        self._join(member)

    def _join(self, member: Member) -> None:
        self._links += 1
        config = configuration(self._config, member, self._of_cluster)
        link = _Link(self._links, member, config)
        self._subscribe(link)
        self._link = link

    def _subscribe(self, link: _Link) -> None:
        link.consumer.subscribe(
            self._topics,
            on_assign=lambda _, places: self._assigned(link, places),
            on_revoke=lambda _, places: self._revoked(link, places),
        )

    def _assigned(self, link: _Link, places: list[TopicPartition]) -> None:
        if link.is_left:
            return
        if self._resume is Resume.TIMESTAMP and self._trail.before:
            self._assign_by_time(link, places)
        link.assigned.update({(place.topic, place.partition): place for place in places})
        if self._on_assign is not None:
            self._on_assign(link.member.cluster, places)

    def _assign_by_time(self, link: _Link, places: list[TopicPartition]) -> None:
        try:
            starts = starting_points(
                link.consumer, places, self._trail.before, self._margin_seconds
            )
        except KafkaException as error:
            # The group's own offsets then: more is read twice, nothing is passed over.
            log.warning("%s: no offsets by time: %s", link.member.cluster, error)
            return
        if "cooperative" in str(self._config.get("partition.assignment.strategy", "")):
            link.consumer.incremental_assign(starts)
        else:
            link.consumer.assign(starts)

    def _revoked(self, link: _Link, places: Sequence[TopicPartition]) -> None:
        if link.is_left:
            return
        for place in places:
            link.assigned.pop((place.topic, place.partition), None)
        if self._on_revoke is not None:
            self._on_revoke(link.member.cluster, places)

    def _leave(self, link: _Link, limit_seconds: float) -> None:
        """Commit what is to be committed and leave the group, within the limit.

        Closing waits for brokers that may be gone; it is done by a thread that can be left behind.
        """

        def leaving() -> None:
            with contextlib.suppress(KafkaException, RuntimeError):
                link.consumer.close()

        thread = threading.Thread(target=leaving, name="failover-consumer-leaves", daemon=True)
        thread.start()
        thread.join(limit_seconds)
        lost = list(link.assigned.values())
        if thread.is_alive():
            log.warning("%s: left without its answer", link.member.cluster)
        link.is_left = True
        link.assigned.clear()
        if lost and self._on_revoke is not None:
            self._on_revoke(link.member.cluster, lost)


_PASSING: Final = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001  # librdkafka's codes: trouble that it mends itself.
        KafkaError._RESOLVE,  # noqa: SLF001  # The same.
        KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001  # The same.
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""The next poll may well work."""
