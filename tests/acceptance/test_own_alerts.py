"""A real wave that listens to every alert of healthd's own, through the shipped rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.alert_path import shipped_prometheus
from support.alertmanager import RealAlertmanager, WebhookReceiver, alertmanager
from support.waves_on_fleet import held_by, process_starts, start_wave, wait_for_wave
from support.waves_on_fleet import wait_until_ended as ended

from healthd.demo.fleet import DemoFleet
from healthd.demo.service import wait_until

IN_WORK, VICTIM = 4, 5
"""Brokers that are no controllers."""
PATIENCE = 90


def names(manager: RealAlertmanager) -> set[str]:
    """The alerts that fire there."""
    return {str(alert["labels"]["alertname"]) for alert in manager.alerts()}


@pytest.mark.prove
def test_a_wave_that_listens_to_healthd_itself_is_held_by_trouble_and_not_by_its_own_work(
    fleet: DemoFleet, start_daemon: Any, tmp_path: Path
) -> None:
    with (
        WebhookReceiver().serving() as receiver,
        alertmanager(tmp_path / "alertmanager", receiver.address) as manager,
    ):
        file = fleet.write_fleet_file(tmp_path / "fleet.yaml")
        yaml = YAML()
        document = yaml.load(file.read_text("utf-8"))
        document["alerts"] = {"alertmanager": {"url": f"http://{manager.address}"}}
        with file.open("w", encoding="utf-8") as output:
            yaml.dump(document, output)
        daemon = start_daemon(file)
        with shipped_prometheus(
            tmp_path / "prometheus",
            healthd=daemon.url.removeprefix("http://"),
            alertmanager=manager.address,
        ):
            wait_until(lambda: "HealthdHeartbeat" in names(manager), "the heartbeat", PATIENCE)
            listens = ['alertname=~"Healthd.+"']
            before = process_starts(fleet, IN_WORK)
            # The heartbeat fires all the time, and so may what a restart raises by itself.
            wave = start_wave(daemon, fleet.cluster, [IN_WORK], alerts=listens, soakSeconds=10)
            assert ended(daemon, wave)["status"] == "succeeded"
            assert process_starts(fleet, IN_WORK) == before + 1

            fleet.kill(VICTIM)
            wait_until(lambda: "HealthdIndexBelow90" in names(manager), "it is told", PATIENCE)
            held = start_wave(daemon, fleet.cluster, [IN_WORK], alerts=listens)
            wait_for_wave(
                daemon,
                held,
                lambda it: ("ALERT_FIRING", "alert:HealthdIndexBelow90") in held_by(it),
            )
            fleet.heal()
            assert ended(daemon, held)["status"] == "succeeded"
