"""What it costs to tell clients where to go: long polling, resolving, and a stampede.

The daemon is a real process over stand-in servers; the clients are sockets of another process
(this one), as light as can be: what is measured is the daemon.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import statistics
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

import psutil
import pytest
from support.standin_kafka import KAFKA_PORT, StandIns, made_up

from healthd.demo.daemon import DaemonProcess
from healthd.demo.service import wait_until

MEGABYTE: Final = 1024 * 1024
PROFILE: Final = "NAD1700"
ROUTE: Final = f"/api/v1/routes/{PROFILE}"
WAITING, CROWD = 1000, 10_000
RESOLVING_CLIENTS, RESOLVING_SECONDS, RESOLVING_PACE = 4, 5.0, 2000
CLUSTERS: Final = 10


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with ten clusters and two members in the profile, all of them seen."""
    folder = tmp_path_factory.mktemp("routes")
    clusters = [
        # Addresses of their own: other benchmarks have theirs.
        made_up(f"cluster-{at}", 400 + at, brokers=3, topics=20, partitions=200)
        for at in range(CLUSTERS)
    ]
    fleet = {
        "apiVersion": "healthd/v1",
        "kind": "Fleet",
        "profiles": [{"name": PROFILE, "members": ["cluster-0", "cluster-1"]}],
        "clusters": [
            {
                "name": cluster.name,
                "bootstrapServers": [f"{host}:{KAFKA_PORT}" for host in cluster.hosts.values()],
            }
            for cluster in clusters
        ],
    }
    file = folder / "fleet.yaml"
    file.write_text(json.dumps(fleet), "utf-8")
    process = DaemonProcess(file, folder, interval_seconds=1)
    with StandIns(clusters, folder), process:
        process.start()

        def all_are_in() -> bool:
            return all(row["verdict"] == "IN" for row in process.get("/api/v1/routes")["verdicts"])

        wait_until(all_are_in, "all clusters are IN", 60)
        yield process


def port_of(daemon: DaemonProcess) -> int:
    return int(daemon.url.rpartition(":")[2])


class Asking:
    """One connection that asks what a profile resolves to."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, query: str = "") -> tuple[int, str, bytes]:
        """Status, tag and body.

        Raises:
            OSError: The connection broke.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"GET {ROUTE}{query} HTTP/1.1\r\nHost: healthd\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = head.partition("content-length: ")[2].partition("\r\n")[0]
        body = await reader.readexactly(int(length or 0))
        return int(head[9:12]), head.partition('etag: "')[2].partition('"')[0], body

    def close(self) -> None:
        """Gone, without a word."""
        if self._streams is not None:
            self._streams[1].transport.abort()


class Watched:
    """The daemon's process, with what it uses."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.process = psutil.Process(daemon.process_id)

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def megabytes(self) -> float:
        return float(self.process.memory_info().rss) / MEGABYTE


def force(daemon: DaemonProcess, state: str) -> None:
    body = {"cluster": "cluster-0", "state": state, "seconds": 600, "reason": "bench"}
    daemon.post("/api/v1/overrides", body)


def lift(daemon: DaemonProcess) -> None:
    daemon.post("/api/v1/overrides/cluster-0/lift", {"reason": "bench"})


def scrape_ms(daemon: DaemonProcess, times: int = 60) -> str:
    """The median and the slowest of some scrapes."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        with urllib.request.urlopen(daemon.url + "/metrics", timeout=30) as answer:
            answer.read()
        taken.append((time.perf_counter() - began) * 1000)
        time.sleep(0.05)
    return f"{statistics.median(taken):.0f} ms ({max(taken):.0f} ms)"


def sweeps(daemon: DaemonProcess, seconds: float = 5.0) -> float:
    """Collections of all clusters in a second."""

    def count() -> float:
        rows = [line.rpartition(" ") for line in str(daemon.get("/metrics")).splitlines()]
        due = sum(float(n) for key, _, n in rows if key.startswith("healthd_collections_total{"))
        # One that was due while the one before still ran counts there, and was none.
        return due - sum(float(n) for key, _, n in rows if 'reason="overrun"' in key)

    before, began = count(), time.perf_counter()
    time.sleep(seconds)
    return (count() - before) / (time.perf_counter() - began)


@pytest.mark.bench
async def test_long_polling(daemon: DaemonProcess) -> None:
    """A thousand wait; a verdict moves; all are answered."""
    watched = Watched(daemon)
    quiet_scrape, quiet_sweeps = await asyncio.to_thread(
        lambda: (scrape_ms(daemon), sweeps(daemon))
    )
    _, first_tag, _ = await Asking(port_of(daemon)).ask()
    before = watched.megabytes()
    clients = [Asking(port_of(daemon)) for _ in range(WAITING)]
    answered: list[float] = []

    async def wait_on(client: Asking) -> None:
        """Until the cluster is out; on a busy machine a verdict may be HOLD for a while."""
        tag, body = first_tag, b'"cluster-0"'
        while b'"cluster-0"' in body or not body:
            _, tag, body = await client.ask(f"?wait=60s&since={tag}")
        answered.append(time.perf_counter())

    waiting = [asyncio.create_task(wait_on(client)) for client in clients]
    await asyncio.sleep(3)
    assert not answered
    memory = watched.megabytes() - before
    busy_scrape, busy_sweeps = await asyncio.to_thread(lambda: (scrape_ms(daemon), sweeps(daemon)))
    moved = time.perf_counter()
    await asyncio.to_thread(force, daemon, "OUT")
    await asyncio.gather(*waiting)
    last = max(answered) - moved
    after = watched.megabytes() - before
    for client in clients:
        client.close()
    await asyncio.to_thread(lift, daemon)
    print(
        f"\nroutes: {WAITING} clients wait: {memory:.0f} MB more, {after:.0f} MB after the answer"
    )
    print(f"routes: a verdict moves: the last of {WAITING} is answered after {last * 1000:.0f} ms")
    print(
        f"routes: a scrape, median (slowest): {quiet_scrape} alone, {busy_scrape} with them; "
        f"collections a second {quiet_sweeps:.1f} alone, {busy_sweeps:.1f} with them"
    )
    assert memory < 100


async def asked(daemon: DaemonProcess, pause_seconds: float) -> list[float]:
    """The latencies of a few clients that keep their connections, each with a question a pause."""
    latencies: list[float] = []
    start = time.perf_counter()

    async def ask_on() -> None:
        client = Asking(port_of(daemon))
        due = start + random.uniform(0, pause_seconds)
        while due < start + RESOLVING_SECONDS:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            status, _, _ = await client.ask()
            latencies.append(time.perf_counter() - began)
            assert status == 200
            due = due + pause_seconds if pause_seconds else time.perf_counter()
        client.close()

    await asyncio.gather(*(ask_on() for _ in range(RESOLVING_CLIENTS)))
    return sorted(latencies)


@pytest.mark.bench
async def test_resolving(daemon: DaemonProcess) -> None:
    """As fast as a few clients can ask, and at 2,000 a second."""
    watched = Watched(daemon)
    idle_from, idle_at = watched.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(3)
    idle = (watched.cpu_seconds() - idle_from) / (time.perf_counter() - idle_at)
    cpu, began = watched.cpu_seconds(), time.perf_counter()
    most = len(await asked(daemon, 0.0))
    seconds = time.perf_counter() - began
    cpu = watched.cpu_seconds() - cpu - idle * seconds
    print(
        f"\nroutes: {most / seconds:.0f} answers a second at most, {most / cpu:.0f} for each "
        f"second of the daemon's processor (collecting from {CLUSTERS} clusters meanwhile)"
    )
    latencies = await asked(daemon, RESOLVING_CLIENTS / RESOLVING_PACE)
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    print(
        f"routes: at {RESOLVING_PACE} a second ({len(latencies) / RESOLVING_SECONDS:.0f} were "
        f"answered): p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    )


@pytest.mark.bench
async def test_stampede(daemon: DaemonProcess) -> None:
    """Ten thousand connect at one moment, and try again as a client would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = min(CROWD, hard - 1000)
    watched = Watched(daemon)
    before, tries = watched.megabytes(), [0]

    async def until_answered() -> float:
        while True:
            tries[0] += 1
            client = Asking(port_of(daemon))
            try:
                async with asyncio.timeout(60):
                    status, _, _ = await client.ask()
            except (OSError, EOFError, TimeoutError):
                status = 0
            if status == 200:
                # It keeps its connection, as who waits for a change does.
                kept.append(client)
                return time.perf_counter()
            client.close()
            await asyncio.sleep(0.5)

    kept: list[Any] = []
    began = time.perf_counter()
    times = await asyncio.gather(*(until_answered() for _ in range(crowd)))
    memory = watched.megabytes() - before
    for client in kept:
        client.close()
    print(
        f"\nroutes: {crowd} connect at once: all answered after {max(times) - began:.1f} s, half "
        f"after {sorted(times)[crowd // 2] - began:.1f} s, {tries[0] - crowd} had to try again; "
        f"{memory:.0f} MB more"
    )
    assert await asyncio.to_thread(daemon.get, "/-/healthy") is not None
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
