"""Trouble in a wave, and what the operator sees of it (one test a line of the table)."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from ruamel.yaml import YAML
from support.waves_on_fleet import (
    held_by,
    look,
    process_starts,
    start_wave,
    status_of,
    wait_for_wave,
    wait_until_ended,
)

from healthd.demo import relay
from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.guarded import Command, GuardedProcesses
from healthd.demo.service import wait_until

StartDaemon = Callable[..., DaemonProcess]

BROKER = 4


def healthd(daemon: DaemonProcess, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, talking to a daemon."""
    return subprocess.run(
        [sys.executable, "-m", "healthd", *words],
        env={**os.environ, **daemon.command_environment()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def changed_fleet_file(fleet: DemoFleet, path: Path, old: str, new: str) -> Path:
    """The fleet's file with one text exchanged."""
    fleet.write_fleet_file(path)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    return path


def starts_under_way(fleet: DemoFleet) -> list[int]:
    """The processes that are starting a broker of this fleet."""
    commands = {str(node.service_command) for node in fleet.nodes}
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "start" in (words := process.info["cmdline"] or []) and commands & set(words)
    ]


def test_a_wrong_host_key_holds_with_both_fingerprints_and_touches_nothing(
    fleet: DemoFleet, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    known = fleet.ssh.known_hosts_file.read_text("utf-8").splitlines()
    keys = [line.split(" ", 1)[1] for line in known]
    wrong = tmp_path / "known_hosts"
    # Every host is known under its neighbour's key.
    names = [line.split(" ", 1)[0] for line in known]
    wrong.write_text(
        "\n".join(f"{name} {key}" for name, key in zip(names, keys[1:] + keys[:1], strict=True)),
        "utf-8",
    )
    daemon = start_daemon(
        changed_fleet_file(
            fleet, tmp_path / "wrong.yaml", str(fleet.ssh.known_hosts_file), str(wrong)
        )
    )
    before = fleet.process_start_time(BROKER)
    wave = start_wave(daemon, fleet.cluster, [BROKER])
    held = wait_for_wave(
        daemon, wave, lambda it: ("HOST_KEY_REFUSED", f"broker:{BROKER}") in held_by(it)
    )
    detail = next(h["detail"] for h in held["gate"]["holds"] if h["code"] == "HOST_KEY_REFUSED")
    assert detail.count("SHA256:") == 2
    assert held["status"] == "holding"
    assert status_of(held, BROKER) == "pending"
    assert fleet.process_start_time(BROKER) == before


def test_a_stop_that_hangs_ends_at_its_deadline_and_is_never_repeated(
    fleet: DemoFleet, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    script = tmp_path / "service"
    real = fleet.node(BROKER).folder.parent / f"node-{BROKER}" / "bin" / "healthd-service"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = stop ] && {{ echo asked >> {tmp_path}/stops; exec sleep 60; }}\n'
        f'exec {real} "$@"\n',
        "utf-8",
    )
    script.chmod(0o755)
    command = str(fleet.root / "node-{broker_id}" / "bin" / "healthd-service")
    daemon = start_daemon(changed_fleet_file(fleet, tmp_path / "hang.yaml", command, str(script)))
    before = fleet.process_start_time(BROKER)
    wave = start_wave(daemon, fleet.cluster, [BROKER], stopTimeoutSeconds=5)
    paused = wait_for_wave(daemon, wave, lambda it: it["status"] == "paused")
    assert status_of(paused, BROKER) == "failed"
    assert f"broker {BROKER}" in paused["pauses"][0]["reason"]
    time.sleep(3)
    assert (tmp_path / "stops").read_text("utf-8") == "asked\n"
    assert fleet.process_start_time(BROKER) == before


@pytest.mark.prove
def test_a_broker_that_does_not_come_back_pauses_the_wave_and_no_other_is_touched(
    fleet: DemoFleet, daemon: DaemonProcess
) -> None:
    others = [2, BROKER]
    starts = {node.id: process_starts(fleet, node.id) for node in fleet.nodes}
    for broker in others:
        fleet.start_fails(broker)
    wave = start_wave(daemon, fleet.cluster, others, startTimeoutSeconds=12)
    paused = wait_for_wave(daemon, wave, lambda it: it["status"] == "paused")
    first, second = others
    assert status_of(paused, first) == "failed"
    assert status_of(paused, second) == "pending"
    assert f"broker {first}" in paused["pauses"][0]["reason"]

    def has_logs() -> bool:
        report = daemon.get(f"/api/v1/waves/{wave}/report")
        return bool(next(b for b in report["brokers"] if b["broker"] == first)["logs"])

    wait_until(has_logs, "the last log lines are in the report", 30)
    # A start that healthd gave up waiting for goes on at the host, and ends with a "down".
    wait_until(lambda: not starts_under_way(fleet), "the last try has ended", 60)
    for broker in others:
        fleet.start_works(broker)
    words = ("--broker", str(first), "--reason", "it is mended")
    retried = healthd(daemon, "wave", "retry", wave, *words)
    assert retried.returncode == 0, retried.stderr
    ended = wait_until_ended(daemon, wave)
    assert ended["status"] == "succeeded"
    after = {node.id: process_starts(fleet, node.id) for node in fleet.nodes}
    assert after == {**starts, first: starts[first] + 1, second: starts[second] + 1}


def test_a_lost_exporter_lowers_completeness_and_closes_the_gate_naming_its_broker(
    fleet: DemoFleet, daemon: DaemonProcess
) -> None:

    def health() -> Any:
        return daemon.get(f"/api/v1/clusters/{fleet.cluster}/health")

    # The idle share of request handlers is a rate: it takes two pages of every broker.
    wait_until(lambda: bool(health()["completeness"] == 1), "all that is collected", 60)
    assert health()["healthIndex"] == 100
    fleet.exporter_gone(BROKER)
    wave = start_wave(daemon, fleet.cluster, [2], cleanSeconds=20)
    held = wait_for_wave(
        daemon, wave, lambda it: ("EVIDENCE_STALE", f"broker:{BROKER}") in held_by(it)
    )
    assert held["status"] == "holding"
    assert health()["completeness"] < 0.99
    # It is alive in Kafka's metadata: the index does not fall for a silent exporter.
    assert health()["healthIndex"] == 100
    fleet.exporter_back(BROKER)
    wait_for_wave(daemon, wave, lambda it: it["status"] == "running")
    answer = healthd(daemon, "wave", "abort", wave, "--reason", "seen enough")
    assert answer.returncode == 0, answer.stderr
    assert wait_until_ended(daemon, wave)["status"] == "aborted"


def test_a_second_wave_on_a_cluster_is_refused_with_who_holds_it_since_when_and_for_which(
    fleet: DemoFleet, daemon: DaemonProcess
) -> None:
    wave = start_wave(daemon, fleet.cluster, [BROKER], cleanSeconds=30)
    words = ("--playbook", "rolling-restart", "--cluster", fleet.cluster, "--brokers", "2")
    second = healthd(daemon, "wave", "start", *words, "--reason", "me too")
    assert second.returncode == 6
    assert wave in second.stderr
    assert look(daemon, wave)["createdAt"][:16] in second.stderr
    paused = healthd(daemon, "wave", "pause", "--all", "--reason", "emergency")
    assert paused.returncode == 0, paused.stderr
    assert look(daemon, wave)["status"] == "paused"


def test_a_locked_state_file_pauses_the_wave_before_it_acts(
    fleet: DemoFleet, daemon: DaemonProcess
) -> None:
    before = fleet.process_start_time(BROKER)
    wave = start_wave(daemon, fleet.cluster, [BROKER], cleanSeconds=8)
    locker = sqlite3.connect(daemon.state_dir / "healthd.db", isolation_level=None)
    try:
        locker.execute("BEGIN IMMEDIATE")
        paused = wait_for_wave(daemon, wave, lambda it: it["status"] == "paused")
        assert "state file" in paused["pauses"][0]["reason"]
        assert status_of(paused, BROKER) == "pending"
        assert fleet.process_start_time(BROKER) == before
    finally:
        locker.close()
    resumed = healthd(daemon, "wave", "resume", wave, "--reason", "the lock is gone")
    assert resumed.returncode == 0, resumed.stderr
    assert wait_until_ended(daemon, wave)["status"] == "succeeded"
    assert fleet.process_start_time(BROKER) != before


@pytest.mark.timeout(300)
def test_a_lost_quorum_lowers_the_index_and_closes_the_gate_though_brokers_still_answer(
    fleet: DemoFleet, daemon: DaemonProcess
) -> None:
    fleet.kill_quorum()
    deadline = time.monotonic() + 90
    seen: dict[str, Any] = {}
    while time.monotonic() < deadline:
        seen = daemon.get(f"/api/v1/clusters/{fleet.cluster}")
        codes = {hold["code"] for hold in seen["gate"]["holds"]}
        if seen["healthIndex"] < 89 and {"CONTROLLER_ABSENT", "EVIDENCE_STALE"} <= codes:
            break
        time.sleep(0.5)
    else:
        raise AssertionError(json.dumps(seen)[:4000])
    status = healthd(daemon, "status", fleet.cluster)
    assert "CONTROLLER_ABSENT" in status.stdout


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def fleet_file_through(fleet: DemoFleet, path: Path, bootstrap: str) -> Path:
    """The fleet's file with one bootstrap server in the place of all."""
    fleet.write_fleet_file(path)
    yaml = YAML()
    document = yaml.load(path)
    document["clusters"][0]["bootstrapServers"] = [bootstrap]
    yaml.dump(document, path)
    return path


def test_a_cluster_that_cannot_be_reached_at_start_is_unknown_with_the_reason_and_recovers(
    fleet: DemoFleet, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    door = f"127.0.0.1:{free_port()}"
    daemon = start_daemon(fleet_file_through(fleet, tmp_path / "fleet.yaml", door), ready=False)

    def cluster() -> Any:
        return daemon.get(f"/api/v1/clusters/{fleet.cluster}")

    wait_until(lambda: bool(cluster()["failures"]), "it says what is wrong", 30)
    found = cluster()
    assert found["healthIndex"] is None
    assert found["class"] == "UNKNOWN"
    assert {failure["reason"] for failure in found["failures"]} & {"refused", "network"}
    table = healthd(daemon, "status")
    assert "UNKNOWN" in table.stdout
    folder = tmp_path / "relay"
    folder.mkdir()
    words = [sys.executable, str(relay.__file__), door, fleet.node(1).kafka_address]
    servers = GuardedProcesses(
        [Command(argv=words, log=folder / "log")], folder, remove_folder=False
    )
    try:
        wait_until(lambda: bool(cluster()["class"] == "OK"), "it has recovered by itself", 60)
    finally:
        servers.close()
