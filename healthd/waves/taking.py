"""Whether, and which node, a wave takes next: the gate over time, the choice, the last look."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.clean_run import CleanRun, clean_enough, index_holds, observe
from healthd.safety.ok_to_stop import ok_to_stop
from healthd.waves import nodes
from healthd.waves.effects import Confirm, Note, Observe, Step
from healthd.waves.events import Confirmed, HostState, Observed, SnapshotSeen
from healthd.waves.gate import (
    Reading,
    acknowledged,
    not_back,
    read_gate,
    renamed,
    same_objects,
    with_since,
)
from healthd.waves.nodes import BY_HEALTHD, then
from healthd.waves.sequence import Rank, is_controller, sequence
from healthd.waves.state import (
    BEFORE_SOAK,
    IN_FLIGHT,
    Hold,
    NodeRun,
    NodeStatus,
    Pause,
    WaveState,
    WaveStatus,
)

WAITING: Final = frozenset(
    {ReasonCode.NOT_CLEAN_LONG_ENOUGH, ReasonCode.SOAKING, ReasonCode.BROKER_IN_FLIGHT}
)
"""Reasons that are part of a wave's ordinary course; any other makes it hold."""

CONFIRM_SECONDS: Final = 60.0
"""How long the last look at a candidate may take before it is asked for again."""

DIED_LIMIT: Final = 2
"""How many nodes may die by themselves before a person has to look."""


def is_held(state: WaveState) -> bool:
    """Whether the gate is closed for more than the ordinary course of the wave."""
    return any(hold.reason.code not in WAITING for hold in state.holds)


def holds_with(state: WaveState, more: Iterable[Reason], at: float) -> tuple[Hold, ...]:
    """The holds that stand, with some more."""
    return with_since(state.holds, (*(hold.reason for hold in state.holds), *more), at)


def on_snapshot(state: WaveState, event: SnapshotSeen) -> Step:
    """Bring the nodes in flight on, count clean time, and look for the next node."""
    state = _remembered(state, event)
    if event.collected_since < state.last_change:
        return Step(state=state)  # It may have seen the time before the last change.
    reading = read_gate(state, event)
    step = _bring_on(state, event, reading)
    if step.state.last_change > event.collected_since:
        return _with_gate(step, (*reading.holds, *_in_flight(step.state, event.at)), event.at)
    counted = _count(step.state, reading, event)
    step = then(step, counted.state, notes=counted.notes)
    bad = (*reading.holds, *_index_holds(step.state, reading))
    waiting = _waiting(step.state, event.at)
    blockers: tuple[Reason, ...] = ()
    if bad:
        chosen = _ask_repairs(step.state, reading, event.at)
    else:
        chosen, blockers = _choose(step.state, event, reading, waiting)
    step = then(step, chosen.state, effects=chosen.effects, notes=chosen.notes)
    return _with_gate(step, (*bad, *waiting, *blockers), event.at)


def _remembered(state: WaveState, event: SnapshotSeen) -> WaveState:
    """The state with what the report wants to know, and who was up."""
    brokers = event.snapshot.brokers_by_id
    up = {run.node for run in state.nodes if run.node in brokers and not brokers[run.node].is_down}
    index = event.index
    lowest = state.index_lowest
    if index is not None:
        lowest = index if lowest is None else min(lowest, index)
    return replace(
        state,
        seen_up=state.seen_up | up,
        index_before=index if state.index_before is None else state.index_before,
        index_lowest=lowest,
        index_last=state.index_last if index is None else index,
    )


def _bring_on(state: WaveState, event: SnapshotSeen, reading: Reading) -> Step:
    """The nodes in flight, judged by the snapshot."""
    step = Step(state=state)
    for node in [run.node for run in state.having(IN_FLIGHT)]:
        run = step.state.node(node)
        if run is None:
            continue
        done = _bring_one_on(step.state, run, event, reading)
        step = then(step, done.state, effects=done.effects, notes=done.notes)
    return step


def _bring_one_on(state: WaveState, run: NodeRun, event: SnapshotSeen, reading: Reading) -> Step:
    if run.status is NodeStatus.STOPPING and run.is_stop_due:
        known = run.node in event.snapshot.brokers_by_id
        may = known and not reading.holds and not _stop_blockers(state, event.snapshot, run.node)
        return nodes.stop_again(state, run, event.at) if may else Step(state=state)
    if run.status is NodeStatus.RECOVERING:
        why = not_back(event.snapshot, run.node)
        if why is None:
            return nodes.back(state, run, event.at)
        return Step(state=state.with_node(replace(run, detail=why)))
    if run.status is NodeStatus.SOAKING:
        why = not_back(event.snapshot, run.node)
        if why is not None:
            return nodes.relapsed(state, run, event.at, why)
    return Step(state=state)


def _stop_blockers(state: WaveState, snapshot: ClusterSnapshot, node: int) -> tuple[Reason, ...]:
    together = (state.in_flight & snapshot.brokers_by_id.keys()) | {node}
    return ok_to_stop(snapshot, together, acknowledged=acknowledged(state))


def _count(state: WaveState, reading: Reading, event: SnapshotSeen) -> Step:
    """Clean run and soak, and the nodes whose soak is over."""
    bad = (*reading.holds, *_index_holds(state, reading))
    run = observe(
        state.clean,
        key=event.snapshot.observed_at.isoformat(),
        at=event.at,
        is_clean=not bad,
        index=reading.index,
    )
    soaking = state.having({NodeStatus.SOAKING})
    since = state.soak_since
    if soaking and (bad or since is None):
        since = event.at
    counted = replace(state, clean=run, soak_since=since if soaking else None)
    if bad or _waiting(counted, event.at):
        return Step(state=counted)
    step = Step(state=counted)
    for node in [each.node for each in soaking]:
        current = step.state.node(node)
        if current is not None:
            done = nodes.moved(step.state, current, NodeStatus.DONE, event.at)
            step = then(step, done.state, notes=done.notes)
    return then(step, replace(step.state, soak_since=None)) if soaking else step


def _index_holds(state: WaveState, reading: Reading) -> tuple[Reason, ...]:
    return index_holds(
        state.clean,
        index=reading.index,
        minimum=state.policy.min_health_index,
        cluster=state.cluster,
    )


def _waiting(state: WaveState, at: float) -> tuple[Reason, ...]:
    """What the wave waits for in its ordinary course."""
    found = [
        *_in_flight(state, at),
        *clean_enough(
            state.clean,
            at=at,
            snapshots=state.policy.clean_snapshots,
            seconds=state.policy.clean_seconds,
            cluster=state.cluster,
        ),
    ]
    return tuple(found)


def _in_flight(state: WaveState, at: float) -> Iterable[Reason]:
    for run in state.having(IN_FLIGHT):
        if run.status is not NodeStatus.SOAKING:
            yield Reason(
                code=ReasonCode.BROKER_IN_FLIGHT,
                object=f"broker:{run.node}",
                detail=f"{run.status.value} for {at - run.since:.0f} s"
                + (f": {run.detail}" if run.detail else ""),
            )
            continue
        soaked = 0.0 if state.soak_since is None else at - state.soak_since
        if soaked < state.policy.soak_seconds:
            yield Reason(
                code=ReasonCode.SOAKING,
                object=f"broker:{run.node}",
                detail=f"{soaked:.0f} of {state.policy.soak_seconds:.0f} s of clean soak",
            )


def _may_take(state: WaveState, at: float) -> bool:
    is_looking = state.candidate is not None and at - state.candidate_since < CONFIRM_SECONDS
    return not (state.is_paused or state.abort or state.is_draining or is_looking)


def _choose(
    state: WaveState, event: SnapshotSeen, reading: Reading, waiting: tuple[Reason, ...]
) -> tuple[Step, tuple[Reason, ...]]:
    """The next candidate on a clean snapshot, or the blockers of all that could be."""
    is_due = not _must_wait(waiting, is_repair=bool(reading.repairs))
    if not is_due or not _may_take(state, event.at):
        return _ask_repairs(state, reading, event.at), ()
    node, blockers = pick(state, event.snapshot, reading)
    if node is None:
        return _ask_repairs(state, reading, event.at), blockers
    chosen = replace(state, candidate=node, candidate_since=event.at)
    return Step(state=chosen, effects=(Confirm(node=node),)), ()


def _must_wait(waiting: tuple[Reason, ...], *, is_repair: bool) -> bool:
    """Whether the ordinary course keeps a node; a repair may stand beside one in its soak."""
    if not is_repair:
        return bool(waiting)
    return any(reason.code is not ReasonCode.SOAKING for reason in waiting)


def _ask_repairs(state: WaveState, reading: Reading, at: float) -> Step:
    """Ask the hosts of nodes that are down whether their process runs: if not, it is started."""
    step = Step(state=state)
    if not reading.repairs or not _may_take(state, at) or _has_stopped_one(state):
        return step
    for node in sorted(reading.repairs):
        run = step.state.node(node)
        due = run is not None and (
            run.observed_at is None or at - run.observed_at >= nodes.SLOW_POLL_SECONDS
        )
        if run is not None and due:
            asked = step.state.with_node(replace(run, observed_at=at))
            step = then(step, asked, effects=(Observe(node=node),))
    return step


def pick(
    state: WaveState, snapshot: ClusterSnapshot, reading: Reading
) -> tuple[int | None, tuple[Reason, ...]]:
    """The next node by order and ok-to-stop, or None with the blockers of all that could be."""
    in_flight = state.in_flight
    pending = [run.node for run in state.having({NodeStatus.PENDING})]
    ordered = sequence(snapshot, pending)
    if not ordered:
        return None, ()
    if reading.repairs:
        if _has_stopped_one(state):
            return None, ()
        group = [node for rank, node in ordered if rank is Rank.REPAIR]
    else:
        if len(in_flight) >= state.concurrency:
            return None, ()
        controllers = {Rank.CONTROLLER, Rank.ACTIVE_CONTROLLER}
        group = [node for rank, node in ordered if rank in controllers]
        group = group or [node for _, node in ordered]
    blockers: list[Reason] = []
    for node in group:
        if _second_controller(snapshot, in_flight, node):
            continue
        found = _stop_blockers(state, snapshot, node)
        if not found:
            return node, ()
        blockers.extend(renamed(found, node))
    return None, tuple(blockers)


def _second_controller(snapshot: ClusterSnapshot, in_flight: frozenset[int], node: int) -> bool:
    brokers = snapshot.brokers_by_id
    return is_controller(snapshot, brokers[node]) and any(
        is_controller(snapshot, brokers[other]) for other in in_flight if other in brokers
    )


def _has_stopped_one(state: WaveState) -> bool:
    """Whether a node that this wave has stopped is not yet back."""
    return any(
        any(status == NodeStatus.STOPPING.value for status, _ in run.history)
        for run in state.having(BEFORE_SOAK)
    )


def on_confirmed(state: WaveState, event: Confirmed) -> Step:
    """The last look at the candidate: take it, or hold with what is in the way."""
    run = state.node(event.node)
    is_candidate = state.candidate == event.node and run is not None
    state = replace(state, candidate=None)
    if not is_candidate or run is None or not _may_take(state, event.at):
        return Step(state=state)
    if run.status is not NodeStatus.PENDING:
        return Step(state=state)
    if event.snapshot is None:
        unseen = Reason(
            code=ReasonCode.EVIDENCE_STALE,
            object="source:metadata",
            detail="no fresh snapshot could be had right before the stop",
        )
        return _with_gate(Step(state=state), (unseen, *event.holds), event.at, clean=CleanRun())
    reading = read_gate(state, event)
    bad = (*reading.holds, *_index_holds(state, reading))
    if event.host.is_running is False and event.node in reading.repairs:
        return start_repair(state, run, event.at)
    if bad:
        return _with_gate(Step(state=state), bad, event.at, clean=CleanRun())
    node, blockers = pick(state, event.snapshot, reading)
    if node != event.node:
        return _with_gate(Step(state=state), blockers, event.at)
    return _take(state, run, event, is_repair=event.node in reading.repairs)


def _take(state: WaveState, run: NodeRun, event: Confirmed, *, is_repair: bool) -> Step:
    host = event.host
    unknown = _host_unknown(run.node, host)
    if unknown is not None:
        return _with_gate(Step(state=state), (unknown,), event.at)
    if run.started_before is not None and host.start != run.started_before and not is_repair:
        # It was stopped in an earlier try and runs a new process: it has been restarted.
        return nodes.restarted(state, run, event.at, host)
    if is_repair:
        state, notes = _repair_taken(state, run, event.at)
        if state.is_paused:
            return Step(state=state, notes=notes)
        run = state.node(run.node) or run
    opened = _with_gate(Step(state=state), (), event.at)
    taken = nodes.stop(opened.state, run, event)
    return then(opened, taken.state, effects=taken.effects, notes=taken.notes)


def _host_unknown(node: int, host: HostState) -> Reason | None:
    if host.is_running and host.start is not None:
        return None
    if host.reason is not None:
        return host.reason
    code = ReasonCode.HOST_STATE_UNKNOWN
    detail = host.detail or "the host does not say since when the process runs"
    if host.is_running is False:
        code = ReasonCode.IDENTITY
        detail = "the cluster lists it, but its host says that the service does not run"
    return Reason(code=code, object=f"broker:{node}", detail=detail)


def on_pending_observed(state: WaveState, run: NodeRun, event: Observed) -> Step:
    """A node that waits for repair was asked for: one that does not run is only started."""
    if event.host.is_running is not False or run.observed_at is None:
        return Step(state=state)
    if not _may_take(state, event.at) or _has_stopped_one(state):
        return Step(state=state)
    return start_repair(state, run, event.at)


def start_repair(state: WaveState, run: NodeRun, at: float) -> Step:
    """Start a node whose host says that it does not run; this asks for nothing else."""
    state, notes = _repair_taken(state, run, at)
    if state.is_paused:
        return Step(state=state, notes=notes)
    started = nodes.start(state, state.node(run.node) or run, at, "it was not running")
    return then(Step(state=state, notes=notes), started.state, effects=started.effects,
                notes=started.notes)  # fmt: skip


def _repair_taken(state: WaveState, run: NodeRun, at: float) -> tuple[WaveState, tuple[Note, ...]]:
    """The node as a repair; the second that died by itself in one wave pauses it instead."""
    by_itself = run.node in state.seen_up and run.attempt == 0
    died = (*state.died, run.node) if by_itself and run.node not in state.died else state.died
    if by_itself and len(died) >= DIED_LIMIT and len(died) > len(state.died):
        names = " and ".join(f"broker {node}" for node in died)
        pause = Pause(
            by=BY_HEALTHD, reason=f"{names} went down by themselves in this wave", since=at
        )
        note = Note(event="wave_paused", node=run.node, detail=pause.reason)
        return nodes.paused(replace(state, died=died), pause), (note,)
    repaired = replace(run, repair=True)
    return replace(state.with_node(repaired), died=died), ()


def _with_gate(
    step: Step, reasons: Iterable[Reason], at: float, *, clean: CleanRun | None = None
) -> Step:
    """The step with the gate's reasons in its state, and a line when they are other ones."""
    before, state = step.state.holds, step.state
    holds = with_since(before, dict.fromkeys(reasons), at)
    changed = replace(state, holds=holds, clean=state.clean if clean is None else clean)
    held_before, held_now = _held(before), _held(holds)
    if state.status is WaveStatus.PLANNED or same_objects(held_before, held_now):
        return then(step, changed)
    note = Note(
        event="gate_closed" if held_now else "gate_clear",
        detail="; ".join(f"{hold.reason.code.value} {hold.reason.object}" for hold in held_now[:5]),
        data={"reasons": [hold.reason.as_json() for hold in held_now[:50]]},
    )
    return then(step, changed, notes=(note,))


def _held(holds: tuple[Hold, ...]) -> tuple[Hold, ...]:
    return tuple(hold for hold in holds if hold.reason.code not in WAITING)
