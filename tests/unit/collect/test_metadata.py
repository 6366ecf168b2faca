"""Kafka's metadata objects into columns."""

from typing import Any

from confluent_kafka import KafkaError
from confluent_kafka.admin._metadata import (
    BrokerMetadata,
    ClusterMetadata,
    PartitionMetadata,
    TopicMetadata,
)

from healthd.collect.metadata import LISTENER_NOT_FOUND, Interned, metadata_seen
from healthd.model.snapshot import Topic

Row = tuple[int, int, list[int], list[int]]


def metadata(topics: dict[str, list[Row]], *, origin: int = 1) -> Any:
    # Their attributes are declared as None: Any lets them be what they are in an answer.
    found: Any = ClusterMetadata()
    found.orig_broker_id = origin
    for node in (1, 2, 3):
        broker: Any = BrokerMetadata()
        broker.id, broker.host, broker.port = node, f"b{node}", 9092
        found.brokers[node] = broker
    for name, rows in topics.items():
        topic: Any = TopicMetadata()
        topic.topic = name
        for at, leader, replicas, isr in rows:
            row: Any = PartitionMetadata()
            row.id, row.leader, row.replicas, row.isrs = at, leader, replicas, isr
            topic.partitions[at] = row
        found.topics[name] = topic
    return found


def test_partitions_are_columns_in_the_order_of_their_ids() -> None:
    seen = metadata_seen(
        metadata({"b": [(1, 2, [2, 1], [2]), (0, 1, [1, 2], [2, 1])], "a": [(0, 3, [3], [3])]}),
        {},
        Interned(),
    )
    first, second = seen.topics
    assert (first.name, second.name) == ("a", "b")
    assert second.ids == (0, 1)
    assert second.leaders == (1, 2)
    assert second.replicas == ((1, 2), (2, 1))
    assert second.isrs == ((1, 2), (2,))
    assert seen.partition_count == 3
    assert sorted(seen.brokers) == [1, 2, 3]


def test_a_partition_in_sync_has_one_tuple_for_both_lists() -> None:
    (topic,) = metadata_seen(
        metadata({"a": [(0, 1, [1, 2], [2, 1]), (1, 1, [1, 2], [1, 2])]}), {}, Interned()
    ).topics
    assert topic.isrs[0] is topic.replicas[0]
    assert topic.isrs[1] is topic.replicas[1]
    assert topic.replicas[0] is topic.replicas[1]


def test_an_unchanged_topic_is_the_same_object_with_its_min_isr() -> None:
    rows: list[Row] = [(0, 1, [1, 2], [1, 2])]
    interned = Interned()
    before = Topic(
        name="a",
        min_insync_replicas=2,
        ids=(0,),
        leaders=(1,),
        replicas=((1, 2),),
        isrs=((1, 2),),
    )
    (same,) = metadata_seen(metadata({"a": rows}), {"a": before}, interned).topics
    assert same is before
    rows[0] = (0, 2, [1, 2], [2])
    (changed,) = metadata_seen(metadata({"a": rows}), {"a": before}, interned).topics
    assert changed.leaders == (2,)
    assert changed.min_insync_replicas == 2


def test_a_bootstrap_connection_is_found_by_its_address() -> None:
    answer = metadata({}, origin=-1)
    answer.orig_broker_name = "b2:9092/bootstrap"
    assert metadata_seen(answer, {}, Interned()).answered_by == 2
    answer.orig_broker_name = "kafka.example:9092/bootstrap"
    assert metadata_seen(answer, {}, Interned()).answered_by == -1


def test_partitions_without_our_kind_of_listener_are_counted_and_few_are_named() -> None:
    answer = metadata({"a": [(at, -1, [1], [1]) for at in range(9)]})
    for row in answer.topics["a"].partitions.values():
        row.error = KafkaError(LISTENER_NOT_FOUND)
    seen = metadata_seen(answer, {}, Interned())
    assert seen.listeners_missing == 9
    assert seen.hidden_listeners == tuple(("a", at) for at in range(5))


def test_a_topic_of_which_only_an_error_is_known_is_left_out() -> None:
    assert metadata_seen(metadata({"a": []}), {}, Interned()).topics == ()
