"""Real Kafka 3.9 on a real ZooKeeper ensemble: who is controller, who is out, what to believe.

One ensemble of three servers and two brokers for the whole file. Two of the servers allow srvr only
(it cannot be forbidden) and say the rest through their AdminServer; the third allows every word.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.jute_server import on_port
from support.kafka_cluster import KafkaCluster
from support.zookeeper_cluster import CHROOT, ZooKeeperEnsemble, kafka_on

from healthd.collect.cluster import ClusterCollector
from healthd.collect.direct import snapshot_of_cluster
from healthd.collect.observation import FailureReason, Source
from healthd.collect.protocol import Collected
from healthd.collect.target import ClusterTarget
from healthd.collect.zookeeper_server import ServerReader
from healthd.collect.zookeeper_words import ServerState
from healthd.config.fleet_file import load_fleet
from healthd.config.source_zookeeper import ZookeeperConfig
from healthd.demo.topics import quiet_client
from healthd.engine.collector_checks import further_checks
from healthd.health.checks import Check
from healthd.health.index import evaluate
from healthd.health.words import Term
from healthd.model.codes import CheckCode, ReasonCode, Severity
from healthd.model.parse import snapshot_of
from healthd.model.render import render_snapshot
from healthd.model.snapshot import NO_LEADER, ClusterSnapshot
from healthd.model.words import EvidenceGroup, QuorumMode
from healthd.safety.gate import snapshot_holds
from healthd.safety.ok_to_stop import ok_to_stop

pytestmark = pytest.mark.xdist_group("zookeeper")

INTERVAL = 5.0
PATIENCE = 90.0
"""How long servers may take to notice; how often is looked is the interval of the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The servers of this file."""

    ensemble: ZooKeeperEnsemble
    kafka: KafkaCluster

    def target(self, *, with_zookeeper: bool = True) -> ClusterTarget:
        zookeeper = ZookeeperConfig(
            servers=self.ensemble.addresses,
            admin_urls=self.ensemble.admin_urls,
            chroot=CHROOT,
        )
        return ClusterTarget(
            name="old",
            bootstrap_servers=tuple(self.kafka.bootstrap.split(",")),
            interval_seconds=INTERVAL,
            request_timeout_seconds=2.0,
            zookeeper=zookeeper if with_zookeeper else None,
        )

    def heal(self) -> None:
        """Everything is started again; whoever needs it waits for it."""
        self.ensemble.heal()
        for node in self.kafka.nodes:
            if not node.is_running:
                node.spawn()


@pytest.fixture(scope="module")
def servers() -> Iterator[Running]:
    words = {1: "ruok", 2: ""}
    with ZooKeeperEnsemble(words=words) as ensemble, kafka_on(ensemble, nodes=2) as kafka:
        admin = AdminClient(quiet_client(kafka.bootstrap))
        made = admin.create_topics([NewTopic("orders", num_partitions=4, replication_factor=2)])
        made["orders"].result()
        yield Running(ensemble=ensemble, kafka=kafka)


@pytest.fixture
def running(servers: Running) -> Iterator[Running]:
    yield servers
    servers.heal()


@pytest.fixture
async def collector(running: Running) -> AsyncIterator[ClusterCollector]:
    collector = ClusterCollector(running.target())
    yield collector
    await collector.aclose()


async def until(collector: ClusterCollector, is_reached: Callable[[Collected], bool]) -> Collected:
    collected = await collector.collect()
    async with asyncio.timeout(PATIENCE):
        while not is_reached(collected):
            await asyncio.sleep(0.3)
            collected = await collector.collect()
    return collected


def is_well(collected: Collected) -> bool:
    """All brokers are there and in sync, and every server serves."""
    snapshot = collected.snapshot
    return (
        not collected.failures
        and leader(snapshot) != NO_LEADER
        and len(snapshot.topics) > 0
        and not evaluate(snapshot).checks
    )


def leader(snapshot: ClusterSnapshot) -> int | None:
    assert snapshot.quorum is not None
    return snapshot.quorum.leader_id


def degraded(collected: Collected) -> Check | None:
    checks = further_checks(collected.snapshot, collected.failures)
    return next((check for check in checks if check.code is CheckCode.ENSEMBLE_DEGRADED), None)


async def test_a_healthy_cluster_is_seen_whole(
    running: Running, collector: ClusterCollector
) -> None:
    collected = await until(collector, is_well)
    snapshot = collected.snapshot
    quorum = snapshot.quorum
    assert quorum is not None
    # In this mode, and only in it, Kafka's own Metadata names the true controller.
    known = AdminClient(quiet_client(running.kafka.bootstrap)).list_topics(timeout=10)
    assert (quorum.mode, quorum.leader_id) == (QuorumMode.ZOOKEEPER, known.controller_id)
    assert [voter.id for voter in quorum.voters] == [1, 2, 3]
    assert quorum.absent_seconds == 0
    assert snapshot.reassignments == 0
    assert [broker.id for broker in snapshot.brokers if broker.alive] == [1, 2]
    assert {topic.name: topic.min_insync_replicas for topic in snapshot.topics} == {"orders": 1}
    assert evaluate(snapshot).health_index == 100
    assert snapshot_of(render_snapshot(snapshot)) == snapshot
    # Either broker may go, and nothing else is in the way.
    assert [ok_to_stop(snapshot, {node}) for node in (1, 2)] == [(), ()]
    assert snapshot_holds(snapshot) == ()


async def test_a_fleet_file_leads_to_the_same_without_a_daemon(
    running: Running, collector: ClusterCollector, tmp_path: Path
) -> None:
    await until(collector, is_well)
    file = tmp_path / "fleet.yaml"
    file.write_text(
        "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n  - name: old\n"
        f"    bootstrapServers: [{running.kafka.bootstrap}]\n"
        f"    zookeeper: {{servers: [{', '.join(running.ensemble.addresses)}], chroot: {CHROOT}}}\n"
    )
    (config,) = load_fleet(file).clusters
    snapshot = await snapshot_of_cluster(config)
    assert leader(snapshot) in {1, 2}
    assert evaluate(snapshot).not_observed == (Term.SATURATION, Term.PROBE, Term.STORAGE)
    assert evaluate(snapshot).completeness == 1


async def test_every_server_says_who_it_is_in_the_way_that_it_allows(
    running: Running, collector: ClusterCollector
) -> None:
    snapshot = (await until(collector, is_well)).snapshot
    assert snapshot.extra is not None
    section = snapshot.extra["zookeeper"]
    rows = [(row["id"], row["address"], row["version"]) for row in section["servers"]]
    addresses = running.ensemble.addresses
    assert rows == [(at, address, "3.8.4") for at, address in enumerate(addresses, 1)]
    states = sorted(row["state"] for row in section["servers"])
    assert states == ["follower", "follower", "leader"]
    assert section["leader"] == running.ensemble.leader().address("CLIENT")
    assert (section["hasMajority"], section["registeredBrokers"]) == (True, [1, 2])
    assert (section["syncedFollowers"], section["quorumSize"]) == (2, 3)


async def test_the_admin_server_alone_says_the_same(running: Running) -> None:
    async def deny(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = (await reader.readexactly(4)).decode()
        writer.write(f"{word} is not executed because it is not in the whitelist.\n".encode())

    leads = running.ensemble.leader()
    url = running.ensemble.admin_urls[leads.id - 1]
    async with aiohttp.ClientSession() as session, on_port(deny) as port:
        by_admin = await ServerReader(f"127.0.0.1:{port}", url, lambda: session).read(5)
        by_words = await ServerReader(leads.address("CLIENT"), url, lambda: session).read(5)
    assert by_admin.asked_admin_server
    assert not by_words.asked_admin_server
    assert (by_admin.id, by_admin.members, by_admin.leads) == (
        leads.id, frozenset({1, 2, 3}), by_words.leads,
    )  # fmt: skip
    assert (by_admin.says.state, by_admin.says.version) == (ServerState.LEADER, "3.8.4")
    assert by_admin.says.zxid is not None


async def test_without_zookeeper_in_the_configuration_the_quorum_is_not_configured(
    running: Running,
) -> None:
    collector = ClusterCollector(running.target(with_zookeeper=False))
    snapshot = (await collector.collect()).snapshot
    await collector.aclose()
    assert snapshot.quorum is None
    assert EvidenceGroup.QUORUM not in snapshot.effective_ages
    assert snapshot.effective_ages[EvidenceGroup.METADATA] < INTERVAL
    assert ReasonCode.QUORUM_UNKNOWN in {hold.code for hold in snapshot_holds(snapshot)}


async def test_a_member_that_stops_is_said_and_costs_the_cluster_nothing(
    running: Running, collector: ClusterCollector
) -> None:
    await until(collector, is_well)
    leads = running.ensemble.leader()
    follower = next(one for one in running.ensemble.servers if one is not leads)
    follower.kill()
    collected = await until(collector, lambda seen: degraded(seen) is not None)
    check = degraded(collected)
    assert check is not None
    address = follower.address("CLIENT")
    assert (check.severity, check.objects) == (Severity.WARN, (f"zookeeper:{address}",))
    assert any(
        failure.source is Source.ZOOKEEPER and address in failure.detail
        for failure in collected.failures
    )
    snapshot = collected.snapshot
    assert evaluate(snapshot).health_index == 100
    assert ok_to_stop(snapshot, {1}) == ()
    assert snapshot_holds(snapshot) == ()


async def test_without_a_majority_nobody_is_controller_and_metadata_is_not_believed(
    running: Running, collector: ClusterCollector
) -> None:
    before = await until(collector, is_well)
    for server in running.ensemble.servers[:2]:
        server.kill()
    collected = await until(collector, lambda seen: leader(seen.snapshot) == NO_LEADER)
    check = degraded(collected)
    assert check is not None
    assert check.severity is Severity.CRIT
    reasons = {(failure.source, failure.reason) for failure in collected.failures}
    assert (Source.QUORUM, FailureReason.NO_LEADER) in reasons
    # The brokers go on answering as if nothing had happened.
    known = AdminClient(quiet_client(running.kafka.bootstrap)).list_topics(timeout=10)
    assert known.controller_id == leader(before.snapshot)
    assert (Source.METADATA, FailureReason.NO_LEADER) in reasons
    snapshot = collected.snapshot
    assert CheckCode.CONTROLLER_TRANSIENT in {check.code for check in evaluate(snapshot).checks}
    (blocker,) = ok_to_stop(snapshot, {1})
    assert blocker.code is ReasonCode.CONTROLLER_ABSENT
    assert ReasonCode.CONTROLLER_ABSENT in {hold.code for hold in snapshot_holds(snapshot)}
    running.ensemble.heal()
    assert (await until(collector, is_well)).snapshot.quorum is not None


async def test_the_controller_moves_when_its_broker_dies(
    running: Running, collector: ClusterCollector
) -> None:
    old = leader((await until(collector, is_well)).snapshot)
    assert old is not None
    running.kafka.node(old).kill()
    new = 3 - old
    collected = await until(collector, lambda seen: leader(seen.snapshot) == new)
    snapshot = (await until(collector, lambda seen: not seen.failures)).snapshot
    assert [broker.id for broker in snapshot.brokers if broker.alive] == [new]
    codes = {check.code for check in evaluate(snapshot).checks}
    assert CheckCode.BROKER_DOWN in codes
    assert CheckCode.ENSEMBLE_DEGRADED not in codes
    assert degraded(collected) is None


@pytest.mark.prove
async def test_a_frozen_leader_is_replaced_and_the_controller_stays(
    running: Running, collector: ClusterCollector
) -> None:
    before = leader((await until(collector, is_well)).snapshot)
    frozen = running.ensemble.leader()
    frozen.freeze()

    def is_replaced(seen: Collected) -> bool:
        section = (seen.snapshot.extra or {}).get("zookeeper", {})
        return section.get("leader") not in {None, frozen.address("CLIENT")}

    await until(collector, is_replaced)
    collected = await until(collector, lambda seen: leader(seen.snapshot) == before)
    check = degraded(collected)
    assert check is not None
    assert check.objects == (f"zookeeper:{frozen.address('CLIENT')}",)


@pytest.mark.prove
async def test_a_broker_that_dies_while_the_ensemble_is_gone_is_down(
    running: Running, collector: ClusterCollector
) -> None:
    await until(collector, is_well)
    for server in running.ensemble.servers:
        server.kill()
    running.kafka.node(1).kill()
    collected = await until(
        collector,
        lambda seen: (
            leader(seen.snapshot) == NO_LEADER and not seen.snapshot.brokers_by_id[1].alive
        ),
    )
    # The other one still lists it.
    known = AdminClient(quiet_client(running.kafka.node(2).address())).list_topics(timeout=10)
    assert 1 in known.brokers
    codes = {check.code for check in evaluate(collected.snapshot).checks}
    assert CheckCode.BROKER_DOWN in codes
