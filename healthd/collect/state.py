"""What was seen last of one cluster: values are kept, and only their age grows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from healthd.collect.observation import PageSeen, PartitionKey, Reassigning, SectionSeen
from healthd.model.snapshot import (
    NO_LEADER,
    NOTHING,
    Broker,
    ClusterSnapshot,
    Probe,
    Quorum,
    Topic,
    Topics,
)
from healthd.model.words import EvidenceGroup

DAY_SECONDS: Final = 86_400.0
_NO_TOPICS: Final = Topics()


def _nothing() -> Mapping[Any, Any]:
    return NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment on both clocks."""

    monotonic: float
    """Seconds; all durations come from here."""
    wall: datetime
    """With a zone; only for `observedAt`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastValues:
    """Everything that outlives one round of collecting; times are monotonic seconds."""

    topics: Mapping[str, Topic] = field(default_factory=_nothing)
    """As metadata showed them, with min.insync.replicas; without what is added to them later."""
    rows: Topics = _NO_TOPICS
    """The same in their order; they remember what was made of them."""
    seen_topics: tuple[Topic, ...] | None = None
    """As the last metadata that counted gave them."""
    missing_once: frozenset[str] = frozenset()
    """Topics that the last metadata did not have, or had with fewer partitions."""
    leaderless_since: Mapping[PartitionKey, float] = field(default_factory=_nothing)
    reassigning: Mapping[PartitionKey, Reassigning] = field(default_factory=_nothing)
    reassignments: int | None = None
    """How many partitions; None: never seen."""
    listed: frozenset[int] = frozenset()
    """Brokers that the last metadata that counted listed."""
    brokers: Mapping[int, Broker] = field(default_factory=_nothing)
    quorum: Quorum | None = None
    absent_since: float | None = None
    """Since when there is no agreed leader; None: there is one, or it was never known."""
    leader_seen_at: float | None = None
    seen_at: Mapping[EvidenceGroup, float] = field(default_factory=_nothing)
    pages: Mapping[int, PageSeen] = field(default_factory=_nothing)
    page_at: Mapping[int, float] = field(default_factory=_nothing)
    """When each node's last page was read; survives a restart, which pages do not."""
    log_dirs_at: Mapping[int, float] = field(default_factory=_nothing)
    """When each broker last told how full its disks are."""
    unclean_elections: tuple[tuple[float, int], ...] | None = None
    """Increases with their times over 24 hours; None: no controller has told."""
    refused_since: float | None = None
    unreachable: bool | None = None
    probe: Probe | None = None
    sections: Mapping[str, SectionSeen] = field(default_factory=_nothing)
    """What further sources said last, by their name in `extra`."""
    silent_rounds: int = 0
    """So many rounds in a row brokers that answer did not say who leads."""
    hidden_rounds: int = 0
    """So many rounds in a row showed fewer topics than the controller counts."""

    @classmethod
    def from_snapshot(
        cls, snapshot: ClusterSnapshot, age_seconds: float, now: float
    ) -> "LastValues":
        """What a stored snapshot still tells, aged by the time that nobody looked.

        Args:
            snapshot: The last one that was written.
            age_seconds: How long ago that was; at least 0 whatever the clocks say.
            now: Monotonic seconds.
        """
        then = now - max(0.0, age_seconds)
        ages = snapshot.ages or {}
        quorum = snapshot.quorum
        absent = None if quorum is None else quorum.controller_absent_seconds
        count = snapshot.unclean_elections_24h
        topics = {topic.name: plain(topic) for topic in snapshot.topics}
        return cls(
            topics=topics,
            rows=Topics(topics.values()),
            leaderless_since=_leaderless_since(snapshot, then),
            reassigning=_reassigning(snapshot),
            reassignments=snapshot.reassignments,
            listed=frozenset(broker.id for broker in snapshot.brokers if broker.alive),
            brokers=snapshot.brokers_by_id,
            quorum=quorum,
            # A leader that was there then may have gone a second ago: its absence begins when it
            # is seen. One that was missing then has been missing since.
            absent_since=then - absent if absent else None,
            seen_at={group: then - age for group, age in ages.items() if age is not None},
            page_at={
                broker.id: then - age
                for broker in snapshot.brokers
                if (age := _page_age(snapshot, broker)) is not None
            },
            log_dirs_at={
                broker.id: then - broker.metrics_age_seconds
                for broker in snapshot.brokers
                if broker.disk_used_ratio is not None and broker.metrics_age_seconds is not None
            },
            unclean_elections=None if count is None else ((then, count),) if count else (),
            unreachable=snapshot.unreachable,
            probe=snapshot.probe,
            sections=_sections(snapshot, then),
        )


def plain(topic: Topic) -> Topic:
    """The topic without what is added to it after metadata."""
    if not (topic.adding or topic.removing or topic.elr or topic.leaderless_seconds):
        return topic
    return replace(topic, adding=NOTHING, removing=NOTHING, elr=NOTHING, leaderless_seconds=NOTHING)


def _page_age(snapshot: ClusterSnapshot, broker: Broker) -> float | None:
    if broker.request_handler_idle is None and broker.metrics_age_seconds is None:
        return None
    age = snapshot.metrics_age(broker)
    return None if age is None or age == float("inf") else age


def _sections(snapshot: ClusterSnapshot, then: float) -> dict[str, SectionSeen]:
    found: dict[str, SectionSeen] = {}
    for name, section in (snapshot.extra or {}).items():
        age = section.get("ageSeconds")
        if isinstance(age, int | float):
            found[name] = SectionSeen(body=section, at=then - age)
    return found


def _leaderless_since(snapshot: ClusterSnapshot, then: float) -> dict[PartitionKey, float]:
    found: dict[PartitionKey, float] = {}
    for topic in snapshot.topics:
        if NO_LEADER in topic.leaders:
            for at, leader in enumerate(topic.leaders):
                if leader == NO_LEADER:
                    seconds = topic.leaderless_seconds.get(at, 0.0)
                    found[topic.name, topic.ids[at]] = then - seconds
    return found


def _reassigning(snapshot: ClusterSnapshot) -> dict[PartitionKey, Reassigning]:
    found: dict[PartitionKey, Reassigning] = {}
    for topic in snapshot.topics:
        for at in {*topic.adding, *topic.removing}:
            found[topic.name, topic.ids[at]] = Reassigning(
                adding=topic.adding.get(at, frozenset()),
                removing=topic.removing.get(at, frozenset()),
            )
    return found
