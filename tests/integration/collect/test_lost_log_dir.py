"""One real broker with two log directories: one is lost, and the probe has one replica only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kafka_cluster import KafkaCluster, KafkaNode

from healthd.collect.cluster import ClusterCollector
from healthd.collect.logdirs import LogDirsSource
from healthd.collect.probe import ProbeSource
from healthd.collect.target import ClusterTarget
from healthd.config.source_probe import PROBE_TOPIC
from healthd.health.index import evaluate
from healthd.model.codes import CheckCode, ReasonCode
from healthd.model.words import EvidenceGroup
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.ok_to_stop import ok_to_stop

PATIENCE = 60.0


def second_of(node: KafkaNode) -> Path:
    return node.folder / "second"


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaCluster]:
    def directories(node: KafkaNode) -> dict[str, str]:
        return {
            "log.dirs": f"{node.data_folder},{second_of(node)}",
            # A directory is found to be lost when something is written to it.
            "replica.high.watermark.checkpoint.interval.ms": "500",
            "log.flush.offset.checkpoint.interval.ms": "500",
        }

    with KafkaCluster(properties=directories) as cluster:
        yield cluster


async def test_a_lost_directory_is_named_and_a_single_broker_is_probed_too(
    broker: KafkaCluster,
) -> None:
    target = ClusterTarget(
        name="single", bootstrap_servers=(broker.bootstrap,), interval_seconds=5.0, is_probed=True
    )
    sides = (LogDirsSource(target), ProbeSource(target))
    collector = ClusterCollector(target, sides=sides, settle=True)
    try:
        collected = await collector.collect()
        snapshot = (await collector.collect()).snapshot
        assert collected.failures == ()
        assert snapshot.brokers_by_id[1].offline_log_dirs == 0
        assert snapshot.brokers_by_id[1].disk_used_ratio is not None
        assert snapshot.age(EvidenceGroup.METRICS) is None, "there are no exporters"

        # One broker has no second place: its probe has one replica, and says so before a stop.
        own = next(topic for topic in snapshot.topics if topic.name == PROBE_TOPIC)
        assert own.replicas == ((1,),)
        assert snapshot.probe is not None
        assert snapshot.probe.attempts == snapshot.probe.succeeded == 2
        named = {name for check in evaluate(snapshot).checks for name in check.objects}
        assert f"topic:{PROBE_TOPIC}" not in named
        blockers = {(one.code, one.object) for one in ok_to_stop(snapshot, [1])}
        assert (ReasonCode.RF_ONE, f"{PROBE_TOPIC}-0") in blockers
        accepted = Acknowledgements(allow_rf_one=(PROBE_TOPIC,))
        blockers = {
            (one.code, one.object) for one in ok_to_stop(snapshot, [1], acknowledged=accepted)
        }
        assert (ReasonCode.RF_ONE, f"{PROBE_TOPIC}-0") not in blockers

        node = broker.node(1)
        second_of(node).rename(node.folder / "torn-out")
        async with asyncio.timeout(PATIENCE):
            while snapshot.brokers_by_id[1].offline_log_dirs != 1:
                await asyncio.sleep(0.3)
                snapshot = (await collector.collect()).snapshot
    finally:
        await collector.aclose()
    (lost,) = [
        check for check in evaluate(snapshot).checks if check.code is CheckCode.LOGDIR_OFFLINE
    ]
    assert lost.objects == ("broker:1",)
    section = (snapshot.extra or {})["logDirs"]["brokers"][0]
    assert section["offline"] == [str(second_of(node))]
    assert section["directories"] == 2
    assert snapshot.brokers_by_id[1].disk_used_ratio is not None
