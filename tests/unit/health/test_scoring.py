"""The scoring profile holds the document's numbers and refuses to contradict itself."""

from dataclasses import replace
from typing import Any

import pytest

from healthd.health.scoring import DEFAULT, ScoringError, ScoringProfile
from healthd.health.words import PartitionState, Term


def changed(part: str, **numbers: Any) -> ScoringProfile:
    return replace(DEFAULT, **{part: replace(getattr(DEFAULT, part), **numbers)})


def test_the_weights_are_those_of_the_document() -> None:
    assert [DEFAULT.weights.of(term) for term in Term] == [45, 15, 15, 10, 10, 5]


def test_the_risks_are_those_of_the_document() -> None:
    risks = [DEFAULT.risk.of(state) for state in PartitionState]
    assert risks == [0, 0.03, 0.10, 0.60, 1]


@pytest.mark.parametrize(
    ("part", "numbers", "message"),
    [
        pytest.param("weights", {"probe": 11}, "add up to 101", id="weights-not-100"),
        pytest.param("weights", {"probe": -10, "brokers": 35}, "weights.probe", id="negative"),
        pytest.param("weights", {"probe": float("nan")}, "weights.probe", id="not-a-number"),
        pytest.param("risk", {"at_min_isr": 0.7}, "AT_MIN_ISR", id="at-min-worse-than-under"),
        pytest.param("risk", {"offline": 1.1}, "OFFLINE", id="risk-above-one"),
        pytest.param("caps", {"disk_high_from_ratio": 0.96}, "disk_high", id="disk-order"),
        pytest.param("caps", {"offline_highest": 70}, "offline_highest", id="offline-above-under"),
        pytest.param("caps", {"unclean_election": 101}, "unclean", id="cap-above-100"),
        pytest.param("caps", {"broker_down_drop": 90}, "broker_down", id="cap-below-0"),
        pytest.param("caps", {"offline_zero_at_share": 0}, "offline_zero", id="divided-by-zero"),
        pytest.param("freshness", {"stale_intervals": 2}, "stale", id="stale-not-after-fresh"),
        pytest.param("freshness", {"stale_severity": 2}, "stale_severity", id="stale-above-one"),
        pytest.param("bands", {"warn_from": 95}, "warn_from", id="bands-out-of-order"),
        pytest.param("checks", {"objects_shown": 0}, "objects_shown", id="nothing-shown"),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused_by_name(
    part: str, numbers: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScoringError, match=message):
        changed(part, **numbers)


def test_the_hash_tells_profiles_apart_and_is_the_same_for_the_same_numbers() -> None:
    assert ScoringProfile().hash == DEFAULT.hash
    assert changed("caps", unclean_election=88).hash != DEFAULT.hash
    assert changed("caps", unclean_election=89.0).hash == DEFAULT.hash
