"""Why a wave does not take its next node: the gate's reasons, and what is the ordinary course."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason, joined
from healthd.safety.clean_run import CleanRun, clean_enough, index_holds
from healthd.waves.effects import Note, Step
from healthd.waves.gate import Reading
from healthd.waves.moves import then
from healthd.waves.naming import object_of
from healthd.waves.overrides import standing
from healthd.waves.playbook import GateNeeded
from healthd.waves.soaking import soak_lacks, soaked_seconds
from healthd.waves.state import AT_WORK, Hold, NodeRun, NodeStatus, WaveState, WaveStatus
from healthd.waves.steps import step_of, waits_for_person

WAITING: Final = frozenset(
    {ReasonCode.NOT_CLEAN_LONG_ENOUGH, ReasonCode.SOAKING, ReasonCode.BROKER_IN_FLIGHT}
)
"""Reasons that are part of a wave's ordinary course; any other makes it hold."""

_NAMED: Final = 5
_WRITTEN: Final = 50
"""Of the holds so many go into the words and into the data of a line of the journal."""


def is_held(state: WaveState) -> bool:
    """Whether the gate is closed for more than the ordinary course of the wave."""
    return any(hold.reason.code not in WAITING for hold in state.holds)


def held(holds: tuple[Hold, ...]) -> tuple[Hold, ...]:
    """The holds that are more than the ordinary course of the wave."""
    return tuple(hold for hold in holds if hold.reason.code not in WAITING)


def holds_with(state: WaveState, more: Iterable[Reason], at: float) -> tuple[Hold, ...]:
    """The holds that stand, with some more."""
    return _with_since(state.holds, (*(hold.reason for hold in state.holds), *more), at)


def with_gate(
    step: Step,
    reasons: tuple[Reason, ...],
    at: float,
    *,
    more: Iterable[Reason] = (),
    clean: CleanRun | None = None,
) -> Step:
    """The step with the gate's reasons in its state, and a line when they are other ones.

    Args:
        step: what has been decided.
        reasons: why no node is taken, each of them once.
        at: the time, on the wave clock.
        more: what is in the way besides, be it among the reasons or not.
        clean: the clean run after it, when that is another one.
    """
    before, state = step.state.holds, step.state
    holds = _with_since(before, joined(reasons, more), at)
    changed = replace(state, holds=holds, clean=state.clean if clean is None else clean)
    held_before, held_now = held(before), held(holds)
    if state.status is WaveStatus.PLANNED or _are_alike(held_before, held_now):
        return then(step, changed)
    note = Note(
        event="gate_closed" if held_now else "gate_clear",
        detail="; ".join(
            f"{hold.reason.code.value} {hold.reason.object}" for hold in held_now[:_NAMED]
        ),
        data={"reasons": [hold.reason.as_json() for hold in held_now[:_WRITTEN]]},
    )
    return then(step, changed, notes=(note,))


def index_too_low(state: WaveState, reading: Reading) -> tuple[Reason, ...]:
    """What the Health Index without the wave's own effect has against the next node."""
    if state.playbook.gate is GateNeeded.PERMISSION:
        return ()
    found = index_holds(
        state.clean,
        index=reading.index,
        minimum=state.policy.min_health_index,
        cluster=state.cluster,
    )
    return standing(state, found)


def not_clean(state: WaveState, at: float) -> tuple[Reason, ...]:
    """What the clean run still lacks; nothing where only leave to work is asked for."""
    if state.playbook.gate is GateNeeded.PERMISSION:
        return ()
    return clean_enough(
        state.clean,
        at=at,
        snapshots=state.policy.clean_snapshots,
        seconds=state.policy.clean_seconds,
        cluster=state.cluster,
    )


def in_flight(state: WaveState, at: float) -> Iterable[Reason]:
    """The nodes that the wave waits for: until they soak, and until the soak is over."""
    for run in state.having(AT_WORK):
        question = waits_for_person(state, run)
        if question is not None:
            yield Reason(
                code=ReasonCode.APPROVAL_MISSING,
                object=object_of(state, run.node),
                detail=question,
            )
            continue
        if run.status is not NodeStatus.SOAKING:
            yield Reason(
                code=ReasonCode.BROKER_IN_FLIGHT,
                object=object_of(state, run.node),
                detail=f"{run.status.value} for {at - run.since:.0f} s{_doing(state, run, at)}",
            )
            continue
        soaked = soaked_seconds(run, at)
        detail = None
        if soaked < state.policy.soak_seconds:
            detail = f"{soaked:.0f} of {state.policy.soak_seconds:.0f} s of clean soak"
        elif (lacks := soak_lacks(state, run, at)) and not not_clean(state, at):
            detail = f"its soak: {lacks[0].detail}"
        if detail is not None:
            yield Reason(code=ReasonCode.SOAKING, object=object_of(state, run.node), detail=detail)


def _doing(state: WaveState, run: NodeRun, at: float) -> str:
    """What a node is at: its step, or what was last said of it."""
    step = step_of(state, run)
    if step is None:
        return f": {run.detail}" if run.detail else ""
    return f": step '{step.name}', {run.steps.phase.value} for {at - run.steps.since:.0f} s"


def waiting(state: WaveState, at: float) -> tuple[Reason, ...]:
    """What the wave waits for in its ordinary course."""
    return (*in_flight(state, at), *not_clean(state, at))


def must_wait(reasons: tuple[Reason, ...], *, is_repair: bool) -> bool:
    """Whether the ordinary course keeps a node; a repair may stand beside one in its soak."""
    if not is_repair:
        return bool(reasons)
    return any(reason.code is not ReasonCode.SOAKING for reason in reasons)


def _with_since(before: tuple[Hold, ...], reasons: Iterable[Reason], at: float) -> tuple[Hold, ...]:
    """The reasons as holds; one that was there before keeps the time it began."""
    if not before:
        return tuple(Hold(reason=reason, since=at) for reason in reasons)
    since = {(hold.reason.code, hold.reason.object): hold.since for hold in before}
    return tuple(
        Hold(reason=reason, since=since.get((reason.code, reason.object), at)) for reason in reasons
    )


def _are_alike(before: tuple[Hold, ...], now: tuple[Hold, ...]) -> bool:
    """Whether the same things are in the way, whatever is said of them."""
    return bool(before) == bool(now) and _keys(before) == _keys(now)


def _keys(holds: tuple[Hold, ...]) -> frozenset[tuple[ReasonCode, str]]:
    return frozenset((hold.reason.code, hold.reason.object) for hold in holds)
