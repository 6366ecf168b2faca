"""A real wave that an alert, a freeze and Cruise Control hold; it silences who it works on."""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.alertmanager import RealAlertmanager, WebhookReceiver, alertmanager
from support.fake_cruise_control import FakeCruiseControl
from support.threaded_server import listening
from support.waves_on_fleet import (
    held_by,
    process_starts,
    start_wave,
    status_of,
    wait_for_wave,
    wait_until_ended,
)

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet

BROKER = 4
BLOCKER = {"alertname": "Blocker", "severity": "critical", "instance": "somewhere-else"}


@contextlib.contextmanager
def cruise_control(fake: FakeCruiseControl) -> Iterator[str]:
    """The address of a fake Cruise Control for a daemon that is another process."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(fake.document()).encode())

        def log_message(self, *_words: object) -> None:
            pass

    with listening(Handler) as address:
        yield address


def healthd(daemon: DaemonProcess, *words: str) -> dict[str, Any]:
    """What the command prints as JSON."""
    ran = subprocess.run(
        [sys.executable, "-m", "healthd", *words, "-o", "json",
         "--server", daemon.url, "--token-file", str(daemon.token_file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def silences(manager: RealAlertmanager) -> list[dict[str, Any]]:
    """What is silenced now."""
    with urllib.request.urlopen(f"http://{manager.address}/api/v2/silences", timeout=10) as answer:
        rows: list[dict[str, Any]] = json.load(answer)
    return [row for row in rows if row["status"]["state"] == "active"]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[RealAlertmanager]:
    with (
        WebhookReceiver().serving() as receiver,
        alertmanager(tmp_path / "alertmanager", receiver.address) as found,
    ):
        yield found


def with_outside(file: Path, manager: RealAlertmanager, cruise_control: str) -> Path:
    """The fleet file with who closes its gates from outside."""
    yaml = YAML()
    document = yaml.load(file.read_text("utf-8"))
    document["alerts"] = {"alertmanager": {"url": f"http://{manager.address}"}}
    document["clusters"][0]["cruiseControl"] = {"url": f"http://{cruise_control}"}
    with file.open("w", encoding="utf-8") as output:
        yaml.dump(document, output)
    return file


def test_a_wave_is_held_from_outside_and_silences_exactly_the_host_in_work(
    fleet: DemoFleet, start_daemon: Any, manager: RealAlertmanager, tmp_path: Path
) -> None:
    fake = FakeCruiseControl(executor="LEADER_MOVEMENT_TASK_IN_PROGRESS", reason="rebalance")
    manager.post([BLOCKER])
    with cruise_control(fake) as address:
        file = with_outside(fleet.write_fleet_file(tmp_path / "fleet.yaml"), manager, address)
        daemon = start_daemon(file)
        healthd(daemon, "freeze", "add", "audit", "--match", "env=demo", "--reason", "audit week")
        before = process_starts(fleet, BROKER)
        wave = start_wave(
            daemon, fleet.cluster, [BROKER], alerts=['severity="critical"'], silence=True
        )
        wanted = {
            ("ALERT_FIRING", "alert:Blocker"),
            ("CRUISE_CONTROL", f"cluster:{fleet.cluster}"),
            ("FREEZE", f"cluster:{fleet.cluster}"),
        }
        held = wait_for_wave(daemon, wave, lambda it: wanted <= held_by(it))
        detail = {hold["code"]: hold["detail"] for hold in held["gate"]["holds"]}
        assert 'instance="somewhere-else"' in detail["ALERT_FIRING"]
        assert "LEADER_MOVEMENT_TASK_IN_PROGRESS (rebalance)" in detail["CRUISE_CONTROL"]
        assert "audit week" in detail["FREEZE"]
        time.sleep(3)  # Three rounds more: it would have been taken by now.
        assert process_starts(fleet, BROKER) == before
        assert silences(manager) == []

        manager.resolve(BLOCKER)
        fake.executor = "NO_TASK_IN_PROGRESS"
        wait_for_wave(
            daemon, wave, lambda it: {code for code, _ in held_by(it)} & {
                "ALERT_FIRING", "CRUISE_CONTROL", "FREEZE"} == {"FREEZE"}
        )  # fmt: skip
        healthd(daemon, "freeze", "remove", "audit", "--reason", "over")
        in_work = ("stopping", "stopped", "starting", "recovering", "soaking")
        wait_for_wave(daemon, wave, lambda it: status_of(it, BROKER) in in_work)
        (silence,) = silences(manager)
        assert silence["createdBy"] == "healthd"
        assert f"[wave {wave}, node {BROKER}]" in silence["comment"]
        (matcher,) = silence["matchers"]
        assert (matcher["name"], matcher["isRegex"]) == ("instance", True)
        assert fleet.node(BROKER).host.replace(".", r"\.") in matcher["value"]
        assert wait_until_ended(daemon, wave)["status"] == "succeeded"
        assert process_starts(fleet, BROKER) == before + 1
        deadline = time.monotonic() + 20
        while silences(manager):
            assert time.monotonic() < deadline, "its silence was left behind"
            time.sleep(0.1)
