"""The snapshot as it would be without what a wave itself has done (restart-safety.md section 2).

A wave's own effect is no reason to stop, everybody else's is: the gate's index is computed on the
snapshot in which the brokers that the wave has in flight count as alive and in sync.
"""

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from healthd.health.history import History
from healthd.health.index import index_of
from healthd.health.partitions import is_untroubled, partition_state
from healthd.health.scoring import DEFAULT, ScoringProfile
from healthd.health.words import PartitionState
from healthd.model.snapshot import (
    NO_LEADER,
    Broker,
    ClusterSnapshot,
    Topic,
    Topics,
    remembered,
)
from healthd.model.words import BrokerState

_FORGIVEN = frozenset({PartitionState.UNDER_REPLICATED, PartitionState.AT_MIN_ISR})


def index_without(
    snapshot: ClusterSnapshot,
    nodes: AbstractSet[int],
    scoring: ScoringProfile = DEFAULT,
    *,
    baseline: Collection[str] = (),
    history: History | None = None,
) -> float:
    """The Health Index without the effect of these nodes being away."""
    counterfactual = as_if_back(snapshot, nodes, baseline=baseline)
    return index_of(counterfactual, scoring, history=history)


def as_if_back(
    snapshot: ClusterSnapshot, nodes: AbstractSet[int], *, baseline: Collection[str] = ()
) -> ClusterSnapshot:
    """The snapshot in which these nodes are alive and in sync.

    They are listed, alive and not fenced, and stand in the ISR of every partition that they hold
    and that they are not only being added to. A partition without leader that one of them holds
    is led by it: Kafka elects a replica that is alive and in sync. Quorum, metrics and ages stay.

    Args:
        snapshot: what was seen.
        nodes: what the wave has in flight, or will repair.
        baseline: ``topic-partition`` names; one that is under-replicated or at min ISR counts as
            OK; one that is offline, under min ISR or without leader stays what it is.
    """
    if not nodes and not baseline:
        return snapshot
    names, back = frozenset(baseline), frozenset(nodes)
    # As `Topics` they remember in turn what the index makes of them.
    topics = remembered(
        snapshot.topics,
        "as if back",
        (back, names),
        lambda: Topics(_topic(topic, back, names) for topic in snapshot.topics),
    )
    return replace(snapshot, brokers=_brokers(snapshot, nodes), topics=topics)


def _brokers(snapshot: ClusterSnapshot, nodes: AbstractSet[int]) -> tuple[Broker, ...]:
    listed = tuple(_back(broker) if broker.id in nodes else broker for broker in snapshot.brokers)
    # A broker that no listing names any more, but that partitions still count on.
    gone = sorted(snapshot.unlisted_holders & nodes)
    return (*listed, *(Broker(id=node, alive=True) for node in gone))


def _back(broker: Broker) -> Broker:
    known = broker.state is not BrokerState.UNKNOWN
    state = BrokerState.RUNNING if known else BrokerState.UNKNOWN
    return replace(broker, alive=True, fenced=False, state=state)


def _topic(topic: Topic, nodes: frozenset[int], baseline: frozenset[str]) -> Topic:
    if is_untroubled(topic):
        return topic
    positions: Iterable[int] = topic.unsynced
    if min(topic.leaders, default=0) < 0:
        positions = range(len(topic))
    elif _are_all_back(topic, nodes):
        return topic.with_leadership(topic.leaders, topic.replicas, topic.leaderless_seconds)
    leaders, isrs, leaderless = (
        list(topic.leaders),
        list(topic.isrs),
        dict(topic.leaderless_seconds),
    )
    for at in positions:
        leader, isr, replicas = topic.leaders[at], topic.isrs[at], topic.replicas[at]
        if isr is replicas and leader >= 0:
            continue
        adding = topic.adding.get(at, frozenset())
        back = [node for node in replicas if node in nodes and node not in adding]
        isrs[at] = _in_order(replicas, isr, back)
        if leader < 0 and back:
            leaders[at] = back[0]
            leaderless.pop(at, None)
        if leaders[at] != NO_LEADER and baseline and topic.label(at) in baseline:
            isrs[at] = _forgiven(topic, at, isrs[at])
    return topic.with_leadership(leaders, isrs, leaderless)


def _are_all_back(topic: Topic, nodes: frozenset[int]) -> bool:
    """Whether nothing but these nodes is missing in any ISR; nearly always it is so."""
    if topic.adding:
        return False
    for at in topic.unsynced:
        isr, replicas = topic.isrs[at], topic.replicas[at]
        gone = [node for node in replicas if node not in isr]
        if len(gone) + len(isr) != len(replicas) or not nodes.issuperset(gone):
            return False
    return True


def _in_order(
    replicas: tuple[int, ...], isr: tuple[int, ...], back: Collection[int]
) -> tuple[int, ...]:
    """The ISR with these nodes in it, as the very tuple of the replicas when it holds them all."""
    missing = tuple(node for node in back if node not in isr)
    if not missing:
        return isr
    joined = (*isr, *missing)
    is_whole = len(joined) >= len(replicas) and set(joined) == set(replicas)
    return replicas if is_whole else joined


def _forgiven(topic: Topic, at: int, isr: tuple[int, ...]) -> tuple[int, ...]:
    """The ISR that makes a partition of the baseline OK, unless it is under min ISR."""
    replicas = len(topic.replicas[at]) - len(topic.adding.get(at, ()))
    state = partition_state(
        leader=0,
        replicas=replicas,
        isr=len(isr),
        min_insync_replicas=topic.min_insync_replicas,
        leaderless_seconds=None,
        grace_seconds=0,
    )
    return topic.replicas[at] if state in _FORGIVEN else isr
