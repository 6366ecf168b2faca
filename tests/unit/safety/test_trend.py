"""What two consecutive snapshots show together (restart-safety.md section 2)."""

from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_partition, a_quorum, a_snapshot, a_topic

from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import Excluded, QuorumMode
from healthd.safety.trend import changes_between


def of(*rows: dict[str, Any], **topic: Any) -> ClusterSnapshot:
    partitions = [a_partition(at, **row) for at, row in enumerate(rows)]
    return a_snapshot(a_topic("t", partitions, **topic))


def changes(
    before: ClusterSnapshot, after: ClusterSnapshot, *in_flight: int
) -> list[tuple[str, str]]:
    found = changes_between(before, after, in_flight=in_flight)
    assert all(reason.detail for reason in found)
    return [(reason.code.value, reason.object) for reason in found]


def led(leader: int | None) -> ClusterSnapshot:
    return a_snapshot(quorum=a_quorum(leader_id=leader))


CONTROLLER_CHANGED = [("CONTROLLER_CHANGED", "cluster:payments")]


@pytest.mark.parametrize(
    ("before", "after", "in_flight", "expected"),
    [
        pytest.param(1, 1, (), [], id="the same"),
        pytest.param(1, 2, (), CONTROLLER_CHANGED, id="another"),
        pytest.param(1, 2, (1,), [], id="away from a node in flight"),
        pytest.param(1, 2, (2,), CONTROLLER_CHANGED, id="towards a node in flight"),
        pytest.param(-1, 2, (), [], id="there was none"),
        pytest.param(1, -1, (), [], id="there is none: a hold of that snapshot"),
        pytest.param(None, 2, (), [], id="not known before"),
    ],
)
def test_controller_changes(
    before: int | None, after: int | None, in_flight: tuple[int, ...], expected: list[Any]
) -> None:
    assert changes(led(before), led(after), *in_flight) == expected


def test_the_controller_of_zookeeper_mode_may_change_too() -> None:
    before = a_snapshot(quorum=a_quorum(mode=QuorumMode.ZOOKEEPER, leader_id=1))
    after = a_snapshot(quorum=a_quorum(mode=QuorumMode.ZOOKEEPER, leader_id=2))
    assert changes(before, after) == CONTROLLER_CHANGED


def test_a_quorum_that_is_not_seen_is_no_change() -> None:
    assert changes(a_snapshot(quorum=None), a_snapshot()) == []
    assert changes(a_snapshot(), a_snapshot(quorum=None)) == []


SHRINKING = [("ISR_SHRINKING", "t-0")]


@pytest.mark.parametrize(
    ("before", "after", "in_flight", "expected"),
    [
        pytest.param({}, {}, (), [], id="whole and whole"),
        pytest.param({}, {"isr": (1, 2)}, (), SHRINKING, id="one left"),
        pytest.param({}, {"isr": (1, 2)}, (3,), [], id="one in flight left"),
        pytest.param({}, {"isr": (1,)}, (3,), SHRINKING, id="another left beside it"),
        pytest.param({"isr": (1, 2)}, {}, (), [], id="one came back"),
        pytest.param({"isr": (1, 2)}, {"isr": (1, 3)}, (), SHRINKING, id="one left, one came"),
        pytest.param({"isr": (1, 2, 3)}, {"isr": (3, 2, 1)}, (), [], id="another order"),
        pytest.param(
            {}, {"replicas": (1, 2, 4), "isr": (1, 2, 4)}, (), [], id="a replica was moved away"
        ),
    ],
)
def test_isr_shrinks(
    before: dict[str, Any], after: dict[str, Any], in_flight: tuple[int, ...], expected: list[Any]
) -> None:
    assert changes(of(before), of(after), *in_flight) == expected


MOVING = [("LEADERSHIP_MOVING", "t-0")]


@pytest.mark.parametrize(
    ("before", "after", "in_flight", "expected"),
    [
        pytest.param(1, 2, (), MOVING, id="away from the preferred replica"),
        pytest.param(2, 3, (), MOVING, id="from one to another"),
        pytest.param(2, 1, (), [], id="to the preferred replica"),
        pytest.param(1, 2, (1,), [], id="away from a node in flight"),
        pytest.param(1, 2, (2,), MOVING, id="towards a node in flight that is not preferred"),
        pytest.param(1, -1, (), [], id="to nobody: a hold of that snapshot"),
        pytest.param(-1, 2, (), [], id="from nobody"),
    ],
)
def test_leadership_moves(
    before: int, after: int, in_flight: tuple[int, ...], expected: list[Any]
) -> None:
    assert changes(of({"leader": before}), of({"leader": after}), *in_flight) == expected


def test_partitions_are_matched_by_topic_and_id() -> None:
    before = a_snapshot(a_topic("u"), a_topic("t", [a_partition(0, isr=(1, 2)), a_partition(1)]))
    after = a_snapshot(
        a_topic("t", [a_partition(1), a_partition(2), a_partition(0, isr=(1, 2))]), a_topic("u")
    )
    assert changes(before, after) == []


def test_new_and_deleted_topics_are_no_change() -> None:
    before = a_snapshot(a_topic("old"), a_topic("dying"))
    after = a_snapshot(
        a_topic("new", [a_partition(isr=(1,))]),
        a_topic("dying", [a_partition(isr=(1,))], excluded=Excluded.DELETING),
    )
    assert changes(before, after) == []


def test_a_snapshot_that_shares_its_topics_shows_no_change_of_partitions() -> None:
    before = a_snapshot()
    assert changes(before, replace(before, quorum=a_quorum(leader_id=2))) == CONTROLLER_CHANGED


def test_details_name_who_moved() -> None:
    found = changes_between(of({}), of({"isr": (2,), "leader": 2}))
    assert [reason.detail for reason in found] == [
        "broker 1, 3 left the ISR",
        "its leader was broker 1 and is 2, not the preferred replica",
    ]
