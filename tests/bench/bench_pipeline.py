"""Metadata to snapshot to index for 100,000 partitions, beside `list_topics` in the same run.

The metadata is made of confluent_kafka's own metadata classes, filled in Python as its C code fills
them (a dict of PartitionMetadata a topic, lists of ints): the very objects that `list_topics`
gives, not an answer of a real cluster of that size. The baseline is measured on the real fleet with
few and with many partitions: the difference is what one more partition costs, and that is scaled,
for a cost for each call, shared by 4,000 partitions, would make the baseline look dear.
"""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psutil
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import (
    BrokerMetadata,
    ClusterMetadata,
    PartitionMetadata,
    TopicMetadata,
)
from confluent_kafka.cimpl import NewTopic

from healthd.collect.assemble import assemble
from healthd.collect.metadata import Interned, metadata_seen
from healthd.collect.observation import Observations, QuorumSeen
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget
from healthd.demo.fleet import DemoFleet
from healthd.health.index import evaluate
from healthd.model.snapshot import Voter

TOPICS: Final = 1000
PARTITIONS: Final = 100
BROKERS: Final = 100
BASELINE_PARTITIONS: Final = 4000
MEGABYTE: Final = 1024 * 1024


def stand_in() -> Any:
    """Metadata of 100,000 partitions, RF 3, a few of them out of sync."""
    found: Any = ClusterMetadata()
    found.orig_broker_id = 0
    for node in range(BROKERS):
        broker: Any = BrokerMetadata()
        broker.id, broker.host, broker.port = node, f"b{node}", 9092
        found.brokers[node] = broker
    for number in range(TOPICS):
        topic: Any = TopicMetadata()
        topic.topic = f"topic-{number}"
        for at in range(PARTITIONS):
            row: Any = PartitionMetadata()
            first = (number * 7 + at) % BROKERS
            row.id, row.leader = at, first
            row.replicas = [first, (first + 1) % BROKERS, (first + 2) % BROKERS]
            row.isrs = row.replicas[:2] if (number + at) % 997 == 0 else list(row.replicas)
            topic.partitions[at] = row
        found.topics[topic.topic] = topic
    return found


@dataclass(slots=True)
class Pipeline:
    """One cluster's way from metadata to index."""

    last: LastValues
    interned: Interned

    def run(self, metadata: Any, at: float) -> float:
        """The index after one round."""
        seen = metadata_seen(metadata, self.last.topics, self.interned)
        done = assemble(
            TARGET,
            self.last,
            Observations(
                metadata=seen,
                min_insync_replicas={topic.name: 2 for topic in seen.topics},
                configs_complete=True,
                quorum=QUORUM,
                reassigning={},
            ),
            began=at,
            now=Moment(monotonic=at, wall=datetime.now(UTC)),
        )
        self.last = done.last
        return evaluate(done.snapshot).health_index


TARGET = ClusterTarget(name="large", bootstrap_servers=("b0:9092",))
QUORUM = QuorumSeen(
    leader_id=0,
    voters=tuple(Voter(id=node, last_caught_up_ms=1000, log_end_offset=1) for node in range(3)),
    fetch_timeout_ms=2000,
)


def best(work: Callable[[], object], rounds: int) -> float:
    """The best of some rounds in CPU seconds of this process."""
    found = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work()
        found = min(found, time.process_time() - began)
    return found


def partitions_of(client: Any) -> int:
    """How many partitions the cluster lists."""
    return sum(len(topic.partitions) for topic in client.list_topics(timeout=10).topics.values())


@pytest.fixture
def baseline(fleet: DemoFleet) -> Iterator[tuple[float, int]]:
    """CPU seconds that one more partition costs `list_topics`, and how many were added."""
    client = AdminClient({"bootstrap.servers": fleet.bootstrap})
    few = partitions_of(client)
    with_few = best(lambda: client.list_topics(timeout=10), 30)
    names = [f"bench-{at}" for at in range(10)]
    topics = [NewTopic(name, BASELINE_PARTITIONS // 10, 3) for name in names]
    for future in client.create_topics(topics).values():
        future.result()
    while partitions_of(client) < few + BASELINE_PARTITIONS:
        time.sleep(0.2)
    # The brokers are busy with the new ones for a moment; the best of many rounds is not.
    with_many = best(lambda: client.list_topics(timeout=10), 30)
    yield (with_many - with_few) / BASELINE_PARTITIONS, BASELINE_PARTITIONS
    for future in client.delete_topics(names).values():
        future.result()


@pytest.mark.bench
@pytest.mark.fleet
@pytest.mark.xdist_group("fleet")
def test_pipeline_beside_list_topics(baseline: tuple[float, int]) -> None:
    each, count = baseline
    total = TOPICS * PARTITIONS
    metadata = stand_in()
    pipeline = Pipeline(LastValues(), Interned())
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    began = time.process_time()
    index = pipeline.run(metadata, 0.0)
    first = time.process_time() - began
    rounds = iter(range(1, 100))
    again = best(lambda: pipeline.run(metadata, 15.0 * next(rounds)), 5)
    grown = (process.memory_info().rss - before) / MEGABYTE
    listed = each * total
    print(
        f"\nlist_topics: {each * 1e6:.2f} us a partition (real fleet, {count:,} more partitions), "
        f"{listed * 1e3:.0f} ms for {total:,}"
        f"\nmetadata to index, {total:,} partitions (stand-ins of confluent_kafka's classes): "
        f"first round {first * 1e3:.0f} ms ({first / listed:.2f} times list_topics), "
        f"later ones {again * 1e3:.0f} ms ({again / listed:.2f} times)"
        f"\nmemory: {grown:.0f} MB more, index {index:.1f}"
    )
    assert 0 < index < 100
