"""The wave policy: contract defaults, every key's limits, and what could never be met."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.waves.policy import (
    SpecProblem,
    WavePolicy,
    parse_policy,
    policy_document,
)

CONTRACT_DEFAULTS = {
    "soakSeconds": 120,
    "cleanSnapshots": 3,
    "cleanSeconds": 60,
    "recoveryTimeoutSeconds": 1800,
    "stopTimeoutSeconds": 600,
    "startTimeoutSeconds": 600,
    "margin": 0,
    "minHealthIndex": 85,
    "allowRfOne": [],
    "allowRfLeMinIsr": [],
    "allowQuorumWithoutSpare": False,
    "maxFailedBrokers": 0,
    "baseline": [],
    "maxFailedClusters": 0,
    "windows": [],
    "cutoffSeconds": 0,
    "alerts": [],
    "maxReplicaLagMessages": 10000,
    "clustersAtOncePer": {},
    "silence": False,
}


def problems_of(mapping: object) -> list[SpecProblem]:
    parsed = parse_policy(mapping)
    assert isinstance(parsed, list)
    return parsed


def policy_of(mapping: object, base: WavePolicy | None = None) -> WavePolicy:
    parsed = parse_policy(mapping, base)
    assert isinstance(parsed, WavePolicy), parsed
    return parsed


def test_an_empty_policy_is_the_contracts_defaults() -> None:
    assert policy_document(policy_of({})) == CONTRACT_DEFAULTS


def test_the_defaults_written_out_are_the_same_policy() -> None:
    assert policy_of(CONTRACT_DEFAULTS) == WavePolicy()


def test_a_key_that_is_absent_keeps_the_base() -> None:
    base = WavePolicy(soak_seconds=5.0, margin=2)
    assert policy_of({"margin": 1}, base) == WavePolicy(soak_seconds=5.0, margin=1)


@pytest.mark.parametrize(
    ("key", "right"),
    [("soakSecond", "soakSeconds"), ("minhealthindex", "minHealthIndex"), ("margins", "margin")],
)
def test_an_unknown_key_names_the_nearest_right_one(key: str, right: str) -> None:
    (problem,) = problems_of({key: 1})
    assert problem.message == f"unknown key; did you mean {right}?"


def test_an_unknown_key_like_no_other_lists_the_keys() -> None:
    (problem,) = problems_of({"zzz": 1})
    assert problem.message == "unknown key"
    assert "soakSeconds" in problem.action


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("soakSeconds", -1, "must be at least 0"),
        ("soakSeconds", True, "must be a number, not a boolean"),
        ("soakSeconds", "60", "must be a number, not text"),
        ("soakSeconds", None, "must be a number, not nothing (null)"),
        ("soakSeconds", float("nan"), "must be a finite number"),
        ("soakSeconds", float("inf"), "must be a finite number"),
        ("soakSeconds", 10**400, "must be a finite number"),
        ("cleanSeconds", -0.5, "must be at least 0"),
        ("recoveryTimeoutSeconds", 0, "must be above 0"),
        ("stopTimeoutSeconds", 0, "must be above 0"),
        ("startTimeoutSeconds", -3, "must be above 0"),
        ("cleanSnapshots", 0, "must be at least 1"),
        ("cleanSnapshots", 2.0, "must be a whole number, not a number"),
        ("cleanSnapshots", True, "must be a whole number, not a boolean"),
        ("margin", -1, "must be at least 0"),
        ("margin", 2**31, "must be at most 2147483647"),
        ("maxFailedBrokers", -1, "must be at least 0"),
        ("minHealthIndex", 100.5, "can never be met: a Health Index is at most 100"),
        ("minHealthIndex", -1, "must be at least 0"),
        ("minHealthIndex", False, "must be a number, not a boolean"),
        ("allowQuorumWithoutSpare", 1, "must be true or false, not a whole number"),
        ("allowRfOne", "orders", "must be a list of topic patterns, not text"),
        ("baseline", {}, "must be a list of partitions, not a mapping"),
        ("maxFailedClusters", -1, "must be at least 0"),
        ("cutoffSeconds", -1, "must be at least 0"),
        ("maxReplicaLagMessages", 0.5, "must be a whole number, not a number"),
        ("clustersAtOncePer", [], "must be a mapping of labels to numbers, not a list"),
        ("silence", "yes", "must be true or false, not text"),
        ("windows", {}, "must be a list of windows, not a mapping"),
        ("alerts", "a=b", "must be a list of alert matchers, not text"),
    ],
)
def test_a_value_out_of_its_range_or_type_is_refused(key: str, value: Any, message: str) -> None:
    (problem,) = problems_of({key: value})
    assert (problem.path, problem.message) == (key, message)
    assert problem.action


@pytest.mark.parametrize("value", [0, 100, 99.5])
def test_the_limits_of_the_index_can_be_met(value: float) -> None:
    assert policy_of({"minHealthIndex": value}).min_health_index == value


@pytest.mark.parametrize("name", ["orders", "orders-", "-1", "orders-x", "orders-01", "a b-1"])
def test_a_baseline_entry_that_is_no_partition_is_refused_at_its_place(name: str) -> None:
    (problem,) = problems_of({"baseline": ["a-b-0", name]})
    assert problem.path == "baseline[1]"


def test_an_empty_pattern_is_refused_at_its_place() -> None:
    (problem,) = problems_of({"allowRfOne": ["a*", ""]})
    assert problem.path == "allowRfOne[1]"


def test_every_mistake_is_reported_at_once() -> None:
    found = problems_of({"soakSeconds": -1, "margin": "x", "zzz": 1, "silence": "yes"})
    assert [problem.path for problem in found] == ["soakSeconds", "margin", "zzz", "silence"]


def test_alert_matchers_are_kept_as_written_and_refused_at_their_place() -> None:
    assert policy_of({"alerts": ['severity="critical"']}).alerts == ('severity="critical"',)
    (problem,) = problems_of({"alerts": ['a="b"', "c"]})
    assert problem.path == "alerts[1]"
    (never,) = problems_of({"alerts": ['a="b"', 'a="c"']})
    assert never.path == "alerts"


def test_limits_by_label_are_read_by_name_and_refused_by_name() -> None:
    policy = policy_of({"clustersAtOncePer": {"region": 2, "env": 1}})
    assert policy.clusters_at_once_per == (("env", 1), ("region", 2))
    assert policy_document(policy)["clustersAtOncePer"] == {"env": 1, "region": 2}
    (problem,) = problems_of({"clustersAtOncePer": {"region": 0}})
    assert (problem.path, problem.message) == ("clustersAtOncePer.region", "must be at least 1")


@pytest.mark.parametrize("mapping", [None, [], "text", 3])
def test_a_policy_that_is_no_mapping_is_refused(mapping: object) -> None:
    (problem,) = problems_of(mapping)
    assert problem.message.startswith("must be a mapping of policy keys")


@given(
    st.dictionaries(
        st.sampled_from([*CONTRACT_DEFAULTS, "zzz"]) | st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=4,
        ),
    )
)
def test_any_mapping_is_a_policy_or_problems_and_a_policy_reads_back(
    mapping: dict[str, Any],
) -> None:
    parsed = parse_policy(mapping)
    if isinstance(parsed, WavePolicy):
        assert parse_policy(policy_document(parsed)) == parsed
    else:
        assert parsed
        assert all(problem.action for problem in parsed)
