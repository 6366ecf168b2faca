"""A playbook: what is done to one node, as data.

The parser checks the shape that keeps a node safe: a stop has its wait, its start and its recovery
behind it, in this order, so that no playbook can leave a broker stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from healthd.waves.playbook_steps import Action, Check, OnFailure, Variable
from healthd.waves.policy import Location, SpecProblem, WavePolicy

API_VERSION: Final = "healthd/v1"


class StepKind(StrEnum):
    """What a step does."""

    STOP = "service stop"
    LEFT = "waitFor left"
    START = "service start"
    BACK = "waitFor back"
    ELECT_LEADERS = "kafka electPreferredLeaders"
    COMMAND = "command"
    UPLOAD = "upload"
    TEMPLATE = "template"
    REBOOT = "reboot"
    WAIT = "waitFor"
    KAFKA = "kafka"
    HTTP = "http"
    PROMPT = "prompt"
    ANSIBLE = "ansible"


ORDER: Final = (StepKind.STOP, StepKind.LEFT, StepKind.START, StepKind.BACK)
"""The steps that every playbook has, in this order; elections may follow."""

STEP_KINDS_TO_COME: Final = frozenset(
    {"command", "upload", "template", "reboot", "http", "prompt", "ansible"}
)
STEP_VERBS: Final = {
    "service": {"stop": StepKind.STOP, "start": StepKind.START},
    "waitFor": {"left": StepKind.LEFT, "back": StepKind.BACK},
    "kafka": {"electPreferredLeaders": StepKind.ELECT_LEADERS},
}
POLICY_TIMEOUTS: Final = {
    "policy.stopTimeoutSeconds": "stop_timeout_seconds",
    "policy.startTimeoutSeconds": "start_timeout_seconds",
    "policy.recoveryTimeoutSeconds": "recovery_timeout_seconds",
}
PLAYBOOK_KEYS: Final = ("apiVersion", "kind", "name", "description", "steps")
STEP_KEYS: Final = ("name", "timeoutSeconds", *STEP_VERBS)


class PlaybookTarget(StrEnum):
    """What the nodes of a wave are."""

    BROKER = "broker"
    """Brokers and controllers, by their node.id."""
    ZOOKEEPER = "zookeeper"
    """The servers of the cluster's ZooKeeper ensemble, by their myid."""


class GateNeeded(StrEnum):
    """What has to be open before a node is taken."""

    FULL = "full"
    PERMISSION = "permission"
    """Windows, freezes, approvals, budgets, leases and alerts; no look at the cluster's health."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a playbook."""

    name: str
    kind: StepKind
    timeout: float | str
    """Seconds, or the name of the policy key that says them (``policy.stopTimeoutSeconds``)."""
    action: Action | None = None
    """What it does; None for the service's own steps and elections, which need no more."""
    only_if: tuple[Check, ...] = ()
    """It is done only where all of these are true, and counts as done elsewhere."""
    observe: tuple[Check, ...] = ()
    """True when it has been done: asked when nobody knows, after a crash or a lost connection."""
    verify: tuple[Check, ...] = ()
    """Waited for, within its deadline, after it was done."""
    repeatable: bool = False
    """Doing it twice is as good as once."""
    tries: int = 1
    """How often it is done at most, when it fails; more than one only where it is repeatable."""
    on_failure: OnFailure = OnFailure.FAIL
    once: bool = False
    """Done for the last node of the cluster only, when every other one is through."""

    def timeout_seconds(self, policy: WavePolicy) -> float:
        """The deadline of this step under a policy."""
        if isinstance(self.timeout, str):
            return float(getattr(policy, POLICY_TIMEOUTS[self.timeout]))
        return self.timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """What is done to one node: ordered steps."""

    name: str
    description: str
    steps: tuple[Step, ...]
    target: PlaybookTarget = PlaybookTarget.BROKER
    gate: GateNeeded = GateNeeded.FULL
    variables: tuple[Variable, ...] = ()
    folder: str = ""
    """Where its file lies, absolute; empty when it came from no file."""
    files: tuple[tuple[str, str], ...] = ()
    """The files that its steps send, as they name them, each with its SHA-256."""

    @property
    def restarts(self) -> bool:
        """Whether it stops and starts the node."""
        return any(step.kind is StepKind.STOP for step in self.steps)

    def step(self, kind: StepKind) -> Step | None:
        """The first step of a kind."""
        return next((step for step in self.steps if step.kind is kind), None)

    def timeout_seconds(self, kind: StepKind, policy: WavePolicy) -> float:
        """The deadline of the step of a kind that every playbook has."""
        step = self.step(kind)
        if step is None:
            raise LookupError(f"the playbook {self.name} has no step '{kind}'")
        return step.timeout_seconds(policy)


def parse_playbook(data: object) -> Playbook | list[SpecProblem]:
    """The playbook that a mapping describes, or everything that is wrong with it."""
    if not isinstance(data, Mapping):
        return [_problem((), "is no mapping", "write apiVersion, kind, name and steps")]
    problems = [_unknown((key,), PLAYBOOK_KEYS) for key in data if key not in PLAYBOOK_KEYS]
    for key, expected in (("apiVersion", API_VERSION), ("kind", "Playbook")):
        if data.get(key) != expected:
            problems.append(_problem((key,), "is not right", f"write {key}: {expected}"))
    name, description = data.get("name"), data.get("description", "")
    if not isinstance(name, str) or not name:
        problems.append(_problem(("name",), "is missing", "write the playbook's name"))
    if not isinstance(description, str):
        problems.append(_problem(("description",), "is no text", "write one sentence"))
    rows = data.get("steps")
    if not isinstance(rows, list) or not rows:
        problems.append(_problem(("steps",), "is no list of steps", "write at least the four"))
        return problems
    steps = [_step(row, ("steps", at), problems) for at, row in enumerate(rows)]
    whole = tuple(step for step in steps if step is not None)
    return (
        problems
        or _shape(whole)
        or Playbook(name=str(name), description=str(description), steps=whole)
    )


def _step(row: object, at: Location, problems: list[SpecProblem]) -> Step | None:
    if not isinstance(row, Mapping):
        problems.append(_problem(at, "is no mapping", "write a name, an action and a timeout"))
        return None
    before = len(problems)
    for key in row:
        if key in STEP_KINDS_TO_COME:
            message = f"the step kind {key} is not built yet"
            problems.append(_problem((*at, key), message, f"use one of {', '.join(STEP_VERBS)}"))
        elif key not in STEP_KEYS:
            problems.append(_unknown((*at, str(key)), STEP_KEYS))
    if not isinstance(row.get("name"), str) or not row["name"]:
        problems.append(_problem((*at, "name"), "is missing", "say in words what it does"))
    kind = _kind(row, at, problems)
    timeout = _timeout(row, at, problems)
    if kind is None or timeout is None or len(problems) > before:
        return None
    return Step(name=row["name"], kind=kind, timeout=timeout)


def _kind(row: Mapping[str, Any], at: Location, problems: list[SpecProblem]) -> StepKind | None:
    actions = [key for key in STEP_VERBS if key in row]
    if len(actions) != 1:
        if not STEP_KINDS_TO_COME.intersection(row):
            message = "does no known thing" if not actions else "does more than one thing"
            problems.append(_problem(at, message, f"write exactly one of {', '.join(STEP_VERBS)}"))
        return None
    verbs = STEP_VERBS[actions[0]]
    kind = verbs.get(str(row[actions[0]]))
    if kind is None:
        message = f"{row[actions[0]]!r} is no known {actions[0]}"
        problems.append(_problem((*at, actions[0]), message, f"write one of {', '.join(verbs)}"))
    return kind


def _timeout(
    row: Mapping[str, Any], at: Location, problems: list[SpecProblem]
) -> float | str | None:
    where = (*at, "timeoutSeconds")
    action = f"write seconds above 0, or one of {', '.join(POLICY_TIMEOUTS)}"
    if "timeoutSeconds" not in row:
        problems.append(_problem(where, "a step without a deadline", action))
        return None
    value = row["timeoutSeconds"]
    if isinstance(value, str) and value in POLICY_TIMEOUTS:
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        problems.append(_problem(where, f"{value!r} is no deadline", action))
        return None
    return float(value)


def _shape(steps: tuple[Step, ...]) -> list[SpecProblem]:
    kinds = [step.kind for step in steps]
    for at, needed in enumerate(ORDER):
        if at >= len(kinds):
            message = f"'{needed}' is missing: the node would not be brought back"
            return [_problem(("steps",), message, f"add the step '{needed}'")]
        if kinds[at] is not needed:
            message = f"'{needed}' belongs here, not '{kinds[at]}'"
            action = "a stop is followed by its wait, the start, and the wait until it is back"
            return [_problem(("steps", at), message, action)]
    for at, kind in enumerate(kinds[len(ORDER) :], start=len(ORDER)):
        if kind is not StepKind.ELECT_LEADERS:
            return [_problem(("steps", at), f"'{kind}' stands twice", "remove one of them")]
    return []


def _problem(location: Location, message: str, action: str) -> SpecProblem:
    return SpecProblem(location=location, message=message, action=action)


def _unknown(location: Location, known: tuple[str, ...]) -> SpecProblem:
    near = get_close_matches(str(location[-1]), known, n=1)
    action = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"
    return _problem(location, f"unknown key {location[-1]}", action)
