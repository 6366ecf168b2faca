"""A whole night: a canary, an approval, a second cluster, what goes wrong meanwhile, no loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.alertmanager import WebhookReceiver, alertmanager
from support.waves_on_fleet import (
    QUICK,
    held_by,
    process_starts,
    status_of,
    wait_for_wave,
    wait_until_ended,
    wait_until_gate_clear,
)
from support.whole_night import Night, Watch, firing, reassigning

from healthd.demo.fleet import DemoFleet
from healthd.demo.load import Load
from healthd.demo.nodes import THREE
from healthd.demo.watch import MinIsrWatch

CANARY = 2
FIRST, SECOND, LAST = 1, 2, 4
"""The nodes of the second cluster: a controller, then two plain brokers."""
STILL = 3
"""A controller of the second cluster that the wave does not touch."""
ALERT = {"alertname": "CoreSwitchDown", "severity": "critical"}


def wave_file(dev: str, prod: str, prod_brokers: list[int] | str) -> Mapping[str, Any]:
    """A canary on one cluster, then the other one once a second person has agreed."""
    return {
        "apiVersion": "healthd/v1",
        "kind": "Wave",
        "name": "night",
        "reason": "CHG-1234 kernel update",
        "playbook": "rolling-restart",
        "stages": [
            {"name": "canary", "clusters": [dev], "brokers": [CANARY], "soakSeconds": 4},
            {
                "name": "prod",
                "match": {"env": "prod"},
                "brokers": prod_brokers,
                "approval": "two-person",
            },
        ],
        "policy": {**QUICK, "alerts": ['severity="critical"'], "soakSeconds": 6},
    }


@pytest.fixture
def night(fleet: DemoFleet, tmp_path: Path) -> Iterator[Night]:
    """Both clusters whole, as the daemon sees them."""
    with (
        WebhookReceiver().serving() as receiver,
        alertmanager(tmp_path / "alertmanager", receiver.address) as alerts,
        DemoFleet.launch("payments-dev", shape=THREE) as dev,
    ):
        dev.create_topics()
        with Night(dev, fleet, alerts, tmp_path) as found:
            for cluster in (dev.cluster, fleet.cluster):
                wait_until_gate_clear(found.daemon, cluster)
            yield found


class Steps:
    """What is done to the wave on the second cluster, one after the other."""

    def __init__(self, night: Night, wave: str, watch: Watch) -> None:
        self.night, self.wave, self.watch = night, wave, watch

        def in_prod(it: Mapping[str, Any]) -> Mapping[str, Any]:
            part: Mapping[str, Any] = it["stages"][1]["clusters"][0]
            return part

        begun = wait_for_wave(
            night.daemon, wave, lambda it: in_prod(it)["status"] in {"running", "succeeded"}
        )
        self.child = str(in_prod(begun)["wave"])

    def await_soak(self, broker: int) -> None:
        """The broker is back, and has to stay so for a while."""
        wait_for_wave(self.night.daemon, self.child, lambda it: status_of(it, broker) == "soaking")

    def held(self, code: str, undo: Callable[[], object], *, what: str = "") -> None:
        """The wave holds for that reason, and goes on when it is gone; the watcher was told."""

        def is_held(it: Mapping[str, Any]) -> bool:
            return any(code == found and what in object_ for found, object_ in held_by(it))

        found = wait_for_wave(self.night.daemon, self.child, is_held)
        assert found["status"] == "holding", found
        self.watch.wait_for(code, what)
        undo()
        wait_for_wave(self.night.daemon, self.child, lambda it: not is_held(it))

    def freeze(self) -> None:
        """A broker that the wave has nothing to do with freezes."""
        prod = self.night.prod
        prod.freeze(STILL)
        self.held("BROKER_DOWN", lambda: prod.thaw(STILL), what=f"broker:{STILL}")

    def reassign(self) -> None:
        """Somebody moves a partition."""
        with reassigning(self.night.prod) as finish:
            self.held("REASSIGNMENT", finish, what="moving-0")

    def fire(self) -> None:
        """Something else than Kafka is on fire."""
        with firing(self.night.alerts, ALERT):
            self.held("ALERT_FIRING", lambda: self.night.alerts.resolve(ALERT), what="CoreSwitch")

    def lose_exporter(self) -> None:
        """One broker's metrics are not to be had."""
        prod = self.night.prod
        prod.exporter_gone(STILL)
        undo = lambda: prod.exporter_back(STILL)  # noqa: E731  # Named, so that it reads as words.
        self.held("EVIDENCE_STALE", undo, what=f"broker:{STILL}")

    def change_controller(self) -> None:
        """The active controller dies and comes back; another one leads meanwhile."""
        prod = self.night.prod
        snapshot = self.night.daemon.get(f"/api/v1/clusters/{prod.cluster}/snapshot")
        prod.kill(snapshot["quorum"]["leaderId"], stays_dead=False)
        self.held("CONTROLLER_CHANGED", lambda: None)

    def pause(self) -> None:
        """Somebody wants to look first."""
        self.night.must("wave", "pause", self.wave, "--reason", "what was that?")
        wait_for_wave(self.night.daemon, self.wave, lambda it: it["status"] == "paused")
        self.watch.wait_for("paused", "what was that?")
        self.night.must("wave", "resume", self.wave, "--reason", "nothing")


def approve(night: Night, wave: str) -> None:
    """The second stage waits for a second person; the first one is not enough."""
    missing = ("APPROVAL_MISSING", "stage:prod")
    wait_for_wave(night.daemon, wave, lambda it: missing in held_by(it))
    words = ("wave", "approve", wave, "--stage", "prod", "--reason", "the canary is well")
    refused = night.say(*words)
    assert refused.code != 0
    assert "ada" in refused.err
    night.must(*words, person="bob")


def run_night(
    night: Night, brokers: list[int] | str, troubles: Callable[[Steps], None]
) -> dict[str, Any]:
    """The wave's report: both clusters under load, with troubles in the second one."""
    dev, prod = night.dev, night.prod
    before = {fleet.cluster: starts_of(fleet) for fleet in (dev, prod)}
    with (
        Load(dev.bootstrap) as dev_load,
        Load(prod.bootstrap) as prod_load,
        MinIsrWatch(prod.bootstrap) as eye,
    ):
        wave = night.start(wave_file(dev.cluster, prod.cluster, brokers))
        with night.watching(wave) as watch:
            approve(night, wave)
            troubles(Steps(night, wave, watch))
            ended = wait_until_ended(night.daemon, wave, seconds=300)
            assert ended["status"] == "succeeded", (ended, watch.text)
            assert watch.exit_code(30) == 0
        for load in (dev_load, prod_load):
            result = load.result()
            assert (result.lost, result.refused) == (0, 0), result
    assert eye.looks
    wanted = {node.id for node in prod.nodes} if brokers == "all" else set(brokers)
    for fleet, taken in ((dev, {CANARY}), (prod, wanted)):
        for node, count in starts_of(fleet).items():
            # A trouble may kill a controller besides; nobody is left out.
            assert count - before[fleet.cluster][node] >= (node in taken), (fleet.cluster, node)
    report: dict[str, Any] = night.must("wave", "report", wave, "-o", "json").json
    return report


def starts_of(fleet: DemoFleet) -> dict[int, int]:
    """How often each node's process was started."""
    return {node.id: process_starts(fleet, node.id) for node in fleet.nodes}


@pytest.mark.timeout(600)
def test_a_canary_an_approval_and_a_second_cluster_with_an_alert_that_fires(night: Night) -> None:
    def troubles(steps: Steps) -> None:
        steps.await_soak(LAST)
        steps.fire()

    report = run_night(night, [LAST], troubles)
    assert "bob" in str(report)


@pytest.mark.prove
@pytest.mark.timeout(1200)
def test_a_whole_night_with_all_that_can_go_wrong_ends_well(night: Night) -> None:
    def troubles(steps: Steps) -> None:
        steps.await_soak(FIRST)
        steps.freeze()
        steps.pause()
        steps.await_soak(SECOND)
        steps.reassign()
        steps.fire()
        steps.await_soak(LAST)
        steps.lose_exporter()
        steps.change_controller()

    run_night(night, [FIRST, SECOND, LAST], troubles)
