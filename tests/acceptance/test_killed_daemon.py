"""Kill -9 of the daemon at any time: nobody is restarted twice, and nobody is left stopped."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from support.waves_on_fleet import (
    process_starts,
    start_wave,
    status_of,
    wait_for_wave,
    wait_until_ended,
)

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.service import wait_until

PLAIN_BROKER, CONTROLLER = 2, 5


def kill_in(fleet: DemoFleet, daemon: DaemonProcess, wave: str, broker: int, phase: str) -> None:
    """Kill the daemon while the broker is in a phase of its restart."""
    if phase == "stopped":
        # The process is gone, and the daemon has not noticed yet, or only just.
        wait_for_wave(daemon, wave, lambda it: status_of(it, broker) == "stopping")
        wait_until(lambda: fleet.process_id(broker) is None, "the broker has stopped", 60)
    else:
        wait_for_wave(daemon, wave, lambda it: status_of(it, broker) == phase, every=0.01)
    daemon.kill()


def restart_with_kill(fleet: DemoFleet, daemon: DaemonProcess, broker: int, phase: str) -> None:
    before = {node.id: process_starts(fleet, node.id) for node in fleet.nodes}
    old = fleet.process_start_time(broker)
    wave = start_wave(daemon, fleet.cluster, [broker])
    kill_in(fleet, daemon, wave, broker, phase)
    daemon.start()
    ended = wait_until_ended(daemon, wave)
    assert ended["status"] == "succeeded", ended
    assert fleet.process_start_time(broker) not in {None, old}
    after = {node.id: process_starts(fleet, node.id) for node in fleet.nodes}
    assert after == {**before, broker: before[broker] + 1}


@pytest.mark.timeout(600)
def test_a_daemon_killed_while_a_broker_is_down_starts_it(
    fleet: DemoFleet, daemon: DaemonProcess
) -> None:
    restart_with_kill(fleet, daemon, CONTROLLER, "stopped")


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("phase", "broker"),
    [
        (phase, broker)
        for phase in ("stopping", "stopped", "starting", "recovering", "soaking")
        for broker in (PLAIN_BROKER, CONTROLLER)
    ],
)
def test_a_daemon_killed_in_any_phase_restarts_every_broker_exactly_once(
    fleet: DemoFleet, daemon: DaemonProcess, phase: str, broker: int
) -> None:
    restart_with_kill(fleet, daemon, broker, phase)


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_a_daemon_killed_again_and_again_finishes_its_wave_over_all_brokers(
    fleet: DemoFleet, daemon: DaemonProcess
) -> None:
    before = {node.id: process_starts(fleet, node.id) for node in fleet.nodes}
    wave = start_wave(daemon, fleet.cluster, "all")
    deadline = time.monotonic() + 600
    for seconds in itertools.cycle((3.1, 5.7, 8.3, 12.9, 21.0)):
        time.sleep(seconds)
        if daemon.get(f"/api/v1/waves/{wave}")["status"] == "succeeded":
            break
        assert time.monotonic() < deadline, daemon.last_log_lines(40)
        daemon.kill()
        daemon.start()
    after = {node.id: process_starts(fleet, node.id) for node in fleet.nodes}
    assert after == {broker: count + 1 for broker, count in before.items()}


def test_sigterm_brings_a_stopped_broker_back_before_the_daemon_ends(
    fleet: DemoFleet, daemon: DaemonProcess
) -> None:
    before = process_starts(fleet, PLAIN_BROKER)
    wave = start_wave(daemon, fleet.cluster, [PLAIN_BROKER])
    wait_for_wave(daemon, wave, lambda it: status_of(it, PLAIN_BROKER) == "stopping")
    assert daemon.stop() == 0
    assert fleet.process_id(PLAIN_BROKER) is not None
    assert process_starts(fleet, PLAIN_BROKER) in {before, before + 1}
    daemon.start()
    assert wait_until_ended(daemon, wave)["status"] == "succeeded"
    assert process_starts(fleet, PLAIN_BROKER) == before + 1


@pytest.mark.timeout(300)
def test_a_daemon_killed_in_mid_trouble_begins_with_what_it_knew_and_since_when(
    fleet: DemoFleet, daemon: DaemonProcess
) -> None:
    fleet.kill(PLAIN_BROKER)
    path = f"/api/v1/clusters/{fleet.cluster}"

    def seen() -> dict[str, Any]:
        found: dict[str, Any] = daemon.get(path)
        return found

    wait_until(lambda: seen()["brokers"]["down"] == 1, "the broker is seen to be down", 60)
    # Some rounds more, so that what is judged is also what is stored.
    moments: set[str] = set()

    def has_seen_three_rounds() -> bool:
        moments.add(seen()["observedAt"])
        return len(moments) > 3

    wait_until(has_seen_three_rounds, "some rounds", 60)
    last = seen()
    daemon.kill()
    daemon.start()
    # HTTP answers a moment before what was stored has been read.
    wait_until(lambda: seen()["healthIndex"] is not None, "what it knew", 30)
    first = seen()
    assert first["healthIndex"] <= last["healthIndex"] + 1e-9
    assert set(first["health"]["notObserved"]) == set(last["health"]["notObserved"])
    (before,) = (c for c in last["health"]["checks"] if c["code"] == "BROKER_DOWN")
    (after,) = (c for c in first["health"]["checks"] if c["code"] == "BROKER_DOWN")
    assert after["since"] == before["since"]
