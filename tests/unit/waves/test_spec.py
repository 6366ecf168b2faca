"""A wave file as data: every key of the contract, and every mistake at its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.waves.policy import SpecProblem, WavePolicy
from healthd.waves.spec import Approval, StageSpec, WaveSpec, parse_wave


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
    given = {"name": "canary", "clusters": ["payments"], **changes}
    return wave(stages=[{key: value for key, value in given.items() if value is not ...}])


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
    assert spec.stages == (
        StageSpec(name="canary", clusters=("payments",), brokers=None, concurrency=1),
    )
    assert spec.policy == WavePolicy(soak_seconds=60.0)


def test_a_wave_may_name_the_digest_of_its_playbook() -> None:
    spec = spec_of(wave(playbook=f"os-patch@sha256:{'0a' * 32}"))
    assert (spec.playbook, spec.playbook_digest) == ("os-patch", "0a" * 32)
    assert spec.playbook_reference == f"os-patch@sha256:{'0a' * 32}"
    assert spec_of(wave()).playbook_reference == "rolling-restart"


@pytest.mark.parametrize(
    ("playbook", "said"),
    [
        ("os-patch@sha256:0a", "NAME@sha256:DIGEST"),
        ("os-patch@" + "0a" * 32, "NAME@sha256:DIGEST"),
        ("os-patch@sha256:" + "0A" * 32, "NAME@sha256:DIGEST"),
        ("../os-patch", "letters, digits, dots"),
        (["os-patch"], "must be text"),
    ],
)
def test_a_playbook_that_cannot_be_named_so_is_told_once(playbook: object, said: str) -> None:
    (problem,) = problems_of(wave(playbook=playbook))
    assert problem.location == ("playbook",)
    assert said in problem.message


def test_brokers_keep_the_order_of_the_list() -> None:
    assert spec_of(stage(brokers=[3, 1])).stages[0].brokers == (3, 1)


def test_the_files_policy_goes_over_the_clusters_own() -> None:
    own = WavePolicy(soak_seconds=5.0, margin=1)
    assert spec_of(wave()).policy_over(own) == WavePolicy(soak_seconds=60.0, margin=1)


def test_the_reason_may_come_from_the_command_instead() -> None:
    assert spec_of(wave(reason=...)).reason is None


def test_every_key_of_the_contract_is_understood() -> None:
    spec = spec_of(
        wave(
            stages=[
                {"name": "canary", "clusters": ["payments-dev"], "brokers": "all"},
                {
                    "name": "prod",
                    "match": {"env": "prod", "dc": "a"},
                    "clustersAtOnce": 2,
                    "concurrency": "safe",
                    "approval": "two-person",
                    "soakSeconds": 3600,
                },
            ],
            variables={"version": "4.1.0"},
        )
    )
    assert spec.stages == (
        StageSpec(name="canary", clusters=("payments-dev",)),
        StageSpec(
            name="prod",
            match=(("dc", "a"), ("env", "prod")),
            concurrency=None,
            clusters_at_once=2,
            approval=Approval.TWO_PERSON,
            soak_seconds=3600.0,
        ),
    )
    assert spec.variables == {"version": "4.1.0"}


@pytest.mark.parametrize(
    ("changes", "is_plain"),
    [
        ({}, True),
        ({"clustersAtOnce": 3, "concurrency": 4}, True),
        ({"approval": "required"}, False),
        ({"soakSeconds": 1}, False),
    ],
)
def test_a_stage_is_plain_without_approval_and_pause(
    changes: dict[str, Any], *, is_plain: bool
) -> None:
    assert spec_of(stage(**changes)).stages[0].is_plain is is_plain


def test_a_broker_that_two_stages_name_is_refused_at_the_second() -> None:
    found = problems_of(
        wave(
            stages=[
                {"name": "canary", "clusters": ["a"], "brokers": [1]},
                {"name": "rest", "clusters": ["b", "a"], "brokers": [2, 1]},
            ]
        )
    )
    (problem,) = found
    assert problem.path == "stages[1].brokers[1]"
    assert "broker 1 of a is in stage canary" in problem.message


@pytest.mark.parametrize("name", ["dry-run-", "dry-run-june", "dry-run-dry-run-june"])
def test_no_wave_is_called_as_dry_runs_are(name: str) -> None:
    (problem,) = problems_of(wave(name=name))
    assert problem.path == "name"
    assert "begins with dry-run-, as only the ids of dry runs do" in problem.message
    assert "--dry-run makes a dry run" in problem.action


@pytest.mark.parametrize("name", ["dry-run", "my-dry-run-june", "Dry-run-june"])
def test_a_name_may_be_much_like_it(name: str) -> None:
    assert spec_of(wave(name=name)).name == name


@pytest.mark.parametrize(
    ("cron", "fields"),
    [
        pytest.param("0 22 * * thu", ("0", "22", "*", "*", "thu"), id="thursdays at ten"),
        pytest.param("0 22 * * 0,7", ("0", "22", "*", "*", "sun"), id="zero and seven are Sunday"),
        pytest.param("30 1 1-7 */6 *", ("30", "1", "1,2,3,4,5,6,7", "1,7", "*"), id="ranges"),
        pytest.param("*/20 * * JAN-MAR MON-WED", ("0,20,40", "*", "*", "1,2,3", "mon,tue,wed"),
                     id="names in capitals"),
    ],
)  # fmt: skip
def test_a_schedule_is_cron_with_its_days_by_name(cron: str, fields: tuple[str, ...]) -> None:
    found = spec_of(wave(schedule={"cron": cron, "timezone": "Europe/Berlin"})).schedule
    assert found is not None
    assert (found.minute, found.hour, found.day, found.month, found.day_of_week) == fields
    assert (found.cron, found.timezone) == (cron, "Europe/Berlin")


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
        pytest.param(stage(clusters=["a", "a"]), "stages[0].clusters[1]", id="a cluster twice"),
        pytest.param(stage(clusters=...), "stages[0]", id="neither clusters nor match"),
        pytest.param(stage(match={"env": "x"}), "stages[0].match", id="clusters and match"),
        pytest.param(
            stage(clusters=..., match={}), "stages[0].match", id="a match of the whole fleet"
        ),
        pytest.param(stage(clusters=..., match=["env"]), "stages[0].match", id="a match as a list"),
        pytest.param(
            stage(clusters=..., match={"env": 1}), "stages[0].match.env", id="a label as number"
        ),
        pytest.param(stage(concurrency="unsafe"), "stages[0].concurrency", id="another word"),
        pytest.param(stage(approval="two"), "stages[0].approval", id="an unknown approval"),
        pytest.param(stage(approval=None), "stages[0].approval", id="an approval of nothing"),
        pytest.param(stage(clustersAtOnce=0), "stages[0].clustersAtOnce", id="no cluster at once"),
        pytest.param(stage(soakSeconds=-1), "stages[0].soakSeconds", id="a soak below zero"),
        pytest.param(
            wave(stages=[{"name": "a", "clusters": ["x"]}, {"name": "a", "clusters": ["y"]}]),
            "stages[1].name",
            id="two stages of one name",
        ),
        pytest.param(wave(schedule="daily"), "schedule", id="a schedule as text"),
        pytest.param(
            wave(schedule={"cron": "0 22 * * thu"}), "schedule", id="a schedule without time zone"
        ),
        pytest.param(
            wave(schedule={"cron": "0 22 * * thu", "timezone": "Berlin"}),
            "schedule.timezone",
            id="a time zone that does not exist",
        ),
        *(
            pytest.param(
                wave(schedule={"cron": cron, "timezone": "UTC"}), "schedule.cron", id=f"cron {cron}"
            )
            for cron in (
                "0 22 * *",
                "60 1 * * *",
                "0 1 * * foo",
                "0 1 5-1 * *",
                "0 1 1 * mon",
                "*/0 * * * *",
                "0 0 0 * *",
                "99999 * * * *",
                "1,,2 * * * *",
            )
        ),
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
