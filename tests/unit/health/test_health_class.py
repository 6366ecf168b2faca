"""The health class: the worse of band and checks, and UNKNOWN when too little is known."""

from dataclasses import replace

import pytest
from support.snapshots import a_broker, a_quorum, a_snapshot, a_topic, ages, topic_of_states

from healthd.health.checks import Finding, Objects, check_of
from healthd.health.index import evaluate
from healthd.health.scoring import DEFAULT
from healthd.model.codes import CheckCode, Severity
from healthd.model.snapshot import ClusterSnapshot, Probe


def busy(idle: float) -> tuple[object, ...]:
    return tuple(a_broker(node, request_handler_idle=idle) for node in (1, 2, 3, 4))


def probing(succeeded: int) -> Probe:
    return Probe(attempts=20, succeeded=succeeded)


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(a_snapshot(), "OK", id="healthy"),
        pytest.param(a_snapshot(probe=probing(19)), "OK", id="an-info-check-is-ok"),
        pytest.param(a_snapshot(brokers=busy(0.0)), "OK", id="index-90-meets-ok"),
        pytest.param(a_snapshot(brokers=busy(0.0), probe=probing(19)), "WARN", id="index-below-90"),
        pytest.param(a_snapshot(probe=probing(14)), "WARN", id="index-70-meets-warn"),
        pytest.param(a_snapshot(probe=probing(13)), "CRIT", id="index-below-70"),
        pytest.param(a_snapshot(quorum=a_quorum(2)), "WARN", id="a-warn-check-at-index-100"),
        pytest.param(
            a_snapshot(
                a_topic("t", min_insync_replicas=4),
                brokers=(a_broker(1, version="3.6"), a_broker(2), a_broker(3)),
            ),
            "CRIT",
            id="a-crit-check-at-index-100",
        ),
        pytest.param(a_snapshot(unreachable=True), "CRIT", id="unreachable"),
        pytest.param(a_snapshot(ages=ages(metadata=31.0)), "UNKNOWN", id="metadata-stale"),
        pytest.param(a_snapshot(ages=ages(metadata=None)), "UNKNOWN", id="metadata-never-seen"),
        pytest.param(a_snapshot(ages=ages(configs=301.0)), "OK", id="half-known-is-enough"),
        pytest.param(
            a_snapshot(ages=ages(configs=301.0, probe=31.0)), "UNKNOWN", id="less-than-half-known"
        ),
        pytest.param(
            a_snapshot(topic_of_states(offline=1), ages=ages(metadata=31.0)),
            "UNKNOWN",
            id="a-stale-crit-cap-proves-nothing",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(absent_seconds=60), ages=ages(metadata=31.0)),
            "CRIT",
            id="a-fresh-crit-cap-is-not-hidden",
        ),
        pytest.param(
            a_snapshot(unreachable=True, ages=ages(metadata=None)),
            "CRIT",
            id="unreachable-is-not-hidden",
        ),
        pytest.param(
            a_snapshot(
                a_topic("t", min_insync_replicas=4),
                brokers=(a_broker(1, version="3.6"), a_broker(2), a_broker(3)),
                ages=ages(metadata=31.0),
            ),
            "UNKNOWN",
            id="a-stale-crit-check-proves-nothing",
        ),
    ],
)
def test_the_class_is_the_worse_of_band_and_checks(
    snapshot: ClusterSnapshot, expected: str
) -> None:
    assert evaluate(snapshot).health_class == expected


def test_a_fresh_crit_check_without_a_cap_is_not_hidden_by_unknown() -> None:
    # With the default 0.5 a fresh partitions term alone (45) and brokers (15) already suffice.
    scoring = replace(DEFAULT, bands=replace(DEFAULT.bands, unknown_below_completeness=0.75))
    old = a_snapshot(
        a_topic("t", min_insync_replicas=4),
        brokers=(a_broker(1, version="3.6"), a_broker(2), a_broker(3)),
        ages=ages(metrics=31.0, probe=31.0, quorum=31.0),
    )
    assert evaluate(old, scoring).health_class == "CRIT"
    same = replace(old, brokers=tuple(map(a_broker, (1, 2, 3))))
    assert evaluate(same, scoring).health_class == "UNKNOWN"


def test_checks_from_other_sources_take_part_in_the_class() -> None:
    finding = Finding(
        code=CheckCode.COLLECTOR_AUTH,
        severity=Severity.WARN,
        objects=Objects(count=1, shown=("cluster:payments",)),
        detail=": Describe on all topics is missing",
    )
    report = evaluate(a_snapshot(), further=[check_of(finding, DEFAULT.bands)])
    assert (report.health_index, report.health_class) == (100, "WARN")
    (check,) = report.checks
    assert check.summary == "healthd may not read everything: Describe on all topics is missing"


def test_a_finding_without_severity_and_cap_is_refused() -> None:
    finding = Finding(code=CheckCode.RF_ONE, objects=Objects(count=0, shown=()))
    with pytest.raises(ValueError, match="RF_ONE"):
        check_of(finding, DEFAULT.bands)
