"""Plan, look, apply, on the real fleet: what was looked at is done, and nothing else."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path
from typing import Any

import pytest
from support.waves_on_fleet import QUICK, process_starts, wait_until_ended, wave_request

from healthd.cli.app import cli
from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.waves.plan_file import in_short

BROKER = 2
OTHER = 3


def by_plan(made: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What `wave start --plan` sends."""
    taken = sorted(node for step in made["steps"] for node in step["brokers"])
    return wave_request(made["cluster"], taken, **QUICK) | {"plan": in_short(made)} | changes


def by_stages(cluster: str) -> dict[str, Any]:
    """A wave that would wait for a person and for an hour, tried out."""
    canary = {"name": "canary", "clusters": [cluster], "brokers": [BROKER], "soakSeconds": 3600}
    rest = {"name": "rest", "clusters": [cluster], "brokers": [OTHER], "approval": "two-person"}
    return wave_request(cluster, []) | {"stages": [canary, rest], "dryRun": True}


@pytest.mark.timeout(600)
def test_a_plan_is_done_as_it_was_looked_at_or_refused(
    fleet: DemoFleet, daemon: DaemonProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"/api/v1/clusters/{fleet.cluster}/plan?brokers={BROKER}"
    made = daemon.get(path)
    file = str(tmp_path / "fleet.yaml")
    with pytest.raises(SystemExit):
        cli(["plan", "--direct", fleet.cluster, "--fleet-file", file,
             "--brokers", str(BROKER), "-o", "json"])  # fmt: skip
    direct = json.loads(capsys.readouterr().out)
    assert direct["fingerprint"] == made["fingerprint"]
    assert (direct["nodes"], direct["steps"]) == (made["nodes"], made["steps"])

    before = process_starts(fleet, BROKER)
    dry = wait_until_ended(daemon, daemon.post("/api/v1/waves", by_plan(made, dryRun=True))["wave"])
    assert (dry["status"], dry["dryRun"]) == ("succeeded", True)
    assert process_starts(fleet, BROKER) == before
    report = daemon.get(f"/api/v1/waves/{dry['wave']}/report")
    assert any("not sent to" in row["detail"] for row in report["commands"])

    before_all = [process_starts(fleet, broker) for broker in (BROKER, OTHER)]
    staged = daemon.post("/api/v1/waves", by_stages(fleet.cluster))["wave"]
    dry = wait_until_ended(daemon, staged)
    assert (dry["status"], dry["dryRun"]) == ("succeeded", True)
    assert [stage["status"] for stage in dry["stages"]] == ["done", "done"]
    assert [process_starts(fleet, broker) for broker in (BROKER, OTHER)] == before_all
    report = daemon.get(f"/api/v1/waves/{staged}/report")
    sent = [row["node"] for row in report["commands"] if "not sent to" in row["detail"]]
    assert sent == [BROKER, BROKER, OTHER, OTHER]

    done = wait_until_ended(daemon, daemon.post("/api/v1/waves", by_plan(direct))["wave"])
    assert done["status"] == "succeeded"
    assert process_starts(fleet, BROKER) == before + 1
    assert daemon.get(path)["estimatedFrom"] == "history"

    stale = made | {"fingerprint": "0" * 64}
    with pytest.raises(urllib.error.HTTPError) as refused:
        daemon.post("/api/v1/waves", by_plan(stale))
    assert refused.value.code == 409
    assert json.loads(refused.value.read())["type"].endswith(":plan-stale")
