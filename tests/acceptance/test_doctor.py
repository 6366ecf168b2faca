"""`healthd doctor` on the real fleet, which has no authorizer: through the daemon, and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from healthd.cli.doctor import doctor
from healthd.cli.exits import Exit
from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet


def examined(*words: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(doctor, [*words, "-o", "json"])
    assert result.stdout, result.stderr
    return result.exit_code, json.loads(result.stdout)


def outcomes(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(found["source"], found["subject"]): found["outcome"] for found in document["findings"]}


def test_a_fleet_without_an_authorizer_hides_nothing(
    daemon: DaemonProcess, fleet: DemoFleet, tmp_path: Path
) -> None:
    code, document = examined(fleet.cluster, "--server", daemon.url)
    assert code == Exit.OK, document
    assert document["authorizer"] == "off"
    assert document["principal"] == "User:ANONYMOUS"
    assert document["grants"] == []
    found = outcomes(document)
    assert found["listeners", "5 brokers"] == "allowed"
    assert found["metrics", "5 exporter pages"] == "allowed"
    assert found["ssh", "5 hosts"] == "allowed"
    assert set(found.values()) == {"allowed"}

    file = fleet.write_fleet_file(tmp_path / "own.yaml")
    code, from_here = examined(fleet.cluster, "--direct", "--fleet", str(file))
    assert code == Exit.OK, from_here
    assert outcomes(from_here).keys() == found.keys()


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
