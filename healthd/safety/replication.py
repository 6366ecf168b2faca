"""RF and ISR as safety counts them (restart-safety.md section 1).

RF leaves out the replicas that are being added; those being removed count until they are gone.
The ISR leaves out what is being added and every broker that is down or about to leave, because
metadata may name one that is dead for a while.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import compress, repeat
from operator import contains, not_
from typing import Final

from healthd.model.snapshot import NO_LEADER, ClusterSnapshot, Topic, remembered
from healthd.model.words import LEAVING_STATES, BrokerState

_NOT_IN_ISR = LEAVING_STATES | {BrokerState.NOT_RUNNING}
_FEW: Final = 2
"""Looking for each of so many nodes is quicker than comparing sets."""


def serving_brokers(snapshot: ClusterSnapshot) -> frozenset[int]:
    """The brokers whose place in an ISR counts: listed, not down and not on their way out."""
    return frozenset(
        broker.id
        for broker in snapshot.brokers
        if not broker.is_down and broker.state not in _NOT_IN_ISR
    )


def assigned(topic: Topic, at: int) -> tuple[int, ...]:
    """The replicas that count in RF at a position."""
    adding = topic.adding.get(at)
    replicas = topic.replicas[at]
    return tuple(node for node in replicas if node not in adding) if adding else replicas


def in_sync(topic: Topic, at: int, serving: frozenset[int]) -> frozenset[int]:
    """The members of the ISR that count at a position."""
    counted, adding = serving.intersection(topic.isrs[at]), topic.adding.get(at)
    return counted - adding if adding else counted


def is_whole(topic: Topic, serving: frozenset[int]) -> bool:
    """Whether every partition has a leader and all its replicas in sync, none being added.

    This is the state of nearly every topic, so it is asked of whole columns: the partitions of a
    topic in sync have the very tuples of their replicas as ISR, and comparing those is cheap.
    """
    return (
        not topic.adding
        and topic.isrs == topic.replicas
        and NO_LEADER not in topic.leaders
        and serving.issuperset(topic.holders)
    )


def troubled_positions(topic: Topic, serving: frozenset[int]) -> list[int]:
    """The positions of partitions that are not plainly whole; most of a topic's are.

    When one broker of sixty is away a twentieth of the partitions of every topic lacks it, and
    nineteen twentieths have the very tuple of their replicas as ISR.
    """
    found = set(topic.unsynced).union(topic.adding)
    if NO_LEADER in topic.leaders:
        found.update(at for at, leader in enumerate(topic.leaders) if leader == NO_LEADER)
    absent = topic.holders - serving
    if len(absent) > _FEW:
        lacks = map(not_, map(absent.isdisjoint, topic.replicas))
        found.update(compress(range(len(topic)), lacks))
    else:
        for node in absent:
            found.update(compress(range(len(topic)), map(contains, topic.replicas, repeat(node))))
    return sorted(found)


def counted(
    topic: Topic, positions: Iterable[int], serving: frozenset[int]
) -> Iterator[tuple[int, tuple[int, ...], frozenset[int]]]:
    """Positions with what `assigned` and `in_sync` say of them."""
    if topic.adding:
        for at in positions:
            yield at, assigned(topic, at), in_sync(topic, at, serving)
        return
    replicas, isrs, of_those = topic.replicas, topic.isrs, serving.intersection
    for at in positions:
        yield at, replicas[at], of_those(isrs[at])


def troubled_topics(
    topics: Iterable[Topic], serving: frozenset[int]
) -> Mapping[str, tuple[int, ...]]:
    """The positions of `troubled_positions` by name of the topic, for topics that are not whole.

    The gate and the report of each wave ask for the same of the same snapshot.
    """
    return remembered(
        topics,
        "troubled positions",
        serving,
        lambda: {
            topic.name: tuple(troubled_positions(topic, serving))
            for topic in topics
            if not is_whole(topic, serving)
        },
    )
