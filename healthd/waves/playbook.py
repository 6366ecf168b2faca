"""A playbook: what is done to one node, as data.

The parser checks the shape that keeps a node safe: a stop has its wait, its start and its recovery
behind it, in this order, so that no playbook can leave a broker stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from healthd.waves.policy import WavePolicy

API_VERSION: Final = "healthd/v1"


class StepKind(StrEnum):
    """What a step does."""

    STOP = "service stop"
    LEFT = "waitFor left"
    START = "service start"
    BACK = "waitFor back"
    ELECT_LEADERS = "kafka electPreferredLeaders"


ORDER: Final = (StepKind.STOP, StepKind.LEFT, StepKind.START, StepKind.BACK)
"""The steps that every playbook has, in this order; elections may follow."""

STEP_KINDS_TO_COME: Final = frozenset(
    {"command", "upload", "template", "reboot", "http", "prompt", "ansible"}
)
_VERBS: Final = {
    "service": {"stop": StepKind.STOP, "start": StepKind.START},
    "waitFor": {"left": StepKind.LEFT, "back": StepKind.BACK},
    "kafka": {"electPreferredLeaders": StepKind.ELECT_LEADERS},
}
_POLICY_TIMEOUTS: Final = {
    "policy.stopTimeoutSeconds": "stop_timeout_seconds",
    "policy.startTimeoutSeconds": "start_timeout_seconds",
    "policy.recoveryTimeoutSeconds": "recovery_timeout_seconds",
}
_TOP_KEYS: Final = ("apiVersion", "kind", "name", "description", "steps")
_STEP_KEYS: Final = ("name", "timeoutSeconds", *_VERBS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a playbook."""

    name: str
    kind: StepKind
    timeout: float | str
    """Seconds, or the name of the policy key that says them (``policy.stopTimeoutSeconds``)."""

    def timeout_seconds(self, policy: WavePolicy) -> float:
        """The deadline of this step under a policy."""
        if isinstance(self.timeout, str):
            return float(getattr(policy, _POLICY_TIMEOUTS[self.timeout]))
        return self.timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """What is done to one node: ordered steps."""

    name: str
    description: str
    steps: tuple[Step, ...]

    def step(self, kind: StepKind) -> Step | None:
        """The first step of a kind."""
        return next((step for step in self.steps if step.kind is kind), None)

    def timeout_seconds(self, kind: StepKind, policy: WavePolicy) -> float:
        """The deadline of the step of a kind that every playbook has."""
        step = self.step(kind)
        if step is None:
            raise LookupError(f"the playbook {self.name} has no step '{kind}'")
        return step.timeout_seconds(policy)


Problem = tuple[str, str]
"""The path of what is wrong (``steps[2].timeoutSeconds``), and what is wrong with it."""


def parse_playbook(data: Mapping[str, Any]) -> Playbook | list[Problem]:
    """The playbook that a mapping describes, or everything that is wrong with it."""
    problems: list[Problem] = [
        (key, _unknown(key, _TOP_KEYS)) for key in data if key not in _TOP_KEYS
    ]
    for key, expected in (("apiVersion", API_VERSION), ("kind", "Playbook")):
        if data.get(key) != expected:
            problems.append((key, f"must be {expected}"))
    name = data.get("name")
    if not isinstance(name, str) or not name:
        problems.append(("name", "must be the playbook's name"))
    description = data.get("description", "")
    if not isinstance(description, str):
        problems.append(("description", "must be text"))
    rows = data.get("steps")
    if not isinstance(rows, list) or not rows:
        problems.append(("steps", "must be a list of steps"))
        return problems
    steps: list[Step] = []
    for at, row in enumerate(rows):
        step = _step(row, f"steps[{at}]", problems)
        if step is not None:
            steps.append(step)
    if not problems:
        problems.extend(_shape(steps))
    return problems or Playbook(name=str(name), description=str(description), steps=tuple(steps))


def _step(row: Any, path: str, problems: list[Problem]) -> Step | None:
    if not isinstance(row, Mapping):
        problems.append((path, "must be a mapping with a name and what to do"))
        return None
    before = len(problems)
    for key in row:
        if key in STEP_KINDS_TO_COME:
            problems.append((f"{path}.{key}", "this step kind is not built yet"))
        elif key not in _STEP_KEYS:
            problems.append((f"{path}.{key}", _unknown(str(key), _STEP_KEYS)))
    if not isinstance(row.get("name"), str) or not row["name"]:
        problems.append((f"{path}.name", "must say in words what the step does"))
    actions = [key for key in _VERBS if key in row]
    kind = None
    if len(actions) != 1:
        if len(problems) == before or actions:
            problems.append((path, f"must do exactly one thing: {', '.join(_VERBS)}"))
    else:
        kind = _VERBS[actions[0]].get(str(row[actions[0]]))
        if kind is None:
            known = ", ".join(_VERBS[actions[0]])
            problems.append((f"{path}.{actions[0]}", f"must be one of {known}"))
    timeout = _timeout(row, path, problems)
    if kind is None or timeout is None or len(problems) > before:
        return None
    return Step(name=row["name"], kind=kind, timeout=timeout)


def _timeout(row: Mapping[str, Any], path: str, problems: list[Problem]) -> float | str | None:
    where = f"{path}.timeoutSeconds"
    if "timeoutSeconds" not in row:
        problems.append((where, "every step needs a deadline: seconds, or policy.KEY"))
        return None
    value = row["timeoutSeconds"]
    if isinstance(value, str) and value in _POLICY_TIMEOUTS:
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        known = ", ".join(_POLICY_TIMEOUTS)
        problems.append((where, f"must be seconds above 0, or one of {known}"))
        return None
    return float(value)


def _shape(steps: list[Step]) -> list[Problem]:
    kinds = [step.kind for step in steps]
    for at, needed in enumerate(ORDER):
        if at >= len(kinds):
            return [("steps", f"'{needed}' is missing: the node would not be brought back")]
        if kinds[at] is not needed:
            return [
                (f"steps[{at}]", f"must be '{needed}' here, not '{kinds[at]}': a stop is followed "
                 "by the wait until it has left, its start and the wait until it is back")
            ]  # fmt: skip
    for at, kind in enumerate(kinds[len(ORDER) :], start=len(ORDER)):
        if kind is not StepKind.ELECT_LEADERS:
            return [(f"steps[{at}]", f"'{kind}' stands twice")]
    return []


def _unknown(key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key, known, n=1)
    return "is no known key" + (f"; did you mean {near[0]}?" if near else "")
