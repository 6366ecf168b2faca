"""The daemon with every source on: a healthy fleet, and a restart beside the probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.probe_topic import delete_probe_topic
from support.waves_on_fleet import start_wave, wait_until_ended

from healthd.config.source_probe import PROBE_TOPIC
from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.service import wait_until

StartDaemon = Callable[..., DaemonProcess]
BROKER = 4


@pytest.fixture
def probing(fleet: DemoFleet, start_daemon: StartDaemon, tmp_path: Path) -> Iterator[DaemonProcess]:
    daemon = start_daemon(fleet.write_fleet_file(tmp_path / "probing.yaml", probe=True))
    yield daemon
    daemon.stop()
    delete_probe_topic(fleet.bootstrap)


@pytest.mark.prove
def test_with_all_sources_the_index_is_complete_and_a_restart_is_not_held_by_the_probe(
    fleet: DemoFleet, probing: DaemonProcess
) -> None:
    def health() -> Any:
        return probing.get(f"/api/v1/clusters/{fleet.cluster}/health")

    def is_complete() -> bool:
        seen = health()
        return bool(seen["completeness"] == 1 and seen["notObserved"] == [])

    wait_until(is_complete, "every term is observed", 60)
    assert (health()["healthIndex"], health()["lower"]) == (100, 100)
    starts = fleet.process_start_time(BROKER)
    wave = start_wave(probing, fleet.cluster, [BROKER])
    assert wait_until_ended(probing, wave)["status"] == "succeeded"
    assert fleet.process_start_time(BROKER) != starts

    def leads_again() -> bool:
        snapshot = probing.get(f"/api/v1/clusters/{fleet.cluster}/snapshot")
        own = next(topic for topic in snapshot["topics"] if topic["name"] == PROBE_TOPIC)
        return sorted(row["leader"] for row in own["partitions"]) == [1, 2, 3, 4, 5]

    wait_until(leads_again, "every broker leads a partition of the probe", 60)
