"""Driving a real daemon on the real fleet: start a wave, wait for what it does, read it off."""

from __future__ import annotations

import re
import time
import urllib.error
from collections.abc import Callable, Mapping
from typing import Any

from healthd.demo.daemon import DaemonProcess, error_of
from healthd.demo.fleet import DemoFleet

QUICK: Mapping[str, Any] = {"soakSeconds": 2, "cleanSnapshots": 2, "cleanSeconds": 1}
"""A policy that leaves out the waiting; what is waited for in production has its own tests."""
ENDED = {"succeeded", "failed", "aborted"}
_STARTED = re.compile(r"Transition from SHUTDOWN to STARTING")


def wave_request(cluster: str, brokers: list[int] | str, **policy: Any) -> dict[str, Any]:
    """A wave file for `POST /api/v1/waves`."""
    return {
        "apiVersion": "healthd/v1",
        "kind": "Wave",
        "name": "test",
        "reason": "an acceptance test",
        "playbook": "rolling-restart",
        "stages": [{"name": "all", "clusters": [cluster], "brokers": brokers}],
        "policy": {**QUICK, **policy},
    }


def start_wave(daemon: DaemonProcess, cluster: str, brokers: list[int] | str, **policy: Any) -> str:
    """The id of a new wave."""
    try:
        answer = daemon.post("/api/v1/waves", wave_request(cluster, brokers, **policy))
    except urllib.error.HTTPError as error:
        raise AssertionError(error_of(error)) from error
    return str(answer["wave"])


def look(daemon: DaemonProcess, wave: str) -> dict[str, Any]:
    """The wave as it stands."""
    found: dict[str, Any] = daemon.get(f"/api/v1/waves/{wave}")
    return found


def wait_for_wave(
    daemon: DaemonProcess,
    wave: str,
    is_it: Callable[[dict[str, Any]], bool],
    *,
    seconds: float = 120,
    every: float = 0.05,
) -> dict[str, Any]:
    """The wave once it is as wanted; fails with the last look when it is not in time."""
    deadline = time.monotonic() + seconds
    last: dict[str, Any] = {}
    while time.monotonic() < deadline:
        last = look(daemon, wave)
        if is_it(last):
            return last
        time.sleep(every)
    raise AssertionError(f"not in {seconds} s: {last}\n{daemon.last_log_lines(40)}")


def wait_until_ended(daemon: DaemonProcess, wave: str, *, seconds: float = 240) -> dict[str, Any]:
    """The wave once it has ended."""
    return wait_for_wave(
        daemon, wave, lambda it: it["status"] in ENDED, seconds=seconds, every=0.25
    )


def status_of(wave: Mapping[str, Any], broker: int) -> str:
    """Where one broker of a wave is."""
    return next(str(node["status"]) for node in wave["nodes"] if node["node"] == broker)


def held_by(wave: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Code and object of everything that the gate waits for."""
    return {(hold["code"], hold["object"]) for hold in wave["gate"]["holds"]}


def process_starts(fleet: DemoFleet, broker: int) -> int:
    """How often the broker's process has been started, by its own log."""
    text = fleet.node(broker).log_file.read_text("utf-8", "replace")
    return len(_STARTED.findall(text))


def wait_until_gate_clear(daemon: DaemonProcess, cluster: str, *, seconds: float = 90) -> None:
    """The daemon has seen the cluster whole: nothing holds but time."""
    deadline = time.monotonic() + seconds
    gate: Any = None
    while time.monotonic() < deadline:
        gate = daemon.get(f"/api/v1/clusters/{cluster}")["gate"]
        if gate is not None and gate["clear"]:
            return
        time.sleep(0.2)
    raise AssertionError(f"the gate did not clear: {gate}\n{daemon.last_log_lines(40)}")
