"""A wave file as data: one stage is understood, the rest of the contract is refused by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.waves.policy import SpecProblem, WavePolicy
from healthd.waves.spec import StageSpec, WaveSpec, parse_wave


def wave(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "apiVersion": "healthd/v1",
        "kind": "Wave",
        "name": "june-kernel",
        "reason": "CHG-1234 kernel update",
        "playbook": "rolling-restart",
        "variables": {},
        "stages": [{"name": "canary", "clusters": ["payments"], "brokers": "all"}],
        "policy": {"soakSeconds": 60},
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not ...}


def stage(**changes: Any) -> dict[str, Any]:
    return wave(stages=[{"name": "canary", "clusters": ["payments"], **changes}])


def problems_of(mapping: object) -> list[SpecProblem]:
    parsed = parse_wave(mapping)
    assert isinstance(parsed, list)
    return parsed


def spec_of(mapping: object) -> WaveSpec:
    parsed = parse_wave(mapping)
    assert isinstance(parsed, WaveSpec), parsed
    return parsed


def test_a_wave_of_one_stage_is_understood() -> None:
    spec = spec_of(wave())
    assert spec.name == "june-kernel"
    assert spec.reason == "CHG-1234 kernel update"
    assert spec.playbook == "rolling-restart"
    assert spec.stage == StageSpec(name="canary", cluster="payments", brokers=None, concurrency=1)
    assert spec.policy == WavePolicy(soak_seconds=60.0)


def test_brokers_keep_the_order_of_the_list() -> None:
    assert spec_of(stage(brokers=[3, 1])).stage.brokers == (3, 1)


def test_the_files_policy_goes_over_the_clusters_own() -> None:
    own = WavePolicy(soak_seconds=5.0, margin=1)
    assert spec_of(wave()).policy_over(own) == WavePolicy(soak_seconds=60.0, margin=1)


def test_the_reason_may_come_from_the_command_instead() -> None:
    assert spec_of(wave(reason=...)).reason is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("match", {"env": "prod"}),
        ("clustersAtOnce", 2),
        ("approval", "required"),
        ("soakSeconds", 3600),
        ("concurrency", 2),
        ("concurrency", "safe"),
    ],
)
def test_a_stage_field_that_is_not_built_yet_is_refused_by_name(field: str, value: Any) -> None:
    (problem,) = problems_of(stage(**{field: value}))
    assert problem.path == f"stages[0].{field}"
    assert problem.message.startswith("not built yet")


def test_a_second_stage_and_a_second_cluster_are_not_built_yet() -> None:
    second = wave(stages=[{"name": "a", "clusters": ["x"]}, {"name": "b", "clusters": ["x"]}])
    assert [p.path for p in problems_of(second)] == ["stages[1]"]
    assert [p.path for p in problems_of(stage(clusters=["x", "y"]))] == ["stages[0].clusters[1]"]


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        pytest.param(wave(name=...), "", id="no name"),
        pytest.param(wave(name="a/b"), "name", id="a name with a slash"),
        pytest.param(wave(name=3), "name", id="a name that is a number"),
        pytest.param(wave(apiVersion="healthd/v2"), "apiVersion", id="another version"),
        pytest.param(wave(kind=...), "", id="no kind"),
        pytest.param(wave(playbok="x"), "playbok", id="an unknown key"),
        pytest.param(wave(reason=" "), "reason", id="an empty reason"),
        pytest.param(wave(variables=[]), "variables", id="variables as a list"),
        pytest.param(wave(variables={"a": [1]}), "variables.a", id="a variable with a list"),
        pytest.param(wave(stages=...), "", id="no stages"),
        pytest.param(wave(stages=[]), "stages", id="empty stages"),
        pytest.param(wave(stages={}), "stages", id="stages as a mapping"),
        pytest.param(wave(stages=["x"]), "stages[0]", id="a stage as text"),
        pytest.param(stage(clusters=[]), "stages[0].clusters", id="no cluster"),
        pytest.param(stage(clusters="payments"), "stages[0].clusters", id="clusters as text"),
        pytest.param(stage(clusters=[1]), "stages[0].clusters[0]", id="a cluster as number"),
        pytest.param(stage(brokers=[]), "stages[0].brokers", id="no broker"),
        pytest.param(stage(brokers="some"), "stages[0].brokers", id="another word than all"),
        pytest.param(stage(brokers=[1, 1]), "stages[0].brokers[1]", id="a broker twice"),
        pytest.param(stage(brokers=[-1]), "stages[0].brokers[0]", id="a negative id"),
        pytest.param(stage(brokers=[True]), "stages[0].brokers[0]", id="a boolean id"),
        pytest.param(stage(concurrency=0), "stages[0].concurrency", id="no concurrency"),
        pytest.param(stage(concurrency=True), "stages[0].concurrency", id="boolean concurrency"),
        pytest.param(stage(brokrs="all"), "stages[0].brokrs", id="an unknown stage field"),
        pytest.param(wave(policy=[]), "policy", id="a policy as a list"),
        pytest.param(
            wave(policy={"windows": {}}), "policy.windows", id="a policy key of a wrong type"
        ),
    ],
)
def test_one_mistake_is_one_problem_at_its_path(mapping: dict[str, Any], path: str) -> None:
    assert [problem.path for problem in problems_of(mapping)] == [path]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "kind", "stages", "clusters", "brokers", "policy", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=10,
    )
)
def test_anything_is_a_wave_or_problems_with_an_action(content: object) -> None:
    parsed = parse_wave(content)
    assert isinstance(parsed, WaveSpec) or all(problem.action for problem in parsed)
