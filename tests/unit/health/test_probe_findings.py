"""SLOW_BROKER from the section `probe`."""

from typing import Any

import pytest

from healthd.health.side.probe import SLOW_ROUNDS, findings
from healthd.health.text import TEXTS
from healthd.model.codes import CheckCode, Severity


def broker(node: int, rounds: int, recent: float | None = 10.0) -> dict[str, Any]:
    found: dict[str, Any] = {"broker": node, "slowRounds": rounds}
    return found if recent is None else {**found, "recentMs": recent}


def test_a_broker_that_stays_slow_is_named_with_its_latency_and_the_usual_one() -> None:
    section = {"brokers": [broker(1, 0), broker(2, SLOW_ROUNDS, 412.4), broker(3, 0, 12.0)]}
    (finding,) = findings(section, 20)
    assert (finding.code, finding.severity) == (CheckCode.SLOW_BROKER, Severity.WARN)
    assert (finding.objects.count, finding.objects.shown) == (1, ("broker:2",))
    summary = TEXTS[finding.code].summary(1, finding.detail)
    assert summary == (
        "1 broker answers the probe much later than the others (412 ms; the median of all is 12 ms)"
    )


def test_a_single_slow_round_is_no_finding() -> None:
    assert list(findings({"brokers": [broker(1, SLOW_ROUNDS - 1, 900.0)]}, 20)) == []


def test_objects_are_bounded_and_counted() -> None:
    (finding,) = findings({"brokers": [broker(node, 9) for node in range(30)]}, 20)
    assert (finding.objects.count, len(finding.objects.shown)) == (30, 20)


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"brokers": None},
        {"brokers": [None, 3, {}, {"broker": "1", "slowRounds": "9"}]},
        {"brokers": {"broker": 1, "slowRounds": 9}},
    ],
    ids=["empty", "null", "odd-items", "no-list"],
)
def test_a_section_of_another_version_is_passed_over(section: dict[str, Any]) -> None:
    assert list(findings(section, 20)) == []
