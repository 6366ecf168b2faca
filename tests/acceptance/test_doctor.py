"""`healthd doctor` on the real fleet, which has no authorizer: through the daemon, and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.waves_on_fleet import (
    held_by,
    process_starts,
    start_wave,
    status_of,
    wait_for_wave,
    wait_until_ended,
)

from healthd.cli.doctor import doctor
from healthd.cli.exits import Exit
from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet


def examined(*words: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(doctor, [*words, "-o", "json"])
    assert result.stdout, result.stderr
    return result.exit_code, json.loads(result.stdout)


def troubles(document: dict[str, Any]) -> list[str]:
    """What is wrong, for whoever reads that a test has failed."""
    found = [str(each) for each in document["findings"] if each["outcome"] != "allowed"]
    for host in document["hosts"]:
        bad = [check for check in host["checks"] if check["outcome"] in {"failed", "unknown"}]
        found += [f"{host['address']}: {check}" for check in bad]
    return found


def outcomes(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(found["source"], found["subject"]): found["outcome"] for found in document["findings"]}


def test_a_fleet_without_an_authorizer_hides_nothing(
    daemon: DaemonProcess, fleet: DemoFleet, tmp_path: Path
) -> None:
    code, document = examined(fleet.cluster, "--server", daemon.url)
    assert code == Exit.OK, troubles(document)
    assert document["authorizer"] == "off"
    assert document["principal"] == "User:ANONYMOUS"
    assert document["grants"] == []
    found = outcomes(document)
    assert found["listeners", "5 brokers"] == "allowed"
    assert found["metrics", "5 exporter pages"] == "allowed"
    assert found["ssh", "5 hosts"] == "allowed"
    assert set(found.values()) == {"allowed"}
    assert [host["broker"] for host in document["hosts"]] == [1, 2, 3, 4, 5]
    for host in document["hosts"]:
        checks = {check["check"]: check["outcome"] for check in host["checks"]}
        assert checks.pop("sudo") == "not configured"
        assert checks.keys() >= {"identity", "listening", "secondService", "clock", "reboot"}
        assert set(checks.values()) == {"ok"}

    file = fleet.write_fleet_file(tmp_path / "own.yaml")
    code, from_here = examined(fleet.cluster, "--direct", "--fleet", str(file))
    assert code == Exit.OK, troubles(from_here)
    assert outcomes(from_here).keys() == found.keys()
    assert len(from_here["hosts"]) == 5


def test_a_service_of_another_broker_is_told_and_no_wave_stops_it(
    fleet: DemoFleet, start_daemon: Callable[..., DaemonProcess], tmp_path: Path
) -> None:
    file = fleet.write_fleet_file(tmp_path / "wrong.yaml")
    # The service commands of one node stand where those of each node should.
    file.write_text(file.read_text().replace("node-{broker_id}", "node-4"))
    before = {node.id: process_starts(fleet, node.id) for node in fleet.nodes}
    code, document = examined(fleet.cluster, "--direct", "--fleet", str(file))
    assert code == Exit.PROBLEMS
    told = {
        host["broker"]: check["detail"]
        for host in document["hosts"]
        for check in host["checks"]
        if check["check"] == "identity" and check["outcome"] == "failed"
    }
    assert sorted(told) == [1, 2, 3, 5]
    assert all("says node.id=4" in detail for detail in told.values())

    daemon = start_daemon(file)
    wave = start_wave(daemon, fleet.cluster, [5])
    shown = wait_for_wave(daemon, wave, lambda seen: ("IDENTITY", "broker:5") in held_by(seen))
    assert status_of(shown, 5) == "pending"
    daemon.post(f"/api/v1/waves/{wave}/abort", {"reason": "the fleet file is wrong"})
    wait_until_ended(daemon, wave)
    assert {node.id: process_starts(fleet, node.id) for node in fleet.nodes} == before


@pytest.mark.prove
def test_a_broker_that_is_down_is_named_by_its_address(
    daemon: DaemonProcess, fleet: DemoFleet
) -> None:
    fleet.kill(5)
    code, document = examined(fleet.cluster, "--server", daemon.url)
    assert code == Exit.PROBLEMS
    address = fleet.node(5).kafka_address
    found = {each["subject"]: each for each in document["findings"]}
    assert found[address]["outcome"] == "unreachable"
    assert "Refused the connection" in found[address]["detail"]
    assert found[address]["completenessLost"] == 0
    assert document["grants"] == []
