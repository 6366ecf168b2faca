"""Which clusters of a stage begin now: in order, within every limit."""

from collections import Counter
from dataclasses import replace

from healthd.waves.effects import Note
from healthd.waves.fleet_events import FleetEffect, Looked, StartChild
from healthd.waves.fleet_state import (
    FleetState,
    Member,
    MemberStatus,
    StageStatus,
    has_failed,
)
from healthd.waves.state import WaveStatus


def may_begin(state: FleetState) -> bool:
    """Whether any cluster may begin at all."""
    at = state.stage
    if at is None or state.is_paused or state.abort is not None or state.is_draining:
        return False
    return state.stages[at].status is StageStatus.RUNNING


def begin(
    state: FleetState, event: Looked
) -> tuple[FleetState, tuple[Note, ...], tuple[FleetEffect, ...]]:
    """The state with what begins now, and its children.

    A child that was wanted and is not there is wanted again: the daemon may have died between.
    """
    at = state.stage
    if at is None or not may_begin(state):
        return state, (), ()
    again = [
        member
        for member in state.active
        if member.status is MemberStatus.STARTING and member.child not in event.children
    ]
    chosen: list[Member] = []
    free = state.stages[at].clusters_at_once - len(at_work(state, event))
    used = domains_in_use(state)
    for member in state.of_stage(at):
        if len(chosen) >= free:
            break
        if member.status is not MemberStatus.PENDING or member.cluster in event.blocked:
            continue
        if full_domain(state, member, used) is None:
            chosen.append(replace(member, status=MemberStatus.STARTING, since=state.clock))
            used.update(member.domains)
    notes = tuple(
        Note(
            event="cluster_starting",
            detail=f"cluster {member.cluster} as wave {member.child}",
            data={"cluster": member.cluster, "wave": member.child},
        )
        for member in chosen
    )
    effects = tuple(StartChild(member=member) for member in (*again, *chosen))
    return state.with_members(chosen), notes, effects


def at_work(state: FleetState, event: Looked) -> list[Member]:
    """The clusters that count for `clustersAtOnce`.

    One that has failed, is paused for it and has nothing in flight is no longer at work: that is
    what a budget of failed clusters is for.
    """
    return [member for member in state.active if not _stands_still(state, member, event)]


def _stands_still(state: FleetState, member: Member, event: Looked) -> bool:
    seen = event.children.get(member.child)
    return (
        seen is not None
        and seen.status is WaveStatus.PAUSED
        and not seen.has_nodes_in_flight
        and has_failed(state, member)
    )


def domains_in_use(state: FleetState) -> Counter[str]:
    """How many active clusters there are in each failure domain; failed ones count, too."""
    return Counter(domain for member in state.active for domain in member.domains)


def full_domain(state: FleetState, member: Member, used: Counter[str]) -> str | None:
    """The failure domain that keeps a cluster from beginning; None when none does."""
    limits = dict(state.limits)
    return next(
        (
            domain
            for domain in member.domains
            if used[domain] >= limits.get(domain.partition("=")[0], len(state.members))
        ),
        None,
    )
