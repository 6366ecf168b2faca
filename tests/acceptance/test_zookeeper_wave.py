"""Waves over a real ZooKeeper ensemble and the Kafka 3.9 brokers on it, watched from outside."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic
from support.quorum_watch import QuorumWatch
from support.waves_on_fleet import (
    QUICK,
    held_by,
    look,
    status_of,
    wait_for_wave,
    wait_until_ended,
    wait_until_gate_clear,
)
from support.zookeeper_cluster import CLIENT
from support.zookeeper_fleet import CLUSTER, ZooKeeperFleet

from healthd.demo.daemon import DaemonProcess, error_of
from healthd.demo.load import Load
from healthd.demo.provision import ensure
from healthd.demo.service import wait_until
from healthd.demo.topics import quiet_client

pytestmark = [pytest.mark.xdist_group("zookeeper-fleet")]

ENSEMBLE, BROKERS = "zookeeper-rolling-restart", "rolling-restart"
ELECTION_SECONDS = 30.0
"""An ensemble elects within a second or two; a machine that is shared asks and answers later."""
TOPIC = "orders"


@pytest.fixture(scope="module")
def shared_zookeeper_fleet() -> Iterator[ZooKeeperFleet]:
    with ZooKeeperFleet(brokers=2) as fleet:
        _create_topic(fleet)
        yield fleet


@pytest.fixture
def zookeeper_fleet(shared_zookeeper_fleet: ZooKeeperFleet) -> Iterator[ZooKeeperFleet]:
    """Servers and brokers, all of them up; what a test stopped is started afterwards."""
    yield shared_zookeeper_fleet
    _heal(shared_zookeeper_fleet)


@pytest.fixture
def daemon(zookeeper_fleet: ZooKeeperFleet, tmp_path: Path) -> Iterator[DaemonProcess]:
    file = zookeeper_fleet.write_fleet_file(tmp_path / "fleet.yaml")
    daemon = DaemonProcess(
        file, tmp_path, interval_seconds=1, collect_deadline_seconds=8, kafka_timeout_seconds=2
    )
    try:
        daemon.start()
        wait_until_gate_clear(daemon, CLUSTER)
        yield daemon
    finally:
        daemon.kill()


def _create_topic(fleet: ZooKeeperFleet) -> None:
    admin = AdminClient(quiet_client(fleet.bootstrap))
    copies = min(3, len(fleet.kafka.nodes))
    made = admin.create_topics([NewTopic(TOPIC, num_partitions=6, replication_factor=copies)])
    made[TOPIC].result(30)


def _heal(fleet: ZooKeeperFleet) -> None:
    for number in fleet.server_ids:
        if fleet.server(number).status() is None:
            fleet.server(number).start()
    fleet.wait_whole()
    for node in fleet.kafka.nodes:
        if fleet.broker(node.id).status() is None:
            fleet.broker(node.id).start()


def request_for(playbook: str, nodes: list[int] | str = "all", **policy: Any) -> dict[str, Any]:
    return {
        "apiVersion": "healthd/v1",
        "kind": "Wave",
        "name": "test",
        "reason": "an acceptance test",
        "playbook": playbook,
        "stages": [{"name": "all", "clusters": [CLUSTER], "brokers": nodes}],
        "policy": {**QUICK, "soakSeconds": 1, **policy},
    }


def start_wave(daemon: DaemonProcess, playbook: str, nodes: list[int] | str = "all") -> str:
    try:
        answer = daemon.post("/api/v1/waves", request_for(playbook, nodes))
    except urllib.error.HTTPError as error:
        raise AssertionError(error_of(error)) from error
    return str(answer["wave"])


def order_of(daemon: DaemonProcess, wave: str) -> list[int]:
    """In which order the wave has stopped its nodes."""
    report = daemon.get(f"/api/v1/waves/{wave}/report")
    return [
        entry["node"] if "node" in entry else entry["broker"]
        for entry in report["timeline"]
        if entry["event"] == "node_stopping"
    ]


def watch(fleet: ZooKeeperFleet) -> QuorumWatch:
    return QuorumWatch({one.id: (one.host, one.ports[CLIENT]) for one in fleet.ensemble.servers})


@pytest.mark.timeout(300)
def test_an_ensemble_and_then_its_brokers_are_restarted_with_the_quorum_kept(
    zookeeper_fleet: ZooKeeperFleet, daemon: DaemonProcess
) -> None:
    fleet = zookeeper_fleet
    before = {kind: fleet.started(kind) for kind in ("zookeeper", "kafka")}
    leader = fleet.leader()
    with Load(fleet.bootstrap, TOPIC, messages_per_second=50) as load:
        with watch(fleet) as seen:
            wave = start_wave(daemon, ENSEMBLE)
            ended = wait_until_ended(daemon, wave)
        assert ended["status"] == "succeeded", ended
        assert sorted(order_of(daemon, wave)) == [1, 2, 3]
        assert order_of(daemon, wave)[-1] == leader
        # One process was away at a time, and only for an election did the others not serve.
        assert seen.most_away == 1
        assert seen.longest_without_majority < ELECTION_SECONDS
        assert seen.longest_without_write < ELECTION_SECONDS
        after = fleet.started("zookeeper")
        assert all(after[each] not in {None, before["zookeeper"][each]} for each in after)
        assert fleet.started("kafka") == before["kafka"]

        controller = daemon.get(f"/api/v1/clusters/{CLUSTER}/snapshot")["quorum"]["leaderId"]
        wave = start_wave(daemon, BROKERS)
        assert wait_until_ended(daemon, wave)["status"] == "succeeded"
        assert order_of(daemon, wave)[-1] == controller
        assert all(fleet.started("kafka")[each] != before["kafka"][each] for each in (1, 2))
        assert fleet.started("zookeeper") == after
        result = load.result()
    assert (result.lost, result.refused) == (0, 0), result
    assert result.produced > 0


# --- In full ---------------------------------------------------------------------------------


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_a_server_that_dies_in_mid_wave_holds_it_until_it_is_back(
    zookeeper_fleet: ZooKeeperFleet, daemon: DaemonProcess
) -> None:
    fleet = zookeeper_fleet
    leader = fleet.leader()
    followers = [number for number in fleet.server_ids if number != leader]
    # It is not of the wave: nobody repairs it but a person.
    taken, killed = followers
    starts = fleet.starts("zookeeper")
    wave = start_wave(daemon, ENSEMBLE, [taken, leader])
    wait_for_wave(daemon, wave, lambda it: status_of(it, taken) == "soaking", every=0.01)
    fleet.server(killed).kill(stays_dead=True)
    held = wait_for_wave(daemon, wave, lambda it: ("VOTER_BEHIND", f"node:{killed}") in held_by(it))
    assert held["status"] == "holding"
    time.sleep(10)
    assert status_of(look(daemon, wave), leader) == "pending"
    assert fleet.starts("zookeeper") == {**starts, taken: starts[taken] + 1}
    fleet.server(killed).start()
    assert wait_until_ended(daemon, wave)["status"] == "succeeded"
    fleet.wait_whole()


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_a_server_of_the_wave_that_dies_is_started_and_the_quorum_never_lost(
    zookeeper_fleet: ZooKeeperFleet, daemon: DaemonProcess
) -> None:
    fleet = zookeeper_fleet
    leader = fleet.leader()
    first, second = (number for number in fleet.server_ids if number != leader)
    with watch(fleet) as seen:
        wave = start_wave(daemon, ENSEMBLE)
        wait_for_wave(daemon, wave, lambda it: status_of(it, first) == "soaking", every=0.01)
        fleet.server(second).kill(stays_dead=True)
        assert wait_until_ended(daemon, wave)["status"] == "succeeded"
    assert seen.most_away == 1
    fleet.wait_whole()


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["follower", "leader"])
@pytest.mark.parametrize("phase", ["stopping", "stopped", "starting", "recovering", "soaking"])
def test_a_daemon_killed_in_any_phase_restarts_every_server_exactly_once(
    zookeeper_fleet: ZooKeeperFleet, daemon: DaemonProcess, phase: str, role: str
) -> None:
    fleet = zookeeper_fleet
    leads = fleet.leader()
    server = next(one for one in fleet.server_ids if (one == leads) is (role == "leader"))
    before = fleet.starts("zookeeper")
    with watch(fleet) as seen:
        wave = start_wave(daemon, ENSEMBLE, [server])
        if phase == "stopped":
            wait_for_wave(daemon, wave, lambda it: status_of(it, server) == "stopping", every=0.01)
            wait_until(lambda: fleet.server(server).status() is None, "it has stopped", 60)
        else:
            wait_for_wave(daemon, wave, lambda it: status_of(it, server) == phase, every=0.01)
        daemon.kill()
        daemon.start()
        assert wait_until_ended(daemon, wave)["status"] == "succeeded"
    assert fleet.starts("zookeeper") == {**before, server: before[server] + 1}
    assert seen.most_away == 1
    fleet.wait_whole()


@pytest.fixture
def old_fleet() -> Iterator[ZooKeeperFleet]:
    """Three brokers of Kafka 3.8 whose hosts have 3.9 as well."""
    with ZooKeeperFleet(brokers=3, versions=("kafka-3.8", "zookeeper")) as fleet:
        _create_topic(fleet)
        yield fleet


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_kafka_is_upgraded_from_3_8_to_3_9_in_two_waves_and_nothing_is_lost(
    old_fleet: ZooKeeperFleet, tmp_path: Path
) -> None:
    fleet, brokers = old_fleet, (1, 2, 3)
    ensure(("sudo",))
    file = fleet.write_fleet_file(tmp_path / "fleet.yaml")
    assert {fleet.version_in_use(broker) for broker in brokers} == {"kafka_2.13-3.8.1"}
    with (
        DaemonProcess(
            file, tmp_path, interval_seconds=1, collect_deadline_seconds=8, kafka_timeout_seconds=2
        ) as daemon,
        Load(fleet.bootstrap, TOPIC, messages_per_second=50) as load,
    ):
        daemon.start()
        wait_until_gate_clear(daemon, CLUSTER)
        binaries = {
            "fromVersion": "3.8.1",
            "toVersion": "3.9.1",
            "protocolVersion": "3.8",
            # Nothing is unpacked: the folder is there.
            "archiveSha256": "0" * 64,
        }
        order = upgraded(daemon, "kafka-upgrade-zookeeper", binaries)
        assert sorted(order) == list(brokers)
        assert {fleet.version_in_use(broker) for broker in brokers} == {"kafka_2.13-3.9.1"}
        assert protocols(fleet) == dict.fromkeys(brokers, "3.8")

        protocol = {"fromProtocol": "3.8", "protocolVersion": "3.9"}
        assert sorted(upgraded(daemon, "kafka-protocol-zookeeper", protocol)) == list(brokers)
        assert protocols(fleet) == dict.fromkeys(brokers, "3.9")
        result = load.result()
    assert (result.lost, result.refused) == (0, 0), result
    assert fleet.starts("kafka") == dict.fromkeys(brokers, 3)


def upgraded(daemon: DaemonProcess, playbook: str, variables: dict[str, str]) -> list[int]:
    """The order in which a wave with these variables has taken its brokers."""
    try:
        answer = daemon.post("/api/v1/waves", request_for(playbook) | {"variables": variables})
    except urllib.error.HTTPError as error:
        raise AssertionError(error_of(error)) from error
    ended = wait_until_ended(daemon, answer["wave"])
    assert ended["status"] == "succeeded", (ended, daemon.last_log_lines(40))
    return order_of(daemon, answer["wave"])


def protocols(fleet: ZooKeeperFleet) -> dict[int, str]:
    """The inter.broker.protocol.version that each broker itself reports."""
    admin = AdminClient(quiet_client(fleet.bootstrap))
    found = {}
    for node in fleet.kafka.nodes:
        # Each broker answers for itself, and only one at a time.
        asked = ConfigResource(ConfigResource.Type.BROKER, str(node.id))
        values = admin.describe_configs([asked])[asked].result(30)
        found[node.id] = values["inter.broker.protocol.version"].value
    return found
