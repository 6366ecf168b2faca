"""What every `ClusterSource` does: the scripted one here, the real one on the fleet too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from healthd.collect.cluster import ClusterCollector
from healthd.collect.memory import MemoryCluster, MemorySource
from healthd.collect.protocol import ClusterSource
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.demo.fleet import DemoFleet
from healthd.model.parse import snapshot_of
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup


@dataclass(slots=True)
class Setting:
    """A source over a healthy cluster, and how to change what it looks at."""

    source: ClusterSource
    name: str
    nodes: frozenset[int]
    silence_exporter: Callable[[int], None]
    wait: Callable[[float], Awaitable[None]]


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.fleet)])
async def setting(request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    made = of_memory() if request.param == "memory" else of_fleet(request.getfixturevalue("fleet"))
    yield made
    await made.source.aclose()


def of_memory() -> Setting:
    cluster = MemoryCluster("payments", brokers=(1, 2, 3, 4, 5))
    cluster.create_topic("orders", [(1, 2, 3, 4), (2, 3, 4, 5)], min_insync_replicas=3)
    source = MemorySource(cluster)

    async def wait(seconds: float) -> None:
        source.advance(seconds)

    return Setting(
        source=source,
        name="payments",
        nodes=frozenset(cluster.brokers),
        silence_exporter=cluster.silent_exporters.add,
        wait=wait,
    )


def of_fleet(fleet: DemoFleet) -> Setting:
    target = ClusterTarget(
        name=fleet.cluster,
        bootstrap_servers=tuple(fleet.bootstrap.split(",")),
        nodes={
            node.id: NodeTarget(id=node.id, rack=node.rack, exporter_url=node.exporter_url)
            for node in fleet.nodes
        },
    )
    return Setting(
        source=ClusterCollector(target),
        name=fleet.cluster,
        nodes=frozenset(node.id for node in fleet.nodes),
        silence_exporter=fleet.exporter_gone,
        wait=asyncio.sleep,
    )


async def settled(setting: Setting) -> ClusterSnapshot:
    """The snapshot of two rounds: the second one has rates."""
    await setting.source.collect()
    await setting.wait(1)
    return (await setting.source.collect()).snapshot


async def test_a_healthy_cluster_is_seen_whole(setting: Setting) -> None:
    snapshot = await settled(setting)
    assert snapshot.cluster == setting.name
    assert {broker.id for broker in snapshot.brokers if broker.alive} == setting.nodes
    assert snapshot.quorum is not None
    assert snapshot.quorum.controller_absent_seconds == 0
    assert snapshot.topics
    assert all(topic.min_insync_replicas is not None for topic in snapshot.topics)
    assert set(snapshot.effective_ages) == {
        EvidenceGroup.METADATA,
        EvidenceGroup.CONFIGS,
        EvidenceGroup.QUORUM,
        EvidenceGroup.METRICS,
    }
    assert all(broker.request_handler_idle is not None for broker in snapshot.brokers)


async def test_snapshots_are_valid_by_the_contract(setting: Setting) -> None:
    snapshot = await settled(setting)
    assert snapshot_of(render_snapshot(snapshot)) == snapshot


async def test_configs_are_read_now_when_asked_for(setting: Setting) -> None:
    await settled(setting)
    await setting.wait(1)
    before = (await setting.source.collect()).snapshot.effective_ages[EvidenceGroup.CONFIGS]
    after = (await setting.source.collect(read_configs=True)).snapshot
    assert after.effective_ages[EvidenceGroup.CONFIGS] < before


async def test_what_was_seen_once_stays_and_its_failure_is_told(setting: Setting) -> None:
    before = (await settled(setting)).brokers_by_id[5]
    setting.silence_exporter(5)
    await setting.wait(0.2)
    collected = await setting.source.collect()
    after = collected.snapshot.brokers_by_id[5]
    assert after.request_handler_idle == before.request_handler_idle
    assert after.metrics_age_seconds is not None
    assert before.metrics_age_seconds is not None
    assert after.metrics_age_seconds > before.metrics_age_seconds
    assert [failure.node for failure in collected.failures] == [5]
    extra = collected.snapshot.extra or {}
    assert extra["collector"]["failures"] == [one.as_json() for one in collected.failures]


async def test_closing_twice_is_fine(setting: Setting) -> None:
    await setting.source.collect()
    await setting.source.aclose()
    await setting.source.aclose()
