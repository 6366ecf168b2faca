"""Partitions that are in the way of a wave's next broker (restart-safety.md section 2).

RF and ISR are those of section 1, and min.insync.replicas counts as RF at most.
"""

from collections.abc import Iterator

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import NO_LEADER, ClusterSnapshot, Topic, remembered
from healthd.model.words import Excluded
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.replication import (
    assigned,
    in_sync,
    is_whole,
    serving_brokers,
    troubled_positions,
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
        return tuple(
            hold
            for topic in topics
            if topic.excluded is not Excluded.DELETING
            for hold in _topic(
                topic,
                acknowledged.min_isr(topic),
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
    *,
    serving: frozenset[int],
    own: frozenset[int],
    repairs: frozenset[int],
    baseline: frozenset[str],
) -> Iterator[Reason]:
    if is_whole(topic, serving):
        if min_isr is None:
            for at in range(len(topic)):
                yield _hold(ReasonCode.MIN_ISR_UNKNOWN, topic, at, _UNKNOWN)
        return
    for at in troubled_positions(topic, serving) if min_isr is not None else range(len(topic)):
        found = _partition(
            topic,
            at,
            min_isr,
            isr=in_sync(topic, at, serving),
            own=own,
            repairs=repairs,
            is_baseline=bool(baseline) and topic.label(at) in baseline,
        )
        if found is not None:
            yield _hold(found[0], topic, at, found[1])


def _partition(
    topic: Topic,
    at: int,
    min_isr: int | None,
    *,
    isr: frozenset[int],
    own: frozenset[int],
    repairs: frozenset[int],
    is_baseline: bool,
) -> tuple[ReasonCode, str] | None:
    """The first thing that is wrong with a partition; None when nothing is."""
    replicas = assigned(topic, at)
    lacking = [node for node in replicas if node not in isr]
    # What lacks only nodes that this wave is about to repair can get better by that alone.
    if not lacking or not repairs.issuperset(lacking):
        if topic.leaders[at] == NO_LEADER:
            return ReasonCode.PARTITION_OFFLINE, "has no leader"
        if min_isr is not None and len(isr) < min(min_isr, len(replicas)):
            needed = min(min_isr, len(replicas))
            return (
                ReasonCode.PARTITION_UNDER_MIN_ISR,
                f"{len(isr)} of {len(replicas)} replicas are in sync, at least {needed} must be",
            )
    counted = [node for node in lacking if node not in own]
    if counted and not is_baseline:
        names = ", ".join(map(str, counted))
        return ReasonCode.PARTITION_UNDER_REPLICATED, f"not in sync on broker {names}"
    return (ReasonCode.MIN_ISR_UNKNOWN, _UNKNOWN) if min_isr is None else None


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
