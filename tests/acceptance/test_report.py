"""The report of a real wave, and the example of one in docs/, which is made here.

With HEALTHD_REWRITE_EXAMPLES=1 the example is written anew:

    HEALTHD_REWRITE_EXAMPLES=1 make test ARGS="-k example_report"
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
from support.example_report import shape_of
from support.waves_on_fleet import (
    look,
    status_of,
    wait_for_wave,
    wait_until_ended,
    wave_request,
)

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet

EXAMPLE: Final = Path(__file__).parents[2] / "docs" / "example-report.md"
REWRITE: Final = "HEALTHD_REWRITE_EXAMPLES"
INTRODUCTION: Final = """\
<!-- Made by tests/acceptance/test_report.py, which also says how it is made anew. -->

This is what `healthd wave report WAVE` printed of a real wave over two of five brokers, one of them
a controller, with a pause by hand. [waves.md](waves.md#the-report) says what each part means.

"""
PLAIN_BROKER, CONTROLLER = 2, 5


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_the_example_report_is_that_of_a_real_wave(fleet: DemoFleet, daemon: DaemonProcess) -> None:
    asked = wave_request(fleet.cluster, [PLAIN_BROKER, CONTROLLER])
    asked |= {"name": "june-kernel", "reason": "CHG-1234 kernel update"}
    wave = str(daemon.post("/api/v1/waves", asked)["wave"])
    wait_for_wave(daemon, wave, lambda it: status_of(it, CONTROLLER) == "recovering")
    give(daemon, wave, "pause", "INC-77: somebody looks at the load first")
    wait_for_wave(daemon, wave, lambda it: it["status"] == "paused")
    give(daemon, wave, "resume", "INC-77: it was a batch job")
    assert wait_until_ended(daemon, wave)["status"] == "succeeded"
    report = daemon.get(f"/api/v1/waves/{wave}/report")
    check(report, look(daemon, wave))
    page = INTRODUCTION + daemon.get(f"/api/v1/waves/{wave}/report?format=markdown")
    if os.environ.get(REWRITE):
        EXAMPLE.write_text(page, "utf-8")
    assert shape_of(page) == shape_of(EXAMPLE.read_text("utf-8"))


def give(daemon: DaemonProcess, wave: str, order: str, reason: str) -> None:
    daemon.post(f"/api/v1/waves/{wave}/{order}", {"reason": reason})


def check(report: dict[str, Any], wave: dict[str, Any]) -> None:
    """What the report says is what has happened."""
    assert report["order"] == [CONTROLLER, PLAIN_BROKER]
    assert report["plan"]["steps"] == [[CONTROLLER], [PLAIN_BROKER]]
    assert report["happened"]["differences"] == []
    assert report["happened"]["mostInFlight"] == 1
    assert [each["what"] for each in report["people"]] == ["pause", "resume"]
    cost = report["replication"]
    assert cost["wentUnderMinIsr"] == 0
    assert cost["underReplicatedPartitionSeconds"] > 0
    assert cost["snapshots"] > 2
    assert report["dora"]["leadTimeSeconds"] >= report["seconds"] - 1
    assert report["dora"]["fleet"]["deployments"] == 1
    assert report["seconds"] == pytest.approx(wave["clockSeconds"], abs=1)
