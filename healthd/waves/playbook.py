"""A playbook: what is done to one node, as data. `playbook_parse` makes it of a file's content."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthd.waves.playbook_steps import (
    Action,
    AnsibleAction,
    Check,
    OnFailure,
    TemplateAction,
    UploadAction,
    Variable,
)
from healthd.waves.policy import WavePolicy

API_VERSION: Final = "healthd/v1"
KIND: Final = "Playbook"


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
"""The steps of a playbook that restarts the node, in this order; others stand around them."""

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
PLAYBOOK_KEYS: Final = (
    *("apiVersion", "kind", "name", "description", "target", "gate", "variables", "steps"),
)
ACTION_KEYS: Final = (
    *STEP_VERBS,
    *("command", "upload", "template", "reboot", "http", "prompt", "ansible"),
)
"""A step has exactly one of these."""
OPTION_KEYS: Final = (*("onlyIf", "observe", "verify", "repeatable", "tries", "onFailure", "once"),)
STEP_KEYS: Final = ("name", "timeoutSeconds", *ACTION_KEYS, *OPTION_KEYS)


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


_TIMEOUTS_OF: Final = {
    StepKind.STOP: "stop_timeout_seconds",
    StepKind.LEFT: "stop_timeout_seconds",
    StepKind.START: "start_timeout_seconds",
    StepKind.BACK: "recovery_timeout_seconds",
}


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
    asked_digest: str | None = None
    """The digest by which it was asked for: nothing else may take its place. None: by its name."""

    @property
    def reference(self) -> str:
        """What finds it again: its name, with the digest where it was asked for by one."""
        digest = self.asked_digest
        return self.name if digest is None else f"{self.name}@sha256:{digest}"

    @property
    def restarts(self) -> bool:
        """Whether it stops and starts the node."""
        return any(step.kind is StepKind.STOP for step in self.steps)

    @property
    def sources(self) -> tuple[tuple[int, str, str], ...]:
        """Each file that its steps send or run: the step's place, the key, and the path there."""
        return tuple(
            (at, key, path)
            for at, step in enumerate(self.steps)
            for key, path in _sources_of(step.action)
        )

    def step(self, kind: StepKind) -> Step | None:
        """The first step of a kind."""
        return next((step for step in self.steps if step.kind is kind), None)

    def timeout_seconds(self, kind: StepKind, policy: WavePolicy) -> float:
        """The deadline of a step of the restart; the policy's own where nothing is restarted."""
        step = self.step(kind)
        if step is None:
            return float(getattr(policy, _TIMEOUTS_OF[kind]))
        return step.timeout_seconds(policy)


def gives_leaders_back(kinds: Sequence[StepKind | None], at: int) -> bool:
    """Whether a step behind this place gives back the leaders that one here moves away."""
    return StepKind.ELECT_LEADERS in kinds[at + 1 :]


def _sources_of(action: Action | None) -> tuple[tuple[str, str], ...]:
    match action:
        case UploadAction(source=path):
            return (("source", path),)
        case TemplateAction(template=path, is_inline=False):
            return (("source", path),)
        case AnsibleAction(ansible_playbook=path):
            return (("playbook", path),)
    return ()
