"""The gate of a wave over a cluster with 100,000 partitions, beside the collection.

What counts is one evaluation on each snapshot: the gate and its index, the changes since the one
before, and what the reducer makes of it. The last column is against reading the cluster's snapshot
from JSON, which is a measure of the machine.
"""

import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from healthd.model.render import render_snapshot
from healthd.model.snapshot import (
    Broker,
    ClusterSnapshot,
    Quorum,
    Topic,
    Topics,
    Voter,
    holders,
)
from healthd.model.words import BrokerState, EvidenceGroup, QuorumMode
from healthd.waves.events import SnapshotSeen
from healthd.waves.gate import read_gate
from healthd.waves.playbook import Playbook, Step, StepKind
from healthd.waves.policy import WavePolicy
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeRun, NodeStatus, WaveState, WaveStatus

BROKERS = 60
TOPICS = 1_000
PER_TOPIC = 100
LIMIT_SECONDS = 0.05
ROUNDS = 15
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""A median of so many: one evaluation is short."""


def cluster(at: float = 0.0) -> ClusterSnapshot:
    """60 brokers in three racks and 1,000 topics of 100 partitions, all in sync."""
    dice = random.Random(1)
    brokers = tuple(
        Broker(
            id=node, host=f"b{node}", rack=f"r{node % 3}", alive=True, state=BrokerState.RUNNING,
            fenced=False, request_handler_idle=0.9, disk_used_ratio=0.4, metrics_age_seconds=1.0,
        )
        for node in range(1, BROKERS + 1)
    )  # fmt: skip
    topics = []
    for number in range(TOPICS):
        replicas = tuple(tuple(dice.sample(range(1, BROKERS + 1), 3)) for _ in range(PER_TOPIC))
        topics.append(
            Topic(
                name=f"topic-{number}", min_insync_replicas=2, ids=tuple(range(PER_TOPIC)),
                leaders=tuple(each[0] for each in replicas), replicas=replicas, isrs=replicas,
            )
        )  # fmt: skip
    return ClusterSnapshot(
        cluster="payments",
        observed_at=NOON + timedelta(seconds=at),
        brokers=brokers,
        topics=tuple(topics),
        quorum=Quorum(
            mode=QuorumMode.KRAFT, leader_id=1001, fetch_timeout_ms=2000,
            voters=tuple(
                Voter(id=node, last_caught_up_ms=0, log_end_offset=1) for node in (1001, 1002, 1003)
            ),
        ),
        reassignments=0,
        ages=dict.fromkeys(
            (EvidenceGroup.METADATA, EvidenceGroup.CONFIGS, EvidenceGroup.QUORUM,
             EvidenceGroup.METRICS), 1.0,
        ),
    )  # fmt: skip


def anew(topics: tuple[Topic, ...], gone: int | None = None) -> Topics:
    """The same topics as other objects; with a broker that left every ISR that it was in."""
    return Topics(
        replace(
            topic,
            leaders=tuple(
                isr[0] if leader == gone else leader
                for leader, isr in zip(topic.leaders, _without(topic.replicas, gone), strict=True)
            ),
            isrs=_without(topic.replicas, gone),
        )
        for topic in topics
    )


def _without(
    replicas: tuple[tuple[int, ...], ...], gone: int | None
) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(node for node in each if node != gone) if gone in each else each for each in replicas
    )


def with_broker(snapshot: ClusterSnapshot, node: int, **changes: Any) -> tuple[Broker, ...]:
    """The brokers, with changes to one."""
    return tuple(replace(each, **changes) if each.id == node else each for each in snapshot.brokers)


def cases() -> dict[str, tuple[WaveState, ClusterSnapshot, ClusterSnapshot]]:
    """A wave, the snapshot before and the one that is judged, by what has happened between."""
    first = cluster()
    topics = Topics(first.topics)
    before = replace(first, topics=topics)
    # The gate was read from it as well.
    holders(topics)

    def after(topics: tuple[Topic, ...], **changes: Any) -> ClusterSnapshot:
        return replace(before, observed_at=NOON + timedelta(seconds=15), topics=topics, **changes)

    one_more = Topics((*topics[1:], replace(topics[0], name="new")))
    in_flight = NodeRun(node=7, status=NodeStatus.RECOVERING, since=90.0, starting_since=90.0)
    restarting = {"brokers": with_broker(before, 7, alive=False)}
    return {
        "nothing changed": (wave(), before, after(topics)),
        "one topic changed": (wave(), before, after(one_more)),
        "all read anew": (wave(), before, after(anew(topics))),
        "our broker went down": (wave(in_flight), before, after(anew(topics, 7), **restarting)),
        "our broker still down": (
            wave(in_flight),
            after(down := anew(topics, 7), **restarting),
            after(down, **restarting),
        ),
        "another broker went down": (
            wave(), before, after(anew(topics, 9), brokers=with_broker(before, 9, alive=False)),
        ),
    }  # fmt: skip


def wave(*runs: NodeRun) -> WaveState:
    """A running wave over 30 of the brokers, with some of them on their way."""
    given = {run.node: run for run in runs}
    return WaveState(
        wave="w", cluster="payments", reason="r", requested_by="ann", policy=WavePolicy(),
        playbook=PLAYBOOK, status=WaveStatus.RUNNING,
        nodes=tuple(given.get(node, NodeRun(node=node)) for node in (*given, *range(30, 60))),
        last_change=90.0 if runs else 0.0,
    )  # fmt: skip


PLAYBOOK = Playbook(
    name="rolling-restart",
    description="",
    steps=tuple(
        Step(name=kind.value, kind=kind, timeout=60.0)
        for kind in (StepKind.STOP, StepKind.LEFT, StepKind.START, StepKind.BACK)
    ),
)


def milliseconds(act: Callable[[Any], object], prepare: Callable[[], Any], rounds: int) -> float:
    """The median of some rounds, of CPU: nothing here waits, and the machine may be shared."""
    took = []
    for _ in range(rounds):
        given = prepare()
        began = time.process_time()
        act(given)
        took.append(time.process_time() - began)
    return 1_000 * statistics.median(took)


def seen(before: ClusterSnapshot, now: ClusterSnapshot) -> SnapshotSeen:
    """The event of a snapshot; what has changed since the one before remembers nothing yet.

    But where its replicas are, as the collector makes it.
    """
    topics = now.topics
    if topics is not before.topics:
        known = {each.name: each for each in before.topics}
        topics = Topics(
            each if each is old else replace(each) if old is None else replace(each).knowing(old)
            for each, old in ((each, known.get(each.name)) for each in topics)
        )
    return SnapshotSeen(
        at=200.0, snapshot=replace(now, topics=topics), previous=before, collected_since=199.0
    )


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_the_gate_of_a_large_cluster() -> None:
    text = json.dumps(render_snapshot(cluster()))
    machine = milliseconds(json.loads, lambda: text, 5)
    print(
        f"\ngate, {BROKERS} brokers, {TOPICS * PER_TOPIC} partitions"
        f" (reading its JSON takes {machine:.0f} ms here; limit {1_000 * LIMIT_SECONDS:.0f} ms)"
    )
    for name, (state, before, now) in cases().items():
        prepare = partial(seen, before, now)
        gate = milliseconds(partial(read_gate, state), prepare, ROUNDS)
        step = milliseconds(partial(reduce, state), prepare, ROUNDS)
        holds = len(reduce(state, prepare()).state.holds)
        print(
            f"  {name:26} gate {gate:6.1f} ms, with the reducer {step:6.1f} ms"
            f" ({step / machine:.2f} of reading JSON), {holds} holds"
        )
