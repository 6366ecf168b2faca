"""The way to Prometheus: real promtool on a real page, and a real server that scrapes it."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.guarded import Command, GuardedProcesses
from healthd.demo.provision import find_program
from healthd.demo.service import wait_until


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def prometheus(daemon: DaemonProcess, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus server that scrapes the daemon."""
    target = daemon.url.removeprefix("http://")
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: healthd, static_configs: [{{targets: ['{target}']}}]}}\n",
        "utf-8",
    )
    folder = tmp_path / "prometheus"
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    command = Command(
        argv=[
            str(find_program("prometheus")),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        log=folder / "log",
    )
    servers = GuardedProcesses([command], folder, remove_folder=False)
    yield f"http://{address}"
    servers.close()


def query(prometheus: str, text: str) -> list[Any]:
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found = json.load(answer)
    except OSError:
        return []
    return list(found["data"]["result"])


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
    fleet: DemoFleet, prometheus: str
) -> None:
    wait_until(lambda: bool(query(prometheus, "healthd_health_index")), "it was scraped", 60)
    (result,) = query(prometheus, "healthd_health_index")
    assert result["metric"]["kafka_cluster"] == fleet.cluster
    assert float(result["value"][1]) == 100
    assert len(query(prometheus, "healthd_health_class")) == 4
    assert query(prometheus, "up == 1")
