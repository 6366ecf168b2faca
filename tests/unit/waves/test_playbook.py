"""Playbooks as data: the shape that keeps a broker safe, and what is refused by name."""

from pathlib import Path
from typing import Any

import pytest
from support.wave_model import rolling_restart

from healthd.config.playbooks import read_playbook
from healthd.waves.codec import decode_value, encode_value
from healthd.waves.playbook import Playbook, StepKind
from healthd.waves.playbook_parse import parse_playbook
from healthd.waves.policy import SpecProblem, WavePolicy

EVERYTHING = Path(__file__).parents[2] / "data" / "playbooks" / "everything.yaml"
STEPS: list[dict[str, Any]] = [
    {"name": "stop", "service": "stop", "timeoutSeconds": "policy.stopTimeoutSeconds"},
    {"name": "left", "waitFor": "left", "timeoutSeconds": 60},
    {"name": "start", "service": "start", "timeoutSeconds": 60},
    {"name": "back", "waitFor": "back", "timeoutSeconds": 60},
]


def playbook(*steps: Any, **changes: Any) -> dict[str, Any]:
    base = {
        "apiVersion": "healthd/v1",
        "kind": "Playbook",
        "name": "p",
        "steps": list(steps) or STEPS,
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not ...}


def step(at: int, **changes: Any) -> dict[str, Any]:
    rows = [dict(row) for row in STEPS]
    rows[at] = {key: value for key, value in {**rows[at], **changes}.items() if value is not ...}
    return playbook(*rows)


def problems_of(data: object) -> list[SpecProblem]:
    parsed = parse_playbook(data)
    assert isinstance(parsed, list), parsed
    return parsed


def test_the_shipped_playbook_stops_waits_starts_waits_and_elects() -> None:
    assert [each.kind for each in rolling_restart().steps] == [
        StepKind.STOP,
        StepKind.LEFT,
        StepKind.START,
        StepKind.BACK,
        StepKind.ELECT_LEADERS,
    ]


def test_a_deadline_is_a_number_or_the_policys() -> None:
    parsed = parse_playbook(playbook())
    assert isinstance(parsed, Playbook)
    policy = WavePolicy(stop_timeout_seconds=77)
    assert parsed.timeout_seconds(StepKind.STOP, policy) == 77
    assert parsed.timeout_seconds(StepKind.LEFT, policy) == 60


def test_elections_are_optional() -> None:
    parsed = parse_playbook(playbook())
    assert isinstance(parsed, Playbook)
    assert parsed.step(StepKind.ELECT_LEADERS) is None
    with pytest.raises(LookupError, match="electPreferredLeaders"):
        parsed.timeout_seconds(StepKind.ELECT_LEADERS, WavePolicy())


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        pytest.param([], "", "must be a mapping", id="no mapping"),
        pytest.param(playbook(kind="Wave"), "kind", "Playbook", id="another kind"),
        pytest.param(playbook(apiVersion=...), "", "healthd/v1", id="no version"),
        pytest.param(playbook(name=...), "", "name is missing", id="no name"),
        pytest.param(playbook(description=3), "description", "must be text", id="no description"),
        pytest.param(playbook(stepz=[]), "stepz", "did you mean steps", id="a typo"),
        pytest.param(playbook(steps=...), "", "steps is missing", id="no steps"),
        pytest.param(playbook(steps=[]), "steps", "is empty", id="empty steps"),
        pytest.param(playbook("stop"), "steps[0]", "must be a mapping", id="a step in words"),
        pytest.param(step(0, name=...), "steps[0]", "name is missing", id="a step without name"),
        pytest.param(step(0, service=...), "steps[0]", "no known thing", id="does nothing"),
        pytest.param(step(0, waitFor="left"), "steps[0]", "more than one", id="does two things"),
        pytest.param(step(0, service="kill"), "steps[0].service", "no known service", id="kill"),
        pytest.param(
            step(0, timeout=3), "steps[0].timeout", "did you mean timeoutSeconds", id="a key's typo"
        ),
        pytest.param(step(0, timeoutSeconds=...), "steps[0]", "deadline", id="no deadline"),
        pytest.param(step(0, timeoutSeconds=0), "steps[0].timeoutSeconds", "above 0", id="zero"),
        pytest.param(
            step(0, timeoutSeconds=True), "steps[0].timeoutSeconds", "deadline", id="a boolean"
        ),
        pytest.param(
            step(0, timeoutSeconds="policy.x"), "steps[0].timeoutSeconds", "deadline", id="no key"
        ),
        pytest.param(
            playbook(STEPS[0], STEPS[1], STEPS[3]),
            "steps[0]",
            "'service start' is missing behind the stop: the node would not be brought back",
            id="a stop without start",
        ),
        pytest.param(
            playbook(STEPS[0], STEPS[2], STEPS[1], STEPS[3]),
            "steps[1]",
            "'service start' stands before what has to come before it",
            id="disorder",
        ),
        pytest.param(playbook(*STEPS, STEPS[0]), "steps[4]", "stands twice", id="two stops"),
    ],
)
def test_one_mistake_is_one_problem_at_its_path(data: object, path: str, words: str) -> None:
    (problem,) = problems_of(data)
    assert problem.path == path
    assert words in f"{problem.message}; {problem.action}"


def test_every_missing_part_of_a_restart_is_told() -> None:
    assert [problem.code for problem in problems_of(playbook(STEPS[0]))] == [
        "stop-without-wait",
        "stop-without-start",
        "stop-without-recovery",
    ]


def test_every_part_of_the_language_survives_the_journal() -> None:
    playbook = read_playbook(EVERYTHING)
    assert set(StepKind) == {step.kind for step in playbook.steps}
    assert decode_value(Playbook, encode_value(playbook), "playbook") == playbook


def test_what_journals_hold_of_playbooks_of_before_is_still_read() -> None:
    old = {
        "name": "rolling-restart",
        "description": "",
        "steps": [{"name": "stop", "kind": "service stop", "timeout": "policy.stopTimeoutSeconds"}],
    }
    (step,) = decode_value(Playbook, old, "playbook").steps
    assert (step.kind, step.action) == (StepKind.STOP, None)
