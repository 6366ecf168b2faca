"""Collecting from the real five-broker fleet: healthy, frozen, killed, without a quorum."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from healthd.collect.cluster import ClusterCollector
from healthd.collect.direct import snapshot_of_bootstrap
from healthd.collect.observation import FailureReason, Source
from healthd.collect.protocol import Collected
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.demo.fleet import DemoFleet
from healthd.health.index import evaluate
from healthd.model.codes import CheckCode
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import BrokerState, EvidenceGroup, Role

INTERVAL = 5.0
PATIENCE = 60.0
"""How long a cluster may take to notice; how often is looked is the interval of the test."""


def target_of(fleet: DemoFleet) -> ClusterTarget:
    return ClusterTarget(
        name=fleet.cluster,
        bootstrap_servers=tuple(fleet.bootstrap.split(",")),
        nodes={
            node.id: NodeTarget(
                id=node.id, host=node.host, rack=node.rack, exporter_url=node.exporter_url
            )
            for node in fleet.nodes
        },
        interval_seconds=INTERVAL,
        request_timeout_seconds=2.0,
    )


@pytest.fixture
async def collector(fleet: DemoFleet) -> AsyncIterator[ClusterCollector]:
    collector = ClusterCollector(target_of(fleet))
    yield collector
    await collector.aclose()


async def until(
    collector: ClusterCollector,
    is_reached: Callable[[Collected], bool],
    *,
    each: Callable[[Collected], Awaitable[None]] | None = None,
) -> Collected:
    """Collect until something is seen; what was seen last is in the error."""
    collected = await collector.collect()
    async with asyncio.timeout(PATIENCE):
        while not is_reached(collected):
            if each is not None:
                await each(collected)
            await asyncio.sleep(0.3)
            collected = await collector.collect()
    return collected


def alive(snapshot: ClusterSnapshot) -> set[int]:
    return {broker.id for broker in snapshot.brokers if broker.alive}


async def test_healthy_cluster_is_as_kafka_python_sees_it(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    await collector.collect()
    await asyncio.sleep(1)
    collected = await collector.collect()
    snapshot = collected.snapshot

    # Imported here, when healthd has imported it: it warns on the first import.
    from kafka import KafkaAdminClient  # noqa: PLC0415  # See above.

    client = KafkaAdminClient(bootstrap_servers=fleet.bootstrap.split(","))
    try:
        topics = client.describe_topics()
        quorum = client.describe_metadata_quorum()["topics"][0]["partitions"][0]
    finally:
        client.close()
    assert collected.failures == ()
    assert {
        (topic.name, row.id, row.leader, row.replicas, frozenset(row.isr))
        for topic in snapshot.topics
        for row in topic
    } == {
        (
            topic["name"],
            row["partition_index"],
            row["leader_id"],
            tuple(row["replica_nodes"]),
            frozenset(row["isr_nodes"]),
        )
        for topic in topics
        for row in topic["partitions"]
    }
    assert alive(snapshot) == {node.id for node in fleet.nodes}
    assert snapshot.quorum is not None
    assert snapshot.quorum.leader_id == quorum["leader_id"]
    assert snapshot.quorum.fetch_timeout_ms == 2000
    assert {voter.id for voter in snapshot.quorum.voters} == set(fleet.controllers)
    assert snapshot.reassignments == 0
    assert all(topic.min_insync_replicas is not None for topic in snapshot.topics)


async def test_healthy_nodes_have_roles_racks_versions_and_idle_ratios(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    await collector.collect()
    await asyncio.sleep(1)
    snapshot = (await collector.collect()).snapshot

    for broker in snapshot.brokers:
        roles = {Role.BROKER, *([Role.CONTROLLER] if broker.id in fleet.controllers else [])}
        assert broker.roles == frozenset(roles)
        assert broker.rack == fleet.node(broker.id).rack
        assert broker.state is BrokerState.RUNNING
        assert broker.version == "4.1.0"
        assert broker.offline_log_dirs == 0
        # A combined node reports up to 2; what is left is the broker's own pool.
        assert broker.request_handler_idle is not None
        assert 0 < broker.request_handler_idle <= 1
    assert snapshot.unclean_elections_24h == 0
    assert evaluate(snapshot).completeness > 0.8


async def test_frozen_broker_does_not_stop_the_collection(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    before = (await collector.collect()).snapshot
    assert before.quorum is not None
    victim = next(id_ for id_ in fleet.controllers if id_ != before.quorum.leader_id)
    fleet.freeze(victim)
    ages: list[float] = []

    async def note(collected: Collected) -> None:
        ages.append(collected.snapshot.effective_ages[EvidenceGroup.METADATA])

    collected = await until(collector, lambda seen: victim not in alive(seen.snapshot), each=note)
    # A round may miss, for librdkafka chooses whom it asks; the next one asks somebody else.
    assert max(ages, default=0.0) < 2 * INTERVAL
    assert evaluate(collected.snapshot).health_index < 90
    broker = collected.snapshot.brokers_by_id[victim]
    assert broker.metrics_age_seconds is not None
    assert broker.metrics_age_seconds > 1
    assert {failure.node for failure in collected.failures if failure.source is Source.METRICS} == {
        victim
    }

    fleet.thaw(victim)
    collected = await until(
        collector,
        lambda seen: evaluate(seen.snapshot).health_index == 100 and not seen.failures,
    )
    assert victim in alive(collected.snapshot)


async def test_quorum_lost_lets_metadata_age_though_a_broker_still_lists_everybody(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    await collector.collect()
    victims = set(fleet.kill_quorum())
    collected = await until(
        collector, lambda seen: bool(seen.snapshot.quorum and seen.snapshot.quorum.leader_id == -1)
    )
    snapshot = collected.snapshot
    assert snapshot.quorum is not None
    assert snapshot.quorum.absent_seconds is not None
    assert snapshot.quorum.absent_seconds > 0
    assert alive(snapshot) == {node.id for node in fleet.nodes} - victims
    assert FailureReason.NO_LEADER in {failure.reason for failure in collected.failures}

    first = snapshot.effective_ages[EvidenceGroup.METADATA]
    await asyncio.sleep(1)
    snapshot = (await collector.collect()).snapshot
    assert snapshot.effective_ages[EvidenceGroup.METADATA] > first
    assert snapshot.effective_ages[EvidenceGroup.QUORUM] < 2 * INTERVAL
    report = evaluate(snapshot)
    assert {CheckCode.BROKER_DOWN, CheckCode.CONTROLLER_TRANSIENT} & {
        check.code for check in report.checks
    }
    assert report.health_index < 90


async def test_exporter_gone_keeps_last_values_and_only_ages_them(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    await collector.collect()
    await asyncio.sleep(1)
    before = (await collector.collect()).snapshot.brokers_by_id[5]
    fleet.exporter_gone(5)
    collected = await collector.collect()
    after = collected.snapshot.brokers_by_id[5]
    assert after.alive
    assert after.request_handler_idle == before.request_handler_idle
    assert after.state is BrokerState.RUNNING
    assert before.metrics_age_seconds is not None
    assert after.metrics_age_seconds is not None
    assert after.metrics_age_seconds > before.metrics_age_seconds
    assert [(one.source, one.node) for one in collected.failures] == [(Source.METRICS, 5)]


async def test_bootstrap_alone_gives_a_snapshot_without_metrics(fleet: DemoFleet) -> None:
    snapshot = await snapshot_of_bootstrap(fleet.bootstrap)
    assert alive(snapshot) == {node.id for node in fleet.nodes}
    assert EvidenceGroup.METRICS not in snapshot.effective_ages
    assert evaluate(snapshot).health_index == 100


async def test_configs_are_read_again_at_once_after_a_broker_was_away(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    # __consumer_offsets has its min.insync.replicas from the brokers' files: all are asked.
    await collector.collect()
    await asyncio.to_thread(fleet.stop, 2)
    await collector.collect(read_configs=True)
    await asyncio.to_thread(fleet.start, 2)
    await asyncio.to_thread(fleet.wait_until_healthy)
    again = await collector.collect(read_configs=True)
    assert [failure for failure in again.failures if failure.source is Source.CONFIGS] == []
    age = again.snapshot.age(EvidenceGroup.CONFIGS)
    assert age is not None
    assert age < INTERVAL
