"""Clusters for proofs about safety, and ok-to-stop for partitions as its text reads.

Most brokers and partitions are well here, so that the quick ways through the code are taken as
often as the slow ones.
"""

from dataclasses import replace
from itertools import combinations
from typing import Any

from hypothesis import strategies as st
from support.snapshots import NOON, a_broker, quorums

from healthd.model.snapshot import ClusterSnapshot, Partition, Quorum, Topic, Voter
from healthd.model.words import BrokerState, Excluded, QuorumMode, Role
from healthd.safety.acknowledgements import Acknowledgements

NODES = tuple(range(1, 7))
_LEAVING = {
    BrokerState.PENDING_CONTROLLED_SHUTDOWN,
    BrokerState.SHUTTING_DOWN,
    BrokerState.NOT_RUNNING,
}


_WELL: list[dict[str, Any]] = [{"rack": rack} for rack in ("az1", "az1", "az2", "az2", "az3", None)]
_ILL: list[dict[str, Any]] = [
    {"alive": False},
    {"alive": False, "state": BrokerState.UNKNOWN},
    {"alive": False, "state": BrokerState.NOT_RUNNING, "rack": "az1"},
    {"fenced": True, "rack": "az2"},
    {"fenced": True, "state": BrokerState.STARTING},
    *({"state": state, "rack": "az3"} for state in BrokerState),
    {"roles": frozenset(Role), "rack": "az1"},
    {"roles": frozenset({Role.CONTROLLER}), "rack": "az2"},
    {"roles": frozenset({Role.CONTROLLER}), "alive": False},
    {"metrics_age_seconds": 31.0},
]
_NODE_CHANGES = st.sampled_from([*_WELL * 8, *_ILL])

_REPLICAS = [ids for many in range(5) for ids in combinations((*NODES, 9), many)]
_SOME = st.integers(0, 15)
"""Which members of a replica list, as bits."""


def _picked(replicas: tuple[int, ...], bits: int) -> frozenset[int]:
    return frozenset(node for at, node in enumerate(replicas) if bits >> at & 1)


@st.composite
def rows(draw: st.DrawFn, number: int) -> Partition:
    """A partition that most often has a leader and is in sync."""
    replicas = draw(st.sampled_from(_REPLICAS))
    leader = replicas[0] if replicas else -1
    row = Partition(id=number, leader=leader, replicas=replicas, isr=replicas)
    kind = draw(st.integers(0, 5))
    if kind > 1:
        return row
    isr = tuple(sorted(_picked(replicas, draw(_SOME))))
    row = replace(row, isr=isr, leader=draw(st.sampled_from([-1, *isr])))
    if kind:
        return row
    return replace(
        row,
        adding=_picked(replicas, draw(_SOME)),
        removing=_picked(replicas, draw(_SOME)),
        elr=_picked(replicas, draw(_SOME)),
    )


@st.composite
def clusters(draw: st.DrawFn) -> ClusterSnapshot:
    """A cluster of six brokers, one more id in some replica lists, and any quorum."""
    names = ("t", "t-1", "t10", "logs", "__consumer_offsets")
    topics = tuple(
        Topic.of(
            name,
            [draw(rows(number)) for number in range(draw(st.integers(0, 3)))],
            min_insync_replicas=draw(st.sampled_from([None, 1, 2, 2, 2, 3])),
            excluded=draw(st.sampled_from([None, None, None, *Excluded])),
        )
        for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
    )
    return ClusterSnapshot(
        cluster="payments",
        observed_at=NOON,
        brokers=tuple(a_broker(node, **draw(_NODE_CHANGES)) for node in NODES),
        topics=topics,
        quorum=draw(st.none() | good_quorums() | good_quorums() | quorums()),
    )


@st.composite
def good_quorums(draw: st.DrawFn) -> Quorum:
    """A KRaft quorum that can be judged, with some voters behind."""
    many = draw(st.integers(1, 5))
    leader = draw(st.integers(1, many))
    times = st.sampled_from([9000, 9000, 8000, 7000, -1])
    return Quorum(
        mode=QuorumMode.KRAFT,
        leader_id=leader,
        fetch_timeout_ms=2000,
        absent_seconds=draw(st.sampled_from([None, 0.0, 0.0, 5.0])),
        voters=tuple(
            Voter(id=node, last_caught_up_ms=9000 if node == leader else draw(times))
            for node in range(1, many + 1)
        ),
    )


broker_sets = st.integers(0, 63).map(lambda bits: _picked(NODES, bits))
"""Any set of the six brokers."""

acknowledgements = st.builds(
    Acknowledgements,
    margin=st.integers(0, 2),
    allow_rf_one=st.sampled_from([(), ("t*",), ("*",)]),
    allow_rf_le_min_isr=st.sampled_from([(), ("t*",), ("*",)]),
    allow_quorum_without_spare=st.booleans(),
    assume_min_isr=st.sampled_from([None, 1, 2, 3]),
)


def partition_verdicts(
    snapshot: ClusterSnapshot, brokers: frozenset[int], accepted: Acknowledgements
) -> dict[str, str]:
    """The code for each partition that blocks, by the text of section 1 and nothing clever."""
    listed = {broker.id: broker for broker in snapshot.brokers}
    down = {node for node, broker in listed.items() if not broker.alive or broker.fenced}
    silent = {
        node for node in brokers if node in down or listed[node].state is BrokerState.NOT_RUNNING
    }
    counting = {
        node for node, broker in listed.items() if node not in down and broker.state not in _LEAVING
    }
    still_running = {
        node
        for node in brokers & down
        if listed[node].state not in {BrokerState.UNKNOWN, BrokerState.NOT_RUNNING}
    }
    found = {}
    for topic in snapshot.topics:
        for at, row in enumerate(topic):
            code = None
            if set(row.replicas) & (brokers - silent):
                code = _rule(topic, row, brokers, counting, accepted)
            if code is None and row.leader == -1 and still_running & {*row.isr, *row.elr}:
                code = "PARTITION_OFFLINE"
            if code is not None:
                found[topic.label(at)] = code
    return found


def _rule(
    topic: Topic,
    row: Partition,
    brokers: frozenset[int],
    counting: set[int],
    accepted: Acknowledgements,
) -> str | None:
    isr = {node for node in row.isr if node in counting and node not in row.adding}
    replicas = [node for node in row.replicas if node not in row.adding]
    minimum = topic.min_insync_replicas or accepted.assume_min_isr
    if row.leader == -1:
        return "PARTITION_OFFLINE"
    if len(replicas) == 1:
        return "RF_ONE" if set(replicas) <= brokers and not accepted.allows_rf_one(topic) else None
    if minimum is None:
        return "MIN_ISR_UNKNOWN"
    if len(replicas) <= minimum:
        if not accepted.allows_rf_le_min_isr(topic):
            return "RF_LE_MIN_ISR"
        minimum = len(replicas) - 1
    if len(isr) < minimum:
        return "UNDER_MIN_ISR"
    if isr & brokers and len(isr - brokers) < minimum:
        return "WOULD_GO_UNDER_MIN_ISR"
    wanted = minimum + accepted.margin
    if isr & brokers and len(isr - brokers) < wanted and len(replicas) > wanted:
        return "WOULD_BREAK_MARGIN"
    return None
