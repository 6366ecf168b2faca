"""One state of a cluster as a Metadata answer: bytes of each version, and librdkafka's objects."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError
from confluent_kafka.admin._metadata import (
    BrokerMetadata,
    ClusterMetadata,
    PartitionMetadata,
    TopicMetadata,
)

from healthd.collect.raw_request import MetadataResponse, RawMetadata

VERSIONS: Final = range(9, 14)
_NAMESPACE: Final = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One partition."""

    id: int
    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    offline: tuple[int, ...] = ()
    error: int = 0
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One cluster."""

    topics: Mapping[str, Sequence[Row]]
    brokers: tuple[int, ...] = (1, 2, 3)
    controller: int = 1
    throttle_ms: int = 0


def as_bytes(state: State, version: int) -> RawMetadata:
    """The state as kafka-python encodes it."""
    response: Any = MetadataResponse
    topic_class = response.MetadataResponseTopic
    partition_class = topic_class.MetadataResponsePartition
    answer = response(
        throttle_time_ms=state.throttle_ms,
        brokers=[
            response.MetadataResponseBroker(
                node_id=node, host=f"b{node}", port=9092, rack="a" if node % 2 else None
            )
            for node in state.brokers
        ],
        cluster_id="a cluster",
        controller_id=state.controller,
        topics=[
            topic_class(
                error_code=0,
                name=name,
                topic_id=uuid.uuid5(_NAMESPACE, name),
                is_internal=name.startswith("__"),
                partitions=[
                    partition_class(
                        error_code=row.error,
                        partition_index=row.id,
                        leader_id=row.leader,
                        leader_epoch=row.epoch,
                        replica_nodes=list(row.replicas),
                        isr_nodes=list(row.isr),
                        offline_replicas=list(row.offline),
                    )
                    for row in rows
                ],
                authorized_operations=set(),
            )
            for name, rows in state.topics.items()
        ],
        authorized_operations=set(),
        error_code=0,
    )
    return RawMetadata(version, bytes(answer.encode(version=version)))


def as_objects(state: State, answered_by: int) -> Any:
    """The state as ``AdminClient.list_topics`` gives it."""
    found: Any = ClusterMetadata()
    found.orig_broker_id = answered_by
    found.controller_id = state.controller
    for node in state.brokers:
        broker: Any = BrokerMetadata()
        broker.id, broker.host, broker.port = node, f"b{node}", 9092
        found.brokers[node] = broker
    for name, rows in state.topics.items():
        topic: Any = TopicMetadata()
        topic.topic = name
        for each in rows:
            row: Any = PartitionMetadata()
            row.id, row.leader = each.id, each.leader
            row.replicas, row.isrs = list(each.replicas), list(each.isr)
            row.error = KafkaError(each.error) if each.error else None
            topic.partitions[each.id] = row
        found.topics[name] = topic
    return found
