"""Snapshots for tests: builders that are healthy unless told otherwise, and strategies."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

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

_Row = TypeVar("_Row", Broker, Voter)

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
_SECONDS_OR_NONE = st.none() | _SECONDS
_RATIO = st.floats(0, 1)
_REPLICAS = st.lists(_NODES, unique=True, max_size=4)
_SOME = st.sampled_from([15, 15, *range(15)])
"""A mask over up to four replicas, mostly all of them."""
_FEW = st.sampled_from([0, 0, 0, 1, 2, 3])
_MANY = st.integers(0, 4)
_SELDOM = st.sampled_from([False, False, False, True])
_MIN_ISR = st.sampled_from([None, 1, 2, 2, 3, 5])
_EXCLUDED = st.sampled_from([None, None, None, *Excluded])
_AGES = st.fixed_dictionaries(
    # Mostly seen: without metadata a snapshot says next to nothing.
    {EvidenceGroup.METADATA: st.one_of(_SECONDS, _SECONDS, _SECONDS, st.none())},
    optional={
        group: st.one_of(_SECONDS, _SECONDS, st.none())
        for group in EvidenceGroup
        if group is not EvidenceGroup.METADATA
    },
) | st.dictionaries(st.sampled_from(EvidenceGroup), st.none() | _SECONDS, max_size=2)


@st.composite
def partitions(draw: st.DrawFn, number: int) -> Partition:
    """A partition in any state that the snapshot's form allows."""
    replicas = tuple(draw(_REPLICAS))
    in_isr, being_added = draw(_SOME), draw(_FEW)
    isr = tuple(node for at, node in enumerate(replicas) if in_isr >> at & 1)
    return Partition(
        id=number,
        leader=-1 if draw(_SELDOM) else 0,
        replicas=replicas,
        isr=isr,
        adding=frozenset(node for at, node in enumerate(replicas) if being_added >> at & 1),
        leaderless_seconds=draw(_SECONDS_OR_NONE),
    )


@st.composite
def topics(draw: st.DrawFn, name: str) -> Topic:
    """A topic with any partitions."""
    return Topic.of(
        name,
        [draw(_PARTITIONS[number]) for number in range(draw(_MANY))],
        min_insync_replicas=draw(_MIN_ISR),
        excluded=draw(_EXCLUDED),
    )


def brokers(node: int) -> st.SearchStrategy[Broker]:
    """A node in any state."""
    return st.builds(
        Broker,
        id=st.just(node),
        alive=st.booleans(),
        rack=st.sampled_from([None, "az1", "az2", "az3"]),
        state=st.sampled_from(BrokerState),
        fenced=_SELDOM,
        roles=st.sampled_from([None, frozenset({Role.BROKER}), frozenset({Role.CONTROLLER})]),
        request_handler_idle=st.none() | st.floats(0, 2),
        disk_used_ratio=st.none() | _RATIO,
        offline_log_dirs=st.sampled_from([None, 0, 1]),
        metrics_age_seconds=_SECONDS_OR_NONE,
        version=st.sampled_from([None, "3.6.2", "3.7.0", "4.1.0", "unknown"]),
    )


def voters(node: int) -> st.SearchStrategy[Voter]:
    """A voter that is caught up, behind, or says nothing."""
    caught_up = st.none() | st.integers(-1, 9000)
    return st.builds(Voter, id=st.just(node), last_caught_up_ms=caught_up)


def quorums() -> st.SearchStrategy[Quorum]:
    """A quorum in any state."""
    return st.builds(
        Quorum,
        mode=st.sampled_from([QuorumMode.KRAFT, QuorumMode.KRAFT, QuorumMode.ZOOKEEPER]),
        leader_id=st.none() | st.integers(-1, 4),
        fetch_timeout_ms=st.none() | st.integers(0, 3000),
        absent_seconds=_SECONDS_OR_NONE,
        voters=_among(voters, range(5)),
    )


def probes() -> st.SearchStrategy[Probe]:
    """A probe with any luck."""
    return st.builds(
        lambda attempts, failed: Probe(attempts=attempts, succeeded=max(0, attempts - failed)),
        st.integers(0, 20),
        st.integers(0, 20),
    )


def _among(
    row: Callable[[int], st.SearchStrategy[_Row]], ids: Iterable[int]
) -> st.SearchStrategy[tuple[_Row, ...]]:
    """Some of these rows, each id at most once, in any order."""
    return st.lists(
        st.one_of([row(node) for node in ids]), unique_by=lambda found: found.id, max_size=7
    ).map(tuple)


_PARTITIONS = [partitions(number) for number in range(4)]
_TOPICS = st.lists(
    st.one_of([topics(name) for name in _NAMES]), unique_by=lambda topic: topic.name, max_size=4
).map(tuple)
_BROKERS = _among(brokers, range(7))
_QUORUM = st.none() | quorums()
_PROBE = st.none() | probes()


def snapshots() -> st.SearchStrategy[ClusterSnapshot]:
    """Any small cluster, the empty one included, with any evidence stale, unseen or absent."""
    return st.builds(
        ClusterSnapshot,
        cluster=st.just("payments"),
        observed_at=st.just(NOON),
        brokers=_BROKERS,
        topics=_TOPICS,
        quorum=_QUORUM,
        unclean_elections_24h=st.sampled_from([None, 0, 0, 1]),
        unreachable=st.sampled_from([None, False, False, False, True]),
        probe=_PROBE,
        ages=st.none() | _AGES,
    )
