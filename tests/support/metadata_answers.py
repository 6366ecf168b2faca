"""One state of a cluster as a Metadata answer: bytes of each version, and librdkafka's objects."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from confluent_kafka import KafkaError
from confluent_kafka.admin._metadata import (
    BrokerMetadata,
    ClusterMetadata,
    PartitionMetadata,
    TopicMetadata,
)
from hypothesis import strategies as st

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


# --- Strategies ----------------------------------------------------------------------------------

NAMES = ("a", "orders", "__consumer_offsets", "z.ü", "n" * 249)
MANY_REPLICAS = tuple(range(200))
IDS = st.lists(st.integers(0, 5), unique=True, max_size=4).map(tuple)


@st.composite
def rows(draw: st.DrawFn, number: int) -> Row:
    """A partition in any state."""
    replicas = draw(st.one_of(st.just((1, 2, 3)), IDS, st.just(MANY_REPLICAS)))
    isr = draw(st.one_of(st.just(replicas), st.just(replicas[:1]), st.permutations(replicas)))
    return Row(
        id=number,
        leader=draw(st.sampled_from([-1, 1, 1, 2])),
        replicas=replicas,
        isr=tuple(isr),
        offline=draw(st.sampled_from([(), (), (), (2,)])),
        error=draw(st.sampled_from([0, 0, 0, 0, 5, 9, 72])),
        epoch=draw(st.integers(0, 3)),
    )


@st.composite
def topics(draw: st.DrawFn) -> tuple[Row, ...]:
    """The partitions of one topic, in any order."""
    count = draw(st.integers(0, 4))
    if draw(st.booleans()):
        # As it nearly always is: all alike and in sync.
        return tuple(Row(id=at, leader=1, replicas=(1, 2, 3), isr=(1, 2, 3)) for at in range(count))
    order = draw(st.permutations(range(count)))
    return tuple(draw(rows(at + draw(st.sampled_from([0, 0, 7])) * count)) for at in order)


@st.composite
def states(draw: st.DrawFn) -> State:
    """A cluster in any state."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    return State(
        topics={name: draw(topics()) for name in names},
        brokers=tuple(draw(st.lists(st.integers(0, 5), unique=True, max_size=4))),
        controller=draw(st.integers(-1, 3)),
        throttle_ms=draw(st.sampled_from([0, 0, 50])),
    )


@st.composite
def stories(draw: st.DrawFn) -> list[State]:
    """States one after the other, of which most share topics with the one before."""
    found = [draw(states())]
    for _ in range(draw(st.integers(0, 4))):
        last = found[-1]
        match draw(st.integers(0, 4)):
            case 0:
                found.append(draw(states()))
            case 1:
                found.append(replace(last, controller=draw(st.integers(-1, 3))))
            case 2:
                name = draw(st.sampled_from(NAMES))
                found.append(replace(last, topics={**last.topics, name: draw(topics())}))
            case 3:
                order = draw(st.permutations(list(last.topics)))
                found.append(replace(last, topics={name: last.topics[name] for name in order}))
            case 4:
                found.append(replace(last, topics=dict(list(last.topics.items())[1:])))
    return found
