"""What the daemon costs at the size of JPMorgan Chase's fleet, and with one very large cluster.

The daemon is a real process over stand-in servers in another one (tests/support/standin_kafka.py):
what is counted is the processor time and the memory of the daemon's process alone, everything
included that a sweep brings with it (reading, judging, publishing, saving). While the fleet is
swept, /metrics is asked for without a pause, in the same process.
"""

from __future__ import annotations

import json
import statistics
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

import psutil
import pytest
from support.standin_kafka import (
    EXPORTER_PORT,
    KAFKA_PORT,
    StandInCluster,
    StandIns,
    made_up,
)

from healthd.demo.daemon import DaemonProcess
from healthd.store.sqlite import SqliteStore

MEGABYTE: Final = 1024 * 1024
CLUSTERS, TOPICS, PARTITIONS, BROKERS = 102, 13_000, 130_000, 5
INTERVAL_SECONDS: Final = 5
DEADLINE_SECONDS: Final = 12
"""As it is with the usual interval of 15 s: a short one is for the sake of the figures."""
SETTLE_SWEEPS: Final = 2
SWEEPS: Final = 3
SCRAPES: Final = 100
READY_SECONDS: Final = 120


def chase() -> list[StandInCluster]:
    """102 clusters, 510 brokers, 13,000 topics, 130,000 partitions."""
    return [
        made_up(
            f"cluster-{at}",
            at,
            brokers=BROKERS,
            topics=TOPICS // CLUSTERS + (at < TOPICS % CLUSTERS),
            partitions=PARTITIONS // CLUSTERS + (at < PARTITIONS % CLUSTERS),
        )
        for at in range(CLUSTERS)
    ]


def fleet_file(clusters: list[StandInCluster], folder: Path) -> Path:
    """A fleet file that names every broker and its exporter."""
    document = {
        "apiVersion": "healthd/v1",
        "kind": "Fleet",
        "clusters": [
            {
                "name": cluster.name,
                "bootstrapServers": [
                    f"{host}:{KAFKA_PORT}" for host in list(cluster.hosts.values())[:3]
                ],
                "exporter": {"port": EXPORTER_PORT, "path": "/metrics"},
                "hosts": [
                    {"broker": node, "address": host, "rack": cluster.racks[node]}
                    for node, host in cluster.hosts.items()
                ],
            }
            for cluster in clusters
        ],
    }
    path = folder / "fleet.yaml"
    path.write_text(json.dumps(document, indent=1), "utf-8")
    return path


def daemon_of(fleet: Path, folder: Path) -> DaemonProcess:
    """The daemon over a fleet file, not yet started; as nearly always, its state is there."""
    SqliteStore.open(folder / "state").close()
    return DaemonProcess(
        fleet,
        folder,
        interval_seconds=INTERVAL_SECONDS,
        collect_deadline_seconds=DEADLINE_SECONDS,
    )


class Watched:
    """The daemon, with what it has used so far."""

    def __init__(self, daemon: DaemonProcess, clusters: int) -> None:
        self.daemon = daemon
        self._clusters = clusters
        self._process = psutil.Process(daemon.process_id)

    def cpu_seconds(self) -> float:
        """Processor time of all its threads."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def megabytes(self) -> float:
        """Resident memory."""
        return float(self._process.memory_info().rss) / MEGABYTE

    def threads(self) -> int:
        """How many threads it has."""
        return int(self._process.num_threads())

    def sweeps(self) -> float:
        """How many times the whole fleet has been collected, as its own counters say."""
        counts = self.series("healthd_collections_total")
        due = sum(n for key, n in counts.items() if 'source="cluster"' in key)
        # One that was due while the one before still ran counts there, and was none.
        skipped = sum(n for key, n in self.failures().items() if 'reason="overrun"' in key)
        return (due - skipped) / self._clusters

    def failures(self) -> dict[str, float]:
        """What could not be read so far, by series."""
        return self.series("healthd_collection_failures_total")

    def series(self, name: str) -> dict[str, float]:
        """The values of one family by series."""
        rows = (line.rpartition(" ") for line in self.page().splitlines())
        return {key: float(value) for key, _, value in rows if key.startswith(f"{name}{{")}

    def page(self) -> str:
        """Its /metrics."""
        with urllib.request.urlopen(f"{self.daemon.url}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    def wait_until_ready(self) -> float:
        """Seconds until every cluster has been looked at once."""
        began = time.monotonic()
        while True:
            try:
                self.daemon.get("/-/ready")
            except urllib.error.HTTPError:
                assert time.monotonic() - began < READY_SECONDS, self.daemon.last_log_lines()
                time.sleep(0.1)
            else:
                return time.monotonic() - began

    def wait_for_sweeps(self, count: float, limit_seconds: float = 120.0) -> None:
        """Until so many more sweeps are done."""
        wanted, until = self.sweeps() + count, time.monotonic() + limit_seconds
        while self.sweeps() < wanted:
            assert time.monotonic() < until, self.daemon.last_log_lines()
            time.sleep(0.2)


def cost_of_sweeps(watched: Watched, count: int) -> float:
    """Processor seconds of one sweep, the mean of some."""
    failures, before, cpu = watched.failures(), watched.sweeps(), watched.cpu_seconds()
    # Asked for seldom: what asking costs is not the sweep's.
    time.sleep(count * INTERVAL_SECONDS)
    used = watched.cpu_seconds() - cpu
    assert watched.failures() == failures
    return used / (watched.sweeps() - before)


def scrape(watched: Watched, count: int) -> list[float]:
    """Seconds that each of so many scrapes took, in order of length, spread over two sweeps."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        watched.page()
        found.append(time.perf_counter() - began)
        time.sleep(2 * INTERVAL_SECONDS / count)
    return sorted(found)


def check_all_is_well(watched: Watched, clusters: int) -> None:
    """What is measured is a fleet that is really seen."""
    found = watched.series("healthd_health_index")
    assert len(found) == clusters, watched.daemon.last_log_lines()
    assert min(found.values()) > 99, found


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_sweep_of_a_large_fleet(tmp_path: Path) -> None:
    clusters = chase()
    fleet = fleet_file(clusters, tmp_path)
    with (
        StandIns(clusters, tmp_path) as stand_ins,
        daemon_of(fleet, tmp_path) as daemon,
    ):
        watched = Watched(daemon.start(), CLUSTERS)
        first = watched.wait_until_ready()
        first_cpu = watched.cpu_seconds()
        watched.wait_for_sweeps(SETTLE_SWEEPS)
        check_all_is_well(watched, CLUSTERS)
        quiet = cost_of_sweeps(watched, SWEEPS)
        seconds = scrape(watched, SCRAPES)
        page = len(watched.page())
        stand_ins.order("*", behind=3)
        watched.wait_for_sweeps(1)
        moving = cost_of_moving(watched, stand_ins)
        print(
            f"\n{CLUSTERS} clusters, {CLUSTERS * BROKERS} brokers and pages, {TOPICS:,} topics, "
            f"{PARTITIONS:,} partitions, from stand-ins:"
            f"\n  a sweep: {quiet:.2f} s of CPU ({quiet / 2:.2f} of the 2 s aimed at); "
            f"start and the first one {first_cpu:.2f} s, {first:.1f} s of wall time; "
            f"with changes in every cluster {moving:.2f} s"
            f"\n  memory {watched.megabytes():.0f} MB (aim 250), {watched.threads()} threads"
            f"\n  /metrics while sweeps run, {page / 1000:.0f} kB: p50 "
            f"{statistics.median(seconds) * 1e3:.1f} ms, p99 "
            f"{seconds[int(0.99 * SCRAPES) - 1] * 1e3:.1f} ms, longest {seconds[-1] * 1e3:.1f} ms"
        )


def cost_of_moving(watched: Watched, stand_ins: StandIns) -> float:
    """Processor seconds of a sweep when in every cluster some topics change each time."""
    before, cpu = watched.sweeps(), watched.cpu_seconds()
    for at in range(SWEEPS):
        stand_ins.order("*", behind=at % 2 * 3)
        time.sleep(INTERVAL_SECONDS)
    used = watched.cpu_seconds() - cpu
    return used / (watched.sweeps() - before)


@pytest.mark.bench
@pytest.mark.timeout(600)
@pytest.mark.parametrize("topics", [1_000])
def test_sweep_of_one_large_cluster(tmp_path: Path, topics: int) -> None:
    partitions, brokers = 100_000, 100
    clusters = [made_up("large", 102, brokers=brokers, topics=topics, partitions=partitions)]
    fleet = fleet_file(clusters, tmp_path)
    with (
        StandIns(clusters, tmp_path) as stand_ins,
        daemon_of(fleet, tmp_path) as daemon,
    ):
        watched = Watched(daemon.start(), 1)
        watched.wait_for_sweeps(SETTLE_SWEEPS)
        check_all_is_well(watched, 1)
        quiet = cost_of_sweeps(watched, SWEEPS)
        moving = cost_of_moving(watched, stand_ins)
        print(
            f"\none cluster, {brokers} brokers and pages, {topics:,} topics, {partitions:,} "
            f"partitions, from stand-ins: a sweep {quiet:.2f} s of CPU ({quiet:.2f} of the 1 s "
            f"aimed at), with changes {moving:.2f} s; memory {watched.megabytes():.0f} MB"
        )
