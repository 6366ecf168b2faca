"""A producer and a consumer that run throughout and count what a client would have noticed."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, Message, Producer

from healthd.demo.topics import quiet_client

POLL_SECONDS = 0.05
DELIVERY_SECONDS = 120
"""librdkafka's own default is 300 s; a client that waits so long has noticed."""
DIFFERENT_ERRORS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What the clients noticed, in messages and seconds."""

    produced: int
    """Acknowledged by all in-sync replicas."""
    consumed: int
    """Read back at least once."""
    lost: int
    """Acknowledged, but never read back."""
    duplicates: int
    """Read back again after they had been read once."""
    refused: int
    """Given up by the producer with an error after all its retries."""
    errors: tuple[str, ...]
    """The different errors of refused messages, at most ten."""
    longest_pause_seconds: float
    """The longest time between two acknowledgements."""
    slowest_acknowledgement_seconds: float
    """The longest time that one message waited for its acknowledgement."""


class Load:
    """An idempotent acks=all producer and a consumer group on one topic.

    The key of each message is the run's own id and a number, so that each one is accounted for
    even when the topic holds other data. Use it as a context manager, or call
    ``start`` and then ``result`` once.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str = "orders",
        *,
        messages_per_second: float = 100.0,
        drain_seconds: float = 60.0,
    ) -> None:
        self._topic = topic
        self._interval = 1.0 / messages_per_second
        self._drain_seconds = drain_seconds
        self._run = uuid.uuid4().hex
        self._producer = Producer(
            quiet_client(
                bootstrap,
                **{
                    "acks": "all",
                    "enable.idempotence": True,
                    "linger.ms": 5,
                    "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
                },
            )
        )
        self._consumer = Consumer(
            quiet_client(
                bootstrap,
                **{
                    "group.id": f"demo-load-{self._run[:8]}",
                    "auto.offset.reset": "earliest",
                    "auto.commit.interval.ms": 1000,
                    "isolation.level": "read_committed",
                },
            )
        )
        self._no_more = threading.Event()
        self._drained = threading.Event()
        self._acknowledged: set[int] = set()
        self._seen: set[int] = set()
        self._duplicates = 0
        self._refused = 0
        self._errors: list[str] = []
        self._last_acknowledgement: float | None = None
        self._longest_pause = 0.0
        self._slowest = 0.0
        self._threads = [
            threading.Thread(target=self._produce, name="demo-producer", daemon=True),
            threading.Thread(target=self._consume, name="demo-consumer", daemon=True),
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._no_more.set()
        self._drained.set()
        for thread in self._threads:
            thread.join()

    def start(self) -> None:
        """Producing and consuming go on from now, each in a thread."""
        for thread in self._threads:
            thread.start()

    @property
    def produced(self) -> int:
        """Messages acknowledged so far."""
        return len(self._acknowledged)

    @property
    def consumed(self) -> int:
        """Different messages read back so far."""
        return len(self._seen)

    def result(self) -> LoadResult:
        """What was counted, after producing has ended and everything was read back.

        Waits at most ``drain_seconds`` for messages that are acknowledged but not read yet; what
        is missing then is lost.
        """
        self._no_more.set()
        self._threads[0].join()
        deadline = time.monotonic() + self._drain_seconds
        while not self._acknowledged <= self._seen and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self._drained.set()
        self._threads[1].join()
        return LoadResult(
            produced=len(self._acknowledged),
            consumed=len(self._seen),
            lost=len(self._acknowledged - self._seen),
            duplicates=self._duplicates,
            refused=self._refused,
            errors=tuple(self._errors),
            longest_pause_seconds=self._longest_pause,
            slowest_acknowledgement_seconds=self._slowest,
        )

    def _produce(self) -> None:
        number = 0
        due = time.monotonic()
        while not self._no_more.is_set():
            try:
                # Keys that differ spread the messages over all partitions.
                key = f"{self._run}-{number}"
                self._producer.produce(self._topic, b"demo", key=key, on_delivery=self._delivered)
                number += 1
                due += self._interval
            except BufferError:
                # The queue is full because brokers do not answer: wait, nothing is dropped.
                self._producer.poll(POLL_SECONDS)
            self._producer.poll(max(0.0, due - time.monotonic()))
        # Longer than a delivery may take, so that each message ends as acknowledged or refused.
        self._producer.flush(DELIVERY_SECONDS + 10)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused += 1
            if str(error) not in self._errors and len(self._errors) < DIFFERENT_ERRORS:
                self._errors.append(str(error))
            return
        number = self._number_of(message)
        assert number is not None
        self._acknowledged.add(number)
        now = time.monotonic()
        if self._last_acknowledgement is not None:
            self._longest_pause = max(self._longest_pause, now - self._last_acknowledgement)
        self._last_acknowledgement = now
        self._slowest = max(self._slowest, message.latency() or 0.0)

    def _number_of(self, message: Message) -> int | None:
        """The number of one of our messages; None for anybody else's."""
        run, _, number = (message.key() or b"").decode().rpartition("-")
        return int(number) if run == self._run else None

    def _consume(self) -> None:
        self._consumer.subscribe([self._topic])
        try:
            while not self._drained.is_set():
                message = self._consumer.poll(POLL_SECONDS)
                # After an error librdkafka goes on by itself; what it never reads counts as lost.
                if message is None or message.error() is not None:
                    continue
                number = self._number_of(message)
                if number is not None:
                    self._duplicates += number in self._seen
                    self._seen.add(number)
        finally:
            self._consumer.close()
