"""One refresh of a real three-node cluster with 20,000 partitions, beside what others do.

A refresh is everything: metadata, the quorum, reassignments, the broker list, the index with its
checks, what can be lost, and the lines of /metrics. Beside it, in the same process and run:
``list_topics`` of confluent-kafka with a loop that counts, and kafka-python's ``describe_topics``.
All figures are processor seconds of this process, its threads included.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.kafka_cluster import KafkaCluster

from healthd.collect.cluster import ClusterCollector
from healthd.collect.metadata_reader import MetadataReader
from healthd.collect.target import ClusterTarget
from healthd.config.fleet import ClusterConfig
from healthd.demo.topics import quiet_client
from healthd.engine.judging import Judge
from healthd.engine.view import ClusterView
from healthd.health.history import NO_HISTORY
from healthd.model.snapshot import Topic
from healthd.serve.metric_text import ClusterTexts

TOPICS: Final = 20
PARTITIONS: Final = 20_000
REPLICAS: Final = 1
"""Three real brokers on a small machine: with more they are busy for minutes."""
ROUNDS: Final = 15
PATIENCE: Final = 240.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    """Three combined nodes with 20,000 partitions."""
    with KafkaCluster(
        nodes=3, racks={1: "a", 2: "b", 3: "c"}, jvm=("-Xmx1g",), properties={
            # Each partition begins with two index files of this size.
            "log.index.size.max.bytes": "4096",
        },
    ) as cluster:  # fmt: skip
        admin = AdminClient(quiet_client(cluster.bootstrap))
        for at in range(TOPICS):
            new = NewTopic(f"bench-{at}", PARTITIONS // TOPICS, REPLICAS)
            for future in admin.create_topics([new], operation_timeout=60).values():
                future.result()
        until = time.monotonic() + PATIENCE
        while not is_complete(admin):
            assert time.monotonic() < until
            time.sleep(1)
        yield cluster


def is_complete(admin: AdminClient) -> bool:
    """Whether every partition is there, led and in sync."""
    topics = admin.list_topics(timeout=30).topics.values()
    rows = [row for topic in topics for row in topic.partitions.values()]
    return len(rows) >= PARTITIONS and all(row.leader >= 0 for row in rows)


def count_loop(admin: AdminClient) -> tuple[int, int]:
    """What a small exporter does: partitions, and those that are under-replicated."""
    total = behind = 0
    for topic in admin.list_topics(timeout=30).topics.values():
        for row in topic.partitions.values():
            total += 1
            behind += len(row.isrs) < len(row.replicas)
    return total, behind


def cost(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median of some rounds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


async def cost_of(work: Callable[[], Awaitable[object]], rounds: int = ROUNDS) -> float:
    """The median of some rounds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        await work()
        found.append(time.process_time() - began)
    return statistics.median(found)


class Refresh:
    """What the daemon does with one cluster in one sweep."""

    def __init__(self, bootstrap: str) -> None:
        self.config = ClusterConfig(name="bench", bootstrap_servers=tuple(bootstrap.split(",")))
        self.collector = ClusterCollector(ClusterTarget.of(self.config))
        self._judge = Judge(self.config)
        self._history = NO_HISTORY
        self._texts = ClusterTexts()
        self.index = 0.0
        self.partitions = 0

    async def __call__(self) -> None:
        collected = await self.collector.collect()
        judged = self._judge.judge(
            collected.snapshot, self._history, frozenset(), collected.failures
        )
        self._history = judged.history
        view = ClusterView(
            config=self.config,
            snapshot=collected.snapshot,
            report=judged.report,
            tolerated_racks=judged.tolerated_racks,
            losses=judged.losses,
            durations=collected.durations,
        )
        self._texts.of({"bench": view})
        self.index = judged.report.health_index
        self.partitions = sum(map(len, collected.snapshot.topics))


def read_anew(target: ClusterTarget, rounds: int = ROUNDS) -> float:
    """Metadata decoded from the first byte to the last each time."""
    found = []
    for _ in range(rounds):
        reader = MetadataReader(target)
        # Connecting is not what is measured: a first answer is thrown away.
        reader.read({})
        reader._decoder.__init__()  # type: ignore[misc]  # It forgets.
        began = time.process_time()
        reader.read({})
        found.append(time.process_time() - began)
        reader.close()
    return statistics.median(found)


@pytest.mark.bench
@pytest.mark.timeout(900)
async def test_refresh_beside_list_topics(cluster: KafkaCluster) -> None:
    admin = AdminClient(quiet_client(cluster.bootstrap))
    refresh = Refresh(cluster.bootstrap)
    target = ClusterTarget.of(refresh.config)
    began = time.process_time()
    await refresh()
    first = time.process_time() - began
    for _ in range(3):
        await refresh()
    reader = MetadataReader(target)
    known: dict[str, Topic] = {}
    reader.read(known)
    described = await asyncio.to_thread(by_kafka_python, cluster.bootstrap)
    listed = cost(lambda: count_loop(admin))
    raw_same = cost(lambda: reader.read(known))
    raw_anew = await asyncio.to_thread(read_anew, target)
    whole = await cost_of(refresh)
    listed_again = cost(lambda: count_loop(admin))
    reader.close()
    await refresh.collector.aclose()
    base = min(listed, listed_again)
    print(
        f"\nreal cluster, 3 nodes, {refresh.partitions:,} partitions, index {refresh.index:.0f}; "
        "CPU seconds a refresh, medians:"
        f"\n  list_topics and a counting loop      {base:.4f}"
        f"\n  kafka-python's describe_topics       {described:.4f}  {described / base:6.2f} times"
        f"\n  whole refresh, index and publishing  {whole:.4f}  {whole / base:6.2f} times"
        f"\n  the first one, everything new        {first:.4f}  {first / base:6.2f} times"
        f"\n  metadata alone, every byte decoded   {raw_anew:.4f}  {raw_anew / base:6.2f} times"
        f"\n  metadata alone, unchanged bytes      {raw_same:.4f}  {raw_same / base:6.2f} times"
    )
    assert refresh.partitions >= PARTITIONS
    assert refresh.index > 0


def by_kafka_python(bootstrap: str) -> float:
    """kafka-python's own way to the same metadata."""
    # Imported here, when healthd has imported it: it warns on the first import.
    from kafka import KafkaAdminClient  # noqa: PLC0415  # See above.

    client: Any = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        return cost(client.describe_topics, 5)
    finally:
        client.close()
