"""What can happen to a wave. Every event carries the time of the wave clock at which it did."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.playbook import Playbook


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened."""

    at: float
    """Seconds on the wave clock."""
    wall: float | None = None
    """Unix seconds UTC, for what the calendar decides; None when nobody said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Began(Event):
    """The wave was accepted and its lease taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A daemon took the wave up again; nobody knows what the last one had under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked(Event):
    """Time has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSeen(Event):
    """A collection has ended with a new snapshot."""

    snapshot: ClusterSnapshot
    previous: ClusterSnapshot | None
    """The one before, for what only two can show; None right after a start."""
    collected_since: float
    """When the collection began, on the wave clock; what it saw is at least that new."""
    index: float | None = None
    """The Health Index of the snapshot as it is, for the report; None when there is none."""
    holds: tuple[Reason, ...] = ()
    """What else the daemon knows to be in the way (a lost lease, a store that cannot write)."""
    index_beside: float | None = None
    """The Health Index of the cluster that rests on the nodes, where it is not made of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """What the host itself says of the node's process."""

    is_running: bool | None
    """None: the host could not be asked, or its answer was not understood."""
    start: str | None = None
    """What identifies the process: its start time. None when it does not run or is not known."""
    detail: str = ""
    """Why it is not known."""
    reason: Reason | None = None
    """The reason to hold when the host could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed(Event):
    """The host was asked about the node's process."""

    node: int
    host: HostState


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed(Event):
    """The candidates were looked at again: a fresh snapshot, configs included, and their hosts."""

    nodes: tuple[int, ...]
    snapshot: ClusterSnapshot | None
    """None when no fresh snapshot could be had."""
    hosts: Mapping[int, HostState]
    """What the host of each of them says."""
    holds: tuple[Reason, ...] = ()
    """What else is in the way (a store that cannot promise the start's record, ...)."""
    index_beside: float | None = None
    """As in `SnapshotSeen`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinsSeen(Event):
    """The playbook and the cluster's part of the fleet file were looked at again."""

    playbook: Playbook | None
    """None: it cannot be read any more."""
    trouble: str = ""
    """Why not."""
    inventory: tuple[tuple[str, str], ...]
    """As in `Pins`."""


class Outcome(StrEnum):
    """How a command ended, as far as that is known."""

    OK = "ok"
    FAILED = "failed"
    """It ended with an error."""
    NOT_SENT = "not sent"
    """It was certainly not carried out."""
    UNKNOWN = "unknown"
    """No answer came; it may have been carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnded(Event):
    """A command that an effect asked for has ended."""

    node: int
    effect_id: str
    outcome: Outcome
    detail: str = ""


class StepState(StrEnum):
    """What is true of a step, as far as that is known."""

    DONE = "done"
    NOT_DONE = "not done"
    """It has not begun, or what it should have brought about is not so."""
    RUNNING = "running"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """It had begun, and ended half-way: nobody knows how far it came."""
    UNKNOWN = "unknown"
    """The host, or whoever else should say it, could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepObserved(Event):
    """Somebody was asked what became of a step."""

    node: int
    effect_id: str
    step: int
    state: StepState
    detail: str = ""
    is_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Event):
    """Something beside the wave that its story should tell."""

    what: str
    """Constant and in the past tense: ``silence_not_made``, ..."""
    node: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsSeen(Event):
    """The last log lines of a node that is in trouble."""

    node: int
    text: str


class Verb(StrEnum):
    """What a person may order."""

    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    SKIP = "skip"
    ABORT = "abort"
    CONFIRM = "confirm"
    """Answers the question of a playbook's step: the node goes on."""
    OVERRIDE = "override"
    """A second person's: one hold does not count for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideAsked:
    """The hold that shall not count, and for how long."""

    code: ReasonCode
    object: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered(Event):
    """A person gave an order; `refusal_of` has said that it can be taken."""

    verb: Verb
    by: str
    reason: str
    node: int | None = None
    override: OverrideAsked | None = None
    """Only of an override."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed(Event):
    """The journal could not be written; what was intended was not carried out."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining(Event):
    """The daemon is asked to stop: nothing new is taken, what is half-way is brought back."""
