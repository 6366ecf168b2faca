"""Snapshots for tests: builders that are healthy unless told otherwise, and strategies."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from healthd.model.snapshot import (
    Broker,
    ClusterSnapshot,
    Partition,
    Probe,
    Quorum,
    Topic,
    Voter,
)
from healthd.model.words import BrokerState, EvidenceGroup, Excluded, QuorumMode, Role

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
INTERVAL = 15.0
FRESH: Mapping[EvidenceGroup, float | None] = dict.fromkeys(EvidenceGroup, 1.0)
"""Every group is configured and was seen a second ago."""


def a_broker(node: int, **changes: Any) -> Broker:
    """A running broker with metrics."""
    broker = Broker(
        id=node,
        alive=True,
        state=BrokerState.RUNNING,
        request_handler_idle=0.9,
        disk_used_ratio=0.4,
        offline_log_dirs=0,
        version="4.1.0",
    )
    return replace(broker, **changes)


def a_controller(node: int, **changes: Any) -> Broker:
    """A pure controller."""
    return a_broker(node, **({"roles": frozenset({Role.CONTROLLER})} | changes))


def a_partition(number: int = 0, **changes: Any) -> Partition:
    """A partition on brokers 1, 2 and 3, in sync."""
    partition = Partition(id=number, leader=1, replicas=(1, 2, 3), isr=(1, 2, 3))
    return replace(partition, **changes)


def a_topic(
    name: str = "orders", partitions: Iterable[Partition] | None = None, **changes: Any
) -> Topic:
    """A topic with min.insync.replicas 2 and, unless given, one healthy partition."""
    rows = [a_partition()] if partitions is None else partitions
    return Topic.of(name, rows, **({"min_insync_replicas": 2} | changes))


def topic_of_states(name: str = "orders", **counts: int) -> Topic:
    """A topic with so many partitions in each state: ``ok=7, offline=1``."""
    shapes: Mapping[str, Mapping[str, Any]] = {
        "ok": {},
        "under_replicated": {"replicas": (1, 2, 3, 4), "isr": (1, 2, 3)},
        "at_min_isr": {"isr": (1, 2)},
        "under_min_isr": {"isr": (1,)},
        "offline": {"leader": -1, "isr": (1,)},
    }
    rows = [shapes[state] for state, count in counts.items() for _ in range(count)]
    return a_topic(name, [a_partition(at, **row) for at, row in enumerate(rows)])


def a_quorum(*behind: int, **changes: Any) -> Quorum:
    """A KRaft quorum of voters 1, 2 and 3 led by 1; those named are behind."""
    quorum = Quorum(
        mode=QuorumMode.KRAFT,
        leader_id=1,
        fetch_timeout_ms=2000,
        absent_seconds=0,
        voters=tuple(
            Voter(id=node, last_caught_up_ms=8000 if node in behind else 10000)
            for node in (1, 2, 3)
        ),
    )
    return replace(quorum, **changes)


def a_snapshot(*topics: Topic, **changes: Any) -> ClusterSnapshot:
    """A healthy cluster of four brokers with these topics, everything configured and fresh."""
    snapshot = ClusterSnapshot(
        cluster="payments",
        observed_at=NOON,
        brokers=tuple(map(a_broker, (1, 2, 3, 4))),
        topics=topics or (a_topic(),),
        quorum=a_quorum(),
        reassignments=0,
        unclean_elections_24h=0,
        unreachable=False,
        probe=Probe(attempts=20, succeeded=20),
        ages=FRESH,
    )
    return replace(snapshot, **changes)


def ages(**changes: float | str | None) -> Mapping[EvidenceGroup, float | None]:
    """The ages of a fresh snapshot with changes: None is never seen, "-" is not configured."""
    found = {**FRESH, **{EvidenceGroup(key): age for key, age in changes.items()}}
    return {group: age for group, age in found.items() if not isinstance(age, str)}


# --- Strategies: small clusters in any state, with any evidence missing ------------------------

_NAMES = ("orders", "orders-1", "__consumer_offsets", "__remote_log_metadata", "t10", "t9")
_NODES = st.integers(0, 6)
_SECONDS = st.sampled_from([0.0, 5.0, 10.0, 30.0, 31.0, 60.0, 75.0, 90.0, 400.0, 1000.0])
_RATIO = st.floats(0, 1)


@st.composite
def partitions(draw: st.DrawFn, number: int) -> Partition:
    """A partition in any state that the snapshot's form allows."""
    replicas = tuple(draw(st.lists(_NODES, unique=True, max_size=4)))
    some = st.frozensets(st.sampled_from(replicas)) if replicas else st.just(frozenset[int]())
    isr = replicas if draw(st.booleans()) else tuple(sorted(draw(some)))
    return Partition(
        id=number,
        leader=draw(st.sampled_from([-1, *isr])),
        replicas=replicas,
        isr=isr,
        adding=draw(some) if draw(st.integers(0, 4)) == 0 else frozenset(),
        leaderless_seconds=draw(st.none() | _SECONDS),
    )


@st.composite
def topics(draw: st.DrawFn, name: str) -> Topic:
    """A topic with any partitions."""
    many = draw(st.integers(0, 5))
    return Topic.of(
        name,
        [draw(partitions(number)) for number in range(many)],
        min_insync_replicas=draw(st.none() | st.integers(1, 5)),
        excluded=draw(st.sampled_from([None, None, None, *Excluded])),
    )


@st.composite
def brokers(draw: st.DrawFn, node: int) -> Broker:
    """A node in any state."""
    return Broker(
        id=node,
        alive=draw(st.booleans()),
        rack=draw(st.sampled_from([None, "az1", "az2", "az3"])),
        state=draw(st.sampled_from(BrokerState)),
        fenced=draw(st.booleans()),
        roles=draw(st.sampled_from([None, frozenset({Role.BROKER}), frozenset({Role.CONTROLLER})])),
        request_handler_idle=draw(st.none() | st.floats(0, 2)),
        disk_used_ratio=draw(st.none() | _RATIO),
        offline_log_dirs=draw(st.none() | st.integers(0, 2)),
        metrics_age_seconds=draw(st.none() | _SECONDS),
        version=draw(st.sampled_from([None, "3.6.2", "3.7.0", "4.1.0", "unknown"])),
    )


@st.composite
def quorums(draw: st.DrawFn) -> Quorum:
    """A quorum in any state."""
    return Quorum(
        mode=draw(st.sampled_from(QuorumMode)),
        leader_id=draw(st.none() | st.integers(-1, 4)),
        fetch_timeout_ms=draw(st.none() | st.integers(0, 3000)),
        absent_seconds=draw(st.none() | _SECONDS),
        voters=tuple(
            Voter(id=node, last_caught_up_ms=draw(st.none() | st.integers(-1, 9000)))
            for node in draw(st.lists(st.integers(0, 4), unique=True))
        ),
    )


@st.composite
def probes(draw: st.DrawFn) -> Probe:
    """A probe with any luck."""
    attempts = draw(st.integers(0, 20))
    return Probe(attempts=attempts, succeeded=draw(st.integers(0, attempts)))


@st.composite
def snapshots(draw: st.DrawFn) -> ClusterSnapshot:
    """Any small cluster, the empty one included, with any evidence stale, unseen or absent."""
    names = draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=4))
    return ClusterSnapshot(
        cluster="payments",
        observed_at=NOON,
        brokers=tuple(draw(brokers(node)) for node in draw(st.lists(_NODES, unique=True))),
        topics=tuple(draw(topics(name)) for name in names),
        quorum=draw(st.none() | quorums()),
        unclean_elections_24h=draw(st.none() | st.integers(0, 2)),
        unreachable=draw(st.sampled_from([None, False, False, True])),
        probe=draw(st.none() | probes()),
        ages=draw(
            st.none() | st.dictionaries(st.sampled_from(EvidenceGroup), st.none() | _SECONDS)
        ),
    )
