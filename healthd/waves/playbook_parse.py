"""A playbook file's content to a `Playbook`, or to everything that is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthd.waves.playbook import (
    ACTION_KEYS,
    API_VERSION,
    KIND,
    PLAYBOOK_KEYS,
    POLICY_TIMEOUTS,
    STEP_KEYS,
    GateNeeded,
    Playbook,
    PlaybookTarget,
    Step,
    StepKind,
)
from healthd.waves.playbook_actions import parse_action
from healthd.waves.playbook_checks import parse_checks
from healthd.waves.playbook_part import Part
from healthd.waves.playbook_shape import shape_problems
from healthd.waves.playbook_steps import (
    Action,
    Check,
    CommandAction,
    HttpAction,
    OnFailure,
    Variable,
)
from healthd.waves.playbook_variables import name_problems, parse_variables, used_name_problem
from healthd.waves.problems import Location, SpecProblem, describe_type, other_kind
from healthd.waves.spec_findings import Findings

MAX_STEPS: Final = 100
MAX_TRIES: Final = 100
MAX_SECONDS: Final = 7 * 86_400.0

Row = tuple[StepKind | None, Step | None]
"""What a row does, and the step; None where that was not understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was understood of a playbook, with all that is wrong."""

    problems: tuple[SpecProblem, ...]
    is_playbook: bool = True
    """False when it is of another kind; then nothing was looked at."""
    kinds: tuple[StepKind | None, ...] = ()
    """Of each row; None where it was not understood."""
    steps: tuple[Step | None, ...] = ()
    variables: tuple[Variable, ...] = ()
    target: PlaybookTarget = PlaybookTarget.BROKER
    gate: GateNeeded = GateNeeded.FULL
    name: str | None = None
    description: str = ""


def parse_playbook(data: object) -> Playbook | list[SpecProblem]:
    """The playbook that a mapping describes, or everything that is wrong with it."""
    reading = read_data(data)
    if reading.problems or reading.name is None:
        return list(reading.problems)
    return Playbook(
        name=reading.name,
        description=reading.description,
        steps=tuple(step for step in reading.steps if step is not None),
        target=reading.target,
        gate=reading.gate,
        variables=reading.variables,
    )


def read_data(data: object) -> Reading:
    """As much of a playbook as can be understood, and everything that is wrong with it."""
    found = Findings()
    if not isinstance(data, Mapping):
        message = f"must be a mapping, not {describe_type(data)}"
        found.add((), message, "write apiVersion, kind, name and steps")
        return Reading(problems=tuple(found.problems))
    other = other_kind(data, KIND)
    if other is not None:
        return Reading(problems=(other,), is_playbook=False)
    top = Part(data=data, at=(), found=found)
    top.keys(PLAYBOOK_KEYS)
    _constants(top)
    name = found.name(data, "name", ())
    description = _description(top)
    target = top.word("target", PlaybookTarget, None) or PlaybookTarget.BROKER
    gate = top.word("gate", GateNeeded, None) or GateNeeded.FULL
    variables = parse_variables(data.get("variables", {}), found)
    rows = _rows(top)
    name_problems(data, variables, found)
    _named(rows, {variable.name: variable for variable in variables}, found)
    kinds, steps = tuple(kind for kind, _ in rows), tuple(step for _, step in rows)
    found.problems += shape_problems(kinds, steps, gate, target)
    return Reading(
        problems=tuple(found.problems),
        kinds=kinds,
        steps=steps,
        variables=variables,
        target=target,
        gate=gate,
        name=name,
        description=description,
    )


def _constants(top: Part) -> None:
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if not top.has(key):
            top.add(f"{key} is missing", f"add {key}: {expected}")
        elif top.data[key] != expected:
            top.add(f"must be {expected}", f"write {key}: {expected}", key)


def _description(top: Part) -> str:
    description = top.data.get("description", "")
    if not isinstance(description, str):
        message = f"must be text, not {describe_type(description)}"
        top.add(message, "write one sentence", "description")
        return ""
    return description


def _rows(top: Part) -> list[Row]:
    rows = top.data.get("steps")
    if not top.has("steps"):
        top.add("steps is missing", "add steps with what is done")
        return []
    if not isinstance(rows, list | tuple) or not rows:
        what = "is empty" if rows in ([], ()) else f"must be a list, not {describe_type(rows)}"
        top.add(what, "write - {name: ..., ACTION: ..., timeoutSeconds: ...}", "steps")
        return []
    if len(rows) > MAX_STEPS:
        top.add(f"has more than {MAX_STEPS} steps", "make two playbooks of it", "steps")
        return []
    return [_row(row, ("steps", at), top.found) for at, row in enumerate(rows)]


def _row(row: object, at: Location, found: Findings) -> Row:
    if not isinstance(row, Mapping):
        message = f"must be a mapping, not {describe_type(row)}"
        found.add(at, message, "write a name, an action and timeoutSeconds")
        return None, None
    part = Part(data=row, at=at, found=found)
    before = len(found.problems)
    # A key that is there under a wrong name is one mistake, not a second one for its absence.
    meant = part.keys(STEP_KEYS)
    name = part.text("name", required="name" not in meant)
    timeout = None if "timeoutSeconds" in meant else _timeout(part)
    options = _options(part)
    does = None if meant & set(ACTION_KEYS) else _does(part)
    if does is None or name is None or timeout is None or len(found.problems) > before:
        return (None if does is None else does[0]), None
    kind, action = does
    return kind, Step(name=name, kind=kind, timeout=timeout, action=action, **options)


def _does(part: Part) -> tuple[StepKind, Action | None] | None:
    keys = [key for key in ACTION_KEYS if part.has(key)]
    if len(keys) != 1:
        message = "does more than one thing" if keys else "does no known thing"
        part.add(message, f"write exactly one of {', '.join(ACTION_KEYS)}")
        return None
    return parse_action(keys[0], part.data[keys[0]], (*part.at, keys[0]), part.found)


def _options(part: Part) -> dict[str, Any]:
    return {
        "only_if": _checks(part, "onlyIf"),
        "observe": _checks(part, "observe"),
        "verify": _checks(part, "verify"),
        "repeatable": part.flag("repeatable"),
        "tries": part.whole("tries", 1, 1, MAX_TRIES),
        "on_failure": part.word("onFailure", OnFailure, OnFailure.FAIL) or OnFailure.FAIL,
        "once": part.flag("once"),
    }


def _checks(part: Part, key: str) -> tuple[Check, ...]:
    return parse_checks(part.data[key], (*part.at, key), part.found) if part.has(key) else ()


def _timeout(part: Part) -> float | str | None:
    action = f"write seconds above 0, or one of {', '.join(POLICY_TIMEOUTS)}"
    key = "timeoutSeconds"
    if not part.has(key):
        message = "timeoutSeconds is missing: a step has a deadline"
        part.add(message, action, code="step-without-timeout")
        return None
    value = part.data[key]
    if isinstance(value, str) and value in POLICY_TIMEOUTS:
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= MAX_SECONDS:
        what = "must be above 0 and a week at most" if is_number else "is no deadline"
        if isinstance(value, str) and value.strip().isdecimal():
            what = "is text, and no number of seconds"
            action = f"write {value.strip()}, without quotes"
        part.add(what, action, key, code="step-without-timeout")
        return None
    return float(value)


def _named(rows: list[Row], variables: Mapping[str, Variable], found: Findings) -> None:
    """Adds what is wrong with variables that an action names without ``${}``."""
    for at, (_, step) in enumerate(rows):
        if step is None:
            continue
        match step.action:
            case CommandAction(stdin=name):
                part = Part(data={}, at=("steps", at, "command"), found=found)
                used_name_problem(part, "stdin", name, variables, is_secret=False)
            case HttpAction(bearer_token=name):
                part = Part(data={}, at=("steps", at, "http"), found=found)
                used_name_problem(part, "bearerToken", name, variables, is_secret=True)
