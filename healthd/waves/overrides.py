"""Overrides: a second person lets a wave go on in spite of one hold, for a while.

Without them people go around the tool at 3 a.m. With them it is written down who answered for what,
until when; and what could cost data can be overridden by nobody. A code that is not listed as open
is protected, so that a new one is protected until somebody has thought about it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.waves.effects import Note, Step
from healthd.waves.events import Ordered
from healthd.waves.state import Override, WaveState

LONGEST_SECONDS: Final = 8 * 3600.0
"""A shift: whoever comes next looks at it anew."""

_OPEN: Final = frozenset(
    {
        ReasonCode.WINDOW_CLOSED,
        ReasonCode.FREEZE,
        ReasonCode.ALERT_FIRING,
        ReasonCode.ALERT_QUERY_FAILED,
        ReasonCode.CRUISE_CONTROL,
        ReasonCode.REASSIGNMENT,
        ReasonCode.HEALTH_INDEX_LOW,
        ReasonCode.REPLICA_LAG,
        ReasonCode.ISR_SHRINKING,
        ReasonCode.LEADERSHIP_MOVING,
        ReasonCode.PARTITION_UNDER_REPLICATED,
        ReasonCode.BROKER_DOWN,
        ReasonCode.BROKER_FENCED,
        ReasonCode.BROKER_NOT_RUNNING,
        ReasonCode.BROKER_STATE_UNKNOWN,
    }
)
"""Holds behind which ok-to-stop still stands: no partition can go under min ISR by the wave."""

_EVIDENCE: Final = frozenset({ReasonCode.EVIDENCE_STALE, ReasonCode.EVIDENCE_MISSING})
_OPEN_EVIDENCE: Final = ("broker:", "source:probe")
"""One broker's exporter may be what the restart is to cure; without metadata, configs or the quorum
nobody knows what a stop would break."""

_WHY_PROTECTED: Final[Mapping[str, frozenset[ReasonCode]]] = {
    "it protects data and the producers that write it": frozenset(
        {
            ReasonCode.PARTITION_OFFLINE,
            ReasonCode.PARTITION_UNDER_MIN_ISR,
            ReasonCode.UNDER_MIN_ISR,
            ReasonCode.WOULD_GO_UNDER_MIN_ISR,
            ReasonCode.WOULD_BREAK_MARGIN,
            ReasonCode.MIN_ISR_UNKNOWN,
            ReasonCode.RF_ONE,
            ReasonCode.RF_LE_MIN_ISR,
        }
    ),
    "it protects the quorum, without which the whole cluster stands": frozenset(
        {
            ReasonCode.CONTROLLER_ABSENT,
            ReasonCode.CONTROLLER_CHANGED,
            ReasonCode.QUORUM_UNKNOWN,
            ReasonCode.QUORUM_WITHOUT_SPARE,
            ReasonCode.WOULD_LOSE_QUORUM,
            ReasonCode.VOTER_BEHIND,
        }
    ),
    "two that drive one cluster at once are worse than any wait": frozenset(
        {ReasonCode.LEASE_HELD, ReasonCode.LEASE_LOST}
    ),
    "it is not certain which process would be stopped": frozenset(
        {
            ReasonCode.IDENTITY,
            ReasonCode.HOST_UNREACHABLE,
            ReasonCode.HOST_KEY_REFUSED,
            ReasonCode.HOST_AUTH_REFUSED,
            ReasonCode.HOST_STATE_UNKNOWN,
        }
    ),
    "a start that cannot be written down could be lost": frozenset({ReasonCode.STORE_UNSAFE}),
    "nobody knows what happened while the daemon stood still": frozenset(
        {ReasonCode.DAEMON_STALLED}
    ),
    "without that evidence nobody knows what a stop would break": _EVIDENCE
    | {ReasonCode.UNREACHABLE},
    "it passes by itself, or the broker needs help": frozenset(
        {
            ReasonCode.NOT_CLEAN_LONG_ENOUGH,
            ReasonCode.SOAKING,
            ReasonCode.BROKER_IN_FLIGHT,
            ReasonCode.BROKER_STARTING,
            ReasonCode.BROKER_STOPPING,
            ReasonCode.BROKER_RECOVERING,
        }
    ),
    "it has a way of its own: healthd wave approve": frozenset({ReasonCode.APPROVAL_MISSING}),
    "it has a way of its own: healthd wave retry or skip": frozenset({ReasonCode.BUDGET_USED_UP}),
    "it has a way of its own: healthd wave resume, or a new plan": frozenset(
        {
            ReasonCode.WAVE_PAUSED,
            ReasonCode.PLAN_STALE,
            ReasonCode.INVENTORY_CHANGED,
            ReasonCode.PLAYBOOK_CHANGED,
            ReasonCode.TOPOLOGY_CHANGED,
        }
    ),
}


def is_open_to_override(code: ReasonCode, subject: str) -> bool:
    """Whether a second person may answer for a hold of this code on this object."""
    if code in _EVIDENCE:
        return subject.startswith(_OPEN_EVIDENCE)
    return code in _OPEN


def why_protected(code: ReasonCode) -> str:
    """Why nobody may override it, in words."""
    return next(
        (why for why, codes in _WHY_PROTECTED.items() if code in codes),
        "nobody has decided that it may be",
    )


def refusal_of_override(state: WaveState, order: Ordered) -> str | None:
    """Why an override cannot be taken; None when it can."""
    asked = order.override
    if asked is None:
        return "an override needs a code, an object and how long it lasts"
    if not is_open_to_override(asked.code, asked.object):
        why = why_protected(asked.code)
        return f"{asked.code.value} {asked.object} can be overridden by nobody: {why}"
    if order.by == state.requested_by:
        return f"{order.by} started the wave; an override is for a second person"
    if not 0 < asked.seconds <= LONGEST_SECONDS:
        return f"an override lasts at most {LONGEST_SECONDS / 3600:g} hours"
    holds = {(hold.reason.code, hold.reason.object) for hold in state.holds}
    known = {(each.code, each.object) for each in state.overrides}
    if (asked.code, asked.object) not in holds | known:
        open_now = [
            f"{hold.reason.code.value} {hold.reason.object}"
            for hold in state.holds
            if is_open_to_override(hold.reason.code, hold.reason.object)
        ]
        shown = ", ".join(open_now[:_SHOWN]) or "no hold that can be overridden"
        more = f" and {len(open_now) - _SHOWN} more" if len(open_now) > _SHOWN else ""
        return f"the wave has no hold {asked.code.value} {asked.object}; it has {shown}{more}"
    return None


_SHOWN: Final = 5


def overridden(state: WaveState, order: Ordered) -> Step:
    """The state with the override that `refusal_of_override` let through; a new one replaces."""
    asked = order.override
    if asked is None:
        return Step(state=state)
    until = None if order.wall is None else order.wall + asked.seconds
    made = Override(
        code=asked.code,
        object=asked.object,
        by=order.by,
        reason=order.reason,
        since=order.at,
        ends_at=order.at + asked.seconds,
        until=until,
    )
    others = tuple(
        each for each in state.overrides if (each.code, each.object) != (made.code, made.object)
    )
    return Step(state=replace(state, overrides=(*others, made)))


def told(order: Ordered) -> str:
    """What is overridden and for how long, for the journal and the audit log."""
    asked = order.override
    if asked is None:
        return order.reason
    minutes = asked.seconds / 60
    return f"{asked.code.value} {asked.object} for {minutes:g} min: {order.reason}"


def without_ended(state: WaveState) -> Step:
    """The state without the overrides whose time is over, each with a line for the report.

    Both clocks count, and the first that says so ends it: one that is set back must not make an
    override last longer.
    """
    ended = tuple(
        each
        for each in state.overrides
        if state.clock >= each.ends_at
        or (each.until is not None and state.wall is not None and state.wall >= each.until)
    )
    if not ended:
        return Step(state=state)
    left = tuple(each for each in state.overrides if each not in ended)
    notes = tuple(
        Note(
            event="override_ended",
            detail=f"{each.code.value} {each.object}, overridden by {each.by}: {each.reason}",
        )
        for each in ended
    )
    return Step(state=replace(state, overrides=left), notes=notes)


def standing(state: WaveState, reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """The reasons that nobody answers for."""
    if not state.overrides:
        return tuple(reasons)
    lifted = {
        (each.code, each.object)
        for each in state.overrides
        if is_open_to_override(each.code, each.object)
    }
    return tuple(reason for reason in reasons if (reason.code, reason.object) not in lifted)
