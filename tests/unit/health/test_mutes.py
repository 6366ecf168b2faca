"""Mutes change the class that people are told, and never a number."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.snapshots import a_broker, a_snapshot, ages, snapshots, topic_of_states

from healthd.health.index import HealthReport, evaluate
from healthd.health.mutes import Mute, ended, outgrown
from healthd.health.report_json import as_json
from healthd.health.words import HealthClass
from healthd.model.codes import CheckCode
from healthd.model.snapshot import ClusterSnapshot

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FOUR = tuple(a_broker(n) for n in (1, 2, 3))
DOWN = a_snapshot(brokers=(*FOUR, a_broker(4, alive=False)))
TWO_DOWN = a_snapshot(brokers=(*FOUR, a_broker(4, alive=False), a_broker(5, alive=False)))
FULL = a_snapshot(brokers=(a_broker(1, disk_used_ratio=0.99), a_broker(2), a_broker(3)))


def mute(check: CheckCode, *objects: str, count: int | None = None) -> Mute:
    return Mute(
        id="m1", cluster="c", check=check, objects=objects, reason="r", owner="o",
        created_at=NOON, until=NOON + timedelta(hours=1), count=count,
    )  # fmt: skip


def judged(snapshot: ClusterSnapshot, *mutes: Mute) -> HealthReport:
    return evaluate(snapshot, mutes=mutes)


def test_a_muted_check_takes_its_cap_and_points_out_of_the_class() -> None:
    assert judged(DOWN).health_class is HealthClass.WARN
    quiet = judged(DOWN, mute(CheckCode.BROKER_DOWN, count=1))
    assert quiet.health_class is HealthClass.OK
    assert quiet.muted == {CheckCode.BROKER_DOWN}
    assert as_json(quiet) | {"class": "WARN"} == as_json(judged(DOWN))


def test_what_is_not_muted_still_counts() -> None:
    both = a_snapshot(topic_of_states(ok=9, offline=1), brokers=DOWN.brokers)
    quiet = judged(both, mute(CheckCode.BROKER_DOWN, count=1))
    assert quiet.health_class is HealthClass.CRIT
    assert quiet.health_index == judged(both).health_index


@pytest.mark.parametrize(
    ("mutes", "expected"),
    [
        ([mute(CheckCode.DISK_CRITICAL)], HealthClass.WARN),
        ([mute(CheckCode.DISK_HIGH)], HealthClass.CRIT),
        ([mute(CheckCode.DISK_CRITICAL), mute(CheckCode.DISK_HIGH)], HealthClass.OK),
    ],
)
def test_a_disk_is_quiet_when_both_of_its_checks_are(
    mutes: Sequence[Mute], expected: HealthClass
) -> None:
    assert judged(FULL, *mutes).health_class is expected


def test_some_objects_are_muted_only_when_no_other_is_concerned() -> None:
    one = mute(CheckCode.BROKER_DOWN, "broker:4")
    assert judged(DOWN, one).health_class is HealthClass.OK
    assert judged(TWO_DOWN, one).health_class is HealthClass.WARN
    assert outgrown([one], judged(TWO_DOWN).checks) == (one,)
    assert outgrown([one], judged(DOWN).checks) == ()


def test_a_mute_of_all_is_outgrown_by_a_higher_count() -> None:
    counted, uncounted = (mute(CheckCode.BROKER_DOWN, count=n) for n in (1, None))
    assert outgrown([counted, uncounted], judged(TWO_DOWN).checks) == (counted,)
    assert judged(TWO_DOWN, counted).muted == frozenset()
    assert judged(TWO_DOWN, uncounted).muted == {CheckCode.BROKER_DOWN}


def test_a_check_that_names_not_all_of_its_objects_is_never_muted_by_name() -> None:
    many = a_snapshot(topic_of_states(ok=1, offline=30))
    names = tuple(f"orders-{n}" for n in range(1, 21))
    by_name = mute(CheckCode.PARTITION_OFFLINE, *names)
    assert judged(many, by_name).muted == frozenset()
    assert outgrown([by_name], judged(many).checks) == (by_name,)


def test_a_mute_ends_with_its_time() -> None:
    one = mute(CheckCode.BROKER_DOWN)
    assert ended([one], NOON + timedelta(minutes=59)) == ()
    assert ended([one], one.until) == (one,)


def test_what_is_not_known_is_unknown_however_much_is_muted() -> None:
    dark = a_snapshot(ages=ages(metadata=400.0, quorum=400.0, configs=1.0, metrics="-", probe="-"))
    every = [mute(code) for code in CheckCode]
    assert judged(dark).health_class is HealthClass.UNKNOWN
    assert judged(dark, *every).health_class is HealthClass.UNKNOWN


ORDER = [HealthClass.OK, HealthClass.WARN, HealthClass.CRIT]


@given(snapshots(), st.sets(st.sampled_from(CheckCode)))
def test_a_mute_never_changes_the_index_and_never_makes_the_class_worse(
    snapshot: ClusterSnapshot, codes: set[CheckCode]
) -> None:
    plain = evaluate(snapshot)
    quiet = evaluate(snapshot, mutes=[mute(code) for code in codes])
    same = replace(quiet, health_class=plain.health_class, muted=frozenset())
    assert as_json(same) == as_json(plain)
    assert quiet.muted <= codes & {check.code for check in plain.checks}
    if HealthClass.UNKNOWN not in {plain.health_class, quiet.health_class}:
        assert ORDER.index(quiet.health_class) <= ORDER.index(plain.health_class)
