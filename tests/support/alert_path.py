"""The shipped files for Prometheus, pointed at real servers of a test and cut to its patience."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from support.prometheus_server import RealPrometheus, running

from healthd.demo.service import wait_until

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "config/prometheus/prometheus.yml"
RULES = ROOT / "config/prometheus/healthd.rules.yml"
_QUICKER = {"m": "s", "h": "m"}


def scaled(rules: str) -> str:
    """The shipped rules with `for` and `keep_firing_for` divided by 60, and nothing else."""
    return re.sub(
        r"(for|keep_firing_for): (\d+)([mh])$",
        lambda found: f"{found[1]}: {found[2]}{_QUICKER[found[3]]}",
        rules,
        flags=re.MULTILINE,
    )


def pointed(config: str, *, healthd: str, alertmanager: str) -> str:
    """The shipped configuration with the servers of a test, and a second for each quarter."""
    for shipped, own in (
        ("127.0.0.1:9780", healthd),
        ("127.0.0.1:9093", alertmanager),
        ("interval: 15s", "interval: 1s"),
        ("refresh_interval: 1m", "refresh_interval: 1s"),
    ):
        assert shipped in config
        config = config.replace(shipped, own)
    return config


@contextlib.contextmanager
def shipped_prometheus(
    folder: Path, *, healthd: str, alertmanager: str
) -> Iterator[RealPrometheus]:
    """A Prometheus server with the shipped configuration and the shipped rules, scaled."""
    folder.mkdir()
    config = folder / "prometheus.yml"
    config.write_text(
        pointed(PROMETHEUS.read_text("utf-8"), healthd=healthd, alertmanager=alertmanager), "utf-8"
    )
    (folder / RULES.name).write_text(scaled(RULES.read_text("utf-8")), "utf-8")
    with running(config) as server:
        wait_until(lambda: bool(server.query("vector(1)")), "Prometheus answers", 60)
        yield server


def targets_of(prometheus: RealPrometheus, job: str) -> list[Mapping[str, Any]]:
    """The active targets of a job."""
    url = f"{prometheus.url}/api/v1/targets?state=active"
    with urllib.request.urlopen(url, timeout=5) as answer:
        found = json.load(answer)["data"]["activeTargets"]
    return [target for target in found if target["labels"]["job"] == job]
