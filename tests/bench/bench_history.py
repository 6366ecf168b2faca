"""What history costs: beside a sweep, on disk for a year, and to answer over a month.

The fleet is that of JPMorgan Chase (102 clusters), at its worst: the index of every cluster changes
in every sweep. A sweep is that of the real daemon over stand-in servers, all of its process.
"""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from support.daemon import broker_down, snapshot_of_cluster
from support.standin_kafka import EXPORTER_PORT, KAFKA_PORT, StandIns, made_up

from healthd.demo.daemon import DaemonProcess
from healthd.engine.clock import Clock
from healthd.engine.collecting import Published
from healthd.engine.history import HistoryRecorder
from healthd.engine.journal import StoreThread
from healthd.health.history import NO_HISTORY
from healthd.health.index import evaluate
from healthd.health.timeline import HistoryRow, Story
from healthd.routing.verdict import Routing
from healthd.store.sqlite import SqliteStore

CLUSTERS: Final = 102
INTERVAL: Final = 15.0
DAY: Final = 86_400.0
NOON: Final = 1_767_268_800.0
SAMPLE: Final = 8
"""Clusters whose whole year is written; the file of 102 is extrapolated from theirs."""
YEAR: Final = ((365.0, 90.0, 3600.0), (90.0, 7.0, 300.0), (7.0, 0.0, INTERVAL))
"""From, to (days ago) and seconds of a row."""
LONGEST_MILLISECONDS: Final = 200.0
MOST_GIGABYTES: Final = 2.0
MOST_SHARE: Final = 0.01

ILL: Final = evaluate(snapshot_of_cluster(**broker_down(3)))
STORIES: Final = tuple(
    Story(
        health_class="WARN",
        binding_cap=cap,
        checks=(
            ("BROKER_DOWN", "WARN"),
            ("PARTITION_UNDER_REPLICATED", "WARN"),
            ("RF_ONE", "INFO"),
        ),
        verdict="IN",
        state="IN",
    )
    for cap in (None, "BROKER_DOWN")
)


def moving(cluster: str, at: float, seconds: float, number: int) -> HistoryRow:
    """A row of a cluster that never rests; its story changes every twenty rows."""
    index = 60 + number * 7 % 397 / 10.1
    return HistoryRow(
        cluster=cluster,
        at=at,
        until=at + seconds,
        index=index,
        lowest=index - 0.321,
        lowest_at=at + seconds / 3,
        lower=index - 1.5,
        upper=index + 1.25,
        completeness=0.987,
        story=STORIES[number // 20 % 2],
        counts=(1, 100 + number % 50, 7),
    )


def write_year(store: SqliteStore) -> int:
    """Write the year of some clusters in the order in which it would have come; its rows."""
    many = 0
    for first, last, seconds in YEAR:
        steps = int((first - last) * DAY / seconds)
        for start in range(0, steps, 100):
            rows = [
                moving(f"cluster-{name}", NOON - first * DAY + at * seconds, seconds, at)
                for at in range(start, min(start + 100, steps))
                for name in range(SAMPLE)
            ]
            store.timeline.write(rows, [])
            many += len(rows)
    return many


def size_of(folder: Path) -> int:
    """Bytes of the state file and what belongs to it."""
    return sum(path.stat().st_size for path in folder.glob("healthd.db*"))


@pytest.mark.bench
@pytest.mark.timeout(600)
async def test_a_year_of_history_and_a_question_about_a_month(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    began = time.process_time()
    many = write_year(store)
    spent = time.process_time() - began
    store.close()
    year = size_of(tmp_path) * CLUSTERS / SAMPLE / 1e9
    store = SqliteStore.open(tmp_path)
    recorder = HistoryRecorder(
        StoreThread(store), Clock(wall=lambda: NOON), interval_seconds=INTERVAL
    )
    milliseconds, cpu_milliseconds = [], []
    for at in range(9):
        started, used = time.perf_counter(), time.process_time()
        found = await recorder.changes(f"cluster-{at % SAMPLE}", since=NOON - 30 * DAY, until=NOON)
        milliseconds.append((time.perf_counter() - started) * 1e3)
        cpu_milliseconds.append((time.process_time() - used) * 1e3)
        assert len(found.story) + found.more > 1000
    print(
        f"\nhistory of {CLUSTERS} clusters whose index changes in every sweep of {INTERVAL:g} s:"
        f"\n  a year on disk: {year:.2f} GB (aim {MOST_GIGABYTES:g}), "
        f"{year * 1e9 / CLUSTERS * SAMPLE / many:.0f} bytes a row,"
        f" extrapolated from the whole year of {SAMPLE} clusters ({many:,} rows)"
        f"\n  written with {spent / many * 1e6:.0f} us of CPU a row"
        f"\n  what changed in a month (the busiest one there can be): median "
        f"{statistics.median(milliseconds):.0f} ms, longest {max(milliseconds):.0f} ms "
        f"(aim {LONGEST_MILLISECONDS:g}), "
        f"median {statistics.median(cpu_milliseconds):.0f} ms of CPU"
    )
    store.close()
    assert year < MOST_GIGABYTES


def fleet_file(folder: Path, clusters: list[Any]) -> Path:
    """A fleet file of the stand-ins."""
    document = {
        "apiVersion": "healthd/v1",
        "kind": "Fleet",
        "clusters": [
            {
                "name": each.name,
                "bootstrapServers": [f"{host}:{KAFKA_PORT}" for host in each.hosts.values()][:3],
                "exporter": {"port": EXPORTER_PORT, "path": "/metrics"},
                "hosts": [{"broker": node, "address": host} for node, host in each.hosts.items()],
            }
            for each in clusters
        ],
    }
    path = folder / "fleet.yaml"
    path.write_text(json.dumps(document), "utf-8")
    return path


def sweep_seconds(folder: Path) -> float:
    """Processor seconds of one sweep of the whole fleet by the real daemon."""
    clusters = [
        made_up(f"cluster-{at}", at, brokers=5, topics=127, partitions=1274)
        for at in range(CLUSTERS)
    ]
    fleet = fleet_file(folder, clusters)
    daemon = DaemonProcess(fleet, folder, interval_seconds=5, collect_deadline_seconds=12)
    with StandIns(clusters, folder), daemon:
        daemon.start()
        process = psutil.Process(daemon.process_id)
        wait_for(daemon, 4 * CLUSTERS)
        first, used = collections(daemon), cpu(process)
        time.sleep(20)
        seconds = (cpu(process) - used) / ((collections(daemon) - first) / CLUSTERS)
        with urllib.request.urlopen(f"{daemon.url}/api/v1/history?at=1s", timeout=30) as answer:
            found = json.load(answer)["clusters"]
        assert [each["seen"] for each in found] == [True] * CLUSTERS
        return seconds


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def collections(daemon: DaemonProcess) -> float:
    """Collections of clusters so far."""
    with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=30) as answer:
        page = answer.read().decode()
    return sum(
        float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith("healthd_collections_total{") and 'source="cluster"' in line
    )


def wait_for(daemon: DaemonProcess, many: float) -> None:
    until = time.monotonic() + 120
    while collections(daemon) < many:
        assert time.monotonic() < until, daemon.last_log_lines()
        time.sleep(0.5)


async def recording_seconds(folder: Path, *, is_restless: bool, sweeps: int = 120) -> float:
    """Processor seconds that history takes of one sweep of the fleet, its writes included."""
    store = StoreThread(SqliteStore.open(folder))
    now = [0.0]
    clock = Clock(monotonic=lambda: now[0], wall=lambda: NOON + now[0])
    recorder = HistoryRecorder(store, clock, interval_seconds=INTERVAL)
    routing = Routing(is_known=True)
    snapshot = snapshot_of_cluster()
    published = [
        Published(snapshot=snapshot, previous=None, report=report, history=NO_HISTORY, began=0.0)
        for report in (replace(ILL, health_index=70.0 + at) for at in range(2))
    ]
    names = [f"cluster-{at}" for at in range(CLUSTERS)]
    began = time.process_time()
    for at in range(sweeps):
        found = published[at % 2 if is_restless else 0]
        for name in names:
            recorder.read(name, found, routing)
        now[0] += INTERVAL
        await recorder.settled()
    used = time.process_time() - began
    await recorder.close()
    store.close()
    return used / sweeps


@pytest.mark.bench
@pytest.mark.timeout(600)
async def test_recording_beside_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "restless").mkdir()
    calm = await recording_seconds(tmp_path / "calm", is_restless=False)
    restless = await recording_seconds(tmp_path / "restless", is_restless=True)
    sweep = sweep_seconds(tmp_path)
    print(
        f"\nhistory beside a sweep of {CLUSTERS} clusters ({sweep:.2f} s of CPU):"
        f"\n  nothing changes: {calm * 1e3:.2f} ms, {calm / sweep:.2%} of it"
        f"\n  every cluster changes each time: {restless * 1e3:.2f} ms, {restless / sweep:.2%} "
        f"of it (aim {MOST_SHARE:.0%})"
    )
