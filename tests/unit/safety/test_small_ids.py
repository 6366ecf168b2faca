"""Node 0 is a node like any other, and one thing that stands still hides no other."""

import pytest
from support.snapshots import a_broker, a_partition, a_quorum, a_snapshot, a_topic, ages

from healthd.model.codes import ReasonCode
from healthd.model.snapshot import ClusterSnapshot, Partition, Topic, Voter
from healthd.model.words import BrokerState, Excluded, QuorumMode, Role
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.clean_run import CleanRun, observe
from healthd.safety.gate import snapshot_holds
from healthd.safety.ok_to_stop import ok_to_stop
from healthd.safety.partitions import BrokerSets, breaking_counts, partition_blockers
from healthd.safety.trend import changes_between


def named(before: ClusterSnapshot, after: ClusterSnapshot) -> list[tuple[str, str]]:
    return [(reason.code.value, reason.object) for reason in changes_between(before, after)]


def of(*topics: Topic) -> ClusterSnapshot:
    return a_snapshot(*topics)


# --- Node 0 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0)])
def test_a_controller_with_the_id_0_changes_like_any_other(before: int, after: int) -> None:
    old = a_snapshot(quorum=a_quorum(leader_id=before))
    new = a_snapshot(quorum=a_quorum(leader_id=after))
    assert named(old, new) == [("CONTROLLER_CHANGED", "cluster:payments")]


@pytest.mark.parametrize(("was", "leads"), [(0, 2), (2, 0)])
def test_leadership_that_leaves_or_reaches_broker_0_is_churn(was: int, leads: int) -> None:
    before, after = (
        of(a_topic("t", [a_partition(leader=leader, replicas=(1, 0, 2), isr=(0, 1, 2))]))
        for leader in (was, leads)
    )
    assert named(before, after) == [("LEADERSHIP_MOVING", "t-0")]


def test_a_quorum_that_node_0_leads_can_be_judged() -> None:
    voters = tuple(Voter(id=node, last_caught_up_ms=10000) for node in (0, 1, 2))
    snapshot = a_snapshot(
        brokers=tuple(map(a_broker, range(4))),
        quorum=a_quorum(leader_id=0, voters=voters),
    )
    assert ok_to_stop(snapshot, {0}) == ()


def test_a_leader_whose_clock_reads_0_is_known_and_a_voter_beside_it_is_caught_up() -> None:
    voters = tuple(Voter(id=node, last_caught_up_ms=0) for node in (1, 2, 3))
    assert ok_to_stop(a_snapshot(quorum=a_quorum(voters=voters)), {2}) == ()


def test_a_voter_whose_time_reads_0_is_as_far_behind_as_the_leader_is_ahead() -> None:
    voters = (
        Voter(id=2, last_caught_up_ms=500),
        Voter(id=1, last_caught_up_ms=1999),
        Voter(id=3, last_caught_up_ms=0),
    )
    (found,) = snapshot_holds(a_snapshot(quorum=a_quorum(voters=voters, fetch_timeout_ms=1999)))
    assert (found.code.value, found.object) == ("VOTER_BEHIND", "node:3")
    assert snapshot_holds(a_snapshot(quorum=a_quorum(voters=voters))) == ()


def test_a_controller_without_a_quorum_is_named_by_its_id() -> None:
    node = a_broker(0, roles=frozenset({Role.CONTROLLER}))
    snapshot = a_snapshot(quorum=None, brokers=(node, *map(a_broker, (1, 2, 3))))
    assert [reason.object for reason in ok_to_stop(snapshot, {0})] == ["node:0"]


# --- One that stands still hides no other --------------------------------------------------------


def still() -> Topic:
    return a_topic("a-still", [a_partition()])


def deleting(*isr: int) -> Topic:
    return a_topic("b-deleting", [a_partition(isr=isr)], excluded=Excluded.DELETING)


def shrinking(*isr: int) -> Topic:
    return a_topic("c", [a_partition(isr=isr)])


def test_a_topic_that_is_new_deleted_or_unchanged_does_not_hide_the_one_after_it() -> None:
    before = of(still(), deleting(1, 2, 3), shrinking(1, 2, 3))
    after = of(a_topic("0-new"), still(), deleting(1), shrinking(1, 2))
    assert named(before, after) == [("ISR_SHRINKING", "c-0")]


def test_a_partition_that_is_new_does_not_hide_the_one_after_it() -> None:
    before = of(a_topic("t", [a_partition(1)]))
    after = of(a_topic("t", [a_partition(0), a_partition(1, isr=(1, 2))]))
    assert named(before, after) == [("ISR_SHRINKING", "t-1")]


def test_columns_that_are_equal_but_for_the_ids_are_other_partitions() -> None:
    lower = of(a_topic("t", [a_partition(0, leader=1), a_partition(1, leader=2)]))
    upper = of(a_topic("t", [a_partition(1, leader=1), a_partition(2, leader=2)]))
    # Partition 1 was led by 2 and is led by 1, its preferred replica: that is no churn.
    assert named(lower, upper) == []
    assert named(upper, lower) == [("LEADERSHIP_MOVING", "t-1")]


def test_a_move_of_leadership_is_churn_when_no_replicas_are_told() -> None:
    def row(leader: int) -> Partition:
        return a_partition(leader=leader, replicas=(), isr=())

    before, after = of(a_topic("t", [row(1)])), of(a_topic("t", [row(2)]))
    assert named(before, after) == [("LEADERSHIP_MOVING", "t-0")]


def test_a_broker_that_is_only_to_be_started_does_not_hide_those_beside_it() -> None:
    dead = a_broker(1, alive=False, state=BrokerState.NOT_RUNNING)
    snapshot = a_snapshot(
        a_topic("t", [a_partition(leader=2, isr=(2, 3))]),
        brokers=(dead, *map(a_broker, (2, 3, 4))),
        quorum=a_quorum(mode=QuorumMode.ZOOKEEPER),
    )
    found = ok_to_stop(snapshot, {1, 2})
    assert [(reason.code.value, reason.object) for reason in found] == [
        ("WOULD_GO_UNDER_MIN_ISR", "t-0")
    ]
    assert ok_to_stop(snapshot, {1}) == ()


def test_topics_that_the_index_leaves_out_are_not_left_out_of_a_stop() -> None:
    alone = a_partition(leader=4, replicas=(4,), isr=(4,))
    snapshot = of(a_topic("probed", [alone], excluded=Excluded.PROBE))
    sets = BrokerSets.of(snapshot, [frozenset({4})])
    (found,) = partition_blockers(snapshot, sets, Acknowledgements())
    assert [reason.object for reason in found] == ["probed-0"]


def test_metrics_that_are_just_fresh_enough_still_show_who_has_none() -> None:
    silent = a_broker(4, request_handler_idle=None, disk_used_ratio=None)
    snapshot = a_snapshot(brokers=(*map(a_broker, (1, 2, 3)), silent), ages=ages(metrics=30.0))
    assert [(reason.code.value, reason.object) for reason in snapshot_holds(snapshot)] == [
        ("EVIDENCE_MISSING", "broker:4")
    ]


def test_a_clock_that_goes_back_after_a_bad_snapshot_begins_nothing() -> None:
    bad = observe(CleanRun(), key="a", at=100.0, is_clean=False, index=99.0)
    back = observe(bad, key="b", at=50.0, is_clean=True, index=99.0)
    assert back.snapshots == 0
    assert observe(back, key="c", at=51.0, is_clean=True, index=99.0).snapshots == 1


# --- Counting what would break -------------------------------------------------------------------


def test_what_sets_would_break_is_counted_by_code_without_topics_that_are_left_out() -> None:
    alone = {"leader": 4, "replicas": (4,), "isr": (4,)}
    snapshot = of(
        a_topic("gone", [a_partition(0, **alone)], excluded=Excluded.DELETING),
        a_topic("single", [a_partition(at, **alone) for at in range(3)]),
        a_topic("tight", [a_partition(at, isr=(1, 2)) for at in range(2)]),
        a_topic("unknown", [a_partition()], min_insync_replicas=None),
    )
    sets = BrokerSets.of(snapshot, [frozenset({4}), frozenset({1, 2}), frozenset({3})])
    codes = {ReasonCode.RF_ONE, ReasonCode.WOULD_GO_UNDER_MIN_ISR}
    assert breaking_counts(snapshot, sets, codes) == {
        0: {ReasonCode.RF_ONE: 3},
        1: {ReasonCode.WOULD_GO_UNDER_MIN_ISR: 2},
    }
