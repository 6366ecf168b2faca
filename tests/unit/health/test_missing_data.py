"""What is stale, never seen or not configured: points, caps, bounds and completeness."""

from math import sqrt

import pytest
from support.snapshots import (
    a_broker,
    a_partition,
    a_quorum,
    a_snapshot,
    a_topic,
    ages,
    topic_of_states,
)

from healthd.health.index import HealthReport, evaluate
from healthd.health.words import Term
from healthd.model.snapshot import Probe
from healthd.model.words import EvidenceGroup

GROUPS = ("metadata", "configs", "quorum", "metrics", "probe")
OFFLINE = topic_of_states(ok=99, offline=1)


def points(report: HealthReport) -> dict[str, float]:
    return {row.term.value: row.points for row in report.contributions if row.points}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"quorum": 30.0}, {}, id="at-the-fresh-limit"),
        pytest.param({"quorum": 52.5}, {"controller": 15 * 0.15}, id="half-way-to-stale"),
        pytest.param({"quorum": 75.0}, {"controller": 4.5}, id="at-the-stale-limit"),
        pytest.param({"quorum": 9e9}, {"controller": 4.5}, id="long-past-the-stale-limit"),
        pytest.param({"quorum": None}, {"controller": 4.5}, id="never-seen"),
        pytest.param({"quorum": "-"}, {}, id="not-configured"),
        pytest.param({"probe": 75.0}, {"probe": 3}, id="probe"),
        pytest.param({"metrics": 75.0}, {"saturation": 3, "storage": 1.5}, id="metrics"),
        pytest.param({"metadata": 75.0}, {"partitions": 13.5, "brokers": 4.5}, id="metadata"),
        pytest.param({"metadata": "-"}, {"partitions": 13.5, "brokers": 4.5}, id="metadata-absent"),
        pytest.param({"configs": 300.0}, {}, id="configs-at-their-fresh-limit"),
        pytest.param({"configs": 525.0}, {"partitions": 6.75}, id="configs-half-way"),
        pytest.param({"configs": 750.0}, {"partitions": 13.5}, id="configs-stale"),
        pytest.param({"configs": None}, {"partitions": 13.5}, id="configs-never-seen"),
        pytest.param({"configs": "-"}, {}, id="configs-not-configured-do-not-age"),
        pytest.param(
            {"configs": 525.0, "metadata": 75.0},
            {"partitions": 13.5, "brokers": 4.5},
            id="the-least-fresh-group-counts",
        ),
    ],
)  # fmt: skip
def test_silence_costs_up_to_three_tenths_of_the_weight(
    changes: dict[str, float | str | None], expected: dict[str, float]
) -> None:
    assert points(evaluate(a_snapshot(ages=ages(**changes)))) == pytest.approx(expected)


def test_what_was_never_seen_is_not_fresh_however_long_the_interval() -> None:
    report = evaluate(a_snapshot(ages=ages(metadata=None, metrics=None), interval_seconds=1e308))
    assert points(report) == pytest.approx(
        {"partitions": 13.5, "brokers": 4.5, "saturation": 3, "storage": 1.5}
    )
    assert report.completeness == pytest.approx(0.25)
    assert report.lower == 0


def test_the_last_severity_stays_when_it_is_worse_than_silence() -> None:
    snapshot = a_snapshot(quorum=a_quorum(absent_seconds=60), ages=ages(quorum=1000.0))
    report = evaluate(snapshot)
    assert points(report) == pytest.approx({"controller": 7.5})
    assert [cap.cap for cap in report.caps] == [61.5]


@pytest.mark.parametrize("age", [None, "-"], ids=["never-seen", "not-configured"])
@pytest.mark.parametrize("group", ["quorum", "metrics", "probe"])
def test_what_was_never_seen_says_nothing_whatever_the_snapshot_holds(
    group: str, age: str | None
) -> None:
    snapshot = a_snapshot(
        quorum=a_quorum(2, 3, absent_seconds=999),
        probe=Probe(attempts=20, succeeded=0),
        brokers=tuple(
            a_broker(node, disk_used_ratio=1.0, request_handler_idle=0) for node in (1, 2, 3)
        ),
        ages=ages(**{name: age for name in GROUPS if name == group}),
    )
    report = evaluate(snapshot)
    silent = {
        "quorum": {"CONTROLLER_ABSENT", "QUORUM_AT_RISK"},
        "metrics": {"DISK_HIGH", "DISK_CRITICAL"},
        "probe": {"PROBE_FAILING"},
    }
    found = {check.code.value for check in report.checks}
    assert found == set().union(*silent.values()) - silent[group]
    assert {cap.code.value for cap in report.caps} == found - {"QUORUM_AT_RISK"}
    terms = {"quorum": {"controller"}, "metrics": {"saturation", "storage"}, "probe": {"probe"}}
    cost = {term: points(report).get(term, 0) for term in terms[group]}
    share = 0.3 if age is None else 0
    weights = {"controller": 15, "saturation": 10, "storage": 5, "probe": 10}
    assert cost == pytest.approx({term: weights[term] * share for term in cost})


def test_before_metadata_was_seen_only_quorum_probe_and_reachability_speak() -> None:
    snapshot = a_snapshot(
        a_topic("t", [a_partition(leader=-1, replicas=(9,), isr=())], min_insync_replicas=None),
        brokers=(a_broker(1, disk_used_ratio=1.0, offline_log_dirs=1, version="3.0"), a_broker(2)),
        quorum=a_quorum(2, absent_seconds=10),
        probe=Probe(attempts=10, succeeded=9),
        unclean_elections_24h=1,
        unreachable=True,
        ages=ages(metadata=None),
    )
    report = evaluate(snapshot)
    assert {check.code.value for check in report.checks} == {
        "UNREACHABLE",
        "CONTROLLER_TRANSIENT",
        "PROBE_FAILING",
        "QUORUM_AT_RISK",
    }
    assert not {"UNCLEAN_ELECTION", "PARTITION_OFFLINE"} & {cap.code.value for cap in report.caps}
    assert report.lower == 0
    assert not report.is_metadata_seen


@pytest.mark.parametrize(
    ("changes", "completeness", "lower", "upper"),
    [
        pytest.param({}, 1, 100, 100, id="everything"),
        pytest.param({"quorum": 31.0}, 0.85, 85, 100, id="quorum-not-fresh"),
        pytest.param({"quorum": "-"}, 1, 100, 100, id="quorum-not-configured"),
        pytest.param({"metrics": None}, 0.85, 85, 100, id="metrics-never-seen"),
        pytest.param({"metadata": 31.0}, 0.4, 0, 100, id="metadata-not-fresh-is-lower-0"),
        pytest.param({"configs": 301.0}, 0.55, 55, 100, id="configs-not-fresh"),
        pytest.param({"configs": None}, 0.55, 55, 100, id="configs-never-seen"),
        pytest.param(
            {"quorum": None, "metrics": "-", "probe": "-"}, 0.8, 85, 100, id="of-what-is-configured"
        ),
    ],
)  # fmt: skip
def test_what_is_not_fresh_widens_the_interval_by_its_weight(
    changes: dict[str, float | str | None], completeness: float, lower: float, upper: float
) -> None:
    report = evaluate(a_snapshot(ages=ages(**changes)))
    found = (report.completeness, report.lower, report.upper)
    assert found == pytest.approx((completeness, lower, upper))


def test_not_observed_names_the_terms_that_are_not_configured_and_no_other() -> None:
    report = evaluate(a_snapshot(ages=ages(metrics="-", quorum=None, probe="-")))
    assert report.not_observed == (Term.SATURATION, Term.PROBE, Term.STORAGE)


@pytest.mark.parametrize(
    ("brokers", "saturation", "storage"),
    [
        pytest.param([{}, {}, {}, {}], 1, 1, id="all"),
        pytest.param([{"metrics_age_seconds": 30.0}, {}, {}, {}], 1, 1, id="still-fresh"),
        pytest.param([{"metrics_age_seconds": 31.0}, {}, {}, {}], 0.75, 0.75, id="one-silent"),
        pytest.param([{"request_handler_idle": None}, {}, {}, {}], 0.75, 1, id="no-idle"),
        pytest.param([{"alive": False, "metrics_age_seconds": 31.0}, {}, {}, {}], 1, 1, id="dead"),
        pytest.param([{"alive": False}] * 4, 1, 1, id="none-is-alive"),
    ],
)  # fmt: skip
def test_coverage_counts_alive_brokers_with_a_fresh_value(
    brokers: list[dict[str, object]], saturation: float, storage: float
) -> None:
    rows = tuple(a_broker(node, **changes) for node, changes in enumerate(brokers, 1))
    report = evaluate(a_snapshot(brokers=rows))
    assert report.completeness == pytest.approx((85 + 10 * saturation + 5 * storage) / 100)


def test_probe_and_controller_without_a_value_are_not_covered() -> None:
    no_probe = evaluate(a_snapshot(probe=None))
    assert no_probe.completeness == pytest.approx(0.9)
    unknown = evaluate(a_snapshot(quorum=a_quorum(absent_seconds=None, leader_id=None)))
    assert unknown.completeness == pytest.approx(0.85)
    assert (unknown.lower, unknown.health_index) == pytest.approx((85, 100))


def test_few_probe_attempts_are_covered() -> None:
    assert evaluate(a_snapshot(probe=Probe(attempts=1, succeeded=0))).completeness == 1


def test_an_unknown_min_isr_counts_as_under_min_isr_in_lower_only() -> None:
    unknown = a_topic("__consumer_offsets", [a_partition(isr=(1,))], min_insync_replicas=None)
    report = evaluate(a_snapshot(topic_of_states(ok=99), unknown))
    assert report.health_index == pytest.approx(100 - 45 * sqrt(0.0003))
    assert report.upper == pytest.approx(100 - 45 * 0.99 * sqrt(0.0003))
    assert report.caps == ()
    # The sum: 100 - 45 (0.99 sqrt(0.006) + 0.01) = 96.1; the cap of internal topics: 45.
    assert report.lower == 45
    assert report.completeness == pytest.approx(1 - 0.45 * 0.01)


def test_an_unknown_min_isr_counts_in_the_sum_of_lower() -> None:
    rows = [a_partition(at, isr=(1, 2) if at < 20 else (1, 2, 3)) for at in range(100)]
    report = evaluate(a_snapshot(a_topic("t", rows, min_insync_replicas=None), unreachable=False))
    capped = 69 * (1 - sqrt(0.4))
    summed = 100 - 45 * (0.8 * sqrt(0.12) + 0.2)
    assert report.lower == pytest.approx(min(capped, summed))


def test_a_stale_cap_still_holds_the_index_down_and_leaves_upper_open() -> None:
    report = evaluate(a_snapshot(quorum=a_quorum(absent_seconds=330), ages=ages(quorum=31.0)))
    assert report.health_index == 30
    assert report.upper == 100
    assert report.lower == 30


def test_upper_leaves_out_stale_disks_of_alive_brokers() -> None:
    full = {"disk_used_ratio": 0.95, "metrics_age_seconds": 500.0}
    others = (a_broker(2), a_broker(3), a_broker(4))
    alive = evaluate(a_snapshot(brokers=(a_broker(1, **full), *others)))
    assert alive.health_index == 60
    # The points stay, 5 * 0.75 * 1; only the cap is left out.
    assert alive.upper == pytest.approx(96.25)
    dead = evaluate(a_snapshot(brokers=(a_broker(1, alive=False, **full), *others)))
    assert (dead.health_index, dead.upper) == (60, 60)


def test_unreachable_always_counts() -> None:
    report = evaluate(a_snapshot(unreachable=True, ages=ages(metadata=500.0)))
    assert (report.lower, report.health_index, report.upper) == (0, 0, 0)


def test_without_ages_what_is_in_the_snapshot_is_fresh_and_the_rest_not_configured() -> None:
    report = evaluate(a_snapshot(quorum=None, probe=None, ages=None))
    assert report.not_observed == (Term.CONTROLLER, Term.PROBE)
    assert (report.completeness, report.lower) == (1, 100)


def test_the_interval_of_the_snapshot_sets_the_limits() -> None:
    stale = ages(quorum=60.0)
    assert points(evaluate(a_snapshot(ages=stale, interval_seconds=30.0))) == {}
    assert points(evaluate(a_snapshot(ages=stale, interval_seconds=10.0))) == {"controller": 4.5}


def test_a_detail_says_that_a_term_is_stale_unseen_or_not_configured() -> None:
    changed = {"quorum": 90.0, "probe": None, "metrics": "-", "configs": None}
    report = evaluate(a_snapshot(ages=ages(**changed)))
    details = {row.term.value: row.detail for row in report.contributions}
    assert details == {
        "partitions": "the only partition is in sync; configs were never seen",
        "brokers": "all 4 brokers up",
        "controller": "a controller is active; stale: last seen 90 s ago",
        "saturation": "not configured",
        "probe": "never seen",
        "storage": "not configured",
    }


def test_a_detail_of_one_or_of_none_reads_as_such() -> None:
    one = a_topic(partitions=[a_partition(replicas=(1,), isr=(1,))])
    found = {
        name: [row.detail for row in evaluate(snapshot).contributions[:2]]
        for name, snapshot in {
            "one": a_snapshot(one, brokers=(a_broker(1),)),
            "down": a_snapshot(one, brokers=(a_broker(1, alive=False),)),
            "none": a_snapshot(a_topic(partitions=[]), brokers=()),
        }.items()
    }
    assert found == {
        "one": ["the only partition is in sync", "the only broker is up"],
        "down": ["the only partition is in sync", "1 of 1 broker down"],
        "none": ["no partitions", "no brokers"],
    }


def test_every_group_is_looked_at() -> None:
    assert set(GROUPS) == set(EvidenceGroup)
