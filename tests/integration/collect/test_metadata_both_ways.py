"""Metadata as raw bytes beside `list_topics`, on a real cluster: whatever its state, both agree."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.kafka_cluster import KafkaCluster

from healthd.collect.admin import MetadataClient
from healthd.collect.metadata_reader import MetadataReader
from healthd.collect.observation import MetadataSeen
from healthd.collect.target import ClusterTarget
from healthd.demo.topics import quiet_client
from healthd.model.snapshot import NO_LEADER, Topic

PATIENCE = 60.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster(nodes=3, racks={1: "a", 2: "b", 3: "c"}) as cluster:
        yield cluster


class Ways:
    """Both ways to the same metadata, each with what it saw last."""

    def __init__(self, bootstrap: str) -> None:
        target = ClusterTarget(name="both", bootstrap_servers=tuple(bootstrap.split(",")))
        self.raw = MetadataReader(target)
        self.oracle = MetadataClient(target)
        self._topics: dict[str, dict[str, Topic]] = {"raw": {}, "oracle": {}}

    def read(self) -> MetadataSeen:
        """What both say of one state.

        Asked again while the cluster is moving: each way asks a broker of its own choice, and a
        change reaches one broker before the other. What differs for good differs at the end, too.
        """
        until = time.monotonic() + PATIENCE
        while True:
            raw, oracle = self._one("raw"), self._one("oracle")
            if raw == oracle or time.monotonic() > until:
                assert raw == oracle
                return raw

    def until(self, is_reached: Callable[[MetadataSeen], bool]) -> MetadataSeen:
        """What both say once something is so."""
        until = time.monotonic() + PATIENCE
        while not is_reached(seen := self.read()):
            assert time.monotonic() < until, seen
            time.sleep(0.2)
        return seen

    def _one(self, way: str) -> MetadataSeen:
        reader = self.raw if way == "raw" else self.oracle
        seen = reader.read(self._topics[way])
        assert isinstance(seen, MetadataSeen), seen
        assert seen.answered_by in seen.brokers
        self._topics[way] = {topic.name: topic for topic in seen.topics}
        # Which broker is asked is up to each.
        return replace(seen, answered_by=-1)


@pytest.fixture
def ways(cluster: KafkaCluster) -> Iterator[Ways]:
    ways = Ways(cluster.bootstrap)
    yield ways
    ways.raw.close()
    ways.oracle.close()


def create(cluster: KafkaCluster, *topics: NewTopic) -> AdminClient:
    admin = AdminClient(quiet_client(cluster.bootstrap))
    for future in admin.create_topics(list(topics)).values():
        future.result()
    return admin


def is_in_sync(seen: MetadataSeen) -> bool:
    return all(
        isr is replicas
        for topic in seen.topics
        for isr, replicas in zip(topic.isrs, topic.replicas, strict=True)
    )


def is_led(seen: MetadataSeen) -> bool:
    return not any(NO_LEADER in topic.leaders for topic in seen.topics)


def names(seen: MetadataSeen) -> set[str]:
    return {topic.name for topic in seen.topics}


def test_both_ways_agree_while_topics_come_lose_a_broker_and_go(
    cluster: KafkaCluster, ways: Ways
) -> None:
    ways.read()
    placed = NewTopic("placed", num_partitions=3, replica_assignment=[[3, 1], [2, 3], [1, 2]])
    topics = [NewTopic("plain", 12, 3), NewTopic("single", 5, 1), NewTopic("a.b-c_d", 1, 2), placed]
    admin = create(cluster, *topics)
    first = ways.until(lambda seen: names(seen) >= {topic.topic for topic in topics})
    assert ways.read().topics is ways.read().topics
    assert is_in_sync(first)

    cluster.node(2).kill()
    ways.until(lambda seen: 2 not in seen.brokers and not is_led(seen) and not is_in_sync(seen))
    cluster.node(2).start()
    ways.until(lambda seen: 2 in seen.brokers and is_led(seen) and is_in_sync(seen))

    for future in admin.delete_topics(["plain", "placed"]).values():
        future.result()
    ways.until(lambda seen: names(seen).isdisjoint({"plain", "placed"}))


def test_a_broker_that_freezes_costs_one_attempt_and_is_asked_no_more(
    cluster: KafkaCluster, ways: Ways
) -> None:
    first = ways.raw.read({})
    assert isinstance(first, MetadataSeen)
    cluster.node(first.answered_by).freeze()
    try:
        second = ways.raw.read({})
        third = ways.raw.read({})
    finally:
        cluster.node(first.answered_by).thaw()
    assert isinstance(second, MetadataSeen)
    assert isinstance(third, MetadataSeen)
    assert first.answered_by != second.answered_by == third.answered_by


def test_a_broker_whose_word_was_not_believed_is_not_asked_next(
    cluster: KafkaCluster, ways: Ways
) -> None:
    asked = set()
    for _ in cluster.nodes:
        seen = ways.raw.read({})
        assert isinstance(seen, MetadataSeen)
        asked.add(seen.answered_by)
        ways.raw.turn_away(seen.answered_by)
    assert asked == {node.id for node in cluster.nodes}
