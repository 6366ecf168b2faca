from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import paramiko
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # They are public, not exported.
    AdminClient,
    ConfigResource,
    ResourceType,
)

from healthd.demo import guardian
from healthd.demo.fleet import DemoFleet, metrics_page
from healthd.demo.load import Load
from healthd.demo.nodes import RACKS, Node
from healthd.demo.service import DemoTimeoutError, wait_until


def run_over_ssh(fleet: DemoFleet, node: Node, word: str) -> tuple[int, str]:
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(fleet.ssh.known_hosts_file))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(
            node.host,
            node.ssh_port,
            fleet.ssh.user,
            key_filename=str(fleet.ssh.key_file),
            allow_agent=False,
            look_for_keys=False,
            timeout=30,
        )
        _, stdout, _ = client.exec_command(f"{node.service_command} {word}", timeout=60)
        output = stdout.read().decode().strip()
        return stdout.channel.recv_exit_status(), output


def test_five_brokers_in_three_racks_with_every_replica_in_sync(fleet: DemoFleet) -> None:
    admin = AdminClient({"bootstrap.servers": fleet.bootstrap})
    cluster = admin.describe_cluster(request_timeout=15).result()
    metadata = admin.list_topics(timeout=15)

    assert {node.id: node.rack for node in cluster.nodes} == RACKS
    assert {"orders", "payments", "audit", "__consumer_offsets"} <= set(metadata.topics)
    for topic in metadata.topics.values():
        for partition in topic.partitions.values():
            assert len(partition.replicas) == len(partition.isrs) == 4


@pytest.mark.parametrize("topic", ["orders", "__consumer_offsets"])
def test_three_replicas_must_be_in_sync(fleet: DemoFleet, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": fleet.bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    config = admin.describe_configs([resource], request_timeout=15)[resource].result()
    assert config["min.insync.replicas"].value == "3"


def test_every_metrics_page_is_small_and_says_that_the_broker_runs(fleet: DemoFleet) -> None:
    for node in fleet.nodes:
        page = metrics_page(node)
        assert "kafka_server_kafkaserver_brokerstate 3.0" in page.splitlines()
        assert f'kafka_server_app_version{{id="{node.id}",version="4.1.0"}} 1.0' in page
        assert (
            "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_nanoseconds_total" in page
        )
        assert len(page) < 50_000, "the rule file is an allow-list"


def test_an_operator_restarts_a_broker_over_ssh(fleet: DemoFleet) -> None:
    node = fleet.node(2)
    before = run_over_ssh(fleet, node, "status")
    stopped = run_over_ssh(fleet, node, "stop")
    down = run_over_ssh(fleet, node, "status")
    started = run_over_ssh(fleet, node, "start")
    after = run_over_ssh(fleet, node, "status")

    assert before[1].split()[0] == after[1].split()[0] == "running"
    assert before != after, "a new process has a new start time"
    assert (stopped[0], started[0]) == (0, 0)
    assert down == (0, "stopped")
    assert after[1] == f"running {fleet.process_id(2)} {fleet.process_start_time(2)}"


def test_the_end_of_the_log_can_be_read_over_ssh(fleet: DemoFleet) -> None:
    code, lines = run_over_ssh(fleet, fleet.node(1), "logs 3")
    assert code == 0
    assert len(lines.splitlines()) == 3


def test_each_host_has_a_key_of_its_own(fleet: DemoFleet) -> None:
    keys = {line.split()[2] for line in fleet.ssh.known_hosts_file.read_text().splitlines()}
    assert len(keys) == 5


def test_a_start_that_fails_says_so_and_the_next_one_works(fleet: DemoFleet) -> None:
    fleet.stop(4)
    fleet.start_fails(4)
    with pytest.raises(DemoTimeoutError, match="broker 4 refuses to start"):
        fleet.start(4)
    assert fleet.process_start_time(4) is None

    fleet.start_works(4)
    fleet.start(4)
    assert fleet.process_start_time(4) is not None


def test_a_killed_broker_stays_dead_until_it_is_started(fleet: DemoFleet) -> None:
    fleet.kill(4)
    wait_until(lambda: 4 not in (view.brokers if (view := fleet.look()) else {4}), "fenced", 30)
    assert fleet.process_start_time(4) is None
    fleet.heal()
    assert fleet.process_start_time(4) is not None


def test_a_crashed_broker_is_started_by_its_supervisor(fleet: DemoFleet) -> None:
    before = fleet.process_start_time(4)
    fleet.kill(4, stays_dead=False)
    wait_until(lambda: fleet.process_start_time(4) is not None, "a new process", 30)
    assert fleet.process_start_time(4) != before


def test_a_frozen_broker_leaves_the_isr_and_is_the_same_process_after_the_thaw(
    fleet: DemoFleet,
) -> None:
    before = fleet.process_start_time(5)
    fleet.freeze(5)
    wait_until(lambda: bool((view := fleet.look()) and view.out_of_sync), "out of sync", 60)
    fleet.thaw(5)
    fleet.wait_until_healthy()
    assert fleet.process_start_time(5) == before


def test_an_exporter_can_be_gone_while_its_broker_runs(fleet: DemoFleet) -> None:
    fleet.exporter_gone(1)
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(fleet.node(1).exporter_url, timeout=5)
    assert fleet.process_start_time(1) is not None
    assert metrics_page(fleet.node(2))

    fleet.exporter_back(1)
    assert metrics_page(fleet.node(1))


def test_the_load_loses_nothing_while_brokers_stop_and_start(fleet: DemoFleet) -> None:
    with Load(fleet.bootstrap) as load:
        wait_until(lambda: load.consumed > 0, "the first message was read", 60)
        fleet.stop(3)
        fleet.start(3)
        fleet.wait_until_healthy()
        result = load.result()

    assert result.produced == result.consumed > 0
    assert (result.lost, result.refused, result.errors) == (0, 0, ())


LAUNCHER = """
import time
from healthd.demo.fleet import DemoFleet
fleet = DemoFleet.launch(cluster="second")
print(fleet.root, flush=True)
time.sleep(1000)
"""


def test_a_second_fleet_runs_beside_and_leaves_nothing_when_its_owner_is_killed(
    fleet: DemoFleet,
) -> None:
    with subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        root = Path(owner.stdout.readline().decode().strip())
        started = len(guardian.processes_of(root))
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)

    assert started >= len(RACKS) * 4, "sshd, supervisor, broker and relay of each host"
    wait_until(lambda: not guardian.processes_of(root), "no process is left", 30)
    wait_until(lambda: not root.exists(), "the folder is removed", 30)
    fleet.wait_until_healthy()
