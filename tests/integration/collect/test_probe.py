"""The probe and the disks of the real five-broker fleet: all sources on, and trouble with each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from support.probe_topic import delete_probe_topic

from healthd.collect.cluster import ClusterCollector
from healthd.collect.logdirs import LogDirsSource
from healthd.collect.probe import ProbeSource
from healthd.collect.protocol import Collected
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.config.source_probe import PROBE_TOPIC
from healthd.demo.fleet import DemoFleet
from healthd.health.index import HealthReport, evaluate
from healthd.model.codes import CheckCode
from healthd.model.snapshot import ClusterSnapshot, Topic
from healthd.model.words import Excluded
from healthd.safety.gate import snapshot_holds
from healthd.safety.ok_to_stop import each_broker, each_rack

PATIENCE = 60.0
VICTIM = 4
"""No controller: what its loss does is about partitions only."""


@pytest.fixture
async def collector(fleet: DemoFleet) -> AsyncIterator[ClusterCollector]:
    target = ClusterTarget(
        name=fleet.cluster,
        bootstrap_servers=tuple(fleet.bootstrap.split(",")),
        nodes={
            node.id: NodeTarget(
                id=node.id, host=node.host, rack=node.rack, exporter_url=node.exporter_url
            )
            for node in fleet.nodes
        },
        interval_seconds=10.0,
        is_probed=True,
    )
    sides = (ProbeSource(target), LogDirsSource(target))
    collector = ClusterCollector(target, sides=sides, settle=True)
    yield collector
    await collector.aclose()
    await asyncio.to_thread(delete_probe_topic, fleet.bootstrap)


def probe_topic(snapshot: ClusterSnapshot) -> Topic | None:
    return next((topic for topic in snapshot.topics if topic.name == PROBE_TOPIC), None)


async def until(
    collector: ClusterCollector, is_reached: Callable[[ClusterSnapshot], bool]
) -> Collected:
    collected = await collector.collect()
    async with asyncio.timeout(PATIENCE):
        while not is_reached(collected.snapshot):
            await asyncio.sleep(0.3)
            collected = await collector.collect()
    return collected


def leads_everywhere(snapshot: ClusterSnapshot) -> bool:
    topic = probe_topic(snapshot)
    return topic is not None and sorted(topic.leaders) == [1, 2, 3, 4, 5]


async def test_with_every_source_on_the_index_is_100_complete_and_the_topic_counts_nowhere(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    await collector.collect()
    await asyncio.sleep(1)
    collected = await until(collector, leads_everywhere)
    snapshot = collected.snapshot
    assert collected.failures == ()
    topic = probe_topic(snapshot)
    assert topic is not None
    assert topic.excluded is Excluded.PROBE
    assert topic.min_insync_replicas == 1
    for replicas in topic.replicas:
        assert {fleet.node(node).rack for node in replicas} == {"az1", "az2", "az3"}

    report = evaluate(snapshot)
    assert report.completeness == 1
    assert (report.lower, report.health_index, report.upper) == (100, 100, 100)
    assert snapshot.probe is not None
    assert snapshot.probe.attempts == snapshot.probe.succeeded >= 10

    without = replace(
        snapshot, topics=tuple(one for one in snapshot.topics if one.name != PROBE_TOPIC)
    )
    assert each_broker(snapshot) == each_broker(without)
    assert each_rack(snapshot) == each_rack(without)
    assert snapshot_holds(snapshot) == ()


async def test_a_frozen_broker_fails_its_probes_until_others_lead_and_gets_its_partition_back(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    await until(collector, leads_everywhere)
    fleet.freeze(VICTIM)

    def has_failed(snapshot: ClusterSnapshot) -> bool:
        return "lastError" in of_broker(snapshot, VICTIM)

    snapshot = (await until(collector, has_failed)).snapshot
    assert snapshot.probe is not None
    # Partitions without a replica on it go on: not everything fails.
    assert 0 < snapshot.probe.succeeded < snapshot.probe.attempts
    assert CheckCode.PROBE_FAILING in codes(evaluate(snapshot))

    def is_led_by_others(snapshot: ClusterSnapshot) -> bool:
        topic = probe_topic(snapshot)
        return topic is not None and VICTIM not in topic.leaders and -1 not in topic.leaders

    await until(collector, is_led_by_others)
    before = (await collector.collect()).snapshot.probe
    after = (await collector.collect()).snapshot.probe
    assert before is not None
    assert after is not None
    assert after.succeeded >= before.succeeded

    fleet.thaw(VICTIM)
    await until(
        collector,
        lambda seen: (
            leads_everywhere(seen) and CheckCode.PROBE_FAILING not in codes(evaluate(seen))
        ),
    )


async def test_a_deleted_topic_is_made_again_and_its_loss_is_no_failure_of_the_cluster(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    await until(collector, leads_everywhere)
    await asyncio.to_thread(delete_probe_topic, fleet.bootstrap)
    collected = await until(
        collector,
        lambda seen: bool(seen.extra and state_of(seen) == "missing") or has_changed(seen),
    )
    assert CheckCode.PROBE_FAILING not in codes(evaluate(collected.snapshot))
    collected = await until(
        collector, lambda seen: state_of(seen) == "complete" and leads_everywhere(seen)
    )
    assert collected.snapshot.probe is not None
    assert collected.snapshot.probe.attempts == collected.snapshot.probe.succeeded


async def test_a_full_disk_is_named_by_the_broker_itself_and_forgotten_when_there_is_room(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    if not fleet.has_own_disks:
        pytest.skip("no disks of their own can be mounted for the brokers here")
    fleet.fill_disk(VICTIM, 0.9)
    report = evaluate((await collector.collect()).snapshot)
    (high,) = [check for check in report.checks if check.code is CheckCode.DISK_HIGH]
    assert high.objects == (f"broker:{VICTIM}",)
    assert report.health_index == 89

    fleet.fill_disk(VICTIM, 0.96)
    report = evaluate((await collector.collect()).snapshot)
    assert {CheckCode.DISK_HIGH, CheckCode.DISK_CRITICAL} <= codes(report)
    assert 55 <= report.health_index <= 60

    fleet.empty_disk(VICTIM)
    snapshot = (await collector.collect()).snapshot
    assert not {CheckCode.DISK_HIGH, CheckCode.DISK_CRITICAL} & codes(evaluate(snapshot))
    ratio = snapshot.brokers_by_id[VICTIM].disk_used_ratio
    assert ratio is not None
    assert ratio < 0.7


def codes(report: HealthReport) -> set[CheckCode]:
    return {check.code for check in report.checks}


def of_broker(snapshot: ClusterSnapshot, node: int) -> dict[str, object]:
    brokers = ((snapshot.extra or {}).get("probe") or {}).get("brokers", [])
    return next((one for one in brokers if one["broker"] == node), {})


def state_of(snapshot: ClusterSnapshot) -> str:
    found = ((snapshot.extra or {}).get("probe") or {}).get("topic", {})
    return str(found.get("state"))


def has_changed(snapshot: ClusterSnapshot) -> bool:
    found = ((snapshot.extra or {}).get("probe") or {}).get("topic", {})
    return "lastChange" in found and found["lastChange"]["secondsAgo"] < 5
