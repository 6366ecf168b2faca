"""Real brokers with the real agent: one state, told in every dialect, gives one index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.exporter_agent import REAL_DIALECTS, Agents, jars_without_agent
from support.kafka_cluster import KafkaCluster, KafkaNode

from healthd.collect.cluster import ClusterCollector
from healthd.collect.logdirs import LogDirsSource
from healthd.collect.observation import BrokerSignals
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.demo.provision import ensure, jars_folder
from healthd.demo.topics import quiet_client
from healthd.health.index import HealthReport, evaluate
from healthd.model.codes import CheckCode
from healthd.model.snapshot import Broker, ClusterSnapshot
from healthd.model.words import BrokerState

RATE_SECONDS = 0.7
"""Between the two pages that an idle rate is made of."""
PATIENCE = 60.0
AN_IDLE_BROKER = 0.5
A_STILL_DISK = 0.5

Parts = Callable[[Path], tuple[Path, Path | None]]
"""Provides the folder of Kafka's jars, and of the agent's where that is another one."""


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A running cluster and the agents in it."""

    cluster: KafkaCluster
    agents: Agents

    @property
    def target(self) -> ClusterTarget:
        return ClusterTarget(
            name="spoken",
            bootstrap_servers=tuple(self.cluster.bootstrap.split(",")),
            nodes={
                node.id: NodeTarget(
                    id=node.id, host=node.host, exporter_url=self.agents.url(node.id)
                )
                for node in self.cluster.nodes
            },
            interval_seconds=15.0,
            request_timeout_seconds=10.0,
        )

    async def snapshot(self) -> ClusterSnapshot:
        """What a healthd that has just begun sees as soon as it sees all.

        Nobody uses these brokers. One that looks busy was looked at while the machine was.
        """
        target = self.target
        collector = ClusterCollector(target, sides=(LogDirsSource(target),), settle=True)
        try:
            async with asyncio.timeout(PATIENCE):
                collected = await collector.collect()
                while collected.failures or not all(map(is_idle, collected.snapshot.brokers)):
                    await asyncio.sleep(RATE_SECONDS)
                    collected = await collector.collect()
        finally:
            await collector.aclose()
        return on_a_still_disk(collected.snapshot)

    async def snapshots(self) -> dict[str, ClusterSnapshot]:
        """One of each dialect."""
        found = {}
        for dialect in REAL_DIALECTS:
            self.agents.speak(dialect)
            found[dialect] = await self.snapshot()
        return found


def is_idle(broker: Broker) -> bool:
    return broker.is_pure_controller or (broker.request_handler_idle or 0.0) > AN_IDLE_BROKER


def on_a_still_disk(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """The snapshot, with every disk that was told half full.

    The brokers' disk is that of the machine, which others fill and empty between two snapshots.
    """
    return replace(
        snapshot,
        brokers=tuple(
            broker
            if broker.disk_used_ratio is None
            else replace(broker, disk_used_ratio=A_STILL_DISK)
            for broker in snapshot.brokers
        ),
    )


def second_of(node: KafkaNode) -> Path:
    return node.folder / "second"


def properties(node: KafkaNode) -> dict[str, str]:
    if not node.is_broker:
        return {}
    return {
        "log.dirs": f"{node.data_folder},{second_of(node)}",
        # A directory is found to be lost when something is written to it.
        "replica.high.watermark.checkpoint.interval.ms": "500",
        "log.flush.offset.checkpoint.interval.ms": "500",
    }


@pytest.fixture(scope="module")
def combined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spoken]:
    """One node of Kafka 4.1, broker and controller."""
    agents = Agents(tmp_path_factory.mktemp("agent"))
    with KafkaCluster(jvm=agents.flags, properties=properties) as cluster:
        create_topics(cluster)
        yield Spoken(cluster=cluster, agents=agents)


def create_topics(cluster: KafkaCluster) -> None:
    topics = [
        NewTopic("orders", 6, 1),
        # With one replica and two that must be in sync: a finding that healthy clusters have.
        NewTopic("strict", 1, 1, config={"min.insync.replicas": "2"}),
    ]
    admin = AdminClient(quiet_client(cluster.bootstrap))
    for future in admin.create_topics(topics).values():
        future.result(30)


def judged(report: HealthReport) -> object:
    """Everything that depends on the state and not on the clock."""
    return (
        report.health_index,
        report.lower,
        report.upper,
        report.completeness,
        report.health_class,
        report.caps,
        report.checks,
        [(one.term, one.points) for one in report.contributions],
    )


def facts(snapshot: ClusterSnapshot) -> object:
    """What pages say of nodes; of a broker's version the two numbers that are compared."""
    return [
        (
            broker.id,
            broker.state,
            broker.offline_log_dirs,
            # Nobody can ask a controller for its release, and no check wants it.
            broker.is_pure_controller or ".".join((broker.version or "-").split(".")[:2]),
            broker.request_handler_idle is None,
        )
        for broker in snapshot.brokers
    ], snapshot.unclean_elections_24h


def assert_all_agree(snapshots: dict[str, ClusterSnapshot]) -> HealthReport:
    base = snapshots["healthd"]
    for dialect, snapshot in snapshots.items():
        assert facts(snapshot) == facts(base), dialect
        assert judged(evaluate(snapshot)) == judged(evaluate(base)), dialect
    return evaluate(base)


def codes(report: HealthReport) -> set[CheckCode]:
    return {check.code for check in report.checks}


def test_every_dialect_shows_the_same_counters(combined: Spoken) -> None:
    agents = combined.agents
    for dialect in REAL_DIALECTS:
        agents.speak("healthd")
        before = agents.signals(1)
        agents.speak(dialect)
        found = agents.signals(1)
        agents.speak("healthd")
        after = agents.signals(1)
        assert before.idle_nanoseconds is not None
        assert found.idle_nanoseconds is not None
        assert after.idle_nanoseconds is not None
        # It grows all the time, so that only one and the same counter fits in between.
        assert before.idle_nanoseconds <= found.idle_nanoseconds <= after.idle_nanoseconds, dialect
        assert still(found, dialect) == still(before, dialect), dialect
        # It is in `still` too; told by JMX or by the agent, it is the same process.
        assert found.start_time_seconds is not None


def still(signals: BrokerSignals, dialect: str) -> BrokerSignals:
    """Without what moves, and what the dialect does not have."""
    kept = replace(signals, idle_nanoseconds=None, idle_ratio=None, idle_mean=None, version=None)
    return replace(kept, offline_log_dirs=None) if dialect == "bitnami" else kept


async def test_a_healthy_broker_has_the_same_index_in_every_dialect(combined: Spoken) -> None:
    snapshots = await combined.snapshots()
    report = assert_all_agree(snapshots)
    assert {CheckCode.RF_ONE, CheckCode.CONFIG_MINISR_GT_RF} <= codes(report)
    for dialect, snapshot in snapshots.items():
        (broker,) = snapshot.brokers
        assert broker.state is BrokerState.RUNNING
        assert (broker.version or "").startswith("4.1"), dialect


async def test_a_broker_that_lost_a_directory_has_the_same_index_in_every_dialect(
    combined: Spoken,
) -> None:
    node = combined.cluster.node(1)
    combined.agents.speak("healthd")
    second_of(node).rename(node.folder / "torn-out")
    async with asyncio.timeout(PATIENCE):
        while CheckCode.LOGDIR_OFFLINE not in codes(evaluate(await combined.snapshot())):
            pass
    report = assert_all_agree(await combined.snapshots())
    # Each healthd has just begun, so partitions without a leader still have their grace.
    assert {CheckCode.LOGDIR_OFFLINE, CheckCode.PARTITION_AT_MIN_ISR} <= codes(report)
    assert 72 <= report.health_index < 89


def older_agent(folder: Path) -> tuple[Path, Path]:
    """Kafka 4.1 with agent 0.20."""
    ensure(("agent-0.20",))
    return jars_without_agent(folder / "jars"), jars_folder("agent-0.20")


def newer_kafka(_folder: Path) -> tuple[Path, None]:
    """Kafka 4.2, where the broker's own pool has a name of its own."""
    ensure(("kafka-next",))
    return jars_folder("kafka-next"), None


def older_kafka(_folder: Path) -> tuple[Path, None]:
    """Kafka 3.9, the last of its line; here without ZooKeeper."""
    ensure(("zookeeper",))
    return jars_folder("zookeeper"), None


@pytest.mark.prove
@pytest.mark.parametrize(
    "parts",
    [older_agent, older_kafka, newer_kafka],
    ids=["agent-0.20", "kafka-3.9", "kafka-4.2"],
)
async def test_other_agents_and_other_kafkas_agree_too(parts: Parts, tmp_path: Path) -> None:
    found = parts(tmp_path)
    agents = Agents(tmp_path, found[1])
    # A node that is both, a broker and a controller: each has another page.
    roles = {1: "broker,controller", 2: "broker", 3: "controller"}
    with KafkaCluster(nodes=3, roles=roles, jars=found[0], jvm=agents.flags) as cluster:
        create_topics(cluster)
        snapshots = await Spoken(cluster=cluster, agents=agents).snapshots()
    assert_all_agree(snapshots)
    for snapshot in snapshots.values():
        pure = [broker for broker in snapshot.brokers if broker.is_pure_controller]
        assert [(broker.id, broker.request_handler_idle) for broker in pure] == [(3, None)]
