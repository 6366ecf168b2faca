"""Each row of the sum and of the caps, with numbers worked out by hand."""

from dataclasses import replace
from math import sqrt
from typing import Any

import pytest
from support.snapshots import (
    a_broker,
    a_controller,
    a_partition,
    a_quorum,
    a_snapshot,
    a_topic,
    topic_of_states,
)

from healthd.health.caps import Cap, lowest_first
from healthd.health.index import HealthReport, evaluate
from healthd.health.scoring import DEFAULT
from healthd.health.words import Term
from healthd.model.codes import CheckCode
from healthd.model.snapshot import ClusterSnapshot, Probe
from healthd.model.words import Excluded


def points(report: HealthReport, term: Term) -> float:
    return next(row.points for row in report.contributions if row.term is term)


def caps(report: HealthReport) -> dict[str, float]:
    return {cap.code.value: cap.cap for cap in report.caps}


def brokers(*ratios: float | None, field: str = "request_handler_idle") -> dict[str, Any]:
    return {
        "brokers": tuple(a_broker(node, **{field: ratio}) for node, ratio in enumerate(ratios, 1))
    }


def ten_brokers(down: int) -> dict[str, Any]:
    return {"brokers": tuple(a_broker(node, alive=node > down) for node in range(1, 11))}


IDLE_OF_ELEVEN = brokers(0.06, 0.15, *[0.9] * 9)


@pytest.mark.parametrize(
    ("term", "snapshot", "expected"),
    [
        pytest.param(Term.PARTITIONS, a_snapshot(), 0, id="partitions-healthy"),
        pytest.param(
            Term.PARTITIONS,
            a_snapshot(topic_of_states(ok=3, offline=1)),
            45 * 0.5,
            id="partitions-one-of-four-offline",
        ),
        pytest.param(
            Term.PARTITIONS,
            a_snapshot(topic_of_states(ok=5, under_min_isr=1, under_replicated=4)),
            45 * sqrt(0.072),
            id="partitions-mixed",
        ),
        pytest.param(Term.BROKERS, a_snapshot(**ten_brokers(1)), 15 * sqrt(0.1), id="brokers-one"),
        pytest.param(
            Term.BROKERS,
            a_snapshot(brokers=(a_broker(1), a_broker(2), a_broker(3), a_broker(4, fenced=True))),
            7.5,
            id="brokers-fenced-is-down",
        ),
        pytest.param(
            Term.BROKERS,
            a_snapshot(brokers=(a_broker(1), a_broker(2))),
            15 * sqrt(1 / 3),
            id="brokers-a-holder-that-is-not-listed-is-down",
        ),
        pytest.param(
            Term.BROKERS,
            a_snapshot(
                a_topic("orders", [a_partition(replicas=(1, 2, 3, 4), adding=frozenset({4}))]),
                brokers=(a_broker(1), a_broker(2), a_broker(3)),
            ),
            7.5,
            id="brokers-one-that-is-being-added-is-expected",
        ),
        pytest.param(
            Term.BROKERS,
            a_snapshot(
                brokers=(*map(a_broker, (1, 2, 3)), a_controller(9, alive=False)),
            ),
            0,
            id="brokers-pure-controllers-are-none",
        ),
        pytest.param(
            Term.BROKERS,
            a_snapshot(
                a_topic(),
                a_topic("gone", [a_partition(replicas=(7,), isr=())], excluded=Excluded.DELETING),
            ),
            0,
            id="brokers-holders-of-excluded-topics-are-not-expected",
        ),
        pytest.param(
            Term.CONTROLLER,
            a_snapshot(quorum=a_quorum(absent_seconds=30)),
            0,
            id="controller-30s",
        ),
        pytest.param(
            Term.CONTROLLER,
            a_snapshot(quorum=a_quorum(absent_seconds=45)),
            15 * 0.25,
            id="controller-45s",
        ),
        pytest.param(
            Term.CONTROLLER,
            a_snapshot(quorum=a_quorum(absent_seconds=900)),
            15,
            id="controller-900s",
        ),
        pytest.param(
            Term.CONTROLLER,
            a_snapshot(quorum=a_quorum(absent_seconds=None, leader_id=-1)),
            15,
            id="controller-no-leader-counts-as-90s",
        ),
        pytest.param(
            Term.CONTROLLER,
            a_snapshot(quorum=a_quorum(absent_seconds=None)),
            0,
            id="controller-leader-known-counts-as-0s",
        ),
        pytest.param(
            Term.SATURATION, a_snapshot(**brokers(0.15, 0.9, 0.9, 0.9)), 5, id="saturation-lowest"
        ),
        pytest.param(
            Term.SATURATION,
            a_snapshot(**IDLE_OF_ELEVEN),
            5,
            id="saturation-second-lowest-of-eleven",
        ),
        pytest.param(
            Term.SATURATION,
            a_snapshot(
 brokers=(a_broker(1, request_handler_idle=0, alive=False), a_broker(2), a_broker(3))
),
            10,
            id="saturation-alive-or-not",
        ),
        pytest.param(
            Term.SATURATION,
            a_snapshot(
                brokers=(*map(a_broker, (1, 2, 3)), a_controller(9, request_handler_idle=0.0))
            ),
            0,
            id="saturation-pure-controllers-do-not-count",
        ),
        pytest.param(
            Term.SATURATION, a_snapshot(**brokers(1.9, None, 1.2)), 0, id="saturation-above-one"
        ),
        pytest.param(
            Term.SATURATION, a_snapshot(**brokers(None, None, None)), 0, id="saturation-no-value"
        ),
        pytest.param(
            Term.PROBE, a_snapshot(probe=Probe(attempts=20, succeeded=15)), 2.5, id="probe-15-of-20"
        ),
        pytest.param(
            Term.PROBE, a_snapshot(probe=Probe(attempts=4, succeeded=0)), 0, id="probe-too-few"
        ),
        pytest.param(
            Term.PROBE, a_snapshot(probe=Probe(attempts=5, succeeded=0)), 10, id="probe-five"
        ),
        pytest.param(
            Term.STORAGE,
            a_snapshot(**brokers(0.2, 0.75, 0.3, field="disk_used_ratio")),
            1,
            id="storage-fullest",
        ),
        pytest.param(
            Term.STORAGE,
            a_snapshot(
 brokers=(a_broker(1, disk_used_ratio=1.0, alive=False), a_broker(2), a_broker(3))
),
            5,
            id="storage-alive-or-not",
        ),
        pytest.param(
            Term.STORAGE,
            a_snapshot(**brokers(None, None, None, field="disk_used_ratio")),
            0,
            id="storage-no-value",
        ),
    ],
)  # fmt: skip
def test_a_term_takes_its_weight_times_its_severity(
    term: Term, snapshot: ClusterSnapshot, expected: float
) -> None:
    assert points(evaluate(snapshot), term) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(a_snapshot(), {}, id="healthy"),
        pytest.param(
            a_snapshot(topic_of_states(ok=99, offline=1)),
            {"PARTITION_OFFLINE": 48},
            id="offline-1-of-100",
        ),
        pytest.param(
            a_snapshot(topic_of_states(ok=3, offline=1)),
            {"PARTITION_OFFLINE": 0},
            id="offline-a-quarter",
        ),
        pytest.param(
            a_snapshot(topic_of_states(offline=1)), {"PARTITION_OFFLINE": 0}, id="offline-all"
        ),
        pytest.param(
            a_snapshot(topic_of_states(ok=49, under_min_isr=1)),
            {"PARTITION_UNDER_MIN_ISR": 69 * 0.8},
            id="under-min-isr-1-of-50",
        ),
        pytest.param(
            a_snapshot(topic_of_states(ok=48, under_min_isr=1, offline=1)),
            {
                "PARTITION_OFFLINE": 60 * (1 - sqrt(0.08)),
                "PARTITION_UNDER_MIN_ISR": 69 * (1 - sqrt(0.08)),
            },
            id="under-min-isr-share-includes-offline",
        ),
        pytest.param(
            a_snapshot(topic_of_states(ok=3, at_min_isr=1)),
            {"PARTITION_AT_MIN_ISR": 80.5},
            id="at-min-isr-a-quarter",
        ),
        pytest.param(
            a_snapshot(topic_of_states(ok=7, at_min_isr=1, offline=1)),
            {
                "PARTITION_OFFLINE": 60 * (1 - sqrt(4 / 9)),
                "PARTITION_AT_MIN_ISR": 89 - 17 * sqrt(2 / 9),
            },
            id="at-min-isr-share-includes-offline",
        ),
        pytest.param(
            a_snapshot(topic_of_states(under_replicated=3)), {}, id="under-replicated-has-none"
        ),
        pytest.param(
            a_snapshot(
                topic_of_states(ok=98),
                topic_of_states("__consumer_offsets", under_min_isr=2),
            ),
            {"INTERNAL_TOPIC_UNAVAILABLE": 45, "PARTITION_UNDER_MIN_ISR": 69 * 0.8},
            id="internal-under-min-isr",
        ),
        pytest.param(
            a_snapshot(topic_of_states(ok=99), topic_of_states("__transaction_state", offline=1)),
            {"INTERNAL_TOPIC_UNAVAILABLE": 45, "PARTITION_OFFLINE": 48},
            id="internal-offline",
        ),
        pytest.param(
            a_snapshot(topic_of_states("__share_group_state", ok=3, at_min_isr=1)),
            {"PARTITION_AT_MIN_ISR": 80.5},
            id="internal-at-min-isr-is-available",
        ),
        pytest.param(
            a_snapshot(topic_of_states(ok=99), topic_of_states("__remote_log_metadata", offline=1)),
            {"PARTITION_OFFLINE": 48},
            id="remote-log-metadata-has-no-cap-of-its-own",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(absent_seconds=0.5)),
            {"CONTROLLER_TRANSIENT": 89},
            id="controller-half-a-second",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(absent_seconds=30)),
            {"CONTROLLER_TRANSIENT": 89},
            id="controller-30s",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(absent_seconds=60)),
            {"CONTROLLER_ABSENT": 61.5},
            id="controller-60s",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(absent_seconds=9999)),
            {"CONTROLLER_ABSENT": 30},
            id="controller-for-hours",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(absent_seconds=None, leader_id=-1)),
            {"CONTROLLER_ABSENT": 58},
            id="controller-no-leader-counts-as-90s",
        ),
        pytest.param(a_snapshot(**ten_brokers(1)), {"BROKER_DOWN": 89}, id="broker-down-1-of-10"),
        pytest.param(
            a_snapshot(**ten_brokers(4)),
            {"BROKER_DOWN": 89 - 35 * 0.06 / 0.33},
            id="broker-down-4-of-10",
        ),
        pytest.param(a_snapshot(**ten_brokers(10)), {"BROKER_DOWN": 54}, id="broker-down-all"),
        pytest.param(
            a_snapshot(probe=Probe(attempts=20, succeeded=13)),
            {"PROBE_FAILING": 65},
            id="probe-13-of-20",
        ),
        pytest.param(
            a_snapshot(probe=Probe(attempts=4, succeeded=0)), {}, id="probe-too-few-attempts"
        ),
        pytest.param(
            a_snapshot(**brokers(0.1, 0.85, 0.2, field="disk_used_ratio")),
            {"DISK_HIGH": 89},
            id="disk-85",
        ),
        pytest.param(
            a_snapshot(**brokers(0.1, 0.849, 0.2, field="disk_used_ratio")), {}, id="disk-84.9"
        ),
        pytest.param(
            a_snapshot(**brokers(0.1, 0.975, 0.2, field="disk_used_ratio")),
            {"DISK_CRITICAL": 57.5, "DISK_HIGH": 89},
            id="disk-97.5-high-stays-beside-critical",
        ),
        pytest.param(
            a_snapshot(unclean_elections_24h=3), {"UNCLEAN_ELECTION": 89}, id="unclean-election"
        ),
        pytest.param(a_snapshot(unreachable=True), {"UNREACHABLE": 0}, id="unreachable"),
        pytest.param(a_snapshot(unreachable=None), {}, id="reachability-unknown"),
    ],
)
def test_a_finding_caps_the_index(snapshot: ClusterSnapshot, expected: dict[str, float]) -> None:
    found = caps(evaluate(snapshot))
    assert found == pytest.approx(expected, abs=1e-9)


def test_everything_healthy_is_exactly_100() -> None:
    report = evaluate(a_snapshot())
    values = [report.health_index, report.lower, report.upper, report.completeness]
    assert values == [100, 100, 100, 1]
    assert [report.binding_cap, report.cap_penalty, len(report.checks)] == [None, 0, 0]


def test_the_lowest_cap_binds_and_the_penalty_is_what_it_takes_beyond_the_sum() -> None:
    report = evaluate(a_snapshot(topic_of_states(ok=99, offline=1)))
    # The sum: 100 - 45 sqrt(0.01) = 95.5; the cap: 60 (1 - sqrt(0.04)) = 48.
    assert report.health_index == pytest.approx(48)
    assert report.cap_penalty == pytest.approx(47.5)
    assert report.binding_cap is CheckCode.PARTITION_OFFLINE
    assert report.next_cap is None


def test_a_cap_above_the_sum_does_not_bind() -> None:
    snapshot = a_snapshot(
        topic_of_states(under_replicated=1),
        unclean_elections_24h=1,
        quorum=a_quorum(absent_seconds=20),
        probe=Probe(attempts=4, succeeded=0),
        **brokers(0.0, 0.0, 0.0, 0.0),
    )
    report = evaluate(snapshot)
    # 100 - 45 sqrt(0.03) - 10 = 82.2 is below both caps of 89.
    assert report.health_index == pytest.approx(90 - 45 * sqrt(0.03))
    assert (report.binding_cap, report.cap_penalty) == (None, 0)
    assert [cap.code for cap in report.caps] == ["CONTROLLER_TRANSIENT", "UNCLEAN_ELECTION"]
    assert report.next_cap == Cap(code=CheckCode.CONTROLLER_TRANSIENT, cap=89)


def test_of_equal_caps_the_first_in_the_alphabet_binds() -> None:
    report = evaluate(a_snapshot(unclean_elections_24h=1, quorum=a_quorum(absent_seconds=3)))
    assert report.binding_cap is CheckCode.CONTROLLER_TRANSIENT
    assert report.next_cap == Cap(code=CheckCode.UNCLEAN_ELECTION, cap=89)


def test_caps_nearer_than_the_tolerance_tie_and_are_ordered_by_code() -> None:
    found = lowest_first(
        [
            Cap(code=CheckCode.UNCLEAN_ELECTION, cap=89 - 5e-10),
            Cap(code=CheckCode.BROKER_DOWN, cap=89),
            Cap(code=CheckCode.DISK_CRITICAL, cap=60),
            Cap(code=CheckCode.PARTITION_AT_MIN_ISR, cap=89 + 2e-9),
        ],
        tolerance=1e-9,
    )
    codes = [cap.code.value for cap in found]
    assert codes == ["DISK_CRITICAL", "BROKER_DOWN", "UNCLEAN_ELECTION", "PARTITION_AT_MIN_ISR"]


@pytest.mark.parametrize(
    ("cap", "binding"),
    [
        pytest.param(90.0, None, id="equal"),
        pytest.param(90 - 5e-10, None, id="within-the-tolerance"),
        pytest.param(90 - 1e-8, CheckCode.UNCLEAN_ELECTION, id="below"),
    ],
)
def test_a_cap_that_equals_the_sum_does_not_bind(cap: float, binding: CheckCode | None) -> None:
    scoring = replace(DEFAULT, caps=replace(DEFAULT.caps, unclean_election=cap))
    idle = brokers(0.0, 0.0, 0.0, 0.0)
    report = evaluate(a_snapshot(unclean_elections_24h=1, **idle), scoring)
    assert report.health_index == pytest.approx(90)
    assert report.binding_cap is binding
