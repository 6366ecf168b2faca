"""Whom a wave takes next: what the order, those in flight and the last look say beside the plan."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_broker, a_partition, a_quorum, a_topic
from support.step_playbooks import beside
from support.waves import QUICK, a_run, a_wave, snapshot_at

from healthd.model.reason import Reason
from healthd.model.snapshot import Voter
from healthd.model.words import QuorumMode, Role
from healthd.waves.choice import Choice, pick
from healthd.waves.gate import Reading
from healthd.waves.state import NodeRun, NodeStatus, WaveState
from healthd.waves.step_run import NodeSteps

IDS = (1, 2, 3, 11, 12, 13, 14, 15, 16)
PAIRS = ((11, 13, 15), (12, 14, 16), (11, 14, 15), (12, 13, 16))
"""11 and 12, 13 and 14, 15 and 16 share no partition: they may go together."""
FIVE_VOTERS = a_quorum(
    voters=tuple(Voter(id=node, last_caught_up_ms=10_000) for node in (1, 2, 3, 21, 22))
)
"""It can spare two at a time, and no wave takes two of them."""


def chosen(
    state: WaveState,
    *rows: tuple[int, ...],
    among: Collection[int] | None = None,
    repairs: Collection[int] = (),
    **changes: Any,
) -> Choice:
    """Who is taken where a topic has these replicas and these nodes wait for repair."""
    topic = a_topic(
        partitions=[
            a_partition(number, leader=row[0], replicas=row, isr=row)
            for number, row in enumerate(rows)
        ]
    )
    listed = tuple(a_broker(node, fenced=node in repairs) for node in IDS)
    snapshot = snapshot_at(0.0, **({"brokers": listed, "topics": (topic,)} | changes))
    reading = Reading(holds=(), repairs=frozenset(repairs), index=100.0)
    return pick(state, snapshot, reading, among=among)


def words(reasons: Collection[Reason]) -> list[str]:
    return [f"{each.code.value} {each.object}: {each.detail}" for each in reasons]


def soaking(node: int) -> NodeRun:
    return a_run(node, NodeStatus.SOAKING)


# --- One after the other -------------------------------------------------------------------------


def test_a_node_that_the_cluster_does_not_list_is_named_with_what_is_wrong() -> None:
    assert words(chosen(a_wave(9)).blockers) == [
        "BROKER_STATE_UNKNOWN broker:9: the wave is to take it, and the cluster does not list it"
    ]


def test_each_that_is_blocked_is_told_once_and_by_name() -> None:
    found = chosen(a_wave(11, 12, 13), (11,), (12,), (13,))
    assert not found.nodes
    assert [(each.code.value, each.object) for each in found.blockers] == [
        ("RF_ONE", "orders-0"),
        ("RF_ONE", "orders-1"),
        ("RF_ONE", "orders-2"),
    ]
    assert [each.detail.rpartition(" (")[2] for each in found.blockers] == [
        "if broker 11 stopped now)",
        "if broker 12 stopped now)",
        "if broker 13 stopped now)",
    ]


def test_what_the_policy_accepts_holds_for_whoever_is_not_the_first_too() -> None:
    lone = a_topic("lone", [a_partition(0, leader=12, replicas=(12,), isr=(12,))])
    other = a_topic("other", [a_partition(0, leader=11, replicas=(11,), isr=(11,))])
    accepting = a_wave(11, 12, policy=replace(QUICK, allow_rf_one=("lone",)))
    assert chosen(accepting, topics=(lone, other)).nodes == (12,)
    assert not chosen(a_wave(11, 12), topics=(lone, other)).nodes


def test_a_second_controller_waits_although_the_quorum_could_spare_it() -> None:
    for in_flight, expected in ((1, ()), (11, (2,))):
        state = a_wave(soaking(in_flight), 2, 3, concurrency=None)
        assert chosen(state, quorum=FIVE_VOTERS).nodes == expected


def test_a_controller_in_flight_that_is_not_listed_keeps_the_others_too() -> None:
    in_flight = soaking(21)
    assert not chosen(a_wave(in_flight, 2, 3, concurrency=None), quorum=FIVE_VOTERS).nodes
    assert not chosen(a_wave(in_flight, 11, concurrency=None), quorum=FIVE_VOTERS).nodes
    assert chosen(a_wave(in_flight, 11, concurrency=None)).nodes == (11,)


def test_a_controller_that_has_no_vote_yet_keeps_the_others_too() -> None:
    joining = tuple(
        a_broker(node, roles=frozenset({Role.CONTROLLER}) if node == 11 else None) for node in IDS
    )
    assert not chosen(a_wave(soaking(11), 2, 3, concurrency=None), brokers=joining).nodes


def test_a_controller_that_waits_only_for_those_in_flight_is_in_the_ordinary_course() -> None:
    state = a_wave(soaking(11), 2, 3, concurrency=None)
    shared = ((11, 2, 3),)
    assert chosen(state, *shared) == Choice()
    assert chosen(a_wave(2, 3), *shared).nodes == (2,)


def test_in_zookeeper_mode_the_ids_of_the_ensemble_keep_no_broker() -> None:
    zookeeper = a_quorum(mode=QuorumMode.ZOOKEEPER, leader_id=3)
    assert chosen(a_wave(soaking(1), 2, concurrency=None), quorum=zookeeper).nodes == (2,)


# --- Repairs -------------------------------------------------------------------------------------


def test_a_repair_of_a_controller_goes_alone_although_the_quorum_could_spare_two() -> None:
    state = a_wave(2, 3, 11, concurrency=None)
    assert chosen(state, quorum=FIVE_VOTERS, repairs=(2, 3)).nodes == (2,)
    assert chosen(state, quorum=FIVE_VOTERS, repairs=(2, 11)).nodes == (2, 11)


def test_a_repair_that_may_hold_the_only_data_left_does_not_go_along_with_another() -> None:
    offline = a_topic(partitions=[a_partition(leader=-1, replicas=(12, 13, 14), isr=(12,))])
    state = a_wave(11, 12, concurrency=None)
    assert chosen(state, repairs=(11, 12), topics=(offline,)).nodes == (11,)
    assert chosen(state, repairs=(11, 12)).nodes == (11, 12)


# --- Who goes before the others ------------------------------------------------------------------


def test_one_at_a_time_too_who_is_prepared_goes_first() -> None:
    prepared = NodeRun(node=13, steps=NodeSteps(is_prepared=True))
    assert chosen(a_wave(11, 12, prepared), *PAIRS).nodes == (13,)
    assert chosen(a_wave(11, 12, 13), *PAIRS).nodes == (11,)


def test_in_zookeeper_mode_the_active_controller_is_the_last_of_those_that_wait() -> None:
    state, active = a_wave(11, 12), a_quorum(mode=QuorumMode.ZOOKEEPER, leader_id=11)
    assert chosen(state, *PAIRS, quorum=active).nodes == (12,)


def test_of_a_playbook_that_stops_nothing_those_that_were_looked_at_go_and_nobody_else() -> None:
    state = a_wave(1, 11, 12, playbook=beside(), concurrency=2)
    assert chosen(state).nodes == (1, 11)
    assert chosen(state, among={12, 1}).nodes == (1, 12)


# --- Several at a time ---------------------------------------------------------------------------


def test_nobody_goes_while_the_cluster_has_no_controller_and_everybody_is_told_why() -> None:
    found = chosen(a_wave(11, 12, concurrency=None), *PAIRS, quorum=a_quorum(leader_id=-1))
    assert not found.nodes
    assert [each.code.value for each in found.blockers] == ["CONTROLLER_ABSENT"] * 2


def test_where_nobody_can_be_spared_the_blockers_of_each_are_told() -> None:
    found = chosen(a_wave(11, 12, concurrency=None), (11,), (12,))
    assert [each.object for each in found.blockers] == ["orders-0", "orders-1"]


def test_whoever_waits_only_for_those_in_flight_is_in_the_ordinary_course() -> None:
    state = a_wave(soaking(11), 13, concurrency=None)
    assert chosen(state, *PAIRS) == Choice()


@pytest.mark.parametrize(("in_flight", "expected"), [((), 2), ((11,), 1), ((11, 12), 0)])
def test_those_in_flight_take_up_the_room_that_the_concurrency_gives(
    in_flight: tuple[int, ...], expected: int
) -> None:
    state = a_wave(*map(soaking, in_flight), 13, 14, 15, 16, concurrency=2)
    assert len(chosen(state).nodes) == expected


def test_who_is_prepared_goes_before_the_next_step_of_the_plan() -> None:
    prepared = NodeRun(node=13, steps=NodeSteps(is_prepared=True))
    assert chosen(a_wave(11, 12, 13, 14, concurrency=None), *PAIRS).nodes == (11, 12)
    assert chosen(a_wave(11, 12, prepared, 14, concurrency=None), *PAIRS).nodes == (13,)


# --- In the last look ----------------------------------------------------------------------------


@pytest.mark.parametrize("among", [(13,), (13, 14), (11, 12)])
def test_all_that_were_looked_at_go_when_they_still_may_and_nobody_else(
    among: tuple[int, ...],
) -> None:
    state = a_wave(11, 12, 13, 14, 15, 16, concurrency=2)
    assert chosen(state, *PAIRS, among=set(among)).nodes == among


def test_no_more_of_those_that_were_looked_at_go_than_there_is_room_for() -> None:
    state = a_wave(soaking(12), 13, 14, concurrency=2)
    assert len(chosen(state, among={13, 14}).nodes) == 1


def test_the_active_controller_is_left_when_it_moved_to_one_that_is_looked_at() -> None:
    """In ZooKeeper mode a plain broker may become it, and it is the last to go."""
    state = a_wave(13, 14, 15, concurrency=None)
    moved = a_quorum(mode=QuorumMode.ZOOKEEPER, leader_id=14)
    assert 14 not in chosen(state, *PAIRS, among={13, 14}, quorum=moved).nodes
