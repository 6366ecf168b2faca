"""Replica lag from exporters: too far behind, no longer told, and what is not asked."""

from collections.abc import Mapping
from typing import Any

import pytest
from support.snapshots import a_broker, a_controller, a_snapshot, ages

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.safety.gate import snapshot_holds
from healthd.safety.replica_lag import lag_holds


def lag(*rows: Any) -> Mapping[str, Mapping[str, Any]]:
    return {"lag": {"brokers": list(rows), "ageSeconds": 1.0}}


def row(broker: int, messages: float, age: float = 2.0) -> dict[str, Any]:
    return {"broker": broker, "messages": messages, "ageSeconds": age}


def holds(*rows: Any, away: tuple[int, ...] = (), **changes: Any) -> list[Reason]:
    snapshot = a_snapshot(**({"extra": lag(*rows)} | changes))
    return list(lag_holds(snapshot, limit=10_000, away=away))


def test_a_broker_whose_replicas_are_too_far_behind_is_named_with_both_numbers() -> None:
    (hold,) = holds(row(1, 10_000), row(2, 34_567))
    assert hold == Reason(
        code=ReasonCode.REPLICA_LAG,
        object="broker:2",
        detail="its replicas are up to 34567 messages behind their leaders, 10000 are allowed",
    )


def test_brokers_in_flight_are_not_asked() -> None:
    assert holds(row(2, 34_567), away=(2,)) == []


def test_an_exporter_that_no_longer_tells_it_closes_the_gate() -> None:
    (hold,) = holds(row(2, 0, age=30.001))
    assert (hold.code, hold.object) == (ReasonCode.EVIDENCE_STALE, "broker:2")
    assert "last told the lag of its replicas 30.001 s ago, the limit is 30 s" in hold.detail
    assert holds(row(2, 0, age=30.0)) == []


def test_a_page_that_is_too_old_as_a_whole_is_held_once() -> None:
    brokers = (a_broker(1), a_broker(2, metrics_age_seconds=31.0))
    snapshot = a_snapshot(brokers=brokers, extra=lag(row(2, 0, age=31.0)), ages=ages(metrics=1.0))
    assert list(lag_holds(snapshot, limit=1)) == []
    stale = [hold for hold in snapshot_holds(snapshot) if hold.object == "broker:2"]
    assert [hold.code for hold in stale] == [ReasonCode.EVIDENCE_STALE]


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": None},
        {"extra": {"lag": {"brokers": "x"}}},
        {"extra": {"lag": {"brokers": [None, 1, {}, {"broker": "2"}, {"broker": True}]}}},
        {"extra": {"lag": {"brokers": [{"broker": 2, "messages": "9", "ageSeconds": 1}]}}},
        {"extra": {"lag": {"brokers": [{"broker": 2, "messages": 1e9}]}}},
        {"extra": lag(row(9, 1e9))},
        {"brokers": (a_broker(2, alive=False),)},
        {"brokers": (a_controller(2),)},
        {"ages": {"metadata": 1.0}},
    ],
    ids=["none", "no list", "no rows", "no number", "no age", "gone", "down", "controller", "none"],
)
def test_what_is_not_told_is_not_asked(changes: dict[str, Any]) -> None:
    assert holds(row(2, 1e9), **changes) == []
