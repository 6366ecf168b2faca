"""Partitions that are in the way of a wave's next broker (restart-safety.md section 2).

RF and ISR are those of section 1, and min.insync.replicas counts as RF at most.
"""

from collections.abc import Iterator
from functools import lru_cache

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import NO_LEADER, ClusterSnapshot, Topic, remembered
from healthd.model.words import Excluded
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.replication import (
    counted,
    serving_brokers,
    troubled_topics,
)

_UNKNOWN = "min.insync.replicas is not known"


def partition_holds(
    snapshot: ClusterSnapshot,
    *,
    own: frozenset[int],
    repairs: frozenset[int],
    baseline: frozenset[str],
    acknowledged: Acknowledgements,
) -> tuple[Reason, ...]:
    """Partitions that are not replicated as they should be; at most one hold a partition.

    Asked again for the very same topics it answers from memory: from one snapshot to the next
    nearly nothing changes, and several waves and pages ask the same.

    Args:
        snapshot: what is known of the cluster.
        own: nodes that the wave has in flight, those that wait for repair included.
        repairs: nodes of the wave that wait for repair.
        baseline: partitions that may be under-replicated.
        acknowledged: what is assumed for an unknown min.insync.replicas.
    """
    serving, topics = serving_brokers(snapshot), snapshot.topics
    key = (serving, own, repairs, baseline, acknowledged.assume_min_isr)

    def found() -> tuple[Reason, ...]:
        troubled = troubled_topics(topics, serving)
        return tuple(
            hold
            for topic in topics
            if topic.excluded is not Excluded.DELETING
            for hold in _topic(
                topic,
                acknowledged.min_isr(topic),
                troubled.get(topic.name),
                serving=serving,
                own=own,
                repairs=repairs,
                baseline=baseline,
            )
        )

    return remembered(topics, "partition holds", key, found)


def _topic(
    topic: Topic,
    min_isr: int | None,
    troubled: tuple[int, ...] | None,
    *,
    serving: frozenset[int],
    own: frozenset[int],
    repairs: frozenset[int],
    baseline: frozenset[str],
) -> Iterator[Reason]:
    if troubled is None:
        if min_isr is None:
            for at in range(len(topic)):
                yield _hold(ReasonCode.MIN_ISR_UNKNOWN, topic, at, _UNKNOWN)
        return
    positions = troubled if min_isr is not None else range(len(topic))
    for at, replicas, isr in counted(topic, positions, serving):
        lacking = [node for node in replicas if node not in isr]
        # What lacks only nodes that this wave is about to repair can get better by that alone.
        if not lacking or not repairs.issuperset(lacking):
            if topic.leaders[at] == NO_LEADER:
                yield _hold(ReasonCode.PARTITION_OFFLINE, topic, at, "has no leader")
                continue
            needed = 0 if min_isr is None else min(min_isr, len(replicas))
            if len(isr) < needed:
                yield _hold(
                    ReasonCode.PARTITION_UNDER_MIN_ISR, topic, at, _too_few(replicas, isr, needed)
                )
                continue
        others = [node for node in lacking if node not in own]
        if others and not (baseline and topic.label(at) in baseline):
            words = _not_in_sync_on(tuple(others))
            yield _hold(ReasonCode.PARTITION_UNDER_REPLICATED, topic, at, words)
        elif min_isr is None:
            yield _hold(ReasonCode.MIN_ISR_UNKNOWN, topic, at, _UNKNOWN)


@lru_cache(maxsize=1024)
def _not_in_sync_on(nodes: tuple[int, ...]) -> str:
    """The words for what thousands of partitions lack alike."""
    return f"not in sync on broker {', '.join(map(str, nodes))}"


def _too_few(replicas: tuple[int, ...], isr: frozenset[int], needed: int) -> str:
    return f"{len(isr)} of {len(replicas)} replicas are in sync, at least {needed} must be"


def reassignments(snapshot: ClusterSnapshot) -> Iterator[Reason]:
    """Every partition that is being moved; the cluster when only their number is known."""
    named = False
    for topic in snapshot.topics:
        for at in sorted(topic.adding.keys() | topic.removing.keys()):
            named = True
            yield _hold(ReasonCode.REASSIGNMENT, topic, at, "its replicas are being moved")
    if not named and snapshot.reassignments:
        yield Reason(
            code=ReasonCode.REASSIGNMENT,
            object=f"cluster:{snapshot.cluster}",
            detail=f"partitions that are being moved: {snapshot.reassignments}",
        )


def _hold(code: ReasonCode, topic: Topic, at: int, detail: str) -> Reason:
    return Reason(code=code, object=topic.label(at), detail=detail)
