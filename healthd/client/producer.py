"""A producer that moves to another cluster when its profile says so.

Every message is kept until a cluster has acknowledged it. At a move the old cluster has a limited
time for what it was given; what it has not acknowledged then is sent again to the new one, before
anything newer. Nothing is lost silently; what the old cluster had written without its
acknowledgement arriving is there twice (`Delivery.is_maybe_duplicated`).
"""

import logging
import threading
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from healthd.client.moving import ClusterConfig, Move, Pulse, Spread, configuration, is_same, refuse
from healthd.client.resolver import ProfileResolver
from healthd.client.route import Member
from healthd.client.sending import Headers, OnDelivery, Outbox, Pending

log = logging.getLogger("healthd.client")

_POLL_SECONDS: Final = 0.05
_CLOSE_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 1.0
"""Pause before a cluster that cannot be connected to is tried again."""
_REFUSED: Final = {
    "transactional.id": "a transaction belongs to one cluster and cannot move to another",
    "on_delivery": "give it to each produce()",
}
SENT_AGAIN: Final = frozenset(
    {
        KafkaError._MSG_TIMED_OUT,  # noqa: SLF001  # confluent-kafka's names of librdkafka's codes.
        KafkaError._PURGE_QUEUE,  # noqa: SLF001  # The same.
        KafkaError._PURGE_INFLIGHT,  # noqa: SLF001  # The same.
        KafkaError._TRANSPORT,  # noqa: SLF001  # The same.
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  # The same.
        KafkaError._FATAL,  # noqa: SLF001  # The same.
        KafkaError._TIMED_OUT,  # noqa: SLF001  # The same.
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.KAFKA_STORAGE_ERROR,
    }
)
"""Trouble of the cluster, not of the message: it is tried again, here or elsewhere."""


class _Link:
    """One connection to one cluster."""

    def __init__(self, number: int, member: Member, config: Mapping[str, Any]) -> None:
        self.number = number
        self.member = member
        self.pulse = Pulse()
        # Not a method of this object: librdkafka's threads end when nothing refers to the producer
        # any more, and a circle would keep them until the next garbage collection.
        on_error = partial(_on_error, self.pulse)
        self.producer: Any = Producer({**config, "error_cb": on_error})


def _on_error(pulse: Pulse, error: KafkaError) -> None:
    if error.fatal():
        pulse.is_broken = True
    elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # As above.
        pulse.lost(time.monotonic())


class FailoverProducer:
    """Produces to the cluster that a profile resolves to.

    Callbacks are called by a thread of its own. Order within a cluster and partition is kept, also
    across a move; only what timed out and is tried again on the same cluster comes later.

    Args:
        resolver: Started; it may be shared by many clients of one process.
        config: librdkafka's, without `bootstrap.servers`; idempotence and acks=all are on unless it
            says otherwise.
        of_cluster: More of it for one cluster, such as credentials.
        spread: Over what time clients move.
        drain_seconds: How long the old cluster may take to acknowledge what it was given, when it
            is not down.
        give_up_seconds: A message that no cluster has acknowledged after so long has failed.
        max_pending: So many messages are kept at most.

    Raises:
        ValueError: The configuration has a key that cannot be followed.
        ResolveError: Only from `start`: the profile cannot be resolved.
    """

    def __init__(
        self,
        resolver: ProfileResolver,
        config: Mapping[str, Any] | None = None,
        *,
        of_cluster: ClusterConfig | None = None,
        spread: Spread | None = None,
        drain_seconds: float = 10.0,
        give_up_seconds: float = 300.0,
        max_pending: int = 100_000,
    ) -> None:
        refuse(config or {}, _REFUSED)
        self._resolver = resolver
        limit_ms = int(give_up_seconds * 1000)
        self._config = {
            "enable.idempotence": True,
            "message.timeout.ms": limit_ms,
            **(config or {}),
        }
        self._of_cluster = of_cluster
        self._move = Move(spread or Spread())
        self._drain_seconds = drain_seconds
        self._give_up_seconds = give_up_seconds
        self._max_pending = max_pending
        self._lock = threading.Condition(threading.RLock())
        self._outbox = Outbox()
        self._link: _Link | None = None
        self._is_moving = False
        self._has_unsent = False
        self._links = 0
        self._next_try = 0.0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.moves = 0
        """How often it has moved."""

    @property
    def cluster(self) -> str | None:
        """The cluster that messages go to."""
        link = self._link
        return None if link is None else link.member.cluster

    def start(self, timeout_seconds: float = 10.0) -> Self:
        """Connect, once the profile has been resolved.

        Raises:
            ResolveError: It was not, in time.
            KafkaException: The configuration is wrong.
        """
        if self._thread is None:
            self._resolver.wait(timeout_seconds)
            member = self._resolver.member
            if member is not None:
                self._link = self._connected(member)
            self._thread = threading.Thread(target=self._run, name="failover-producer", daemon=True)
            self._thread.start()
        return self

    def produce(
        self,
        topic: str,
        value: bytes | str | None = None,
        key: bytes | str | None = None,
        *,
        partition: int | None = None,
        headers: Headers | None = None,
        on_delivery: OnDelivery | None = None,
        timeout_seconds: float = 60.0,
    ) -> None:
        """Take a message; `on_delivery` tells what became of it, in any case.

        Raises:
            BufferError: As many are kept as may be, and none was settled in time.
            ValueError: The producer is closed.
            KafkaException: librdkafka refuses the message.
        """
        pending = Pending(
            topic=topic,
            value=value,
            key=key,
            partition=partition,
            headers=headers,
            on_delivery=on_delivery,
            given_up_at=time.monotonic() + self._give_up_seconds,
        )
        with self._lock:
            # The thread that makes room, in a callback that produces, cannot wait for room.
            is_own = threading.current_thread() is self._thread
            self._lock.wait_for(
                lambda: len(self._outbox) < self._max_pending or self._over.is_set(),
                0.0 if is_own else timeout_seconds,
            )
            if self._over.is_set():
                raise ValueError("the producer is closed")
            if len(self._outbox) >= self._max_pending:
                raise BufferError(f"{self._max_pending} messages wait for an acknowledgement")
            number = self._outbox.add(pending)
            # Behind others that wait for a link it waits, too: the order is kept.
            if self._link is None or self._is_moving or self._has_unsent:
                self._has_unsent = True
                return
            try:
                if not self._hand_over(number, pending, self._link):
                    self._has_unsent = True
            except (KafkaException, TypeError, ValueError):
                self._outbox.settle(number)
                raise

    def flush(self, timeout_seconds: float = 60.0) -> int:
        """How many messages are not settled after so long at most."""
        with self._lock:
            self._lock.wait_for(lambda: not self._outbox, timeout_seconds)
            return len(self._outbox)

    def close(self, timeout_seconds: float = 60.0) -> int:
        """How many messages were given up; each of them was told to its `on_delivery`."""
        self.flush(timeout_seconds)
        self._over.set()
        if self._thread is not None:
            self._thread.join(self._drain_seconds + _CLOSE_SECONDS)
        if self._link is not None:
            self._retire(self._link, 0.0)
        with self._lock:
            left = self._outbox.numbers()
            self._lock.notify_all()
        purged = KafkaError(KafkaError._PURGE_QUEUE, "the producer was closed")  # noqa: SLF001
        for number in left:
            self._settle(number, self.cluster or "", purged)
        return len(left)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._over.is_set():
            link = self._link
            try:
                if link is None:
                    self._over.wait(_POLL_SECONDS)
                else:
                    link.producer.poll(_POLL_SECONDS)
                self._look()
            except (KafkaException, ValueError) as error:
                log.error("the producer of %s cannot move: %s", self._resolver.profile, error)
                self._next_try = time.monotonic() + _AGAIN_SECONDS
            except Exception:
                # The edge to the callbacks of others: it must not end the thread that delivers.
                log.exception("the producer of %s has a defect", self._resolver.profile)
                self._next_try = time.monotonic() + _AGAIN_SECONDS
                self._over.wait(_POLL_SECONDS)

    def _look(self) -> None:
        """Move when it is time to, and hand over what waits."""
        now = time.monotonic()
        link, wanted = self._link, self._resolver.member
        is_down = link is not None and link.pulse.is_down(now)
        current = None if link is None else link.member
        if now >= self._next_try:
            if link is not None and link.pulse.is_broken:
                self._change(link, wanted or link.member, 0.0)
            elif self._move.is_due(current, wanted, is_down=is_down, now=now) and wanted:
                self._change(link, wanted, 0.0 if is_down else self._drain_seconds)
        if self._has_unsent:
            self._hand_over_all(now)

    def _change(self, old: _Link | None, member: Member, drain_seconds: float) -> None:
        # First the new one: a configuration that is refused must not cost the connection we have.
        new = self._connected(member)
        with self._lock:
            self._is_moving = True
        if old is not None:
            log.info("moving from %s to %s", old.member.cluster, member.cluster)
            self._retire(old, drain_seconds)
            self.moves += not is_same(old.member, member)
        with self._lock:
            self._link, self._is_moving, self._has_unsent = new, False, True

    def _connected(self, member: Member) -> _Link:
        self._links += 1
        config = configuration(self._config, member, self._of_cluster)
        return _Link(self._links, member, config)

    def _retire(self, link: _Link, drain_seconds: float) -> None:
        """Wait for a cluster's acknowledgements, then take back what it has not acknowledged."""
        limit = time.monotonic() + drain_seconds
        while len(link.producer) and time.monotonic() < limit:
            link.producer.poll(_POLL_SECONDS)
            if link.pulse.is_down(time.monotonic()):
                break
        link.producer.purge(in_queue=True, in_flight=True, blocking=True)
        # Each message that was purged comes back through its callback.
        limit = time.monotonic() + _CLOSE_SECONDS
        while len(link.producer) and time.monotonic() < limit:
            link.producer.poll(_POLL_SECONDS)
        with self._lock:
            for number in self._outbox.numbers():
                found = self._outbox.get(number)
                if found is not None and found.link == link.number:
                    found.link = 0

    def _hand_over_all(self, now: float) -> None:
        """Give the link what waits, the oldest first, and give up what waits too long."""
        with self._lock:
            waiting = list(self._outbox.unsent())
        for number, pending in waiting:
            if pending.given_up_at <= now:
                late = KafkaError(
                    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001  # As above.
                    f"no cluster acknowledged it within {self._give_up_seconds:g} s",
                )
                self._settle(number, pending.tried[-1] if pending.tried else "", late)
                continue
            with self._lock:
                link = self._link
                if link is None or self._is_moving:
                    return
                try:
                    if not self._hand_over(number, pending, link):
                        return
                except (KafkaException, TypeError, ValueError) as error:
                    refused = error.args[0] if isinstance(error, KafkaException) else None
                    if not isinstance(refused, KafkaError):
                        refused = KafkaError(KafkaError._INVALID_ARG, str(error))  # noqa: SLF001
                else:
                    continue
            self._settle(number, link.member.cluster, refused)
        with self._lock:
            self._has_unsent = any(True for _ in self._outbox.unsent())

    def _hand_over(self, number: int, pending: Pending, link: _Link) -> bool:
        """Whether librdkafka took it; its queue may be full."""
        callback = partial(self._on_delivery, number, link)
        try:
            link.producer.produce(**pending.words(), on_delivery=callback)
        except BufferError:
            return False
        pending.link = link.number
        pending.tried.append(link.member.cluster)
        return True

    def _on_delivery(self, number: int, link: _Link, error: KafkaError | None, found: Any) -> None:
        if error is None:
            link.pulse.heard()
        elif error.code() in SENT_AGAIN or error.fatal():
            if error.fatal():
                link.pulse.is_broken = True
            with self._lock:
                pending = self._outbox.get(number)
                # What was handed to another link meanwhile is that one's.
                if pending is not None and pending.link in {0, link.number}:
                    pending.link = 0
                    self._has_unsent = True
            return
        self._settle(number, link.member.cluster, error, found)

    def _settle(
        self, number: int, cluster: str, error: KafkaError | None, found: Any = None
    ) -> None:
        with self._lock:
            pending = self._outbox.settle(number)
            self._lock.notify_all()
        if pending is None or pending.on_delivery is None:
            return
        try:
            pending.on_delivery(pending.delivery(cluster, error, found))
        except Exception:
            # The edge to code that is not ours: the others' callbacks are still to be called.
            log.exception("an on_delivery failed")
