"""Ten clients that know nothing but the name of a profile, and an account of their messages."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from healthd.client.moving import Spread
from healthd.client.producer import FailoverProducer
from healthd.client.resolver import ProfileResolver
from healthd.client.sending import Delivery
from healthd.demo.service import DemoTimeoutError
from healthd.demo.topics import quiet_client

CLIENT_IDS = tuple(f"till-{number}" for number in range(1, 11))
"""A client's share of a cluster on probation is drawn from its id: one of these is among the first
10 %, five are among the first 50 %."""
SPREAD = Spread(seconds=1.0, down_seconds=0.5)
"""Shorter than the default of 5 s, which is meant for more than ten clients."""
DRAIN_SECONDS = 2.0
FLUSH_SECONDS = 60.0
READ_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientsResult:
    """What became of the messages of all clients."""

    acknowledged: Mapping[str, int]
    """How many messages each cluster acknowledged."""
    lost: int
    """Acknowledged, and in no cluster."""
    duplicates: int
    """There more than once: sent again, because no acknowledgement had come."""
    refused: int
    """Given up with an error."""
    longest_pause_seconds: float
    """The longest time in which no client got any acknowledgement."""


class ProfileClients:
    """Producers that each resolve the profile and follow it; all go on until ``result``."""

    def __init__(
        self, url: str, profile: str, topic: str, *, messages_per_second: float = 100.0
    ) -> None:
        self._topic = topic
        self._interval = 1.0 / messages_per_second
        self._run = uuid.uuid4().hex
        self._resolvers = [
            ProfileResolver(profile, url, client_id=client_id) for client_id in CLIENT_IDS
        ]
        self._producers = [
            FailoverProducer(
                resolver,
                # librdkafka's own log would speak of every broker that is gone, on our stderr.
                {"acks": "all", "linger.ms": 5, "log_level": 0},
                spread=SPREAD,
                drain_seconds=DRAIN_SECONDS,
            )
            for resolver in self._resolvers
        ]
        self._no_more = threading.Event()
        self._lock = threading.Lock()
        self._acknowledged: dict[int, str] = {}
        self._first: dict[str, float] = {}
        self._refused = 0
        self._last = 0.0
        self._longest_pause = 0.0
        self._thread = threading.Thread(target=self._produce, name="demo-clients", daemon=True)

    def __enter__(self) -> Self:
        for resolver, producer in zip(self._resolvers, self._producers, strict=True):
            resolver.start()
            producer.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._no_more.set()
        self._thread.join()
        for resolver in self._resolvers:
            resolver.close()
        for producer in self._producers:
            producer.close(0.0)

    def where(self) -> Counter[str]:
        """How many clients are on each cluster now."""
        return Counter(producer.cluster or "none" for producer in self._producers)

    def acknowledged_by(self, cluster: str) -> int:
        """How many messages a cluster has acknowledged so far."""
        with self._lock:
            return sum(one == cluster for one in self._acknowledged.values())

    def first_acknowledgement(self, cluster: str) -> float | None:
        """When a cluster first acknowledged a message, in monotonic seconds."""
        with self._lock:
            return self._first.get(cluster)

    def result(self, bootstraps: Mapping[str, str]) -> ClientsResult:
        """What was counted, after the clients have ended and all clusters were read.

        Args:
            bootstraps: The bootstrap servers of every cluster, by its name.

        Raises:
            DemoTimeoutError: A cluster could not be read to its end.
        """
        self._no_more.set()
        self._thread.join()
        left = sum(producer.flush(FLUSH_SECONDS) for producer in self._producers)
        found: Counter[int] = Counter()
        for cluster, bootstrap in bootstraps.items():
            found.update(self._read(cluster, bootstrap))
        with self._lock:
            counts = Counter(self._acknowledged.values())
            lost = len(self._acknowledged.keys() - found.keys())
        return ClientsResult(
            acknowledged={cluster: counts[cluster] for cluster in bootstraps},
            lost=lost,
            duplicates=found.total() - len(found),
            refused=self._refused + left,
            longest_pause_seconds=self._longest_pause,
        )

    def _produce(self) -> None:
        number = 0
        due = time.monotonic()
        while not self._no_more.is_set():
            producer = self._producers[number % len(self._producers)]
            with contextlib.suppress(BufferError):
                producer.produce(
                    self._topic, b"demo", f"{self._run}-{number}", on_delivery=self._delivered
                )
                number += 1
            due += self._interval
            self._no_more.wait(max(0.0, due - time.monotonic()))

    def _delivered(self, delivery: Delivery) -> None:
        # Each producer calls from a thread of its own.
        with self._lock:
            number = self._number_of(delivery.key)
            if delivery.error is not None or number is None:
                self._refused += 1
                return
            now = time.monotonic()
            if self._acknowledged:
                self._longest_pause = max(self._longest_pause, now - self._last)
            self._last = now
            self._acknowledged[number] = delivery.cluster
            self._first.setdefault(delivery.cluster, now)

    def _number_of(self, key: bytes | str | None) -> int | None:
        """The number of one of our messages; None for anybody else's."""
        text = key.decode() if isinstance(key, bytes) else key or ""
        run, _, number = text.rpartition("-")
        return int(number) if run == self._run else None

    def _read(self, cluster: str, bootstrap: str) -> Counter[int]:
        """How often each of our messages is in a cluster."""
        settings = {"group.id": "demo-account", "enable.auto.commit": False}
        consumer = Consumer(quiet_client(bootstrap, **settings, **{"enable.partition.eof": True}))
        found: Counter[int] = Counter()
        deadline = time.monotonic() + READ_SECONDS
        try:
            metadata = consumer.list_topics(self._topic, timeout=READ_SECONDS)
            left = set(metadata.topics[self._topic].partitions)
            consumer.assign([TopicPartition(self._topic, one, OFFSET_BEGINNING) for one in left])
            while left:
                if time.monotonic() > deadline:
                    raise DemoTimeoutError(f"{cluster} was not read within {READ_SECONDS:g} s")
                message = consumer.poll(1.0)
                error = None if message is None else message.error()
                if message is None:
                    continue
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # Its public name.
                        left.discard(message.partition())
                    continue
                number = self._number_of(message.key())
                if number is not None:
                    found[number] += 1
        finally:
            consumer.close()
        return found
