"""A rack of real brokers at once: where the assignment proves it, not where a topic breaks it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.waves_on_fleet import (
    QUICK,
    process_starts,
    wait_until_ended,
    wait_until_gate_clear,
)

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.nodes import Shape
from healthd.demo.service import wait_until
from healthd.demo.topics import quiet_client
from healthd.demo.watch import MinIsrWatch

CONTROLLER = 9
SHAPE = Shape(
    racks={
        1: "az1",
        2: "az1",
        3: "az2",
        4: "az2",
        5: "az3",
        6: "az3",
        7: "az4",
        8: "az4",
        CONTROLLER: "az1",
    },
    controllers=(CONTROLLER,),
    replication_factor=4,
    min_insync_replicas=3,
)
BROKERS = tuple(node for node in SHAPE.racks if node != CONTROLLER)
RACKS = ({1, 2}, {3, 4}, {5, 6}, {7, 8})
ORDERS = [
    # One replica in every rack; which of the two brokers it is, and who leads, goes round.
    [rack[(number >> at) % 2] for at, rack in enumerate(racks)]
    for number in range(16)
    for racks in [([1, 2], [3, 4], [5, 6], [7, 8])]
]
BREAKS = [[1, 2, 3, 5]]
"""Two of its four replicas are in one rack: with both away only two of three are in sync."""

pytestmark = [pytest.mark.xdist_group("racks"), pytest.mark.prove]


def create(fleet: DemoFleet, topic: str, assignment: Sequence[Sequence[int]]) -> None:
    """The topic is there, with these replicas."""
    admin = AdminClient(quiet_client(fleet.bootstrap))
    new = NewTopic(
        topic,
        num_partitions=len(assignment),
        replica_assignment=[list(replicas) for replicas in assignment],
        config={"min.insync.replicas": str(SHAPE.min_insync_replicas)},
    )
    admin.create_topics([new], request_timeout=15)[topic].result()


def delete(fleet: DemoFleet, topic: str) -> None:
    """The topic is gone."""
    admin = AdminClient(quiet_client(fleet.bootstrap))
    admin.delete_topics([topic], request_timeout=15)[topic].result()


@pytest.fixture(scope="module")
def racks() -> Iterator[DemoFleet]:
    """Eight plain brokers in four racks, a controller apart, and a rack-aware topic."""
    with DemoFleet.launch("racks", shape=SHAPE) as fleet:
        create(fleet, "orders", ORDERS)
        yield fleet


@pytest.fixture
def daemon(racks: DemoFleet, tmp_path: Path) -> Iterator[DaemonProcess]:
    file = racks.write_fleet_file(tmp_path / "fleet.yaml")
    with DaemonProcess(
        file, tmp_path, interval_seconds=1, collect_deadline_seconds=8, kafka_timeout_seconds=2
    ) as daemon:
        daemon.start()
        wait_until_gate_clear(daemon, racks.cluster)
        yield daemon


def topics_seen(daemon: DaemonProcess, cluster: str) -> set[str]:
    """The topics that the daemon knows of."""
    snapshot = daemon.get(f"/api/v1/clusters/{cluster}/snapshot")
    return {topic["name"] for topic in snapshot["topics"]}


def planned(daemon: DaemonProcess, cluster: str, brokers: Sequence[int]) -> dict[str, Any]:
    """What `healthd plan` says of the cluster as the daemon sees it."""
    snapshot = daemon.get(f"/api/v1/clusters/{cluster}/snapshot")
    words = ["--brokers", ",".join(map(str, brokers)), "--concurrency", "safe", "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "healthd", "plan", "--snapshot", "-", *words],
        input=json.dumps(snapshot),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run_wave(daemon: DaemonProcess, cluster: str, brokers: Sequence[int]) -> dict[str, Any]:
    """The report of a wave that takes as many as is safe."""
    stage = {"name": "all", "clusters": [cluster], "brokers": list(brokers), "concurrency": "safe"}
    answer = daemon.post(
        "/api/v1/waves",
        {
            "apiVersion": "healthd/v1",
            "kind": "Wave",
            "name": "racks",
            "reason": "a rack at once",
            "playbook": "rolling-restart",
            "stages": [stage],
            "policy": dict(QUICK),
        },
    )
    ended = wait_until_ended(daemon, answer["wave"], seconds=400)
    assert ended["status"] == "succeeded", ended
    report: dict[str, Any] = daemon.get(f"/api/v1/waves/{answer['wave']}/report")
    return report


def in_flight_together(report: Mapping[str, Any]) -> list[set[int]]:
    """The largest sets of nodes that were between `stopping` and `done` at one time, in order."""
    now: set[int] = set()
    found: list[set[int]] = []
    for line in report["timeline"]:
        if line["event"] == "node_stopping":
            now.add(line["node"])
            if found and found[-1] < now:
                found[-1] = set(now)
            else:
                found.append(set(now))
        elif line["event"] == "node_done":
            now.discard(line["node"])
    return found


@pytest.mark.timeout(900)
def test_a_rack_goes_at_once_where_the_assignment_proves_it(
    racks: DemoFleet, daemon: DaemonProcess
) -> None:
    plan = planned(daemon, racks.cluster, BROKERS)
    assert [set(step["brokers"]) for step in plan["steps"]] == list(RACKS)
    assert all("rack az" in step["reason"] for step in plan["steps"]), plan["steps"]
    before = {node.id: process_starts(racks, node.id) for node in racks.nodes}
    with MinIsrWatch(racks.bootstrap) as watch:
        report = run_wave(daemon, racks.cluster, BROKERS)
    assert watch.looks > 0
    assert watch.under == set()
    assert in_flight_together(report) == list(RACKS)
    after = {node.id: process_starts(racks, node.id) for node in racks.nodes}
    assert after == {node: count + (node in BROKERS) for node, count in before.items()}


@pytest.mark.timeout(900)
def test_one_topic_that_breaks_it_is_named_and_its_rack_goes_one_by_one(
    racks: DemoFleet, daemon: DaemonProcess
) -> None:
    create(racks, "ledger", BREAKS)
    try:
        wait_until(lambda: "ledger" in topics_seen(daemon, racks.cluster), "the topic is seen", 30)
        wait_until_gate_clear(daemon, racks.cluster)
        brokers = (1, 2, 7, 8)
        together = daemon.get(f"/api/v1/clusters/{racks.cluster}/ok-to-stop?brokers=1,2")
        assert not together["ok"]
        blockers = {(each["code"], each["object"]) for each in together["blockers"]}
        assert blockers == {("WOULD_GO_UNDER_MIN_ISR", "ledger-0")}
        plan = planned(daemon, racks.cluster, brokers)
        steps = {tuple(step["brokers"]): step["reason"] for step in plan["steps"]}
        assert set(steps) == {(1,), (2,), (7, 8)}, plan
        assert "ledger-0" in steps[1,] + steps[2,]
        with MinIsrWatch(racks.bootstrap) as watch:
            report = run_wave(daemon, racks.cluster, brokers)
        assert watch.under == set()
        assert sorted(map(sorted, in_flight_together(report))) == [[1], [2], [7, 8]]
    finally:
        delete(racks, "ledger")
