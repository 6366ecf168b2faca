"""A real daemon as a process, on the real fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.waves_on_fleet import wait_until_gate_clear

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet

StartDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def start_daemon(fleet: DemoFleet, tmp_path: Path) -> Iterator[StartDaemon]:
    """Starts daemons on the fleet; all of them are gone at the end."""
    started: list[DaemonProcess] = []

    def start(fleet_file: Path | None = None, *, ready: bool = True) -> DaemonProcess:
        file = fleet_file or fleet.write_fleet_file(tmp_path / "fleet.yaml")
        daemon = DaemonProcess(
            file, tmp_path, interval_seconds=1, collect_deadline_seconds=8, kafka_timeout_seconds=2
        )
        started.append(daemon)
        daemon.start()
        if ready:
            wait_until_gate_clear(daemon, fleet.cluster)
        return daemon

    yield start
    for daemon in started:
        daemon.kill()


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> DaemonProcess:
    """A daemon that has seen the whole fleet."""
    return start_daemon()
