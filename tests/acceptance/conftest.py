"""A real daemon as a process, on the real fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.waves_on_fleet import wait_until_gate_clear

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet

StartDaemon = Callable[..., DaemonProcess]

_NOBODY_LISTENS = """\
apiVersion: healthd/v1
kind: Fleet
clusters:
  - {name: payments, bootstrapServers: ["127.0.0.1:1"]}
"""


@pytest.fixture
def lonely_fleet_file(tmp_path: Path) -> Path:
    """A fleet file whose one cluster is away."""
    path = tmp_path / "fleet.yaml"
    path.write_text(_NOBODY_LISTENS, "utf-8")
    return path


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
