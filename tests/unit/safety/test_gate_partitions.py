"""Holds from one snapshot about partitions (restart-safety.md section 2)."""

from typing import Any

import pytest
from support.snapshots import a_broker, a_partition, a_snapshot, a_topic

from healthd.model.words import BrokerState, Excluded
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.gate import snapshot_holds

PARTITION_CODES = {
    "PARTITION_OFFLINE",
    "PARTITION_UNDER_MIN_ISR",
    "PARTITION_UNDER_REPLICATED",
    "MIN_ISR_UNKNOWN",
}


def hold(
    row: dict[str, Any],
    minimum: int | None = 2,
    *,
    nodes: dict[int, dict[str, Any]] | None = None,
    excluded: Excluded | None = None,
    **own: Any,
) -> str | None:
    brokers = tuple(a_broker(node, **(nodes or {}).get(node, {})) for node in range(1, 7))
    topic = a_topic("t", [a_partition(**row)], min_insync_replicas=minimum, excluded=excluded)
    found = snapshot_holds(a_snapshot(topic, brokers=brokers), **own)
    about = [reason for reason in found if reason.code in PARTITION_CODES]
    assert [reason.object for reason in about] == ["t-0"] * len(about)
    assert len(about) < 2
    return about[0].code.value if about else None


OFFLINE = {"leader": -1}
BEHIND = {"isr": (1, 2)}
UNDER = {"isr": (1,)}
FOUR = {"replicas": (1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("row", "minimum", "expected"),
    [
        pytest.param({}, 2, None, id="whole"),
        pytest.param(OFFLINE, 2, "PARTITION_OFFLINE", id="no leader"),
        pytest.param({**OFFLINE, "isr": (1,)}, None, "PARTITION_OFFLINE", id="no leader first"),
        pytest.param(UNDER, 2, "PARTITION_UNDER_MIN_ISR", id="under the minimum"),
        pytest.param(BEHIND, 2, "PARTITION_UNDER_REPLICATED", id="behind"),
        pytest.param(BEHIND, None, "PARTITION_UNDER_REPLICATED", id="behind before unknown"),
        pytest.param({}, None, "MIN_ISR_UNKNOWN", id="minimum unknown"),
        pytest.param({}, 5, None, id="the minimum counts as RF at most"),
        pytest.param(BEHIND, 5, "PARTITION_UNDER_MIN_ISR", id="one missing of RF = minimum"),
        pytest.param({**FOUR, "adding": frozenset({4})}, 2, None, id="adding is not missing"),
        pytest.param(
            {**FOUR, "isr": (1, 2, 4), "adding": frozenset({4})}, 3, "PARTITION_UNDER_MIN_ISR",
            id="adding is not in sync",
        ),
        pytest.param(
            {**FOUR, "removing": frozenset({4})}, 2, "PARTITION_UNDER_REPLICATED",
            id="removing is missing until it is gone",
        ),
        pytest.param({"replicas": (), "isr": ()}, 2, None, id="no replicas"),
    ],
)  # fmt: skip
def test_a_partition_has_one_hold_the_first_that_matches(
    row: dict[str, Any], minimum: int | None, expected: str | None
) -> None:
    assert hold(row, minimum) == expected


@pytest.mark.parametrize(
    "node",
    [
        pytest.param({"alive": False}, id="not alive"),
        pytest.param({"fenced": True}, id="fenced"),
        pytest.param({"state": BrokerState.PENDING_CONTROLLED_SHUTDOWN}, id="asked to stop"),
        pytest.param({"state": BrokerState.SHUTTING_DOWN}, id="stopping"),
        pytest.param({"state": BrokerState.NOT_RUNNING}, id="not running"),
    ],
)
def test_a_broker_that_is_down_or_leaving_is_in_no_isr(node: dict[str, Any]) -> None:
    assert hold({}, nodes={3: node}) == "PARTITION_UNDER_REPLICATED"
    assert hold({}, 3, nodes={3: node}) == "PARTITION_UNDER_MIN_ISR"


def test_an_unlisted_broker_is_in_no_isr() -> None:
    row = {"replicas": (1, 2, 9), "isr": (1, 2, 9)}
    assert hold(row) == "PARTITION_UNDER_REPLICATED"


@pytest.mark.parametrize(
    ("row", "minimum", "in_flight", "expected"),
    [
        pytest.param(BEHIND, 2, {3}, None, id="missing only what is in flight"),
        pytest.param(BEHIND, None, {3}, "MIN_ISR_UNKNOWN", id="and its minimum is unknown"),
        pytest.param(BEHIND, 2, {1}, "PARTITION_UNDER_REPLICATED", id="missing another"),
        pytest.param(
            {**FOUR, "isr": (1, 2)}, 2, {3}, "PARTITION_UNDER_REPLICATED", id="missing another too"
        ),
        pytest.param(UNDER, 2, {2, 3}, "PARTITION_UNDER_MIN_ISR", id="under the minimum counts"),
        pytest.param(OFFLINE, 2, {1, 2, 3}, "PARTITION_OFFLINE", id="offline counts"),
        pytest.param(
            {"leader": -1, "isr": (1,)}, 2, {2, 3}, "PARTITION_OFFLINE", id="offline and missing"
        ),
    ],
)
def test_only_what_is_missing_in_flight_does_not_count(
    row: dict[str, Any], minimum: int | None, in_flight: set[int], expected: str | None
) -> None:
    assert hold(row, minimum, in_flight=in_flight) == expected


@pytest.mark.parametrize(
    ("row", "minimum", "own", "expected"),
    [
        pytest.param(BEHIND, 2, {"repairs": {3}}, None, id="missing only a repair"),
        pytest.param(UNDER, 2, {"repairs": {2, 3}}, None, id="under the minimum by repairs"),
        pytest.param(
            UNDER, None, {"repairs": {2, 3}}, "MIN_ISR_UNKNOWN", id="its minimum still is unknown"
        ),
        pytest.param(
            UNDER, 2, {"repairs": {3}}, "PARTITION_UNDER_MIN_ISR", id="another is missing"
        ),
        pytest.param(
            UNDER, 2, {"repairs": {3}, "in_flight": {2}}, "PARTITION_UNDER_MIN_ISR",
            id="one in flight is missing beside a repair",
        ),
        pytest.param(
            {"leader": -1, "isr": (1,)}, 2, {"repairs": {2, 3}}, None, id="offline by repairs"
        ),
        pytest.param(
            {"leader": -1, "isr": ()}, 1, {"repairs": {1, 2, 3}}, None, id="offline, empty ISR"
        ),
        pytest.param(
            OFFLINE, 2, {"repairs": {1, 2, 3}}, "PARTITION_OFFLINE",
            id="offline, and its ISR lacks nobody",
        ),
        pytest.param(
            {"leader": -1, "isr": (1,)}, 2, {"repairs": {2}}, "PARTITION_OFFLINE",
            id="offline, and another is missing",
        ),
        pytest.param(
            {**FOUR, "isr": (1, 2)}, 2, {"repairs": {3}, "in_flight": {4}}, None,
            id="behind by a repair and one in flight",
        ),
    ],
)  # fmt: skip
def test_what_only_repairs_are_missing_from_does_not_count(
    row: dict[str, Any], minimum: int | None, own: dict[str, Any], expected: str | None
) -> None:
    assert hold(row, minimum, **own) == expected


def test_a_repair_that_metadata_still_names_is_missing_from_the_isr() -> None:
    dead = {2: {"alive": False}, 3: {"alive": False}}
    assert hold({}, nodes=dead) == "PARTITION_UNDER_MIN_ISR"
    assert hold({}, nodes=dead, repairs={2, 3}) is None


@pytest.mark.parametrize(
    ("row", "minimum", "expected"),
    [
        pytest.param(BEHIND, 2, None, id="at the minimum"),
        pytest.param(BEHIND, 1, None, id="under-replicated"),
        pytest.param(BEHIND, None, "MIN_ISR_UNKNOWN", id="minimum unknown"),
        pytest.param(UNDER, 2, "PARTITION_UNDER_MIN_ISR", id="under the minimum"),
        pytest.param(OFFLINE, 2, "PARTITION_OFFLINE", id="offline"),
    ],
)
def test_a_baseline_excuses_what_is_behind_and_nothing_worse(
    row: dict[str, Any], minimum: int | None, expected: str | None
) -> None:
    assert hold(row, minimum, baseline={"t-0", "u-1"}) == expected


def test_a_baseline_excuses_no_other_partition() -> None:
    assert hold(BEHIND, baseline={"t-1"}) == "PARTITION_UNDER_REPLICATED"


@pytest.mark.parametrize("row", [{}, BEHIND, UNDER, OFFLINE])
def test_topics_that_are_being_deleted_do_not_count(row: dict[str, Any]) -> None:
    assert hold(row, None, excluded=Excluded.DELETING) is None


def test_the_topic_of_the_probe_counts() -> None:
    assert hold(UNDER, excluded=Excluded.PROBE) == "PARTITION_UNDER_MIN_ISR"


def test_an_assumed_minimum_is_a_minimum() -> None:
    accepted = Acknowledgements(assume_min_isr=2)
    assert hold({}, None, acknowledged=accepted) is None
    assert hold(UNDER, None, acknowledged=accepted) == "PARTITION_UNDER_MIN_ISR"


def test_holds_name_every_partition_in_natural_order() -> None:
    topic = a_topic("t", [a_partition(at) for at in (10, 9, 2)], min_insync_replicas=None)
    found = [reason.object for reason in snapshot_holds(a_snapshot(topic))]
    assert found == ["t-2", "t-9", "t-10"]


def test_details_name_the_brokers_that_are_missed() -> None:
    (reason,) = snapshot_holds(a_snapshot(a_topic("t", [a_partition(isr=(1, 3))])))
    assert reason.detail == "not in sync on broker 2"
