"""The quick ways through replication, trend and counterfactual, against their plain meaning."""

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.safety_snapshots import NODES, broker_sets, clusters

from healthd.health.counterfactual import as_if_back
from healthd.model.snapshot import NO_LEADER, ClusterSnapshot, Partition, Topic, Topics
from healthd.model.words import Excluded
from healthd.safety.replication import (
    assigned,
    counted,
    in_sync,
    is_whole,
    serving_brokers,
    troubled_topics,
)
from healthd.safety.trend import changes_between

calm = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
Change = tuple[str, str, str]


def is_plainly_whole(row: Partition, serving: frozenset[int]) -> bool:
    return (
        row.leader != NO_LEADER
        and not row.adding
        and set(row.isr) == set(row.replicas)
        and serving.issuperset(row.replicas)
    )


@calm
@given(clusters(), broker_sets)
def test_the_positions_that_are_looked_into_are_those_that_are_not_plainly_whole(
    snapshot: ClusterSnapshot, absent: frozenset[int]
) -> None:
    serving = serving_brokers(snapshot) - absent
    topics = Topics(snapshot.topics)
    found = troubled_topics(topics, serving)
    for topic in topics:
        expected = [at for at, row in enumerate(topic) if not is_plainly_whole(row, serving)]
        assert list(found.get(topic.name, ())) == expected
        assert (topic.name in found) is not is_whole(topic, serving)
    # Other brokers away are looked for anew.
    for other in (frozenset[int](), frozenset(NODES)):
        assert troubled_topics(topics, other) == troubled_topics(snapshot.topics, other)


@calm
@given(clusters())
def test_what_counts_at_many_positions_is_what_counts_at_each(snapshot: ClusterSnapshot) -> None:
    serving = serving_brokers(snapshot)
    for topic in snapshot.topics:
        places = range(len(topic))
        assert list(counted(topic, places, serving)) == [
            (at, assigned(topic, at), in_sync(topic, at, serving)) for at in places
        ]


def plain_changes(
    before: ClusterSnapshot, after: ClusterSnapshot, own: frozenset[int]
) -> Iterator[Change]:
    """What has changed between each two partitions of one name."""
    old = {topic.label(at): row for topic in before.topics for at, row in enumerate(topic)}
    for topic in after.topics:
        if topic.excluded is Excluded.DELETING:
            continue
        for at, row in enumerate(topic):
            label = topic.label(at)
            was = old.get(label)
            if was is None or topic.name not in {each.name for each in before.topics}:
                continue
            lost = (set(was.isr) - set(row.isr) - own) & set(row.replicas)
            if lost:
                names = ", ".join(map(str, sorted(lost)))
                yield "ISR_SHRINKING", label, f"broker {names} left the ISR"
            is_moved = was.leader != row.leader and min(was.leader, row.leader) >= 0
            if is_moved and was.leader not in own and row.leader != row.replicas[0]:
                words = f"its leader was broker {was.leader} and is {row.leader}"
                yield "LEADERSHIP_MOVING", label, f"{words}, not the preferred replica"


@calm
@given(before=clusters(), after=clusters(), own=broker_sets, is_like=st.booleans())
def test_what_has_changed_is_what_differs_between_each_two_partitions(
    *, before: ClusterSnapshot, after: ClusterSnapshot, own: frozenset[int], is_like: bool
) -> None:
    if is_like:
        # The same topics, some brokers later: the usual case.
        after = replace(before, topics=tuple(fallen(topic, own) for topic in before.topics))
        own = frozenset()
    found = {
        (hold.code.value, hold.object, hold.detail)
        for hold in changes_between(before, after, in_flight=own)
        if hold.object.partition(":")[0] != "cluster"
    }
    labels = [topic.label(at) for topic in after.topics for at in range(len(topic))]
    if len(set(labels)) == len(labels):  # "t-1" is a topic, and a partition of "t" as well.
        assert found == set(plain_changes(before, after, own))


def fallen(topic: Topic, gone: frozenset[int]) -> Topic:
    """The topic after these brokers have left every ISR that others are in."""
    rows = []
    for row in topic:
        isr = tuple(node for node in row.isr if node not in gone) or row.isr
        leader = row.leader if row.leader in isr else isr[0] if isr else NO_LEADER
        rows.append(replace(row, isr=isr, leader=leader))
    return Topic.of(
        topic.name, rows, min_insync_replicas=topic.min_insync_replicas, excluded=topic.excluded
    )


@calm
@given(snapshot=clusters(), nodes=broker_sets, is_all=st.booleans())
def test_a_partition_is_as_if_back_with_what_those_nodes_would_bring(
    *, snapshot: ClusterSnapshot, nodes: frozenset[int], is_all: bool
) -> None:
    if is_all:
        # Nothing but these nodes is away: the usual case.
        rows = tuple(fallen(topic, nodes) for topic in snapshot.topics)
        snapshot = replace(snapshot, topics=rows)
    back = as_if_back(snapshot, nodes)
    for topic, other in zip(snapshot.topics, back.topics, strict=True):
        for row, found in zip(topic, other, strict=True):
            brought = [n for n in row.replicas if n in nodes and n not in row.adding]
            assert set(found.isr) == {*row.isr, *brought}
            elected = brought[0] if brought else row.leader
            assert found.leader == (elected if row.leader < 0 else row.leader)
            assert (found.isr is found.replicas) is (set(found.isr) == set(found.replicas))
            assert replace(found, isr=(), leader=0, leaderless_seconds=None) == replace(
                row, isr=(), leader=0, leaderless_seconds=None
            )
