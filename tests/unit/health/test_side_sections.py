"""Findings of the sections about mirrors, connectors and registries; odd sections find nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.health.checks import Check, check_of
from healthd.health.scoring import DEFAULT
from healthd.health.side import connectors, mirrors, registry, section_findings
from healthd.health.side.sections import number_in
from healthd.model.codes import CheckCode, Severity


def checks_of(extra: dict[str, Any], shown: int = 20) -> list[Check]:
    return [check_of(finding, DEFAULT.bands) for finding in section_findings(extra, shown)]


def test_connectors_tasks_and_connect_clusters_are_one_check() -> None:
    failed = [
        {"connector": "a", "task": 10, "error": "disk full"},
        {"connector": "a", "task": 9, "error": ""},
        {"connector": "b", "task": None, "error": ""},
    ]
    clusters = [
        {"name": "etl", "down": False, "failed": failed, "failedCount": 3},
        {"name": "sinks", "down": True},
    ]
    (check,) = checks_of({"connectors": {"clusters": clusters}})
    assert (check.code, check.severity) == (CheckCode.CONNECTOR_FAILED, Severity.WARN)
    assert check.count == 4
    assert check.objects == (
        "connect:sinks", "connector:etl/a/9", "connector:etl/a/10", "connector:etl/b",
    )  # fmt: skip
    assert "etl/a/10: disk full" in check.summary
    assert "restart" in check.action


def test_the_count_is_in_full_when_only_some_are_named() -> None:
    failed = [{"connector": f"c{number}", "task": 0} for number in range(30)]
    cluster = {"name": "etl", "failed": failed, "failedCount": 500}
    (check,) = checks_of({"connectors": {"clusters": [cluster]}})
    assert (check.count, len(check.objects), check.is_truncated) == (500, 20, True)


def test_only_flows_that_are_known_to_lag_are_found() -> None:
    flows = [
        {"flow": "a->x", "lagging": True, "behindSeconds": 75.2, "maxBehindSeconds": 60},
        {"flow": "b->x", "lagging": None},
        {"flow": "c->x", "lagging": False},
    ]
    (check,) = checks_of({"mirrors": {"flows": flows}})
    assert (check.code, check.objects) == (CheckCode.MIRROR_LAG, ("mirror:a->x",))
    assert check.summary == (
        "1 mirror is behind, or was not seen lately (a->x is 75 s behind, limit 60 s)"
    )


def test_a_flow_that_was_never_seen_is_said_to_be_so() -> None:
    (check,) = checks_of({"mirrors": {"flows": [{"flow": "a->x", "lagging": True}]}})
    assert "a->x was never seen" in check.summary


def test_a_registry_of_which_nothing_is_known_is_not_down() -> None:
    instances = [{"instance": "r1:8081", "up": False}, {"instance": "r2:8081", "up": None}]
    (check,) = checks_of({"schemaRegistry": {"instances": instances}})
    assert (check.severity, check.objects) == (Severity.WARN, ("registry:r1:8081",))
    assert checks_of({"schemaRegistry": {"instances": instances[1:]}}) == []


KEYS = (
    *("clusters", "flows", "instances", "failed", "name", "task", "lagging", "up"),
    *("failedCount", "down", "flow", "behindSeconds", "connector"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("module", [connectors, mirrors, registry])
@given(section=st.dictionaries(st.sampled_from(["clusters", "flows", "instances"]), JSON))
def test_a_section_of_another_version_never_breaks(module: Any, section: dict[str, Any]) -> None:
    for finding in module.findings(section, 5):
        assert finding.objects.count >= len(finding.objects.shown)
        check_of(finding, DEFAULT.bands)


@pytest.mark.parametrize("odd", [True, "3", None, [], float("nan"), float("inf")])
def test_what_is_no_finite_number_is_none(odd: object) -> None:
    assert number_in({"x": odd}, "x") is None
