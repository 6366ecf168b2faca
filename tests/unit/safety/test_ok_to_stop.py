"""ok-to-stop for sets, single nodes and racks: nodes, order of the answer, ids."""

import pytest
from support.snapshots import (
    a_broker,
    a_controller,
    a_partition,
    a_quorum,
    a_snapshot,
    a_topic,
)

from healthd.model.codes import ReasonCode, reason_order
from healthd.model.order import natural_key
from healthd.model.words import BrokerState
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.ok_to_stop import (
    UnknownBroker,
    each_broker,
    each_rack,
    ok_to_stop,
    rack_blockers,
)


def test_a_healthy_cluster_can_lose_any_single_node() -> None:
    assert set(each_broker(a_snapshot()).items()) == {(node, ()) for node in (1, 2, 3, 4)}


def test_stopping_nobody_breaks_nothing() -> None:
    snapshot = a_snapshot(a_topic(min_insync_replicas=3), quorum=a_quorum(absent_seconds=9))
    assert ok_to_stop(snapshot, ()) == ()


@pytest.mark.parametrize(
    "node",
    [
        pytest.param(a_broker(4, state=BrokerState.RECOVERY), id="alive"),
        pytest.param(a_broker(4, state=BrokerState.RECOVERY, alive=False), id="not yet listed"),
        pytest.param(a_controller(4, state=BrokerState.RECOVERY), id="a pure controller"),
    ],
)
def test_a_node_that_recovers_its_logs_is_left_alone(node: object) -> None:
    snapshot = a_snapshot(brokers=(a_broker(1), a_broker(2), a_broker(3), node))
    found = ok_to_stop(snapshot, (4,))
    assert [(reason.code, reason.object) for reason in found] == [
        (ReasonCode.BROKER_RECOVERING, "broker:4")
    ]
    assert ok_to_stop(snapshot, (3,)) == ()


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        pytest.param([1, 2, 3, 4], [], id="one host each"),
        pytest.param([1, 2, 4], ["broker:3"], id="no host"),
        pytest.param([1, 2, 3, 3, 4], ["broker:3"], id="two hosts"),
        pytest.param([3, 4, 4], [], id="others do not matter"),
    ],
)
def test_an_id_needs_exactly_one_host_of_the_inventory(
    claimed: list[int], expected: list[str]
) -> None:
    found = ok_to_stop(a_snapshot(), (3,), claimed=claimed)
    assert [(reason.code, reason.object) for reason in found] == [
        (ReasonCode.IDENTITY, name) for name in expected
    ]


def test_without_an_inventory_identity_is_not_asked() -> None:
    assert ok_to_stop(a_snapshot(), (3,)) == ()


def test_unknown_ids_are_refused_and_named() -> None:
    with pytest.raises(UnknownBroker, match=r"unknown broker 7, 9: payments has 1, 2, 3, 4$"):
        ok_to_stop(a_snapshot(), (9, 1, 7))


def test_an_id_that_only_replica_lists_name_is_unknown() -> None:
    snapshot = a_snapshot(a_topic("t", [a_partition(replicas=(1, 2, 9))]))
    with pytest.raises(UnknownBroker):
        ok_to_stop(snapshot, (9,))
    assert 9 not in each_broker(snapshot)


def test_an_error_about_a_large_cluster_names_some_of_its_ids() -> None:
    snapshot = a_snapshot(brokers=tuple(map(a_broker, range(1000))))
    with pytest.raises(UnknownBroker, match=r" 18, 19 and 980 more$"):
        ok_to_stop(snapshot, (5000,))


def test_blockers_are_in_the_order_of_codes_and_then_of_natural_names() -> None:
    snapshot = a_snapshot(
        a_topic("t10", min_insync_replicas=3),
        a_topic("t9", [a_partition(10), a_partition(9)], min_insync_replicas=3),
        a_topic("unknown", min_insync_replicas=None),
        a_topic("t-1", [a_partition(0)], min_insync_replicas=3),
        a_topic("t", [a_partition(2)], min_insync_replicas=3),
        quorum=a_quorum(2, 3),
        brokers=(a_broker(1, state=BrokerState.RECOVERY), a_broker(2), a_broker(3)),
    )
    found = ok_to_stop(snapshot, (1,))
    assert [reason.object for reason in found] == [
        "unknown-0",
        "t9-9",
        "t9-10",
        "t10-0",
        "t-1-0",
        "t-2",
        "node:1",
        "broker:1",
    ]
    key = [(reason_order(reason.code), natural_key(reason.object)) for reason in found]
    assert key == sorted(key)


def test_each_lists_every_node_by_rising_id_pure_controllers_and_dead_ones_included() -> None:
    nodes = (a_broker(10), a_controller(2), a_broker(9, alive=False), a_broker(1))
    assert list(each_broker(a_snapshot(brokers=nodes))) == [1, 2, 9, 10]


def test_racks_are_in_natural_order_and_hold_who_names_them() -> None:
    nodes = (
        a_broker(1, rack="az10"),
        a_broker(2, rack="az9"),
        a_broker(3, rack="az10"),
        a_broker(4),
    )
    topic = a_topic("t", [a_partition(0), a_partition(1, replicas=(1, 2, 4), isr=(1, 2, 4))])
    found = each_rack(a_snapshot(topic, brokers=nodes, quorum=None))
    assert list(found) == ["az9", "az10"]
    assert found["az9"] == ()
    assert [(reason.code, reason.object) for reason in found["az10"]] == [
        (ReasonCode.WOULD_GO_UNDER_MIN_ISR, "t-0")
    ]


def test_a_rack_counts_its_pure_controllers() -> None:
    nodes = (
        a_controller(1, rack="a"),
        a_controller(2, rack="a"),
        a_controller(3, rack="b"),
    )
    found = rack_blockers(a_snapshot(a_topic("t", []), brokers=nodes))
    assert [reason.object for reason in found["a"]] == ["node:1", "node:2"]
    assert found["b"] == ()


def test_racks_can_be_asked_about_without_excluded_topics() -> None:
    topic = a_topic("t", min_insync_replicas=3, excluded="probe")
    snapshot = a_snapshot(topic, brokers=tuple(a_broker(n, rack="a") for n in (1, 2, 3, 4)))
    codes = {reason.code for reason in rack_blockers(snapshot)["a"]}
    assert ReasonCode.RF_LE_MIN_ISR in codes
    without = rack_blockers(snapshot, include_excluded=False)["a"]
    assert ReasonCode.RF_LE_MIN_ISR not in {reason.code for reason in without}


def test_acknowledgements_hold_for_each_and_for_racks() -> None:
    nodes = tuple(a_broker(node, rack=f"az{node}") for node in (1, 2, 3, 4))
    snapshot = a_snapshot(a_topic("logs", min_insync_replicas=3), brokers=nodes)
    accepted = Acknowledgements(allow_rf_le_min_isr=("lo*",))
    assert any(each_broker(snapshot).values())
    assert not any(each_broker(snapshot, acknowledged=accepted).values())
    assert not any(each_rack(snapshot, acknowledged=accepted).values())


def test_a_partition_that_is_torn_beside_whole_ones_is_judged_by_itself() -> None:
    rows = [a_partition(0), a_partition(1, isr=(1, 2)), a_partition(2)]
    found = each_broker(a_snapshot(a_topic("t", rows)))
    assert {node: [reason.object for reason in blockers] for node, blockers in found.items()} == {
        1: ["t-1"],
        2: ["t-1"],
        3: [],
        4: [],
    }
