"""What a wave adds up for its report while it runs: a few numbers, by event and by snapshot.

Nothing here is decided by; it only says afterwards what the wave's own doing has cost.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from healthd.model.snapshot import ClusterSnapshot, Topic, remembered
from healthd.model.words import Excluded
from healthd.safety.replication import (
    counted,
    in_sync,
    serving_brokers,
    troubled_topics,
)

_NAMED: Final = 100
"""So many partitions that went under min ISR are kept by name; all of them are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The sums of one wave; seconds are those of the wave clock."""

    closed_seconds: tuple[tuple[str, float], ...] = ()
    """By code: how long it was among the reasons for which the wave held."""
    looks: int = 0
    """Snapshots seen while a node was in flight."""
    longest_gap_seconds: float = 0.0
    """The longest time between two of them."""
    looked_at: float | None = None
    """When the last snapshot was seen, while a node is in flight."""
    under_replicated: int = 0
    """Partitions that lack a replica on a node in flight, on the last snapshot."""
    most_under_replicated: int = 0
    under_replicated_seconds: float = 0.0
    """Partition-seconds."""
    under_min_isr: tuple[str, ...] = ()
    """Partitions that are under min ISR by the wave's doing, on the last snapshot."""
    under_min_isr_seconds: float = 0.0
    """Partition-seconds."""
    went_under: int = 0
    """How often a partition went under min ISR by the wave's doing."""
    went_under_names: tuple[str, ...] = ()
    """The first of them."""
    troubled: tuple[int, ...] = ()
    """Nodes that are failed or overdue."""
    away: tuple[int, ...] = ()
    """Of the trouble that is not over: the nodes that were failed or overdue in it."""
    away_since: float | None = None
    restores: tuple[float, ...] = ()
    """How long each trouble lasted: from the first such node to the snapshot with all of them."""

    def held(self, codes: Collection[str], seconds: float) -> "Tally":
        """The tally after so much time in which these reasons held the wave."""
        if not codes or seconds <= 0:
            return self
        sums = dict(self.closed_seconds)
        for code in codes:
            sums[code] = sums.get(code, 0.0) + seconds
        return replace(self, closed_seconds=tuple(sorted(sums.items())))

    def with_troubled(self, nodes: Iterable[int], at: float) -> "Tally":
        """The tally with the nodes that are failed or overdue now; a new one begins a trouble."""
        troubled = tuple(sorted(nodes))
        if troubled == self.troubled:
            return self
        new = set(troubled) - set(self.troubled)
        if not new:
            return replace(self, troubled=troubled)
        return replace(
            self,
            troubled=troubled,
            away=tuple(sorted({*self.away, *new})),
            away_since=at if self.away_since is None else self.away_since,
        )

    def restored(self, snapshot: ClusterSnapshot, *, collected_since: float, at: float) -> "Tally":
        """The tally after a snapshot: a trouble is over once all its nodes are back in the ISRs."""
        since = self.away_since
        if since is None or collected_since < since or not _are_back(snapshot, self.away):
            return self
        return replace(self, away=(), away_since=None, restores=(*self.restores, at - since))

    def looked(
        self,
        snapshot: ClusterSnapshot,
        previous: ClusterSnapshot | None,
        *,
        own: frozenset[int],
        at: float,
    ) -> "Tally":
        """The tally after a snapshot with these nodes in flight.

        The time since the last one counts with what that one showed. Partitions are under min ISR
        by the wave's doing when what others have lost since the snapshot before would not have
        been enough for it.
        """
        seconds = 0.0 if self.looked_at is None else max(0.0, at - self.looked_at)
        since = replace(
            self,
            longest_gap_seconds=max(self.longest_gap_seconds, seconds),
            under_replicated_seconds=self.under_replicated_seconds
            + seconds * self.under_replicated,
            under_min_isr_seconds=self.under_min_isr_seconds + seconds * len(self.under_min_isr),
        )
        if not own and not self.under_min_isr:
            return replace(since, looked_at=None, under_replicated=0)
        lacking = _lacking(snapshot, own)
        ours = lacking.own
        known = frozenset(self.under_min_isr)
        before = _Before(previous)
        under = tuple(
            each.label
            for each in lacking.under
            if each.label in known or before.is_caused(each, own)
        )
        new = [label for label in under if label not in known]
        return replace(
            since,
            looks=self.looks + 1,
            looked_at=at,
            under_replicated=ours,
            most_under_replicated=max(self.most_under_replicated, ours),
            under_min_isr=under,
            went_under=self.went_under + len(new),
            went_under_names=(*self.went_under_names, *new)[:_NAMED],
        )


@dataclass(frozen=True, slots=True)
class _Under:
    """A partition that is known to be under min ISR, and lacks a replica in its ISR."""

    topic: Topic
    at: int
    isr: frozenset[int]
    missing: frozenset[int]
    needed: int
    """How many replicas must be in sync."""

    @property
    def label(self) -> str:
        return self.topic.label(self.at)


@dataclass(frozen=True, slots=True)
class _Lacking:
    """What lacks a replica in its ISR on one snapshot."""

    own: int
    """Partitions that lack one on certain nodes."""
    under: tuple[_Under, ...]


def _lacking(snapshot: ClusterSnapshot, own: frozenset[int]) -> _Lacking:
    """The partitions that lack a replica on one of these nodes, and those under min ISR."""
    serving, topics = serving_brokers(snapshot), snapshot.topics
    return remembered(
        topics, "lacking partitions", (serving, own), lambda: _among(topics, serving, own)
    )


def _among(topics: Iterable[Topic], serving: frozenset[int], own: frozenset[int]) -> _Lacking:
    troubled = troubled_topics(topics, serving)
    ours = 0
    under: list[_Under] = []
    for topic in topics:
        positions = troubled.get(topic.name)
        if positions is None or topic.excluded is Excluded.DELETING:
            continue
        least = topic.min_insync_replicas or 0
        for at, replicas, isr in counted(topic, positions, serving):
            missing = [node for node in replicas if node not in isr]
            if not missing:
                continue
            ours += not own.isdisjoint(missing)
            needed = min(least, len(replicas))
            if len(isr) < needed:
                under.append(_Under(topic, at, isr, frozenset(missing), needed))
    return _Lacking(ours, tuple(under))


class _Before:
    """The snapshot before, asked for single partitions."""

    def __init__(self, snapshot: ClusterSnapshot | None) -> None:
        self._snapshot = snapshot

    @cached_property
    def _topics(self) -> Mapping[str, Topic]:
        return {} if self._snapshot is None else {each.name: each for each in self._snapshot.topics}

    @cached_property
    def _serving(self) -> frozenset[int]:
        return frozenset() if self._snapshot is None else serving_brokers(self._snapshot)

    def is_caused(self, each: _Under, own: frozenset[int]) -> bool:
        """Whether a partition is under min ISR for what it has lost on these nodes alone.

        What others have lost since is thought to be there, and without a snapshot before all that
        others have lost: what nobody saw is not laid at the wave's door.
        """
        isr = self._isr(each)
        if own.isdisjoint(each.missing) or (isr is not None and len(isr) < each.needed):
            return False
        others = each.missing - own
        back = others if isr is None else others & isr
        return len(each.isr | back) < each.needed

    def _isr(self, each: _Under) -> frozenset[int] | None:
        """The ISR of the partition then; None when it was not there."""
        topic = self._topics.get(each.topic.name)
        partition = each.topic.ids[each.at]
        if topic is None or partition not in topic.ids:
            return None
        return in_sync(topic, topic.ids.index(partition), self._serving)


def _are_back(snapshot: ClusterSnapshot, nodes: Collection[int]) -> bool:
    """Whether these nodes are up, and in every ISR that they belong to."""
    brokers = snapshot.brokers_by_id
    if any(node not in brokers or brokers[node].is_down for node in nodes):
        return False
    wanted = frozenset(nodes)
    return not _lacking(snapshot, wanted).own
