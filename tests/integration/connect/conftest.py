"""Two real Kafka clusters, and a real Connect worker that mirrors one into the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.connect_worker import ConnectWorker, mirror_configs
from support.kafka_cluster import KafkaCluster
from support.mirrored import Look, Mirror, Seen

from healthd.collect.cluster import ClusterCollector
from healthd.collect.sides import sides_of
from healthd.collect.target import ClusterTarget
from healthd.config.fleet_file import load_fleet
from healthd.demo.topics import quiet_client
from healthd.engine.collector_checks import further_checks


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Whoever asks for the mirror shares it: one xdist worker, one set of servers.
    for item in items:
        if "mirror" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("connect"))


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    """Two clusters of one node each, and everything that mirrors east into west, running."""
    with KafkaCluster() as east, KafkaCluster() as west:
        admin = AdminClient(quiet_client(east.bootstrap))
        for future in admin.create_topics([NewTopic("orders", 2, 1)]).values():
            future.result()
        with ConnectWorker(west.bootstrap) as worker:
            connectors = mirror_configs(
                source="east",
                source_servers=east.bootstrap,
                target="west",
                target_servers=west.bootstrap,
            )
            for name, config in connectors.items():
                worker.create(name, config)
            worker.wait_states("east-mirror", "RUNNING", "RUNNING")
            worker.wait_states("east-heartbeat", "RUNNING", "RUNNING")
            yield Mirror(east=east, west=west, worker=worker)


@pytest.fixture
async def look(mirror: Mirror, tmp_path: Path) -> AsyncIterator[Look]:
    """One round of collecting west with everything that its fleet file names."""
    config = load_fleet(mirror.fleet_file(tmp_path)).clusters[0]
    target = ClusterTarget.of(config)
    collector = ClusterCollector(target, sides=sides_of(config, target), settle=True)

    async def once() -> Seen:
        collected = await collector.collect()
        checks = further_checks(collected.snapshot, collected.failures)
        return Seen(extra=dict(collected.snapshot.extra or {}), checks=tuple(checks))

    yield once
    await collector.aclose()
