"""One producer and one consumer for the life of a cluster: a message there and back. Blocking.

The producer writes with acks=all, as careful clients do. The consumer belongs to no group and
commits nothing: it is assigned the very offset of each message once that is written, and nothing
between rounds, so that it asks brokers for nothing while nobody waits.
"""

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from healthd.collect.admin import judged
from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.collect.probe_stats import Attempt
from healthd.collect.target import ClusterTarget
from healthd.model.snapshot import NO_LEADER, Partition

LOOKS: Final = 2
"""A frozen broker costs one time-out; the next question goes to another one."""
POLL_SECONDS: Final = 0.003
FIRST_POLL_SECONDS: Final = 0.02

_LOG: Final = logging.getLogger("healthd.librdkafka")

# Their public names begin so.
GONE: Final = frozenset({
    KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  # See above.
})  # fmt: skip
"""The topic or the partition is not there: it is healthd's to repair, no fault of the cluster."""

OURS: Final = frozenset({
    KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED,  # noqa: SLF001  # See above.
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._SSL, KafkaError._RESOLVE,  # noqa: SLF001  # See above.
})  # fmt: skip
"""Our credentials, ACLs, certificates or names: no evidence against the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSeen:
    """What the probe's own client sees of the topic."""

    partitions: tuple[Partition, ...]
    """By id; none: there is no such topic."""
    brokers: frozenset[int]
    """The alive ones."""
    controller: int
    """As Metadata names it; -1 when it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRound:
    """What one round gave."""

    attempts: tuple[Attempt, ...] = ()
    """Those that count: a failure of ours is none."""
    failures: tuple[SourceFailure, ...] = ()


@dataclass(slots=True)
class _Sent:
    """One message on its way."""

    partition: int
    broker: int
    began: float
    offset: int | None = None
    written_ms: float | None = None
    latency_ms: float | None = None
    error: KafkaError | None = None

    @property
    def is_over(self) -> bool:
        return self.latency_ms is not None or self.error is not None


class ProbeClient:
    """Writes to and reads from the probe's topic of one cluster; one thread at a time."""

    def __init__(
        self, target: ClusterTarget, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Connect to nothing yet."""
        self._target = target
        self._topic = target.probe_topic
        self._clock = clock
        self._run = uuid.uuid4().hex
        self._round = 0
        self._producer: Any = None
        self._consumer: Any = None
        self._errors: dict[int, str] = {}
        self._written: list[TopicPartition] = []

    @property
    def limit_seconds(self) -> float:
        """Of writing one message, and once more of reading it: what an impatient client waits."""
        return max(1.0, 1.25 * self._target.attempt_seconds)

    def look(self, tries: int = LOOKS) -> TopicSeen | SourceFailure:
        """The topic in the metadata of this client: it shows too that our way there is open."""
        try:
            producer = self._connected()
        except AccessError as error:
            return _failure(error.reason, Origin.OURS, error.detail)
        except (KafkaException, ValueError) as error:
            found = error.args[0]
            text = found.str() if isinstance(found, KafkaError) else str(found)
            return _failure(
                FailureReason.AUTHENTICATION, Origin.OURS, f"the client does not start: {text}"
            )
        self._errors.clear()
        last: KafkaError | None = None
        for _ in range(tries):
            try:
                found = producer.list_topics(self._topic, timeout=self._target.attempt_seconds)
                return self._seen(found)
            except KafkaException as error:
                last = error.args[0]
            finally:
                # Serves the queues of log lines, errors and tokens.
                producer.poll(0)
        assert last is not None
        reason, origin, what = judged({*self._errors, last.code()})
        return _failure(reason, origin, f"no metadata for it: {what} ({last.str()})")

    def attempt(self, partitions: Iterable[Partition]) -> ProbeRound:
        """One message to each partition and back; two limits long, and a look. Never raises."""
        self._round += 1
        self._errors.clear()
        self._written.clear()
        sent = {row.id: self._send(row) for row in partitions}
        try:
            self._await_all(sent)
        except KafkaException as error:
            return ProbeRound(failures=(_of_error(error.args[0], self._topic),))
        finally:
            # Nothing is fetched between rounds.
            self._consumer.unassign()
            self._producer.poll(0)
        return self._outcome(tuple(sent.values()))

    def close(self) -> None:
        """Let go of both clients; may be called twice."""
        consumer, self._consumer, self._producer = self._consumer, None, None
        if consumer is not None:
            consumer.close()

    def _connected(self) -> Any:
        if self._producer is None:
            # Without a token each of the two would wait 10 s for one.
            self._target.access.ready()
            # Kept only when both are there.
            producer = Producer(self._producer_properties(), logger=_LOG)
            self._consumer = Consumer(self._consumer_properties(), logger=_LOG)
            self._producer = producer
        return self._producer

    def _seen(self, metadata: Any) -> TopicSeen | SourceFailure:
        topic = metadata.topics.get(self._topic)
        error = None if topic is None else topic.error
        if error is not None and error.code() in OURS:
            return _of_error(error, self._topic)
        rows = [] if topic is None else sorted(topic.partitions.items())
        return TopicSeen(
            partitions=tuple(
                Partition(
                    id=at, leader=row.leader, replicas=tuple(row.replicas), isr=tuple(row.isrs)
                )
                for at, row in rows
            ),
            brokers=frozenset(metadata.brokers),
            controller=metadata.controller_id,
        )

    def _send(self, row: Partition) -> _Sent:
        broker = row.leader if row.leader != NO_LEADER else row.replicas[0]
        one = _Sent(partition=row.id, broker=broker, began=self._clock())

        def delivered(error: KafkaError | None, message: Any) -> None:
            if one.is_over:
                return
            one.error = error
            if error is None:
                one.offset = int(message.offset())
                one.written_ms = 1000 * (self._clock() - one.began)
                self._written.append(TopicPartition(self._topic, one.partition, one.offset))

        body = {"healthd": self._run, "round": self._round, "partition": row.id}
        try:
            self._producer.produce(
                self._topic,
                key=self._run,
                value=json.dumps(body),
                partition=row.id,
                on_delivery=delivered,
            )
        except KafkaException as error:
            one.error = error.args[0]
        return one

    def _await_all(self, sent: Mapping[int, _Sent]) -> None:
        waiting = set(sent)
        is_reading = False
        until = self._clock() + 2 * self.limit_seconds
        while waiting and self._clock() < until:
            self._producer.poll(POLL_SECONDS if is_reading else FIRST_POLL_SECONDS)
            if self._written:
                self._consumer.incremental_assign(self._written)
                self._written = []
                is_reading = True
            message = self._consumer.poll(POLL_SECONDS if is_reading else 0)
            if message is None:
                # Those that could not be written are over without a message.
                waiting = {at for at in waiting if not sent[at].is_over}
            elif self._received(message, sent):
                waiting.discard(message.partition())

    def _received(self, message: Any, sent: Mapping[int, _Sent]) -> bool:
        """Whether it is the one that was waited for."""
        error = message.error()
        if error is not None:
            self._on_error(error)
            return False
        one = sent.get(message.partition())
        # Another healthd may probe the same cluster, and write to the same topic.
        is_ours = one is not None and message.offset() == one.offset
        if one is not None and is_ours and not one.is_over:
            one.latency_ms = 1000 * (self._clock() - one.began)
        return is_ours

    def _outcome(self, sent: Sequence[_Sent]) -> ProbeRound:
        failed = [one for one in sent if one.latency_ms is None]
        if not failed:
            return ProbeRound(attempts=tuple(self._attempt(one) for one in sent))
        told = dict(self._errors)
        is_dark = len(failed) == len(sent)
        seen = self.look(LOOKS if is_dark else 1)
        if is_dark:
            ours = _ours(failed, told, seen, self._topic)
            if ours is not None:
                return ProbeRound(failures=(ours,))
        denied = [one for one in failed if one.error is not None and one.error.code() in OURS]
        uncounted = {one.partition for one in denied} | _gone(failed, seen)
        return ProbeRound(
            attempts=tuple(
                self._attempt(one, told) for one in sent if one.partition not in uncounted
            ),
            failures=tuple(
                _of_error(one.error, self._topic) for one in denied[:1] if one.error is not None
            ),
        )

    def _attempt(self, one: _Sent, told: Mapping[int, str] | None = None) -> Attempt:
        error = None
        if one.latency_ms is None:
            limit = f"{self.limit_seconds:g} s"
            if one.error is not None:
                error = f"not written: {one.error.str()}"
            elif one.offset is None:
                error = f"not written within {limit}"
            else:
                error = f"written, and not read back within {limit}"
                more = next(iter((told or {}).values()), None)
                error = error if more is None else f"{error}: {more}"
        return Attempt(
            partition=one.partition,
            broker=one.broker,
            at=one.began,
            latency_ms=one.latency_ms,
            written_ms=one.written_ms,
            error=error,
        )

    def _producer_properties(self) -> dict[str, Any]:
        limit = round(self.limit_seconds * 1000)
        return {
            **self._common_properties(),
            "acks": "all",
            "linger.ms": 0,
            "message.timeout.ms": limit,
            "request.timeout.ms": limit,
            # Each round looks by itself, for its one topic.
            "topic.metadata.refresh.interval.ms": -1,
            "queue.buffering.max.kbytes": 1024,
        }

    def _consumer_properties(self) -> dict[str, Any]:
        return {
            **self._common_properties(),
            # The binding wants one; assigned partitions join no group and commit nothing.
            "group.id": "healthd-probe",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 20,
            "fetch.error.backoff.ms": 50,
            "queued.max.messages.kbytes": 1024,
            "topic.metadata.refresh.interval.ms": 10_000,
        }

    def _common_properties(self) -> dict[str, Any]:
        limit = round(self.limit_seconds * 1000)
        return {
            "bootstrap.servers": ",".join(self._target.bootstrap_servers),
            "client.id": "healthd-probe",
            "socket.timeout.ms": limit,
            "socket.connection.setup.timeout.ms": max(1000, limit),
            "api.version.request.timeout.ms": limit,
            "socket.keepalive.enable": True,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 2000,
            "allow.auto.create.topics": False,
            "log.connection.close": False,
            "error_cb": self._on_error,
            **self._target.access.confluent_config(),
        }

    def _on_error(self, error: KafkaError) -> None:
        # The library looks for a coordinator of the group that it is not going to join.
        if error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
            self._errors[error.code()] = error.str()


def _ours(
    failed: Sequence[_Sent],
    told: Mapping[int, str],
    seen: TopicSeen | SourceFailure,
    topic: str,
) -> SourceFailure | None:
    """Why none of the attempts counts; None: they do.

    Nothing came back, which a client that is not let in, or cut off, would see as well: what it was
    told, and whether it still gets metadata, decides.
    """
    codes = {*told, *(one.error.code() for one in failed if one.error is not None)} & OURS
    if codes:
        return _of_codes(codes, topic)
    return seen if isinstance(seen, SourceFailure) and seen.origin is Origin.OURS else None


def _gone(failed: Sequence[_Sent], seen: TopicSeen | SourceFailure) -> set[int]:
    """The partitions that are not there any more: librdkafka waits for them until its limit."""
    gone = {one.partition for one in failed if one.error is not None and one.error.code() in GONE}
    if not isinstance(seen, SourceFailure):
        there = {row.id for row in seen.partitions}
        gone.update(one.partition for one in failed if one.partition not in there)
    return gone


def _of_error(error: KafkaError, topic: str) -> SourceFailure:
    return _of_codes({error.code()}, topic)


def _of_codes(codes: set[int], topic: str) -> SourceFailure:
    reason, origin, what = judged(codes)
    if reason is FailureReason.AUTHORIZATION:
        what = f"grant Create, Describe, Read and Write on Topic:{topic}"
    return _failure(reason, origin, what)


def _failure(reason: FailureReason, origin: Origin, what: str) -> SourceFailure:
    return SourceFailure(
        source=Source.PROBE, origin=origin, reason=reason, detail=f"The probe cannot work: {what}."
    )
