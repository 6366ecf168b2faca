"""Topics with real data, and what a client sees of the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from healthd.demo.nodes import Shape
from healthd.demo.service import wait_until

DEMO_TOPICS = {"orders": 12, "payments": 8, "audit": 6}
"""Topic and number of partitions."""
MESSAGES_PER_PARTITION = 20
REQUEST_SECONDS = 15.0
LOADING = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """What the metadata said at one moment."""

    brokers: frozenset[int]
    partitions: int
    out_of_sync: tuple[str, ...]
    """``topic-partition`` of every partition that has no leader or misses a replica in its ISR."""


def quiet_client(bootstrap: str, **settings: Any) -> dict[str, Any]:
    """Client settings that keep librdkafka's own log off our stderr."""
    return {"bootstrap.servers": bootstrap, "log_level": 0, **settings}


def look(admin: AdminClient, timeout_seconds: float = 3.0) -> ClusterView:
    """What the cluster's metadata says now.

    Raises:
        confluent_kafka.KafkaException: No broker answered in time.
    """
    metadata = admin.list_topics(timeout=timeout_seconds)
    out_of_sync = []
    partitions = 0
    for name, topic in metadata.topics.items():
        for number, partition in topic.partitions.items():
            partitions += 1
            if partition.leader < 0 or set(partition.isrs) != set(partition.replicas):
                out_of_sync.append(f"{name}-{number}")
    return ClusterView(
        brokers=frozenset(metadata.brokers),
        partitions=partitions,
        out_of_sync=tuple(sorted(out_of_sync)),
    )


def create_topics(bootstrap: str, topics: dict[str, int], shape: Shape) -> None:
    """The topics are there with messages in each partition; ``__consumer_offsets`` is there too."""
    admin = AdminClient(quiet_client(bootstrap))
    futures = admin.create_topics(
        [
            NewTopic(
                name,
                num_partitions=partitions,
                replication_factor=shape.replication_factor,
                config={"min.insync.replicas": str(shape.min_insync_replicas)},
            )
            for name, partitions in topics.items()
        ],
        request_timeout=REQUEST_SECONDS,
    )
    for future in futures.values():
        future.result()
    _fill(bootstrap, topics)
    _commit_offsets(bootstrap, next(iter(topics)))


def _fill(bootstrap: str, topics: dict[str, int]) -> None:
    producer = Producer(
        quiet_client(bootstrap, **{"acks": "all", "enable.idempotence": True, "linger.ms": 20})
    )
    failures: list[str] = []

    def delivered(error: object, _message: Message) -> None:
        if error is not None:
            failures.append(str(error))

    for name, partitions in topics.items():
        for partition in range(partitions):
            for number in range(MESSAGES_PER_PARTITION):
                value = f"{name} {partition} {number}".encode()
                producer.produce(name, value, partition=partition, on_delivery=delivered)
    left = producer.flush(REQUEST_SECONDS * 2)
    if left or failures:
        raise RuntimeError(f"filling the topics: {left} messages left, failures {failures[:3]}")


def _commit_offsets(bootstrap: str, topic: str) -> None:
    # The first commit of a group makes the brokers create __consumer_offsets.
    consumer = Consumer(quiet_client(bootstrap, **{"group.id": "demo-reader"}))
    try:
        offsets = [TopicPartition(topic, 0, MESSAGES_PER_PARTITION)]
        wait_until(
            lambda: _could_commit(consumer, offsets), "offsets are committed", REQUEST_SECONDS
        )
    finally:
        consumer.close()


def _could_commit(consumer: Consumer, offsets: list[TopicPartition]) -> bool:
    """Whether it was taken; a coordinator that has only just been chosen loads its log first."""
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        if error.args[0].code() in LOADING:
            return False
        raise
    return True
