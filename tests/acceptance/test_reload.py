"""Reading the fleet file again: a bad one leaves the old one running, and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthd.demo.daemon import DaemonProcess
from healthd.demo.service import wait_until


@pytest.fixture
def daemon(lonely_fleet_file: Path, tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon whose cluster is away; it runs all the same."""
    with DaemonProcess(lonely_fleet_file, tmp_path, interval_seconds=1) as daemon:
        yield daemon.start()


def was_reloaded_well(daemon: DaemonProcess) -> bool:
    lines = daemon.get("/metrics").splitlines()
    (value,) = [
        line.split()[1]
        for line in lines
        if line.startswith("healthd_config_last_reload_successful ")
    ]
    return bool(float(value))


def clusters(daemon: DaemonProcess) -> set[str]:
    answer = daemon.get("/api/v1/clusters")
    rows = answer["clusters"] if isinstance(answer, dict) else answer
    return {row["cluster"] for row in rows}


def test_a_bad_file_at_sighup_leaves_the_old_fleet_and_is_told_in_log_and_metric(
    daemon: DaemonProcess, lonely_fleet_file: Path
) -> None:
    assert was_reloaded_well(daemon)
    text = lonely_fleet_file.read_text("utf-8")
    lonely_fleet_file.write_text(text.replace("bootstrapServers", "bootstrapServer"), "utf-8")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: not was_reloaded_well(daemon), "the metric tells it", 20)
    assert clusters(daemon) == {"payments"}
    assert "did you mean bootstrapServers" in daemon.log_file.read_text("utf-8")
    lonely_fleet_file.write_text(text.replace("payments", "orders"), "utf-8")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: was_reloaded_well(daemon), "the metric tells that all is well", 20)
    assert clusters(daemon) == {"orders"}


def test_a_second_daemon_on_the_same_state_is_told_who_has_it(
    daemon: DaemonProcess, lonely_fleet_file: Path
) -> None:
    words = ["run", "--fleet-file", str(lonely_fleet_file), "--state-dir", str(daemon.state_dir)]
    second = subprocess.run(
        [sys.executable, "-m", "healthd", *words, "--listen-port", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=dict(os.environ),
    )
    assert second.returncode == 6
    assert str(daemon.process_id) in second.stderr


def test_sigterm_ends_an_idle_daemon_in_order(daemon: DaemonProcess) -> None:
    assert daemon.stop() == 0


PLAYBOOK = """\
apiVersion: healthd/v1
kind: Playbook
name: upd
variables: {version: {pattern: "[0-9.]+"}}
steps:
  - {name: a, command: [upd, "${version}"], repeatable: true, timeoutSeconds: 60}
"""
WAVE = """\
apiVersion: healthd/v1
kind: Wave
name: yearly
reason: CHG-1
playbook: upd
stages:
  - {name: all, clusters: [payments]}
schedule: {cron: "0 22 1 1 *", timezone: UTC}
"""
WITH_HOST = """\
apiVersion: healthd/v1
kind: Fleet
clusters:
  - {name: payments, bootstrapServers: ["127.0.0.1:1"], hosts: [{broker: 1, address: 127.0.0.1}]}
"""


def test_a_wave_of_the_wave_folder_that_lacks_a_variable_is_told_until_the_fleet_file_gives_it(
    lonely_fleet_file: Path, tmp_path: Path
) -> None:
    for folder, name, text in (("own", "upd", PLAYBOOK), ("waves", "yearly", WAVE)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.yaml").write_text(text, "utf-8")
    lonely_fleet_file.write_text(WITH_HOST, "utf-8")
    folders = {"playbook_dir": str(tmp_path / "own"), "wave_dir": str(tmp_path / "waves")}
    with DaemonProcess(lonely_fleet_file, tmp_path, interval_seconds=1, **folders) as daemon:
        daemon.start()
        wait_until(lambda: "wave_file_refused" in daemon.log_file.read_text("utf-8"), "a log", 20)
        assert (
            f"{tmp_path}/waves/yearly.yaml:7:5: stages[0]: variable version for broker 1 of cluster"
            " payments: has no value -> write version: VALUE under variables"
        ) in daemon.log_file.read_text("utf-8")
        assert daemon.get("/api/v1/waves")["scheduled"] == []
        given = WITH_HOST.replace("hosts:", "variables: {version: '4.1'}, hosts:")
        lonely_fleet_file.write_text(given, "utf-8")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.get("/api/v1/waves")["scheduled"] != [], "it is planned", 20)
