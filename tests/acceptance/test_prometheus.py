"""The way to Prometheus: real promtool on a real page, and a real server that scrapes it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.prometheus_server import RealPrometheus, prometheus

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.provision import find_program


@pytest.fixture
def server(daemon: DaemonProcess, tmp_path: Path) -> Iterator[RealPrometheus]:
    """A Prometheus server that scrapes the daemon."""
    with prometheus(tmp_path / "prometheus", {daemon.url.removeprefix("http://"): {}}) as found:
        yield found


def test_promtool_has_nothing_to_say_against_the_metrics_of_a_running_daemon(
    daemon: DaemonProcess,
) -> None:
    checked = subprocess.run(
        [str(find_program("promtool")), "check", "metrics"],
        input=daemon.get("/metrics"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_real_prometheus_scrapes_the_daemon_and_answers_for_the_health_index(
    fleet: DemoFleet, server: RealPrometheus
) -> None:
    server.wait_for("healthd_health_index", 60)
    (result,) = server.query("healthd_health_index")
    assert result["metric"]["kafka_cluster"] == fleet.cluster
    assert float(result["value"][1]) == 100
    assert len(server.query("healthd_health_class")) == 4
    assert server.query("up == 1")
