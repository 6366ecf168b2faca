"""Another Java for every broker, through a wave of a real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from support.upgrade import NEW, java_version, other_java
from support.waves_on_fleet import (
    QUICK,
    process_starts,
    status_of,
    wait_until_ended,
    wait_until_gate_clear,
)

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.fleet_file import write_fleet_file
from healthd.demo.installed import java_home, java_link
from healthd.demo.nodes import THREE

pytestmark = pytest.mark.prove
ONE: Final = 2


@pytest.fixture(scope="module")
def hosts() -> Iterator[DemoFleet]:
    """Three brokers that run on the Java on PATH, by a link."""
    with DemoFleet.launch(shape=THREE, installed=NEW) as fleet:
        fleet.create_topics()
        yield fleet


@pytest.fixture
def daemon(hosts: DemoFleet, tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that knows where each host has its link."""
    entry = hosts.entry()
    for row in entry["hosts"]:
        row["variables"] = {"link": str(java_link(hosts.node(row["broker"])))}
    write_fleet_file(tmp_path / "fleet.yaml", [entry])
    with DaemonProcess(
        tmp_path / "fleet.yaml",
        tmp_path,
        interval_seconds=1,
        collect_deadline_seconds=8,
        kafka_timeout_seconds=2,
    ) as found:
        found.start()
        wait_until_gate_clear(found, hosts.cluster)
        yield found


def run(
    daemon: DaemonProcess, fleet: DemoFleet, brokers: list[int] | str, home: Path, says: str
) -> dict[str, Any]:
    """A wave to another Java, once it has ended."""
    asked = {
        "apiVersion": "healthd/v1",
        "kind": "Wave",
        "name": "java",
        "reason": "CHG-1240",
        "playbook": "jvm-upgrade",
        "variables": {
            "javaHome": str(home),
            "javaVersion": says,
            "exporterPort": fleet.nodes[0].ports.exporter,
        },
        "stages": [{"name": "all", "clusters": [fleet.cluster], "brokers": brokers}],
        "policy": QUICK,
    }
    wave = str(daemon.post("/api/v1/waves", asked)["wave"])
    return wait_until_ended(daemon, wave, seconds=800)


def javas(fleet: DemoFleet) -> dict[int, str]:
    """The program that each broker's process is."""
    processes = {node.id: Path(f"/proc/{fleet.process_id(node.id)}/exe") for node in fleet.nodes}
    return {broker: str(process.readlink()) for broker, process in processes.items()}


@pytest.mark.timeout(600)
def test_a_java_that_says_another_version_stops_no_broker(
    hosts: DemoFleet, daemon: DaemonProcess, tmp_path: Path
) -> None:
    before = process_starts(hosts, ONE)
    ended = run(daemon, hosts, [ONE], other_java(tmp_path), "8.0.392")
    assert ended["status"] == status_of(ended, ONE) == "failed"
    assert process_starts(hosts, ONE) == before
    assert java_link(hosts.node(ONE)).resolve() == java_home()


@pytest.mark.timeout(900)
def test_every_broker_runs_on_the_other_java_and_was_restarted_once(
    hosts: DemoFleet, daemon: DaemonProcess, tmp_path: Path
) -> None:
    before = {node.id: process_starts(hosts, node.id) for node in hosts.nodes}
    assert set(javas(hosts).values()) == {str(java_home() / "bin" / "java")}
    other = other_java(tmp_path)
    ended = run(daemon, hosts, "all", other, java_version(other))
    assert ended["status"] == "succeeded", ended
    assert set(javas(hosts).values()) == {str(other / "bin" / "java")}
    after = {node.id: process_starts(hosts, node.id) for node in hosts.nodes}
    assert after == {broker: count + 1 for broker, count in before.items()}
