"""The faults of a rehearsal as data: what each is called, what it needs, and when it strikes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from healthd.waves.state import NodeStatus


class FaultKind(StrEnum):
    """What can go wrong, or be ordered (contract.md `rehearse`)."""

    BROKER_CRASH = "broker_crash"
    SLOW_START = "slow_start"
    SLOW_CATCH_UP = "slow_catch_up"
    START_FAILS = "start_fails"
    HOST_UNREACHABLE = "host_unreachable"
    BROKER_FENCED = "broker_fenced"
    BROKER_FROZEN = "broker_frozen"
    LOG_RECOVERY = "log_recovery"
    EXPORTER_LOST = "exporter_lost"
    EXPORTER_STALE = "exporter_stale"
    METADATA_LOST = "metadata_lost"
    METADATA_STALE = "metadata_stale"
    QUORUM_LOST = "quorum_lost"
    VOTER_BEHIND = "voter_behind"
    CONTROLLER_MOVES = "controller_moves"
    REASSIGNMENT = "reassignment"
    TOPIC_CREATED = "topic_created"
    ALERT_FIRING = "alert_firing"
    ALERT_QUERY_FAILS = "alert_query_fails"
    COMMAND_HANGS = "command_hangs"
    ANSWER_LOST = "answer_lost"
    NOT_RESTARTED = "not_restarted"
    DAEMON_KILLED = "daemon_killed"
    LEASE_STOLEN = "lease_stolen"
    CLOCK_JUMP = "clock_jump"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    RETRY = "retry"
    SKIP = "skip"


class Need(StrEnum):
    """Whether a fault has a `broker`."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    """Absent: all of them."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the document of a fault has beside `at`, `for`, `when` and `fault`."""

    broker: Need = Need.NONE
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


_ON_BROKER: Final = Shape(broker=Need.REQUIRED)
_PLAIN: Final = Shape()

SHAPES: Final[Mapping[FaultKind, Shape]] = {
    FaultKind.BROKER_CRASH: _ON_BROKER,
    FaultKind.SLOW_START: Shape(broker=Need.REQUIRED, required=("factor",)),
    FaultKind.SLOW_CATCH_UP: Shape(broker=Need.REQUIRED, required=("factor",)),
    FaultKind.START_FAILS: _ON_BROKER,
    FaultKind.HOST_UNREACHABLE: _ON_BROKER,
    FaultKind.BROKER_FENCED: _ON_BROKER,
    FaultKind.BROKER_FROZEN: _ON_BROKER,
    FaultKind.LOG_RECOVERY: Shape(broker=Need.REQUIRED, required=("seconds",)),
    FaultKind.EXPORTER_LOST: Shape(broker=Need.OPTIONAL),
    FaultKind.EXPORTER_STALE: Shape(broker=Need.OPTIONAL),
    FaultKind.METADATA_LOST: _PLAIN,
    FaultKind.METADATA_STALE: _PLAIN,
    FaultKind.QUORUM_LOST: _PLAIN,
    FaultKind.VOTER_BEHIND: _ON_BROKER,
    FaultKind.CONTROLLER_MOVES: Shape(required=("to",)),
    FaultKind.REASSIGNMENT: Shape(required=("topic", "partition", "adding")),
    FaultKind.TOPIC_CREATED: Shape(required=("name", "replicas"), optional=("minInsyncReplicas",)),
    FaultKind.ALERT_FIRING: _PLAIN,
    FaultKind.ALERT_QUERY_FAILS: _PLAIN,
    FaultKind.COMMAND_HANGS: _ON_BROKER,
    FaultKind.ANSWER_LOST: _ON_BROKER,
    FaultKind.NOT_RESTARTED: _ON_BROKER,
    FaultKind.DAEMON_KILLED: Shape(optional=("downFor",)),
    FaultKind.LEASE_STOLEN: _PLAIN,
    FaultKind.CLOCK_JUMP: Shape(required=("seconds",)),
    FaultKind.PAUSE: _PLAIN,
    FaultKind.RESUME: _PLAIN,
    FaultKind.ABORT: _PLAIN,
    FaultKind.RETRY: _ON_BROKER,
    FaultKind.SKIP: _ON_BROKER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The first entry of a broker into a state."""

    broker: int
    state: NodeStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, or that an operator orders."""

    kind: FaultKind
    at: float | None = None
    """Seconds of virtual time; None: `when` says it."""
    when: When | None = None
    lasts: float | None = None
    """Seconds (`for`); None: for good."""
    broker: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the kind needs further, by the names of the file."""
