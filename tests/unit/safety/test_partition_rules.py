"""Each rule for partitions of restart-safety.md section 1, and each of its exceptions."""

from typing import Any

import pytest
from support.snapshots import a_broker, a_partition, a_snapshot, a_topic

from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import BrokerState, Excluded
from healthd.safety.acknowledgements import NONE, Acknowledgements
from healthd.safety.ok_to_stop import ok_to_stop

STARTING, RUNNING = BrokerState.STARTING, BrokerState.RUNNING
LEAVING, STOPPING = BrokerState.PENDING_CONTROLLED_SHUTDOWN, BrokerState.SHUTTING_DOWN
NOT_RUNNING, UNKNOWN = BrokerState.NOT_RUNNING, BrokerState.UNKNOWN


def cluster(
    row: dict[str, Any], *, minimum: int | None = 2, nodes: dict[int, dict[str, Any]] | None = None
) -> ClusterSnapshot:
    """Six brokers and one partition; no quorum, so that only the partition answers."""
    brokers = tuple(a_broker(node, **(nodes or {}).get(node, {})) for node in range(1, 7))
    topic = a_topic("t", [a_partition(**row)], min_insync_replicas=minimum)
    return a_snapshot(topic, brokers=brokers, quorum=None)


def codes(
    snapshot: ClusterSnapshot, brokers: tuple[int, ...], acknowledged: Acknowledgements = NONE
) -> list[str]:
    found = ok_to_stop(snapshot, brokers, acknowledged=acknowledged)
    assert all(reason.object == "t-0" and reason.detail for reason in found)
    return [reason.code for reason in found]


ONE = {"replicas": (1,), "isr": (1,)}
THREE = {"replicas": (1, 2, 3), "isr": (1, 2, 3)}
FOUR = {"replicas": (1, 2, 3, 4), "isr": (1, 2, 3, 4)}
NO_LEADER = {**THREE, "leader": -1}


@pytest.mark.parametrize(
    ("row", "minimum", "brokers", "expected"),
    [
        pytest.param(THREE, 2, (1,), [], id="one of three may go"),
        pytest.param(THREE, 2, (4,), [], id="a broker without a replica of it"),
        pytest.param(NO_LEADER, 2, (1,), ["PARTITION_OFFLINE"], id="1 no leader"),
        pytest.param(
            {**NO_LEADER, "leaderless_seconds": 0.5}, 2, (1,), ["PARTITION_OFFLINE"],
            id="1 no leader, without any grace",
        ),
        pytest.param(NO_LEADER, 2, (4,), [], id="1 no leader, no replica in B"),
        pytest.param(
            {**NO_LEADER, "replicas": (1,), "isr": ()}, None, (1,), ["PARTITION_OFFLINE"],
            id="1 comes before 2 and 3",
        ),
        pytest.param(ONE, 1, (1,), ["RF_ONE"], id="2 the only replica"),
        pytest.param(ONE, None, (1,), ["RF_ONE"], id="2 comes before 3"),
        pytest.param(
            {"replicas": (1, 2), "isr": (1,), "adding": frozenset({2})}, 1, (2,), [],
            id="2 a replica that is only being added does not ask for RF one",
        ),
        pytest.param(
            {"replicas": (1, 2), "isr": (1, 2), "adding": frozenset({2})}, 1, (1,), ["RF_ONE"],
            id="2 what is being added is no second replica",
        ),
        pytest.param(THREE, None, (1,), ["MIN_ISR_UNKNOWN"], id="3 minimum unknown"),
        pytest.param(THREE, None, (4,), [], id="3 minimum unknown, no replica in B"),
        pytest.param(
            {**THREE, "isr": (1,)}, None, (1,), ["MIN_ISR_UNKNOWN"], id="3 comes before 5"
        ),
        pytest.param(THREE, 3, (1,), ["RF_LE_MIN_ISR"], id="4 RF equals the minimum"),
        pytest.param(THREE, 5, (1,), ["RF_LE_MIN_ISR"], id="4 RF below the minimum"),
        pytest.param(
            {**THREE, "isr": (1, 2)}, 3, (3,), ["RF_LE_MIN_ISR"], id="4 comes before 5"
        ),
        pytest.param(
            {**FOUR, "adding": frozenset({4})}, 3, (4,), ["RF_LE_MIN_ISR"],
            id="4 a broker that is only being added has a replica of it",
        ),
        pytest.param(
            {**FOUR, "removing": frozenset({4})}, 3, (1,), [],
            id="4 replicas being removed count in RF",
        ),
        pytest.param({**THREE, "isr": (1,)}, 2, (1,), ["UNDER_MIN_ISR"], id="5 in the ISR"),
        pytest.param({**THREE, "isr": (1,)}, 2, (3,), ["UNDER_MIN_ISR"], id="5 outside the ISR"),
        pytest.param(
            {**FOUR, "isr": (1, 4), "adding": frozenset({4})}, 2, (2,), ["UNDER_MIN_ISR"],
            id="5 what is being added is not in sync",
        ),
        pytest.param(THREE, 2, (1, 2), ["WOULD_GO_UNDER_MIN_ISR"], id="6 two of three"),
        pytest.param(
            {**THREE, "isr": (1, 2)}, 2, (1,), ["WOULD_GO_UNDER_MIN_ISR"], id="6 at the minimum"
        ),
        pytest.param({**THREE, "isr": (1, 2)}, 2, (3,), [], id="6 the ISR loses nobody"),
        pytest.param(FOUR, 2, (1, 2), [], id="6 two of four"),
        pytest.param(
            {**FOUR, "adding": frozenset({4})}, 2, (4,), [],
            id="6 a replica being added is not missed",
        ),
        pytest.param(FOUR, 2, (1, 5), [], id="6 other brokers of B do not count"),
    ],
)  # fmt: skip
def test_first_rule_that_matches_blocks(
    row: dict[str, Any], minimum: int | None, brokers: tuple[int, ...], expected: list[str]
) -> None:
    assert codes(cluster(row, minimum=minimum), brokers) == expected


@pytest.mark.parametrize(
    ("nodes", "brokers", "expected"),
    [
        pytest.param({2: {"alive": False}}, (1,), ["WOULD_GO_UNDER_MIN_ISR"], id="not alive"),
        pytest.param({2: {"fenced": True}}, (1,), ["WOULD_GO_UNDER_MIN_ISR"], id="fenced"),
        pytest.param({2: {"state": LEAVING}}, (1,), ["WOULD_GO_UNDER_MIN_ISR"], id="asked to stop"),
        pytest.param({2: {"state": STOPPING}}, (1,), ["WOULD_GO_UNDER_MIN_ISR"], id="stopping"),
        pytest.param({2: {"state": NOT_RUNNING}}, (1,), ["WOULD_GO_UNDER_MIN_ISR"], id="stopped"),
        pytest.param({2: {"state": STARTING}}, (1,), [], id="a starting broker counts"),
        pytest.param({2: {"state": UNKNOWN}}, (1,), [], id="an unknown state counts"),
        pytest.param(
            {2: {"alive": False}, 3: {"alive": False}}, (1,), ["UNDER_MIN_ISR"],
            id="dead ones that metadata still names",
        ),
        pytest.param({1: {"state": LEAVING}}, (1,), [], id="leaving by itself is not lost again"),
    ],
)  # fmt: skip
def test_the_isr_leaves_out_brokers_that_are_down_or_leaving(
    nodes: dict[int, dict[str, Any]], brokers: tuple[int, ...], expected: list[str]
) -> None:
    assert codes(cluster(THREE, nodes=nodes), brokers) == expected


def test_an_id_that_brokers_does_not_name_is_down() -> None:
    row = {"replicas": (1, 2, 9), "isr": (1, 2, 9)}
    assert codes(cluster(row), (1,)) == ["WOULD_GO_UNDER_MIN_ISR"]


@pytest.mark.parametrize(
    ("row", "minimum", "margin", "brokers", "expected"),
    [
        pytest.param(FOUR, 2, 1, (1,), [], id="the margin is left"),
        pytest.param(FOUR, 2, 1, (1, 2), ["WOULD_BREAK_MARGIN"], id="the margin breaks"),
        pytest.param(THREE, 2, 1, (1,), [], id="RF is too small for the margin"),
        pytest.param(
            {**FOUR, "isr": (1, 2)}, 2, 1, (3,), [], id="the margin is gone, but the ISR loses none"
        ),
        pytest.param(
            {**FOUR, "isr": (1, 2, 3)}, 2, 1, (1,), ["WOULD_BREAK_MARGIN"], id="the ISR had it"
        ),
        pytest.param(FOUR, 2, 1, (1, 2, 3), ["WOULD_GO_UNDER_MIN_ISR"], id="6 comes before 7"),
        pytest.param(FOUR, 2, 2, (1, 2), [], id="RF equals the minimum and the margin"),
    ],
)
def test_margin_is_kept_where_rf_allows_it(
    row: dict[str, Any], minimum: int, margin: int, brokers: tuple[int, ...], expected: list[str]
) -> None:
    found = codes(cluster(row, minimum=minimum), brokers, Acknowledgements(margin=margin))
    assert found == expected


@pytest.mark.parametrize(
    ("row", "minimum", "acknowledged", "brokers", "expected"),
    [
        pytest.param(ONE, 1, {"allow_rf_one": ("t",)}, (1,), [], id="RF one"),
        pytest.param(ONE, None, {"allow_rf_one": ("t",)}, (1,), [], id="RF one asks no more"),
        pytest.param(
            {**ONE, "leader": -1}, 1, {"allow_rf_one": ("t",)}, (1,), ["PARTITION_OFFLINE"],
            id="RF one, but offline",
        ),
        pytest.param(
            ONE, 1, {"allow_rf_le_min_isr": ("t",)}, (1,), ["RF_ONE"], id="RF one is not RF <= min"
        ),
        pytest.param(THREE, 3, {"allow_rf_le_min_isr": ("t",)}, (1,), [], id="one may go"),
        pytest.param(THREE, 9, {"allow_rf_le_min_isr": ("t",)}, (1,), [], id="of any minimum"),
        pytest.param(
            THREE, 3, {"allow_rf_le_min_isr": ("t",)}, (1, 2), ["WOULD_GO_UNDER_MIN_ISR"],
            id="a second never",
        ),
        pytest.param(
            {**THREE, "isr": (1, 2)}, 3, {"allow_rf_le_min_isr": ("t",)}, (1,),
            ["WOULD_GO_UNDER_MIN_ISR"], id="one is away already",
        ),
        pytest.param(
            {**THREE, "isr": (1,)}, 3, {"allow_rf_le_min_isr": ("t",)}, (1,), ["UNDER_MIN_ISR"],
            id="two are away already",
        ),
        pytest.param(
            THREE, 3, {"allow_rf_le_min_isr": ("t",), "margin": 1}, (1,), [],
            id="a margin has no room there",
        ),
        pytest.param(
            THREE, 3, {"allow_rf_one": ("t",)}, (1,), ["RF_LE_MIN_ISR"],
            id="RF <= min is not RF one",
        ),
        pytest.param(THREE, None, {"assume_min_isr": 2}, (1,), [], id="assumed"),
        pytest.param(
            THREE, None, {"assume_min_isr": 3}, (1,), ["RF_LE_MIN_ISR"], id="assumed too high"
        ),
        pytest.param(
            THREE, 3, {"assume_min_isr": 1}, (1,), ["RF_LE_MIN_ISR"],
            id="nothing is assumed over what is known",
        ),
    ],
)  # fmt: skip
def test_acknowledged_risks_do_not_block(
    row: dict[str, Any],
    minimum: int | None,
    acknowledged: dict[str, Any],
    brokers: tuple[int, ...],
    expected: list[str],
) -> None:
    snapshot = cluster(row, minimum=minimum)
    assert codes(snapshot, brokers, Acknowledgements(**acknowledged)) == expected


@pytest.mark.parametrize(
    ("node", "row", "expected"),
    [
        pytest.param({"alive": False}, {"isr": (2,)}, [], id="a dead broker asks nothing"),
        pytest.param({"fenced": True, "state": UNKNOWN}, {"isr": (2,)}, [], id="a fenced one"),
        pytest.param({"state": NOT_RUNNING}, {"isr": (2,)}, [], id="one whose process is gone"),
        pytest.param(
            {"alive": False, "state": RUNNING}, {"leader": -1, "isr": (1,)}, ["PARTITION_OFFLINE"],
            id="it still runs and is in the ISR of a partition without leader",
        ),
        pytest.param(
            {"fenced": True, "state": STARTING},
            {"leader": -1, "isr": (), "elr": frozenset({1})}, ["PARTITION_OFFLINE"],
            id="it still runs and is in its ELR",
        ),
        pytest.param(
            {"alive": False, "state": RUNNING}, {"leader": -1, "isr": (2,)}, [],
            id="it still runs, but others can lead",
        ),
        pytest.param(
            {"alive": False, "state": RUNNING}, {"leader": 2, "isr": (1, 2)}, [],
            id="it still runs, and somebody leads",
        ),
        pytest.param(
            {"alive": False, "state": UNKNOWN}, {"leader": -1, "isr": (1,)}, [],
            id="it is not known whether it runs",
        ),
        pytest.param(
            {"alive": False, "state": NOT_RUNNING}, {"leader": -1, "isr": (1,)}, [],
            id="it does not run",
        ),
    ],
)  # fmt: skip
def test_a_broker_that_is_down_may_be_repaired(
    node: dict[str, Any], row: dict[str, Any], expected: list[str]
) -> None:
    assert codes(cluster({**THREE, **row}, nodes={1: {"state": UNKNOWN, **node}}), (1,)) == expected


def test_a_living_broker_of_the_set_asks_for_the_partition_of_a_dead_one() -> None:
    snapshot = cluster({**THREE, "isr": (2,)}, nodes={1: {"alive": False}})
    assert codes(snapshot, (1, 2)) == ["UNDER_MIN_ISR"]


@pytest.mark.parametrize("name", ["__consumer_offsets", "__transaction_state"])
def test_internal_topics_count(name: str) -> None:
    snapshot = a_snapshot(a_topic(name, min_insync_replicas=3), quorum=None)
    assert [reason.object for reason in ok_to_stop(snapshot, (1,))] == [f"{name}-0"]


@pytest.mark.parametrize("excluded", Excluded)
def test_excluded_topics_count_unless_they_are_left_out(excluded: Excluded) -> None:
    snapshot = a_snapshot(a_topic("t", min_insync_replicas=3, excluded=excluded), quorum=None)
    assert [reason.object for reason in ok_to_stop(snapshot, (1,))] == ["t-0"]
    assert ok_to_stop(snapshot, (1,), include_excluded=False) == ()
