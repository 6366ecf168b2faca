"""Topics of a snapshot: what metadata showed, what configs and reassignments add to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from healthd.collect.observation import MetadataSeen, PartitionKey, Reassigning
from healthd.collect.state import LastValues
from healthd.model.snapshot import NO_LEADER, Topic, Topics
from healthd.model.words import Excluded


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicsNow:
    """The topics after a round."""

    topics: Mapping[str, Topic]
    rows: Topics
    """The same in their order; the very object of the round before when nothing has changed."""
    missing_once: frozenset[str]
    leaderless_since: Mapping[PartitionKey, float]


def topics_now(
    last: LastValues,
    metadata: MetadataSeen | None,
    min_insync_replicas: Mapping[str, int] | None,
    now: float,
    *,
    probe_topic: str | None = None,
) -> TopicsNow:
    """The topics as last seen, with what this round says of them.

    A broker that has just started may list fewer topics, or a topic with fewer partitions, for a
    moment: such a one is gone when it is missing in two rounds in a row. healthd's own topic is
    marked: it is left out of the index.
    """
    if metadata is None or (metadata.topics is last.seen_topics and not last.missing_once):
        # What is missing once is gone when the same is seen again.
        topics = _with_min_isr(last.topics, min_insync_replicas)
        return TopicsNow(
            topics=topics,
            rows=last.rows if topics is last.topics else Topics(topics.values()),
            missing_once=last.missing_once,
            leaderless_since=last.leaderless_since,
        )
    found = {
        topic.name: _with_known_min_isr(topic, last.topics.get(topic.name))
        for topic in metadata.topics
    }
    own = None if probe_topic is None else found.get(probe_topic)
    if probe_topic is not None and own is not None and own.excluded is None:
        found[probe_topic] = replace(own, excluded=Excluded.PROBE)
    missing: set[str] = set()
    for name, before in last.topics.items():
        after = found.get(name)
        if after is not None and len(after.ids) >= len(before.ids):
            continue
        if name not in last.missing_once:
            missing.add(name)
            found[name] = before
    if missing:
        found = dict(sorted(found.items()))
    topics = _with_min_isr(found, min_insync_replicas)
    return TopicsNow(
        topics=topics,
        rows=Topics(topics.values()),
        missing_once=frozenset(missing),
        leaderless_since=_leaderless_since(topics.values(), last.leaderless_since, now),
    )


def _with_known_min_isr(topic: Topic, before: Topic | None) -> Topic:
    """The topic with the last known value where it has none: metadata never tells one."""
    if topic.min_insync_replicas is not None or before is None:
        return topic
    if before.min_insync_replicas is None:
        return topic
    return replace(topic, min_insync_replicas=before.min_insync_replicas)


def _with_min_isr(
    topics: Mapping[str, Topic], min_insync_replicas: Mapping[str, int] | None
) -> Mapping[str, Topic]:
    changed = {
        name: replace(topic, min_insync_replicas=value)
        for name, value in (min_insync_replicas or {}).items()
        if (topic := topics.get(name)) is not None and topic.min_insync_replicas != value
    }
    return {name: changed.get(name, topic) for name, topic in topics.items()} if changed else topics


def _leaderless_since(
    topics: Iterable[Topic], before: Mapping[PartitionKey, float], now: float
) -> dict[PartitionKey, float]:
    found: dict[PartitionKey, float] = {}
    for topic in topics:
        if NO_LEADER in topic.leaders:
            for at, leader in enumerate(topic.leaders):
                if leader == NO_LEADER:
                    key = (topic.name, topic.ids[at])
                    found[key] = before.get(key, now)
    return found


def shown_topics(
    now_topics: TopicsNow, reassigning: Mapping[PartitionKey, Reassigning], now: float
) -> tuple[Topic, ...]:
    """The topics as the snapshot has them; those that nothing is added to are the same objects."""
    concerned = {name for name, _ in now_topics.leaderless_since} | {
        name for name, _ in reassigning
    }
    if not concerned:
        return now_topics.rows
    return Topics(
        _shown(topic, now_topics.leaderless_since, reassigning, now) if name in concerned else topic
        for name, topic in now_topics.topics.items()
    )


def _shown(
    topic: Topic,
    leaderless_since: Mapping[PartitionKey, float],
    reassigning: Mapping[PartitionKey, Reassigning],
    now: float,
) -> Topic:
    adding: dict[int, frozenset[int]] = {}
    removing: dict[int, frozenset[int]] = {}
    seconds: dict[int, float] = {}
    for at, partition in enumerate(topic.ids):
        key = (topic.name, partition)
        since = leaderless_since.get(key)
        if since is not None and topic.leaders[at] == NO_LEADER:
            seconds[at] = max(0.0, round(now - since, 3))
        change = reassigning.get(key)
        if change is not None:
            # Metadata and the list of reassignments are read side by side: one may be newer.
            replicas = frozenset(topic.replicas[at])
            if change.adding & replicas:
                adding[at] = change.adding & replicas
            if change.removing & replicas:
                removing[at] = change.removing & replicas
    return replace(topic, adding=adding, removing=removing, leaderless_seconds=seconds)
