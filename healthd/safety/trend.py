"""What two consecutive snapshots show together: is anything moving (restart-safety.md section 2).

A change that concerns only nodes which the wave has in flight is its own doing and does not count.
"""

from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import compress
from operator import ne

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason, in_order
from healthd.model.snapshot import ClusterSnapshot, Topic
from healthd.model.words import Excluded


def changes_between(
    before: ClusterSnapshot, after: ClusterSnapshot, *, in_flight: Collection[int] = ()
) -> tuple[Reason, ...]:
    """The holds that come from a change, by code and object; empty when all stood still.

    A leader or controller that is missing in one of the two is no change here: its absence is a
    hold of that snapshot.
    """
    return in_order(changes_found(before, after, in_flight=in_flight))


def changes_found(
    before: ClusterSnapshot, after: ClusterSnapshot, *, in_flight: Collection[int]
) -> tuple[Reason, ...]:
    """The same holds for who puts them in order with others; no two of them are the same."""
    own = frozenset(in_flight)
    return (*_controller(before, after, own), *_partitions(before, after, own))


def _controller(
    before: ClusterSnapshot, after: ClusterSnapshot, own: frozenset[int]
) -> Iterator[Reason]:
    old = None if before.quorum is None else before.quorum.leader_id
    new = None if after.quorum is None else after.quorum.leader_id
    if old is None or new is None or old < 0 or new < 0 or old == new or old in own:
        return
    yield Reason(
        code=ReasonCode.CONTROLLER_CHANGED,
        object=f"cluster:{after.cluster}",
        detail=f"the active controller was {old} and is {new}",
    )


def _partitions(
    before: ClusterSnapshot, after: ClusterSnapshot, own: frozenset[int]
) -> Iterator[Reason]:
    if before.topics is after.topics:
        return
    old_topics = {topic.name: topic for topic in before.topics}
    for new in after.topics:
        old = old_topics.get(new.name)
        if old is None or old is new or new.excluded is Excluded.DELETING:
            continue
        # Nothing moves in most topics; equal columns are settled without a look at a partition.
        same_leaders = old.leaders == new.leaders
        if same_leaders and old.isrs == new.isrs and old.ids == new.ids:
            continue
        yield from _topic(old, new, own)


def _topic(old: Topic, new: Topic, own: frozenset[int]) -> Iterator[Reason]:
    for before, at in _moved(old, new):
        lost = _lost(old.isrs[before], new.isrs[at], new.replicas[at], own)
        if lost:
            yield Reason(
                code=ReasonCode.ISR_SHRINKING,
                object=new.label(at),
                detail=_left_the_isr(tuple(lost)),
            )
        was, leads = old.leaders[before], new.leaders[at]
        if _is_churn(was, leads, new.replicas[at], own):
            yield Reason(
                code=ReasonCode.LEADERSHIP_MOVING,
                object=new.label(at),
                detail=f"its leader was broker {was} and is {leads}, not the preferred replica",
            )


@lru_cache(maxsize=1024)
def _left_the_isr(nodes: tuple[int, ...]) -> str:
    """The words for what thousands of partitions have lost alike."""
    return f"broker {', '.join(map(str, nodes))} left the ISR"


def _moved(old: Topic, new: Topic) -> Iterator[tuple[int, int]]:
    """The positions, before and after, of partitions with another leader or a smaller ISR."""
    if old.ids == new.ids:
        # Who has left an ISR is missing in it; in most of them nobody is.
        others = {at for at in new.unsynced if old.isrs[at] != new.isrs[at]}
        # Whole columns are compared by the interpreter itself; few rows differ.
        if old.leaders != new.leaders:
            others.update(compress(range(len(new)), map(ne, old.leaders, new.leaders)))
        yield from ((at, at) for at in sorted(others))
        return
    old_position = {partition: at for at, partition in enumerate(old.ids)}
    for at, partition in enumerate(new.ids):
        before = old_position.get(partition)
        if before is not None:
            yield before, at


def _lost(
    was: tuple[int, ...], is_now: tuple[int, ...], replicas: tuple[int, ...], own: frozenset[int]
) -> list[int]:
    """Replicas, other than our own, that have left an ISR and still belong to the partition."""
    if was is is_now:
        return []
    gone = [node for node in was if node not in is_now and node not in own and node in replicas]
    return sorted(gone) if len(gone) > 1 else gone


def _is_churn(was: int, leads: int, replicas: tuple[int, ...], own: frozenset[int]) -> bool:
    if was == leads or was < 0 or leads < 0 or was in own:
        return False
    return leads != replicas[0] if replicas else True
