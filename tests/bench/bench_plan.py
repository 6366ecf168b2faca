"""A plan for 1,500 brokers and 400,000 partitions from a loaded snapshot: time, memory and steps.

Each case runs in a process of its own, because the peak of a process's memory never falls. What
counts is how much the peak rises above the loaded snapshot.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from healthd.model.snapshot import Broker, ClusterSnapshot, Topic
from healthd.model.words import BrokerState
from healthd.waves.planner import plan
from healthd.waves.planner_digests import node_marks

BROKERS = 1_500
CROWDED_BROKERS = 800
"""So few that 400,000 partitions of three replicas can leave no two brokers without one."""
PARTITIONS = 400_000
PER_TOPIC = 100
ROUNDS = 3
RACKS = 3
LIMIT_MEBIBYTES = 500
CASES = (
    "rack-aware", "two to spare", "one broker down", "unconstrained", "crowded",
)  # fmt: skip


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", CASES)
def test_plan(case: str) -> None:
    done = subprocess.run(
        [sys.executable, __file__, case], capture_output=True, text=True, check=True, timeout=600
    )
    found = json.loads(done.stdout)
    print(
        f"\nplan, {brokers_of(case)} brokers, {PARTITIONS} partitions, {case}:"
        f" {found['seconds']:.2f} s ({found['cpu']:.2f} s of CPU; medians of {ROUNDS}),"
        f" {found['mebibytes']:.0f} MiB in all, {found['risen']:.0f} MiB above the snapshot;"
        f" {found['filed']:.2f} s more to write what a stale one is told by;"
        f" {found['steps']} steps, at least {found['lowerBound']} are needed"
    )
    assert found["mebibytes"] < LIMIT_MEBIBYTES
    if case in {"rack-aware", "two to spare"}:
        assert found["steps"] <= 1.1 * found["lowerBound"]


def cluster(case: str) -> ClusterSnapshot:
    """A cluster in sync whose placement is random within what the case says."""
    dice = random.Random(1)
    many = brokers_of(case)
    nodes = tuple(
        Broker(
            id=node,
            alive=not (case == "one broker down" and node == 1),
            rack=f"az{node % RACKS}",
            state=BrokerState.RUNNING,
        )
        for node in range(1, many + 1)
    )
    replicas = list(placement(case, dice))
    topics = tuple(
        Topic(
            name=f"topic-{start}",
            min_insync_replicas=1 if case == "two to spare" else 2,
            ids=tuple(range(PER_TOPIC)),
            leaders=tuple(row[0] for row in replicas[start : start + PER_TOPIC]),
            replicas=tuple(replicas[start : start + PER_TOPIC]),
            isrs=tuple(replicas[start : start + PER_TOPIC]),
        )
        for start in range(0, PARTITIONS, PER_TOPIC)
    )
    return ClusterSnapshot(
        cluster="large", observed_at=datetime(2026, 1, 1, tzinfo=UTC), brokers=nodes, topics=topics
    )


def brokers_of(case: str) -> int:
    """How many brokers there are."""
    return CROWDED_BROKERS if case == "crowded" else BROKERS


def placement(case: str, dice: random.Random) -> list[tuple[int, ...]]:
    """The replicas of every partition."""
    everybody = range(1, brokers_of(case) + 1)
    if case == "unconstrained":
        return [tuple(dice.sample(everybody, 3)) for _ in range(PARTITIONS)]
    if case == "crowded":
        return [crowded(at) for at in range(PARTITIONS)]
    racks = [[node for node in everybody if node % RACKS == rack] for rack in range(RACKS)]
    return [tuple(map(dice.choice, racks)) for _ in range(PARTITIONS)]


def crowded(at: int) -> tuple[int, ...]:
    """Replicas such that every two brokers share a partition: nobody can go beside anybody."""
    turn, first = divmod(at, CROWDED_BROKERS)
    far = 1 + 2 * turn % (CROWDED_BROKERS // 2)
    return tuple(1 + (first + step) % CROWDED_BROKERS for step in (0, far, far + 1))


def main(case: str) -> None:
    """Print the figures of one case; time is told and not judged, for the machine is shared."""
    snapshot = cluster(case)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, cpu = [], []
    for _ in range(ROUNDS):
        began, cpu_began = time.perf_counter(), time.process_time()
        found = plan(snapshot, concurrency=None)
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - cpu_began)
    cpu_began = time.process_time()
    node_marks(snapshot)
    filed = time.process_time() - cpu_began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "seconds": statistics.median(seconds),
        "cpu": statistics.median(cpu),
        "mebibytes": peak / 1024,
        "risen": (peak - before) / 1024,
        "filed": filed,
        "steps": len(found.steps),
        "lowerBound": found.lower_bound,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
