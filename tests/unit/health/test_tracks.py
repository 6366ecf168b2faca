"""Checks that need history: how long, how often, and never from one snapshot."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from support.snapshots import (
    FRESH,
    NOON,
    a_broker,
    a_partition,
    a_quorum,
    a_snapshot,
    a_topic,
)

from healthd.health.history import NO_HISTORY, History
from healthd.health.history_json import history_json, parse_history, put_in, taken_out
from healthd.health.index import evaluate
from healthd.health.remember import look_back, remember
from healthd.health.scoring import DEFAULT
from healthd.model.codes import CheckCode, Severity
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup

DAY = 86_400.0


def at(seconds: float, snapshot: ClusterSnapshot) -> ClusterSnapshot:
    return replace(snapshot, observed_at=NOON + timedelta(seconds=seconds))


def lived(snapshots: Iterable[ClusterSnapshot], history: History = NO_HISTORY) -> History:
    """The history after these snapshots, judged one after the other."""
    for snapshot in snapshots:
        history = look_back(snapshot, history)
        report = evaluate(snapshot, history=history)
        history = remember(snapshot, history, raised=report.checks)
    return history


def every(step: float, until: float, snapshot: ClusterSnapshot) -> list[ClusterSnapshot]:
    return [at(now * step, snapshot) for now in range(int(until / step) + 1)]


def raised(history: History) -> set[CheckCode]:
    return set(history.since)


BUSY = a_snapshot(brokers=[a_broker(n, request_handler_idle=0.05) for n in (1, 2, 3)], ages=FRESH)
CALM = a_snapshot(ages=FRESH)


def test_saturation_is_told_after_five_minutes_of_it_and_lifted_at_once() -> None:
    assert CheckCode.SATURATED not in raised(lived(every(15, 285, BUSY)))
    told = lived(every(15, 300, BUSY))
    assert CheckCode.SATURATED in raised(told)
    assert CheckCode.SATURATED not in raised(lived([at(315, CALM)], told))


def test_saturation_stands_still_while_metrics_are_stale() -> None:
    stale = replace(BUSY, ages={**FRESH, EvidenceGroup.METRICS: 31.0})
    silent = [at(15.0 * n, stale) for n in range(17, 60)]
    half = lived(every(15, 240, BUSY))
    assert CheckCode.SATURATED not in raised(lived(silent, half))
    told = lived(every(15, 300, BUSY))
    assert CheckCode.SATURATED in raised(lived(silent, told)), "a check stays while data is stale"


def test_a_clock_that_jumps_an_hour_proves_nothing() -> None:
    jumped = lived([at(0, BUSY), at(15, BUSY), at(3615, BUSY), at(15, BUSY), at(30, BUSY)])
    assert jumped.tracks.saturated_seconds == 15 + 75 + 0 + 15
    assert CheckCode.SATURATED not in raised(jumped)


def led_by(*leaders: int) -> list[ClusterSnapshot]:
    return [
        at(15.0 * n, a_snapshot(quorum=a_quorum(leader_id=leader), ages=FRESH))
        for n, leader in enumerate(leaders)
    ]


@pytest.mark.parametrize(
    ("leaders", "changes"),
    [
        ((1, 2, 3, 1, 2), 4),
        ((1, 2, 3, 1), 3),
        ((1, -1, 1, -1, 1, -1, 1, -1, 1), 0),
        ((1, -1, 2, -1, 1, -1, 2, -1, 1), 4),
    ],
)
def test_four_changes_of_the_controller_are_flapping(
    leaders: tuple[int, ...], changes: int
) -> None:
    history = lived(led_by(*leaders))
    assert len(history.tracks.controller_changes) == changes
    assert (CheckCode.CONTROLLER_FLAPPING in raised(history)) is (changes >= 4)


def test_changes_are_forgotten_after_half_an_hour() -> None:
    flapping = lived(led_by(1, 2, 3, 1, 2))
    calm = [at(60 + 15.0 * n, led_by(2)[0]) for n in range(1, 121)]
    assert CheckCode.CONTROLLER_FLAPPING not in raised(lived(calm, flapping))


def claimed(*nodes: int) -> ClusterSnapshot:
    return a_snapshot(ages=FRESH, extra={"controllers": {"active": list(nodes)}})


def test_two_controllers_are_told_from_the_second_snapshot_on() -> None:
    once = lived([at(0, claimed(1, 2))])
    assert CheckCode.CONTROLLER_SPLIT not in raised(once)
    split = look_back(at(15, claimed(1, 2)), once)
    report = evaluate(at(15, claimed(1, 2)), history=split)
    (check,) = [c for c in report.checks if c.code is CheckCode.CONTROLLER_SPLIT]
    assert (check.severity, check.objects) == (Severity.CRIT, ("node:1", "node:2"))
    assert CheckCode.CONTROLLER_SPLIT not in raised(lived([at(15, claimed(2))], once))


def test_a_section_of_another_version_claims_nothing() -> None:
    odd = a_snapshot(ages=FRESH, extra={"controllers": {"active": ["1", "2"]}})
    assert raised(lived([at(0, odd), at(15, odd), at(30, odd)])) == raised(lived([at(0, CALM)]))


def isr_of(*isr: int) -> ClusterSnapshot:
    return a_snapshot(a_topic("t", [a_partition(isr=isr)]), ages=FRESH)


def test_a_replica_that_leaves_the_isr_three_times_is_churning() -> None:
    one = [isr_of(1, 2, 3), isr_of(1, 2)]
    twice = lived(at(15.0 * n, snapshot) for n, snapshot in enumerate(one * 2))
    assert CheckCode.ISR_CHURN not in raised(twice)
    thrice = lived(at(15.0 * n, snapshot) for n, snapshot in enumerate(one * 3))
    assert CheckCode.ISR_CHURN in raised(thrice)


def test_a_rolling_restart_is_no_churn() -> None:
    rolling = [isr_of(1, 2, 3), isr_of(2, 3), isr_of(1, 2, 3), isr_of(1, 3), isr_of(1, 2, 3),
               isr_of(1, 2), isr_of(1, 2, 3)]  # fmt: skip
    assert CheckCode.ISR_CHURN not in raised(
        lived(at(15.0 * n, snapshot) for n, snapshot in enumerate(rolling))
    )


def counted(*counts: float) -> list[ClusterSnapshot]:
    return [
        at(15.0 * n, a_snapshot(ages=FRESH, extra={"isr": {"shrinks": {"2": count}}}))
        for n, count in enumerate(counts)
    ]


def test_a_brokers_own_count_of_shrinks_sees_what_snapshots_do_not() -> None:
    rising = [float(n) for n in range(11)]
    assert CheckCode.ISR_CHURN not in raised(lived(counted(*rising[:10])))
    history = lived(counted(*rising))
    assert CheckCode.ISR_CHURN in raised(history)
    calm = [at(165 + 15.0 * n, counted(10.0)[0]) for n in range(62)]
    assert CheckCode.ISR_CHURN not in raised(lived(calm, history))


def test_a_count_that_begins_anew_or_stands_still_has_not_risen() -> None:
    assert lived(counted(5.0, 5.0, 0.0, 0.0, 3.0, 1.0)).tracks.isr_rises == {2: (60.0,)}


def test_a_replica_that_is_reassigned_away_has_not_left() -> None:
    moved = a_snapshot(a_topic("t", [a_partition(replicas=(1, 2), isr=(1, 2))]), ages=FRESH)
    history = lived(at(15.0 * n, one) for n, one in enumerate([isr_of(1, 2, 3), moved] * 4))
    assert history.tracks.isr_leaves == {}


def led_elsewhere(many: int) -> ClusterSnapshot:
    rows = [a_partition(n, leader=2 if n < many else 1) for n in range(20)]
    return a_snapshot(a_topic("t", rows), ages=FRESH)


def test_leaders_away_from_their_broker_for_half_an_hour_are_an_imbalance() -> None:
    assert CheckCode.LEADER_IMBALANCE not in raised(lived(every(15, 1785, led_elsewhere(3))))
    assert CheckCode.LEADER_IMBALANCE in raised(lived(every(15, 1800, led_elsewhere(3))))
    assert CheckCode.LEADER_IMBALANCE not in raised(lived(every(15, 1800, led_elsewhere(2))))


def test_a_broker_that_is_down_cannot_lead_and_is_no_imbalance() -> None:
    down = replace(led_elsewhere(20), brokers=(a_broker(1, alive=False), a_broker(2), a_broker(3)))
    assert CheckCode.LEADER_IMBALANCE not in raised(lived(every(60, 2400, down)))


def test_mixed_versions_are_a_warning_after_seven_days() -> None:
    mixed = a_snapshot(brokers=[a_broker(1), a_broker(2), a_broker(3, version="4.0.1")], ages=FRESH)
    history = lived([at(0, mixed)])
    tracks = replace(history.tracks, mixed_versions_seconds=7 * DAY - 30)
    history = replace(history, tracks=tracks)
    told = []
    for now in (15.0, 30.0):
        history = look_back(at(now, mixed), history)
        checks = evaluate(at(now, mixed), history=history).checks
        told += [c.severity for c in checks if c.code is CheckCode.MIXED_VERSIONS]
    assert told == [Severity.INFO, Severity.WARN]


def test_since_is_when_a_check_was_first_raised_without_a_break() -> None:
    down = a_snapshot(brokers=[a_broker(1), a_broker(2), a_broker(3, alive=False)], ages=FRESH)
    history = lived([at(0, CALM), at(15, down), at(30, down), at(45, down)])
    assert history.since[CheckCode.BROKER_DOWN] == NOON + timedelta(seconds=15)
    again = lived([at(60, CALM), at(75, down)], history)
    assert again.since[CheckCode.BROKER_DOWN] == NOON + timedelta(seconds=75)


def test_history_outlives_a_restart() -> None:
    under = a_snapshot(a_topic("t", [a_partition(isr=(1,))]), brokers=BUSY.brokers, ages=FRESH)
    history = lived([*every(15, 300, BUSY), at(315, under)])
    stored, restored = taken_out(put_in(at(315, under), history))
    assert stored == at(315, under)
    assert restored.since == history.since
    assert restored.under_min_isr == {("t", 0)}
    assert restored.tracks.saturated_seconds == history.tracks.saturated_seconds
    assert CheckCode.SATURATED in raised(lived([at(4000, BUSY)], restored))


@pytest.mark.parametrize(
    "value",
    [{}, {"underMinIsr": 3}, {"since": {"NO_SUCH": "x"}}, history_json(NO_HISTORY) | {"at": "x"}],
)
def test_a_history_of_another_version_is_no_history(value: dict[str, object]) -> None:
    assert parse_history(value) == NO_HISTORY


def test_the_numbers_are_those_of_the_scoring_profile() -> None:
    checks = replace(DEFAULT.checks, saturated_seconds=30)
    scoring = replace(DEFAULT, checks=checks, name="quick")
    history = NO_HISTORY
    for snapshot in every(15, 30, BUSY):
        history = look_back(snapshot, history, scoring)
    report = evaluate(at(30, BUSY), scoring, history=history)
    assert CheckCode.SATURATED in {check.code for check in report.checks}
