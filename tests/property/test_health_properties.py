"""What holds for the Health Index of every snapshot (health-index.md section 7)."""

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.snapshots import (
    a_broker,
    a_partition,
    a_quorum,
    a_snapshot,
    a_topic,
    brokers,
    probes,
    quorums,
    snapshots,
)

from healthd.health.index import HealthReport, evaluate
from healthd.health.report_json import as_json
from healthd.model.parse import snapshot_of
from healthd.model.render import render_snapshot
from healthd.model.snapshot import (
    Broker,
    ClusterSnapshot,
    Partition,
    Probe,
    Quorum,
    Topic,
)
from healthd.model.words import EvidenceGroup

NOISE = 1e-9
Change = Callable[[Partition], Partition]


def index(snapshot: ClusterSnapshot) -> float:
    return evaluate(snapshot).health_index


def never_rises(before: ClusterSnapshot, after: ClusterSnapshot) -> None:
    assert index(after) <= index(before) + NOISE


@given(snapshots())
def test_index_and_bounds_are_finite_bounded_and_in_order(snapshot: ClusterSnapshot) -> None:
    report = evaluate(snapshot)
    assert 0 <= report.lower <= report.health_index <= report.upper <= 100
    assert 0 <= report.completeness <= 1
    if report.completeness == 1:
        assert math.isclose(report.lower, report.upper, abs_tol=NOISE)


@given(snapshots())
def test_the_decomposition_adds_up(snapshot: ClusterSnapshot) -> None:
    report = evaluate(snapshot)
    taken = sum(row.points for row in report.contributions) + report.cap_penalty
    assert math.isclose(taken, 100 - report.health_index, abs_tol=NOISE)
    assert all(row.points >= 0 for row in report.contributions)
    assert (report.binding_cap is not None) == (report.cap_penalty > NOISE)
    assert report.binding_cap in (None, *(cap.code for cap in report.caps[:1]))


@given(snapshots())
def test_every_cap_holds(snapshot: ClusterSnapshot) -> None:
    report = evaluate(snapshot)
    limits = {"PARTITION_OFFLINE": 60, "INTERNAL_TOPIC_UNAVAILABLE": 45,
              "PARTITION_UNDER_MIN_ISR": 69, "UNREACHABLE": 0}  # fmt: skip
    for check in report.checks:
        assert report.health_index <= limits.get(check.code, 100)
    assert all(report.health_index <= cap.cap + NOISE for cap in report.caps)


@given(snapshots())
def test_a_snapshot_read_back_from_its_json_gives_the_same_report(
    snapshot: ClusterSnapshot,
) -> None:
    again = snapshot_of(render_snapshot(snapshot))
    assert as_json(evaluate(again)) == as_json(evaluate(snapshot))


@given(snapshots(), st.randoms(use_true_random=False))
def test_order_changes_nothing(snapshot: ClusterSnapshot, random: Random) -> None:
    assert as_json(evaluate(shuffled(snapshot, random))) == as_json(evaluate(snapshot))


def shuffled(snapshot: ClusterSnapshot, random: Random) -> ClusterSnapshot:
    def mixed(rows: Any) -> tuple[Any, ...]:
        return tuple(random.sample(list(rows), len(rows)))

    def topic(old: Topic) -> Topic:
        rows = [
            replace(row, replicas=mixed(row.replicas), isr=mixed(row.isr))
            for row in mixed(tuple(old))
        ]
        return rebuilt(old, rows)

    quorum = snapshot.quorum
    return replace(
        snapshot,
        brokers=mixed(snapshot.brokers),
        topics=mixed(tuple(map(topic, snapshot.topics))),
        quorum=quorum and replace(quorum, voters=mixed(quorum.voters)),
    )


def rebuilt(topic: Topic, rows: list[Partition]) -> Topic:
    return Topic.of(
        topic.name,
        rows,
        min_insync_replicas=topic.min_insync_replicas,
        excluded=topic.excluded,
    )


@given(snapshots(), st.integers(2, 4))
def test_a_cluster_k_times_as_large_has_the_same_index(snapshot: ClusterSnapshot, k: int) -> None:
    before, after = evaluate(snapshot), evaluate(multiplied(snapshot, k))

    def numbers(report: HealthReport) -> list[float]:
        return [report.health_index, report.lower, report.upper, report.completeness]

    for one, other in zip(numbers(before), numbers(after), strict=True):
        assert math.isclose(one, other, abs_tol=NOISE)
    assert [cap.code for cap in before.caps] == [cap.code for cap in after.caps]


def multiplied(snapshot: ClusterSnapshot, k: int) -> ClusterSnapshot:
    def moved(row: Partition, copy: int) -> Partition:
        shift = 1000 * copy
        return replace(
            row,
            id=row.id + shift,
            leader=row.leader if row.leader < 0 else row.leader + shift,
            replicas=tuple(node + shift for node in row.replicas),
            isr=tuple(node + shift for node in row.isr),
            adding=frozenset(node + shift for node in row.adding),
        )

    return replace(
        snapshot,
        brokers=tuple(
            replace(broker, id=broker.id + 1000 * copy)
            for copy in range(k)
            for broker in snapshot.brokers
        ),
        topics=tuple(
            rebuilt(topic, [moved(row, copy) for copy in range(k) for row in topic])
            for topic in snapshot.topics
        ),
    )


# --- Worse is never better ---------------------------------------------------------------------


def loses_its_leader(row: Partition) -> Partition:
    return replace(row, leader=-1, leaderless_seconds=None)


def loses_a_replica_in_sync(row: Partition) -> Partition:
    # Without leader the ISR says nothing: losing a member is no worse state then.
    return replace(row, isr=row.isr[1:]) if row.leader >= 0 else row


@given(
    snapshots(),
    st.sampled_from([loses_its_leader, loses_a_replica_in_sync]),
    st.randoms(use_true_random=False),
)
def test_worse_partitions_never_raise_it(
    snapshot: ClusterSnapshot, worsen: Change, random: Random
) -> None:
    worse = tuple(
        rebuilt(topic, [worsen(row) if random.random() < 0.5 else row for row in topic])
        for topic in snapshot.topics
    )
    never_rises(snapshot, replace(snapshot, topics=worse))


def changed(snapshot: ClusterSnapshot, node: int, **changes: Any) -> ClusterSnapshot:
    return replace(
        snapshot,
        brokers=tuple(
            replace(broker, **changes) if broker.id == node else broker
            for broker in snapshot.brokers
        ),
    )


@given(snapshots(), st.data())
def test_a_worse_broker_never_raises_it(snapshot: ClusterSnapshot, data: st.DataObject) -> None:
    broker: Broker = data.draw(brokers(3))
    others = tuple(other for other in snapshot.brokers if other.id != broker.id)
    snapshot = replace(snapshot, brokers=(*others, broker))
    worse: list[dict[str, Any]] = [{"alive": False}, {"fenced": True}]
    if broker.request_handler_idle is not None:
        idle = data.draw(st.floats(0, broker.request_handler_idle))
        worse.append({"request_handler_idle": idle})
    if broker.disk_used_ratio is not None:
        worse.append({"disk_used_ratio": data.draw(st.floats(broker.disk_used_ratio, 1))})
    for changes in worse:
        never_rises(snapshot, changed(snapshot, broker.id, **changes))


@given(snapshots(), quorums(), st.floats(0, 1000))
def test_a_longer_absence_of_the_controller_never_raises_it(
    snapshot: ClusterSnapshot, quorum: Quorum, more: float
) -> None:
    absent = (quorum.controller_absent_seconds or 0.0) + more
    before = replace(snapshot, quorum=quorum)
    never_rises(before, replace(snapshot, quorum=replace(quorum, absent_seconds=absent)))


@given(snapshots(), probes(), st.data())
def test_more_failed_probes_never_raise_it(
    snapshot: ClusterSnapshot, probe: Probe, data: st.DataObject
) -> None:
    fewer = data.draw(st.integers(0, probe.succeeded))
    before = replace(snapshot, probe=probe)
    never_rises(before, replace(snapshot, probe=replace(probe, succeeded=fewer)))


@given(snapshots(), st.floats(0, 1000), st.data())
def test_without_new_data_it_never_rises(
    snapshot: ClusterSnapshot, seconds: float, data: st.DataObject
) -> None:
    ages = {EvidenceGroup.METADATA: 1.0, **(snapshot.ages or {})}
    snapshot = replace(snapshot, ages=ages)
    group = data.draw(st.sampled_from(sorted(ages)))
    age = ages[group]
    stale = replace(snapshot, ages={**ages, group: None if age is None else age + seconds})
    never_rises(snapshot, stale)
    assert evaluate(stale).completeness <= evaluate(snapshot).completeness + NOISE


@given(snapshots(), st.integers(1, 50))
def test_healthy_partitions_never_lower_it(snapshot: ClusterSnapshot, many: int) -> None:
    up = [
        broker.id
        for broker in snapshot.brokers
        if not broker.is_down and not broker.is_pure_controller
    ]
    replicas = tuple(up[:3])
    rows = [
        Partition(id=number, leader=0, replicas=replicas, isr=replicas) for number in range(many)
    ]
    more = replace(
        snapshot, topics=(*snapshot.topics, Topic.of("new", rows, min_insync_replicas=1))
    )
    never_rises(more, snapshot)


@given(st.integers(1, 30), st.integers(0, 60), st.integers(1, 5))
def test_all_healthy_is_exactly_100(nodes: int, many: int, replicas: int) -> None:
    factor = min(nodes, replicas)
    rows = [
        a_partition(
            number,
            leader=number % nodes,
            replicas=(found := tuple((number + at) % nodes for at in range(factor))),
            isr=found,
        )
        for number in range(many)
    ]
    snapshot = a_snapshot(
        a_topic("t", rows, min_insync_replicas=max(1, factor - 1)),
        brokers=tuple(map(a_broker, range(nodes))),
        quorum=a_quorum(),
    )
    report = evaluate(snapshot)
    assert [report.lower, report.health_index, report.upper] == [100, 100, 100]
    assert {check.code.value for check in report.checks} <= {"RF_ONE"}
