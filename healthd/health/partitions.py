"""What state every partition is in (health-index.md section 1), in one pass over the columns.

A cluster may have 100,000 partitions and nearly all of them are in sync: a topic without trouble
is recognised by C-level identity checks and costs no Python per partition.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from healthd.health.history import NO_HISTORY, History
from healthd.health.scoring import PartitionRisk
from healthd.health.words import PartitionState
from healthd.model.snapshot import Topic, remembered
from healthd.model.words import INTERNAL_TOPICS, REMOTE_LOG_METADATA_TOPIC

Places = tuple[tuple[Topic, tuple[int, ...]], ...]
"""Partitions, as topics with positions in their columns."""

_UNAVAILABLE: Final = (PartitionState.OFFLINE, PartitionState.UNDER_MIN_ISR)
"""Whoever writes with acks=all is refused in these states."""


def partition_state(
    *,
    leader: int,
    replicas: int,
    isr: int,
    min_insync_replicas: int | None,
    leaderless_seconds: float | None,
    grace_seconds: float,
) -> PartitionState:
    """The state of a partition with so many replicas (those being added left out) in sync.

    Args:
        leader: -1 when there is none.
        replicas: r of the document.
        isr: size of the ISR as reported.
        min_insync_replicas: None when unknown; then nothing is said about it.
        leaderless_seconds: None counts as past the grace.
        grace_seconds: how long an election may take.
    """
    if leader < 0:
        past_grace = leaderless_seconds is None or leaderless_seconds >= grace_seconds
        return PartitionState.OFFLINE if past_grace else PartitionState.AT_MIN_ISR
    return _state_with_leader(replicas, isr, min_insync_replicas)


@lru_cache(maxsize=1024)
def _state_with_leader(replicas: int, isr: int, min_insync_replicas: int | None) -> PartitionState:
    if min_insync_replicas is not None:
        minimum = min(min_insync_replicas, replicas)
        if isr < minimum:
            return PartitionState.UNDER_MIN_ISR
        if isr == minimum and isr < replicas:
            return PartitionState.AT_MIN_ISR
    return PartitionState.UNDER_REPLICATED if isr < replicas else PartitionState.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionTally:
    """How many partitions are in just each state."""

    total: int = 0
    offline: int = 0
    under_min_isr: int = 0
    at_min_isr: int = 0
    under_replicated: int = 0
    internal_unavailable: int = 0
    """Those of internal topics that are OFFLINE or UNDER_MIN_ISR; counted above as well."""

    def count(self, state: PartitionState) -> int:
        """How many are in just this state."""
        if state is PartitionState.OK:
            return (
                self.total
                - self.offline
                - self.under_min_isr
                - self.at_min_isr
                - self.under_replicated
            )
        found: int = getattr(self, state.value.lower())
        return found

    def share(self, count: int) -> float:
        """A count as a share of all partitions, 0 when there are none."""
        return count / self.total if self.total else 0.0

    @property
    def offline_share(self) -> float:
        """f_off: the share that is OFFLINE."""
        return self.share(self.offline)

    @property
    def under_min_isr_share(self) -> float:
        """f_um: the share that is UNDER_MIN_ISR or worse."""
        return self.share(self.offline + self.under_min_isr)

    @property
    def at_min_isr_share(self) -> float:
        """f_am: the share that is AT_MIN_ISR or worse."""
        return self.share(self.offline + self.under_min_isr + self.at_min_isr)

    def risk(self, risk: PartitionRisk) -> float:
        """R: the mean risk of a partition, 0 when there are none.

        Each share is rounded by itself, so a cluster k times as large has the very same risk.
        """
        return min(
            1.0,
            risk.offline * self.share(self.offline)
            + risk.under_min_isr * self.share(self.under_min_isr)
            + risk.at_min_isr * self.share(self.at_min_isr)
            + risk.under_replicated * self.share(self.under_replicated),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFacts:
    """The states of a cluster's partitions, excluded topics left out."""

    tally: PartitionTally
    pessimistic: PartitionTally
    """The tally in which what is behind an unknown min.insync.replicas is UNDER_MIN_ISR."""
    places: Mapping[PartitionState, Places]
    """Where the partitions of each state but OK are."""
    internal_unavailable: Places
    remote_log_unavailable: Places
    covered: int
    """Partitions whose state is certain: OFFLINE, in sync, or min.insync.replicas known."""

    @property
    def coverage(self) -> float:
        """The share of partitions whose state is certain, 1 when there are none."""
        return self.covered / self.tally.total if self.tally.total else 1.0


class _Reading:
    """The facts while they are gathered."""

    def __init__(self, grace_seconds: float, history: History) -> None:
        self.grace_seconds = grace_seconds
        self.under_min_isr_before = history.under_min_isr
        self.total = 0
        self.places: dict[PartitionState, list[tuple[Topic, tuple[int, ...]]]] = {
            state: [] for state in PartitionState if state is not PartitionState.OK
        }
        self.uncertain: dict[PartitionState, int] = dict.fromkeys(PartitionState, 0)
        self.uncertain_internal = 0

    def add(self, topic: Topic) -> None:
        """Take in one topic that is not untroubled."""
        found: dict[PartitionState, list[int]] = {}
        for at in _troubled(topic):
            state, is_uncertain = self._state(topic, at)
            if state is not PartitionState.OK:
                found.setdefault(state, []).append(at)
            if is_uncertain:
                self.uncertain[state] += 1
                self.uncertain_internal += topic.name in INTERNAL_TOPICS
        for state, positions in found.items():
            self.places[state].append((topic, tuple(positions)))

    def _state(self, topic: Topic, at: int) -> tuple[PartitionState, bool]:
        """The state of one partition, and whether min.insync.replicas would have to tell."""
        replicas = len(topic.replicas[at]) - len(topic.adding.get(at, ()))
        isr, minimum = len(topic.isrs[at]), topic.min_insync_replicas
        if topic.leaders[at] >= 0:
            # Few counts are those of thousands of partitions.
            state = _state_with_leader(replicas, isr, minimum)
            return state, minimum is None and isr < replicas
        state = partition_state(
            leader=topic.leaders[at],
            replicas=replicas,
            isr=isr,
            min_insync_replicas=minimum,
            leaderless_seconds=topic.leaderless_seconds.get(at),
            grace_seconds=self.grace_seconds,
        )
        if (
            state is PartitionState.AT_MIN_ISR
            and (topic.name, topic.ids[at]) in self.under_min_isr_before
        ):
            # An election must not make a partition look better than it was before.
            state = PartitionState.UNDER_MIN_ISR
        is_uncertain = minimum is None and state is not PartitionState.OFFLINE and isr < replicas
        return state, is_uncertain

    def facts(self) -> PartitionFacts:
        places = {state: tuple(found) for state, found in self.places.items()}
        unavailable = [place for state in _UNAVAILABLE for place in places[state]]
        internal = tuple(place for place in unavailable if place[0].name in INTERNAL_TOPICS)
        tally = PartitionTally(
            total=self.total,
            offline=count_of(places[PartitionState.OFFLINE]),
            under_min_isr=count_of(places[PartitionState.UNDER_MIN_ISR]),
            at_min_isr=count_of(places[PartitionState.AT_MIN_ISR]),
            under_replicated=count_of(places[PartitionState.UNDER_REPLICATED]),
            internal_unavailable=count_of(internal),
        )
        return PartitionFacts(
            tally=tally,
            pessimistic=self._pessimistic(tally),
            places=places,
            internal_unavailable=internal,
            remote_log_unavailable=tuple(
                place for place in unavailable if place[0].name == REMOTE_LOG_METADATA_TOPIC
            ),
            covered=self.total - sum(self.uncertain.values()),
        )

    def _pessimistic(self, tally: PartitionTally) -> PartitionTally:
        # Those that a history already shows under min ISR stay where they are.
        counted = self.uncertain[PartitionState.UNDER_MIN_ISR]
        return replace(
            tally,
            under_min_isr=tally.under_min_isr + sum(self.uncertain.values()) - counted,
            at_min_isr=tally.at_min_isr - self.uncertain[PartitionState.AT_MIN_ISR],
            under_replicated=tally.under_replicated
            - self.uncertain[PartitionState.UNDER_REPLICATED],
            internal_unavailable=tally.internal_unavailable + self.uncertain_internal,
        )


def read_partitions(
    topics: Iterable[Topic], *, grace_seconds: float, history: History = NO_HISTORY
) -> PartitionFacts:
    """The states of all partitions of these topics, excluded topics left out."""
    reading = _Reading(grace_seconds, history)
    reading.total, troubled = remembered(
        topics, "troubled topics", None, lambda: _total_and_troubled(topics)
    )
    for topic in troubled:
        reading.add(topic)
    return reading.facts()


def _total_and_troubled(topics: Iterable[Topic]) -> tuple[int, tuple[Topic, ...]]:
    """How many partitions there are, and the topics that have to be looked into."""
    counted = [topic for topic in topics if topic.excluded is None]
    troubled = tuple(topic for topic in counted if not is_untroubled(topic))
    return sum(map(len, counted)), troubled


def is_untroubled(topic: Topic) -> bool:
    """Whether every partition has a leader and shares one tuple for replicas and ISR."""
    return not topic.unsynced and min(topic.leaders, default=0) >= 0


def replica_counts(topic: Topic) -> Collection[int]:
    """The different r of a topic's partitions: replicas without those being added."""
    if not topic.adding:
        return set(map(len, topic.replicas))
    return {
        len(replicas) - len(topic.adding.get(at, ())) for at, replicas in enumerate(topic.replicas)
    }


def count_of(places: Places) -> int:
    """How many partitions these are."""
    return sum(len(positions) for _, positions in places)


def _troubled(topic: Topic) -> Iterable[int]:
    if min(topic.leaders) >= 0:
        return topic.unsynced
    leaderless = (at for at, leader in enumerate(topic.leaders) if leader < 0)
    return sorted({*topic.unsynced, *leaderless})
