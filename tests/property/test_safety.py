"""What is always true of ok-to-stop and of the gate, whatever the cluster looks like."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.safety_snapshots import (
    NODES,
    acknowledgements,
    broker_sets,
    clusters,
    partition_verdicts,
)
from support.snapshots import snapshots

from healthd.model.reason import Reason, in_order
from healthd.model.snapshot import ClusterSnapshot, Topic
from healthd.model.words import BrokerState, QuorumMode
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.clean_run import CleanRun, observe
from healthd.safety.gate import repairs_among, snapshot_holds
from healthd.safety.ok_to_stop import each_broker, each_rack, ok_to_stop
from healthd.safety.quorum import caught_up, unjudgeable
from healthd.safety.replication import assigned, in_sync, serving_brokers
from healthd.safety.trend import changes_between

PARTITION_RULES = {
    "PARTITION_OFFLINE", "RF_ONE", "MIN_ISR_UNKNOWN", "RF_LE_MIN_ISR", "UNDER_MIN_ISR",
    "WOULD_GO_UNDER_MIN_ISR", "WOULD_BREAK_MARGIN",
}  # fmt: skip


T = TypeVar("T")
calm = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is slow, and that proves nothing."""


def objects(reasons: Iterable[Reason]) -> set[str]:
    return {reason.object for reason in reasons}


def shuffled(snapshot: ClusterSnapshot, order: st.DataObject) -> ClusterSnapshot:
    """The same cluster with its lists in another order."""

    def mix(items: Iterable[T]) -> tuple[T, ...]:
        return tuple(order.draw(st.permutations(list(items))))

    quorum = snapshot.quorum
    return replace(
        snapshot,
        brokers=mix(snapshot.brokers),
        quorum=quorum and replace(quorum, voters=mix(quorum.voters)),
        topics=mix(
            Topic.of(
                topic.name,
                mix(replace(row, isr=mix(row.isr)) for row in topic),
                min_insync_replicas=topic.min_insync_replicas,
                excluded=topic.excluded,
            )
            for topic in snapshot.topics
        ),
    )


@settings(calm, max_examples=300)
@given(clusters(), broker_sets, acknowledgements)
def test_partitions_block_as_the_text_of_the_rules_says(
    snapshot: ClusterSnapshot, brokers: frozenset[int], accepted: Acknowledgements
) -> None:
    found = ok_to_stop(snapshot, brokers, acknowledged=accepted)
    about = [reason for reason in found if reason.code in PARTITION_RULES]
    verdicts = {reason.object: reason.code.value for reason in about}
    assert len(verdicts) == len(about)
    assert verdicts == partition_verdicts(snapshot, brokers, accepted)


@calm
@given(clusters() | snapshots(), acknowledgements)
def test_each_node_and_each_rack_get_the_answer_of_their_own_question(
    snapshot: ClusterSnapshot, accepted: Acknowledgements
) -> None:
    singles = each_broker(snapshot, acknowledged=accepted)
    assert set(singles) == {broker.id for broker in snapshot.brokers}
    for node, found in singles.items():
        assert found == ok_to_stop(snapshot, (node,), acknowledged=accepted)
    racks = each_rack(snapshot, acknowledged=accepted)
    assert set(racks) == {broker.rack for broker in snapshot.brokers} - {None}
    for rack, found in racks.items():
        members = [broker.id for broker in snapshot.brokers if broker.rack == rack]
        assert found == ok_to_stop(snapshot, members, acknowledged=accepted)


@calm
@given(clusters(), broker_sets, acknowledgements, st.data())
def test_the_order_of_the_input_changes_nothing(
    snapshot: ClusterSnapshot,
    brokers: frozenset[int],
    accepted: Acknowledgements,
    data: st.DataObject,
) -> None:
    other = shuffled(snapshot, data)
    asked = ok_to_stop(snapshot, sorted(brokers), acknowledged=accepted)
    again = ok_to_stop(other, sorted(brokers, reverse=True), acknowledged=accepted)
    assert asked == again
    assert snapshot_holds(snapshot, in_flight=brokers) == snapshot_holds(other, in_flight=brokers)


@calm
@given(clusters(), broker_sets, acknowledgements)
def test_answers_are_in_the_documented_order(
    snapshot: ClusterSnapshot, brokers: frozenset[int], accepted: Acknowledgements
) -> None:
    found = ok_to_stop(snapshot, brokers, acknowledged=accepted)
    assert found == in_order(found)
    assert len(set(found)) == len(found)


@calm
@given(clusters(), broker_sets, broker_sets, acknowledgements)
def test_more_brokers_never_make_a_stop_safer(
    snapshot: ClusterSnapshot,
    brokers: frozenset[int],
    more: frozenset[int],
    accepted: Acknowledgements,
) -> None:
    few = ok_to_stop(snapshot, brokers, acknowledged=accepted)
    many = ok_to_stop(snapshot, brokers | more, acknowledged=accepted)
    assert objects(few) <= objects(many)


@calm
@given(clusters(), broker_sets, acknowledgements)
def test_acknowledging_never_adds_a_blocker(
    snapshot: ClusterSnapshot, brokers: frozenset[int], accepted: Acknowledgements
) -> None:
    strict = ok_to_stop(snapshot, brokers)
    lenient = ok_to_stop(snapshot, brokers, acknowledged=replace(accepted, margin=0))
    assert objects(lenient) <= objects(strict)


@calm
@given(clusters(), broker_sets, st.integers(1, 3))
def test_a_margin_never_removes_a_blocker(
    snapshot: ClusterSnapshot, brokers: frozenset[int], margin: int
) -> None:
    without = ok_to_stop(snapshot, brokers)
    found = ok_to_stop(snapshot, brokers, acknowledged=Acknowledgements(margin=margin))
    assert set(without) <= set(found)


@calm
@given(clusters(), broker_sets)
def test_without_blockers_every_partition_stays_at_or_above_its_minimum(
    snapshot: ClusterSnapshot, brokers: frozenset[int]
) -> None:
    if ok_to_stop(snapshot, brokers):
        return
    serving = serving_brokers(snapshot)
    for topic in snapshot.topics:
        for at in range(len(topic)):
            before = in_sync(topic, at, serving)
            after = before - brokers
            if after == before:
                continue
            # Somebody that serves leaves: the minimum is known, and is kept.
            assert len(assigned(topic, at)) > 1
            assert topic.min_insync_replicas is not None
            assert len(after) >= topic.min_insync_replicas


@calm
@given(clusters(), broker_sets)
def test_without_blockers_the_quorum_keeps_a_majority(
    snapshot: ClusterSnapshot, brokers: frozenset[int]
) -> None:
    quorum = snapshot.quorum
    states = {broker.id: broker.state for broker in snapshot.brokers}
    if quorum is None or quorum.mode is not QuorumMode.KRAFT or not quorum.voters:
        return
    leaving = {
        voter.id
        for voter in quorum.voters
        if voter.id in brokers and states[voter.id] is not BrokerState.NOT_RUNNING
    }
    if not leaving or ok_to_stop(snapshot, brokers):
        return
    assert unjudgeable(quorum) is None
    left = [row for row in quorum.voters if row.id not in brokers and caught_up(quorum, row)]
    assert len(quorum.voters) > 2
    assert 2 * len(left) > len(quorum.voters)


@calm
@given(clusters(), broker_sets)
def test_an_unknown_minimum_closes_every_partition_that_is_touched(
    snapshot: ClusterSnapshot, brokers: frozenset[int]
) -> None:
    topics = tuple(replace(topic, min_insync_replicas=None) for topic in snapshot.topics)
    found = objects(ok_to_stop(replace(snapshot, topics=topics), brokers))
    serving = serving_brokers(snapshot)
    for topic in topics:
        for at in range(len(topic)):
            if in_sync(topic, at, serving) & brokers:
                assert topic.label(at) in found


@calm
@given(snapshot=clusters(), is_leader_lost=st.booleans())
def test_an_unknown_quorum_closes_every_voter(
    snapshot: ClusterSnapshot, *, is_leader_lost: bool
) -> None:
    quorum = snapshot.quorum
    if quorum is None or quorum.mode is not QuorumMode.KRAFT:
        return
    lost = (
        replace(quorum, leader_id=None)
        if is_leader_lost
        else replace(quorum, fetch_timeout_ms=None)
    )
    blind = replace(snapshot, quorum=lost)
    found = each_broker(blind)
    states = {broker.id: broker.state for broker in blind.brokers}
    for voter in quorum.voters:
        if voter.id in found and states[voter.id] is not BrokerState.NOT_RUNNING:
            assert f"node:{voter.id}" in objects(found[voter.id])
    assert "QUORUM_UNKNOWN" in {reason.code for reason in snapshot_holds(blind)}


@calm
@given(clusters() | snapshots(), broker_sets, broker_sets, broker_sets)
def test_what_is_the_wave_s_own_never_adds_a_hold(
    snapshot: ClusterSnapshot,
    in_flight: frozenset[int],
    repairs: frozenset[int],
    more: frozenset[int],
) -> None:
    nobody = objects(snapshot_holds(snapshot))
    some = objects(snapshot_holds(snapshot, in_flight=in_flight, repairs=repairs))
    most = objects(snapshot_holds(snapshot, in_flight=in_flight | more, repairs=repairs | more))
    assert most <= some <= nobody


@calm
@given(clusters(), broker_sets)
def test_what_is_in_flight_excuses_nothing_offline_or_under_its_minimum(
    snapshot: ClusterSnapshot, in_flight: frozenset[int]
) -> None:
    def worst(reasons: Iterable[Reason]) -> set[Reason]:
        return {
            reason
            for reason in reasons
            if reason.code in {"PARTITION_OFFLINE", "PARTITION_UNDER_MIN_ISR", "REASSIGNMENT"}
        }

    found = worst(snapshot_holds(snapshot, in_flight=in_flight))
    assert found == worst(snapshot_holds(snapshot))


@calm
@given(clusters())
def test_what_has_no_hold_is_all_there(snapshot: ClusterSnapshot) -> None:
    held = objects(snapshot_holds(snapshot))
    for broker in snapshot.brokers:
        if f"broker:{broker.id}" not in held and not broker.is_pure_controller:
            assert not broker.is_down
    serving = serving_brokers(snapshot)
    for topic in snapshot.topics:
        for at, row in enumerate(topic):
            if topic.label(at) in held or topic.excluded == "deleting":
                continue
            assert row.leader != -1
            assert set(assigned(topic, at)) <= in_sync(topic, at, serving)
            assert topic.min_insync_replicas is not None


@calm
@given(clusters(), st.sampled_from(NODES))
def test_a_dead_broker_may_always_be_repaired_as_far_as_partitions_go(
    snapshot: ClusterSnapshot, node: int
) -> None:
    brokers = tuple(
        replace(broker, alive=False, state=BrokerState.NOT_RUNNING) if broker.id == node else broker
        for broker in snapshot.brokers
    )
    dead = replace(snapshot, brokers=brokers)
    assert ok_to_stop(dead, (node,)) == ()
    assert repairs_among(dead, (node,)) == {node}


@calm
@given(clusters(), broker_sets)
def test_a_snapshot_compared_with_itself_shows_no_change(
    snapshot: ClusterSnapshot, in_flight: frozenset[int]
) -> None:
    assert changes_between(snapshot, snapshot) == ()
    copy = replace(snapshot, topics=tuple(replace(topic) for topic in snapshot.topics))
    assert changes_between(snapshot, copy, in_flight=in_flight) == ()


@calm
@given(clusters(), clusters(), broker_sets, broker_sets)
def test_more_in_flight_never_adds_a_change(
    before: ClusterSnapshot, after: ClusterSnapshot, few: frozenset[int], more: frozenset[int]
) -> None:
    found = changes_between(before, after, in_flight=few | more)
    names = {(reason.code, reason.object) for reason in found}
    assert names <= {
        (reason.code, reason.object) for reason in changes_between(before, after, in_flight=few)
    }


@calm
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.floats(0, 100)), max_size=12))
def test_a_clean_run_counts_what_is_distinct_since_the_last_bad_one(
    steps: list[tuple[str, bool, float]],
) -> None:
    run = CleanRun()
    for at, (key, is_clean, index) in enumerate(steps):
        run = observe(run, key=key, at=float(at), is_clean=is_clean, index=index)
    last_bad = max((at for at, (_, ok, _) in enumerate(steps) if not ok), default=-1)
    good = [
        (at, step)
        for at, step in enumerate(steps)
        if at > last_bad and (at == 0 or step[0] != steps[at - 1][0])
    ]
    assert run.snapshots == len(good)
    assert run.since == (good[0][0] if good else None)
    assert run.highest_index == max((step[2] for _, step in good), default=None)
