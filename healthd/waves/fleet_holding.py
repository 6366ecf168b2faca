"""Why a wave over a fleet does not go on, each reason with its object."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.waves.effects import Note
from healthd.waves.fleet_events import Looked
from healthd.waves.fleet_starting import at_work, domains_in_use, full_domain
from healthd.waves.fleet_state import (
    FleetState,
    MemberStatus,
    StageStatus,
    failed_clusters,
)
from healthd.waves.spec_stage import Approval
from healthd.waves.state import Hold

_ORDINARY: Final = frozenset({ReasonCode.SOAKING})
_NAMED: Final = 5


def fleet_holds(state: FleetState, event: Looked) -> tuple[Reason, ...]:
    """What keeps the wave from its next cluster, or from its next stage."""
    at = state.stage
    if at is None or state.abort is not None:
        return ()
    return (*_budget(state), *_approval(state, at), *_soak(state, at, event),
            *_clusters(state, at, event))  # fmt: skip


def holds_of_children(state: FleetState) -> tuple[Reason, ...]:
    """What the parent has against every node of every child: whoever paused it paused them."""
    if state.pauses:
        pause = state.pauses[-1]
        detail = f"paused by {pause.by}: {pause.reason}"
        paused = Reason(code=ReasonCode.WAVE_PAUSED, object=f"wave:{state.wave}", detail=detail)
        return (*_budget(state), paused)
    return tuple(_budget(state))


def is_held(state: FleetState) -> bool:
    """Whether it waits for more than the ordinary course of the wave."""
    return any(hold.reason.code not in _ORDINARY for hold in state.holds)


def _budget(state: FleetState) -> Iterator[Reason]:
    if not state.is_over_budget:
        return
    for member in failed_clusters(state):
        brokers = ", ".join(map(str, member.failed))
        why = f"failed brokers: {brokers}" if brokers else f"its wave was {member.status.value}"
        detail = f"{why}; the wave may have {state.max_failed_clusters} failed clusters"
        object_ = f"cluster:{member.cluster}"
        yield Reason(code=ReasonCode.BUDGET_USED_UP, object=object_, detail=detail)


def _approval(state: FleetState, at: int) -> Iterator[Reason]:
    stage = state.stages[at]
    if stage.status is not StageStatus.AWAITING_APPROVAL:
        return
    detail = "nobody has approved it"
    if stage.approval is Approval.TWO_PERSON:
        detail += f"; somebody else than {state.requested_by} has to"
    object_ = f"stage:{stage.name}"
    yield Reason(code=ReasonCode.APPROVAL_MISSING, object=object_, detail=detail)


def _soak(state: FleetState, at: int, event: Looked) -> Iterator[Reason]:
    stage = state.stages[at]
    if stage.status is not StageStatus.SOAKING or not stage.soak_seconds:
        return
    yield from troubles_of_stage(state, at, event)
    soaked = 0.0 if state.soak_since is None else state.clock - state.soak_since
    detail = f"{soaked:.0f} of {stage.soak_seconds:.0f} s of clean time after the stage"
    yield Reason(code=ReasonCode.SOAKING, object=f"stage:{stage.name}", detail=detail)


def troubles_of_stage(state: FleetState, at: int, event: Looked) -> tuple[Reason, ...]:
    """One reason for every cluster of a stage that is not well, or that nobody has looked at."""
    found: list[Reason] = []
    for member in state.of_stage(at):
        if member.status is MemberStatus.SKIPPED:
            continue
        object_ = f"cluster:{member.cluster}"
        if member.cluster not in event.troubles:
            missing = "it has not been looked at since the stage"
            found.append(Reason(code=ReasonCode.EVIDENCE_MISSING, object=object_, detail=missing))
            continue
        troubles = event.troubles[member.cluster]
        if troubles:
            first = troubles[0]
            more = f", and {len(troubles) - 1} more" if len(troubles) > 1 else ""
            detail = f"{first.object}: {first.detail}{more}"
            found.append(Reason(code=first.code, object=object_, detail=detail))
    return tuple(found)


def _clusters(state: FleetState, at: int, event: Looked) -> Iterator[Reason]:
    """What stands against the clusters whose turn it would be."""
    stage = state.stages[at]
    if stage.status is not StageStatus.RUNNING:
        return
    free = stage.clusters_at_once - len(at_work(state, event))
    used = domains_in_use(state)
    for member in state.of_stage(at):
        blocked = event.blocked.get(member.cluster)
        if blocked is not None and member.child not in event.children:
            if not member.status.has_ended:
                yield blocked
            continue
        if member.status is not MemberStatus.PENDING:
            continue
        domain = full_domain(state, member, used)
        if domain is not None and free > 0:
            label = domain.partition("=")[0]
            detail = (
                f"{used[domain]} clusters with {domain} are in work;"
                f" clustersAtOncePer allows {dict(state.limits)[label]}"
            )
            object_ = f"cluster:{member.cluster}"
            yield Reason(code=ReasonCode.BUDGET_USED_UP, object=object_, detail=detail)


def with_holds(state: FleetState, reasons: Iterable[Reason]) -> tuple[FleetState, tuple[Note, ...]]:
    """The state with these holds, and a line when they are other ones than before."""
    since = {(hold.reason.code, hold.reason.object): hold.since for hold in state.holds}
    holds = tuple(
        Hold(reason=reason, since=since.get((reason.code, reason.object), state.clock))
        for reason in dict.fromkeys(reasons)
    )
    after = replace(state, holds=holds)
    before_keys, now = _keys(state.holds), _keys(holds)
    if before_keys == now:
        return after, ()
    detail = "; ".join(f"{code.value} {what}" for code, what in sorted(now)[:_NAMED])
    event = "gate_closed" if now else "gate_clear"
    return after, (Note(event=event, detail=detail),)


def _keys(holds: tuple[Hold, ...]) -> frozenset[tuple[ReasonCode, str]]:
    return frozenset(
        (hold.reason.code, hold.reason.object)
        for hold in holds
        if hold.reason.code not in _ORDINARY
    )
