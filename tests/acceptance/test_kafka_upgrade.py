"""Kafka 4.0 to 4.1 through waves of a real daemon: under load, whole, and with faults at each step.

The example of a report in docs/ is made here. With HEALTHD_REWRITE_EXAMPLES=1 it is written anew:

    HEALTHD_REWRITE_EXAMPLES=1 make prove ARGS="-k kafka_upgrade"
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from support.example_report import shape_of
from support.upgrade import NEW, NEW_LEVEL, OLD, OLD_LEVEL, Upgrade, upgradable
from support.waves_on_fleet import (
    QUICK,
    process_starts,
    status_of,
    wait_for_wave,
    wait_until_ended,
    wait_until_gate_clear,
)

from healthd.demo.daemon import DaemonProcess
from healthd.demo.load import Load
from healthd.demo.nodes import FIVE
from healthd.demo.watch import MinIsrWatch

EXAMPLE: Final = Path(__file__).parents[2] / "docs" / "example-upgrade-report.md"
REWRITE: Final = "HEALTHD_REWRITE_EXAMPLES"
INTRODUCTION: Final = """\
<!-- Made by tests/acceptance/test_kafka_upgrade.py, which also says how it is made anew. -->

This is what `healthd wave report WAVE` printed of a real wave with the playbook
[kafka-upgrade](playbooks/kafka-upgrade.md): five brokers from Kafka 4.0.1 to 4.1.0 while clients
wrote and read, and `metadata.version` raised at the end, when somebody had confirmed it.
[waves.md](waves.md#the-report) says what each part means.

"""
ONE: Final = 2
"""The broker that is upgraded alone."""


@pytest.fixture(scope="module")
def small() -> Iterator[Upgrade]:
    """Three brokers on the old version."""
    with upgradable() as found:
        yield found


def start_daemon(upgrade: Upgrade, folder: Path) -> DaemonProcess:
    """A daemon that has seen the whole fleet."""
    daemon = DaemonProcess(
        upgrade.write_fleet_file(folder / "fleet.yaml"),
        folder,
        interval_seconds=1,
        collect_deadline_seconds=8,
        kafka_timeout_seconds=2,
    )
    daemon.start()
    wait_until_gate_clear(daemon, upgrade.fleet.cluster)
    return daemon


def request(upgrade: Upgrade, brokers: Sequence[int] | str, **policy: Any) -> dict[str, Any]:
    """A wave that upgrades these brokers."""
    return {
        "apiVersion": "healthd/v1",
        "kind": "Wave",
        "name": "kafka-4.1",
        "reason": "CHG-1234 Kafka 4.1",
        "playbook": "kafka-upgrade",
        "variables": {**upgrade.variables(), "metadataVersion": "4.1"},
        "stages": [{"name": "all", "clusters": [upgrade.fleet.cluster], "brokers": brokers}],
        "policy": {**QUICK, **policy},
    }


def starts(upgrade: Upgrade) -> dict[int, int]:
    """How often each broker's process was started, by its own log."""
    return {node.id: process_starts(upgrade.fleet, node.id) for node in upgrade.fleet.nodes}


def confirm(daemon: DaemonProcess, wave: str, broker: int) -> None:
    """What a person says when asked."""
    words = ("wave", "confirm", wave, "--broker", str(broker), "--reason", "clients are well")
    subprocess.run(
        [sys.executable, "-m", "healthd", *words],
        env={**os.environ, **daemon.command_environment()},
        check=True,
        timeout=60,
    )


def wait_for_question(daemon: DaemonProcess, wave: str) -> tuple[int, str]:
    """The broker that waits for a person, and what it asks."""

    def asked(it: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return [hold for hold in it["gate"]["holds"] if hold["code"] == "APPROVAL_MISSING"]

    found = wait_for_wave(daemon, wave, lambda it: bool(asked(it)), seconds=1200)
    (hold,) = asked(found)
    return int(hold["object"].removeprefix("broker:")), str(hold["detail"])


@pytest.mark.timeout(600)
def test_one_broker_is_upgraded_and_metadata_that_others_do_not_know_is_not_raised(
    small: Upgrade, tmp_path: Path
) -> None:
    before = starts(small)
    with start_daemon(small, tmp_path) as daemon, Load(small.fleet.bootstrap) as load:
        wave = str(daemon.post("/api/v1/waves", request(small, [ONE]))["wave"])
        broker, question = wait_for_question(daemon, wave)
        assert broker == ONE
        assert f"run Kafka {NEW.version}" in question
        assert "point of no return" in question
        assert small.metadata_level() == OLD_LEVEL
        confirm(daemon, wave, broker)
        ended = wait_until_ended(daemon, wave, seconds=600)
        assert ended["status"] == status_of(ended, ONE) == "failed"
        assert "support" in str(ended["nodes"])
        result = load.result()
    assert (result.lost, result.refused) == (0, 0), result
    assert small.linked() == small.running() == {1: OLD.version, ONE: NEW.version, 3: OLD.version}
    assert small.metadata_level() == OLD_LEVEL
    assert starts(small) == {**before, ONE: before[ONE] + 1}


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_five_brokers_are_upgraded_under_load_and_metadata_is_raised_at_the_end(
    tmp_path: Path,
) -> None:
    with upgradable(FIVE) as upgrade, start_daemon(upgrade, tmp_path) as daemon:
        before = starts(upgrade)
        bootstrap = upgrade.fleet.bootstrap
        with (
            Load(bootstrap) as orders,
            Load(bootstrap, "payments") as payments,
            MinIsrWatch(bootstrap) as eye,
        ):
            wave = str(daemon.post("/api/v1/waves", request(upgrade, "all", soakSeconds=5))["wave"])
            broker, _ = wait_for_question(daemon, wave)
            assert set(upgrade.running().values()) == {NEW.version}
            assert upgrade.metadata_level() == OLD_LEVEL
            confirm(daemon, wave, broker)
            ended = wait_until_ended(daemon, wave, seconds=600)
            results = [load.result() for load in (orders, payments)]
        assert ended["status"] == "succeeded", ended
        for result in results:
            assert (result.lost, result.refused) == (0, 0), result
            assert result.produced > 1000
        assert eye.looks
        assert eye.under == set()
        assert set(upgrade.running().values()) == {NEW.version}
        assert upgrade.metadata_level() == NEW_LEVEL
        assert starts(upgrade) == {broker: count + 1 for broker, count in before.items()}
        page = INTRODUCTION + daemon.get(f"/api/v1/waves/{wave}/report?format=markdown")
        page = page.replace(str(upgrade.fleet.root), "/srv")
    if os.environ.get(REWRITE):
        EXAMPLE.write_text(page, "utf-8")
    assert story_of(page) == story_of(EXAMPLE.read_text("utf-8"))


def story_of(page: str) -> list[str]:
    """The shape of a report, with brokers named by their turn: which controller leads is chance."""
    found = re.search(r"- \*\*Order\*\*: ([\d, ]+)", page)
    assert found is not None
    turns = {broker: str(turn) for turn, broker in enumerate(found[1].split(", "), start=1)}
    named = re.sub(r"broker (\d+)\b", lambda at: f"broker {turns[at[1]]}", page)
    return shape_of(named)
