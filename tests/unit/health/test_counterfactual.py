"""The snapshot without the effect of a wave's own brokers."""

import pytest
from support.snapshots import a_broker, a_partition, a_snapshot, a_topic

from healthd.health.counterfactual import as_if_back, index_without
from healthd.health.index import evaluate
from healthd.model.snapshot import ClusterSnapshot, Partition
from healthd.model.words import BrokerState


def one_down(*partitions: Partition, node: int = 3) -> ClusterSnapshot:
    down = {"alive": False, "fenced": True, "state": BrokerState.NOT_RUNNING}
    rows = partitions or (a_partition(isr=(1, 2)),)
    return a_snapshot(
        a_topic("orders", rows),
        brokers=tuple(a_broker(at, **(down if at == node else {})) for at in (1, 2, 3, 4)),
    )


def only(snapshot: ClusterSnapshot) -> Partition:
    ((partition,),) = snapshot.topics
    return partition


def test_what_only_the_wave_did_is_no_reason() -> None:
    snapshot = one_down()
    assert evaluate(snapshot).health_index < 80
    assert index_without(snapshot, {3}) == 100


def test_what_others_do_still_counts() -> None:
    snapshot = one_down(a_partition(isr=(1,)))
    expected = evaluate(a_snapshot(a_topic("orders", [a_partition(isr=(1, 3))]))).health_index
    assert index_without(snapshot, {3}) == pytest.approx(expected)


def test_the_broker_is_alive_running_and_not_fenced() -> None:
    broker = as_if_back(one_down(), {3}).brokers_by_id[3]
    assert (broker.alive, broker.fenced, broker.state) == (True, False, BrokerState.RUNNING)


def test_a_state_that_nobody_knows_stays_unknown() -> None:
    snapshot = a_snapshot(brokers=(a_broker(1, alive=False, state=BrokerState.UNKNOWN),))
    assert as_if_back(snapshot, {1}).brokers_by_id[1].state is BrokerState.UNKNOWN


def test_a_broker_that_no_listing_names_is_expected_and_back() -> None:
    snapshot = a_snapshot(
        a_topic("orders", [a_partition(isr=(1, 2))]), brokers=(a_broker(1), a_broker(2))
    )
    assert index_without(snapshot, {3}) == 100


def test_a_replica_that_is_only_being_added_does_not_hide_a_missing_one() -> None:
    row = a_partition(replicas=(1, 2, 3, 4), isr=(1, 2), adding=frozenset({4}))
    assert only(as_if_back(one_down(row, node=4), {4})).isr == (1, 2)


def test_a_partition_that_it_holds_and_nobody_leads_is_led_by_it() -> None:
    row = a_partition(leader=-1, replicas=(3,), isr=(), leaderless_seconds=40.0)
    back = only(as_if_back(one_down(row), {3}))
    assert (back.leader, back.isr, back.leaderless_seconds) == (3, (3,), None)


def test_a_partition_that_it_does_not_hold_stays_without_leader() -> None:
    row = a_partition(leader=-1, replicas=(1, 2), isr=())
    assert only(as_if_back(one_down(row), {3})) == row


@pytest.mark.parametrize(
    ("row", "is_forgiven"),
    [
        pytest.param(
            a_partition(replicas=(1, 2, 3, 4), isr=(1, 2, 3)), True, id="under-replicated"
        ),
        pytest.param(a_partition(isr=(1, 2)), True, id="at-min-isr"),
        pytest.param(a_partition(isr=(1,)), False, id="under-min-isr"),
        pytest.param(a_partition(leader=-1, isr=(1, 2)), False, id="offline"),
        pytest.param(
            a_partition(leader=-1, isr=(1, 2), leaderless_seconds=1.0), False, id="in-election"
        ),
    ],
)
def test_the_baseline_forgives_what_clients_do_not_feel(
    row: Partition, *, is_forgiven: bool
) -> None:
    snapshot = a_snapshot(a_topic("orders", [row]))
    assert (index_without(snapshot, set(), baseline=["orders-0"]) == 100) is is_forgiven
    assert index_without(snapshot, set(), baseline=["orders-1"]) < 100


def test_a_baseline_partition_that_needs_the_broker_back_is_judged_with_it() -> None:
    # Under min ISR as it is; with broker 3 back it is at min ISR, and that is the baseline.
    snapshot = one_down(a_partition(isr=(1,)))
    assert index_without(snapshot, {3}, baseline=["orders-0"]) == 100


def test_without_nodes_and_baseline_it_is_the_snapshot_itself() -> None:
    snapshot = one_down()
    assert as_if_back(snapshot, frozenset()) is snapshot


def test_untroubled_topics_are_not_copied() -> None:
    snapshot = a_snapshot(a_topic("a"), a_topic("b", [a_partition(isr=(1, 2))]))
    back = as_if_back(snapshot, {3})
    assert back.topics[0] is snapshot.topics[0]
    assert back.topics[1].isrs[0] is back.topics[1].replicas[0]
