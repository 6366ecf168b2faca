"""What is done next about the probe's topic, and what is left alone."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.collect.probe_topic import (
    AddPartitions,
    CreateTopic,
    ElectPreferred,
    Places,
    Reassign,
    SetMinIsr,
    next_step,
    replicas_led_by,
)
from healthd.model.snapshot import Partition

FIVE = Places(
    up=frozenset({1, 2, 3, 4, 5}),
    expected=frozenset({1, 2, 3, 4, 5}),
    racks={1: "a", 2: "a", 3: "b", 4: "b", 5: "c"},
)


def rows(assignments: Sequence[Sequence[int]], **leaders: int) -> list[Partition]:
    return [
        Partition(
            id=at,
            leader=leaders.get(f"p{at}", replicas[0]),
            replicas=tuple(replicas),
            isr=tuple(replicas),
        )
        for at, replicas in enumerate(assignments)
    ]


def made(places: Places) -> list[Partition]:
    step = next_step((), places, None)
    assert isinstance(step, CreateTopic)
    return rows(step.assignments)


def test_a_missing_topic_is_made_with_a_partition_led_by_every_broker_over_all_racks() -> None:
    partitions = made(FIVE)
    assert [row.leader for row in partitions] == [1, 2, 3, 4, 5]
    for row in partitions:
        assert len(set(row.replicas)) == 3
        assert {FIVE.racks[node] for node in row.replicas} == {"a", "b", "c"}
    assert next_step(partitions, FIVE, 1) is None


@pytest.mark.parametrize(("brokers", "factor"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_there_are_three_replicas_or_as_many_as_there_are_brokers(
    brokers: int, factor: int
) -> None:
    nodes = frozenset(range(1, brokers + 1))
    assert {len(row.replicas) for row in made(Places(up=nodes, expected=nodes))} == {factor}


def test_a_topic_is_made_on_those_that_are_up_even_while_somebody_is_down() -> None:
    step = next_step((), Places(up=frozenset({1, 2, 3}), expected=frozenset({1, 2, 3, 4})), None)
    assert isinstance(step, CreateTopic)
    assert {replicas[0] for replicas in step.assignments} == {1, 2, 3}


def test_nothing_is_moved_while_an_expected_broker_is_down() -> None:
    # A wave has it down, or it died: moving replicas now would be in the way.
    partitions = made(FIVE)
    without = Places(up=FIVE.expected - {4}, expected=FIVE.expected, racks=FIVE.racks)
    displaced = rows([row.replicas for row in partitions], p3=5)
    assert next_step(displaced, without, 1) is None


def test_a_new_broker_gets_a_partition_of_its_own() -> None:
    four = frozenset({1, 2, 3, 4})
    plain = Places(up=FIVE.up, expected=FIVE.expected)
    step = next_step(made(Places(up=four, expected=four)), plain, 1)
    assert isinstance(step, AddPartitions)
    assert step.count == 5
    assert [replicas[0] for replicas in step.assignments] == [5]


def test_a_broker_that_is_gone_for_good_leaves_no_replica_behind() -> None:
    four = Places(up=frozenset({1, 2, 3, 4}), expected=frozenset({1, 2, 3, 4}))
    step = next_step(made(FIVE), four, 1)
    assert isinstance(step, Reassign)
    assert all(5 not in replicas for replicas in step.replicas.values())
    after = rows([step.replicas.get(row.id, row.replicas) for row in made(FIVE)])
    assert next_step(after, four, 1) is None


def test_replicas_are_spread_over_the_racks_once_those_are_known() -> None:
    plain = Places(up=FIVE.up, expected=FIVE.expected)
    step = next_step(made(plain), FIVE, 1)
    assert isinstance(step, Reassign)
    after = rows([step.replicas.get(row.id, row.replicas) for row in made(plain)])
    assert all({FIVE.racks[node] for node in row.replicas} == {"a", "b", "c"} for row in after)
    assert next_step(after, FIVE, 1) is None


def test_the_partition_of_one_that_is_gone_is_given_to_one_that_is_new() -> None:
    nodes = frozenset({1, 2, 3, 4, 6})
    step = next_step(made(FIVE), Places(up=nodes, expected=nodes), 1)
    assert isinstance(step, Reassign)
    assert {replicas[0] for replicas in step.replicas.values()} >= {6}
    after = rows([step.replicas.get(row.id, row.replicas) for row in made(FIVE)])
    assert {row.replicas[0] for row in after} == nodes


def test_one_broker_s_topic_gets_its_replicas_when_others_join() -> None:
    alone = Places(up=frozenset({1}), expected=frozenset({1}))
    step = next_step(made(alone), FIVE, 1)
    assert isinstance(step, Reassign)
    assert len(step.replicas[0]) == 3


def test_leaders_that_have_moved_are_elected_back_when_their_replica_is_in_sync() -> None:
    assignments = [row.replicas for row in made(FIVE)]
    assert next_step(rows(assignments, p1=3), FIVE, 1) == ElectPreferred(partitions=(1,))
    behind = rows(assignments, p1=3)
    behind[1] = Partition(id=1, leader=3, replicas=assignments[1], isr=assignments[1][1:])
    assert next_step(behind, FIVE, 1) is None
    assert next_step(rows(assignments, p1=-1), FIVE, 1) is None


def test_min_isr_that_somebody_raised_is_set_back_even_while_a_broker_is_down() -> None:
    without = Places(up=FIVE.expected - {4}, expected=FIVE.expected)
    assert next_step(made(FIVE), without, 2) == SetMinIsr()


def test_a_reassignment_under_way_is_waited_for() -> None:
    partitions = made(FIVE)
    moving = Partition(id=0, leader=1, replicas=(1, 3, 5, 2), isr=(1, 3, 5), adding=frozenset({2}))
    assert next_step([moving, *partitions[1:]], FIVE, 1) is None


def test_without_any_broker_there_is_nothing_to_do() -> None:
    assert next_step((), Places(up=frozenset(), expected=frozenset({1})), None) is None


NODES = st.frozensets(st.integers(0, 30), min_size=1, max_size=12)


@given(before=NODES, after=NODES, racks=st.dictionaries(st.integers(0, 30), st.sampled_from("abc")))
def test_whoever_comes_and_goes_it_settles_with_every_broker_leading_one(
    before: frozenset[int], after: frozenset[int], racks: dict[int, str]
) -> None:
    partitions = made(Places(up=before, expected=before, racks=racks))
    places = Places(up=after, expected=after, racks=racks)
    for _ in range(4):
        step = next_step(partitions, places, 1)
        if step is None:
            break
        if isinstance(step, Reassign):
            partitions = rows([step.replicas.get(row.id, row.replicas) for row in partitions])
        elif isinstance(step, AddPartitions):
            partitions = rows([*[row.replicas for row in partitions], *step.assignments])
    assert next_step(partitions, places, 1) is None
    assert {row.leader for row in partitions} == after
    assert all(set(row.replicas) <= after for row in partitions)
    assert all(len(set(row.replicas)) == min(3, len(after)) for row in partitions)


@given(nodes=NODES, racks=st.dictionaries(st.integers(0, 30), st.sampled_from("abc")))
def test_replicas_are_in_as_many_racks_as_there_are(
    nodes: frozenset[int], racks: dict[int, str]
) -> None:
    places = Places(up=nodes, expected=nodes, racks=racks)
    for node in nodes:
        found = replicas_led_by(node, places)
        # A broker without a rack may be anywhere.
        others = {racks[one] for one in nodes - {node} if one in racks} - {racks.get(node)}
        told = {racks[one] for one in found[1:] if one in racks} - {racks.get(node)}
        assert len(told) >= min(len(others), len(found) - 1)
