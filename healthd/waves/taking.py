"""What a snapshot does to a wave: nodes in flight go on, clean time counts, the next is chosen."""

from dataclasses import replace

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.safety.clean_run import observe
from healthd.waves import nodes, reckoning, returning, soaking, stepping
from healthd.waves.back import Missing, not_back, partitions_missing
from healthd.waves.choice import is_looking, may_take, pick
from healthd.waves.effects import Confirm, Step
from healthd.waves.ensemble import why_not_back
from healthd.waves.events import SnapshotSeen
from healthd.waves.gate import Reading, read_gate, seen_key
from healthd.waves.holding import (
    in_flight,
    index_too_low,
    must_wait,
    not_clean,
    waiting,
    with_gate,
)
from healthd.waves.moves import run_of, then
from healthd.waves.outlook import watched
from healthd.waves.permission import of_health
from healthd.waves.repairs import ask_repairs
from healthd.waves.sequence import needs_repair
from healthd.waves.state import NodeRun, NodeStatus, WaveState


def on_snapshot(state: WaveState, event: SnapshotSeen) -> Step:
    """Bring the nodes in flight on, count clean time, and look for the next node."""
    state = _remembered(state, event)
    if event.collected_since < state.last_change:
        return Step(state=state)  # It may have seen the time before the last change.
    reading = read_gate(state, event)
    step = _bring_on(state, event, reading)
    if step.state.last_change > event.collected_since:
        return with_gate(step, reading.holds, event.at, more=in_flight(step.state, event.at))
    bad = (*reading.holds, *index_too_low(step.state, reading))
    counted = _count(step.state, event, reading, bad)
    step = then(step, counted.state, notes=counted.notes)
    if bad:
        # What only two snapshots show is not seen again in the last look.
        step = then(step, replace(step.state, candidates=(), last_look=()))
        asked = ask_repairs(step.state, reading, event.at)
        step = then(step, asked.state, effects=asked.effects)
        more = (*waiting(step.state, event.at), *_blocked(step.state, event, reading, bad))
        return with_gate(step, bad, event.at, more=more)
    ordinary = waiting(step.state, event.at)
    chosen, found = _choose(step.state, event, reading, ordinary)
    step = then(step, chosen.state, effects=chosen.effects, notes=chosen.notes)
    return with_gate(step, ordinary, event.at, more=found)


def _blocked(
    state: WaveState, event: SnapshotSeen, reading: Reading, bad: tuple[Reason, ...]
) -> tuple[Reason, ...]:
    """What will be in the way besides, when the wave only waits for leave to work.

    Whoever waits for a window wants to hear now, and not when it opens, that no broker can go.
    """
    if of_health(bad) or state.in_flight or not may_take(state):
        return ()
    return pick(state, event.snapshot, reading).blockers


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
        # The same object when there is nobody new: it is written only when it is another one.
        seen_up=state.seen_up if up <= state.seen_up else state.seen_up | up,
        index_before=index if state.index_before is None else state.index_before,
        index_lowest=lowest,
        index_last=state.index_last if index is None else index,
        tally=reckoning.snapshot_seen(state, event),
    )


def _bring_on(state: WaveState, event: SnapshotSeen, reading: Reading) -> Step:
    """The nodes in flight, judged by the snapshot, and how far they and the holds have come."""
    started = state.having({NodeStatus.RECOVERING, NodeStatus.SOAKING})
    missing = partitions_missing(event.snapshot, [run.node for run in started])
    lacking = {node: many for node, (_, many) in missing.items()}
    step = Step(state=watched(state, event.snapshot, reading.holds, lacking, event.at))
    for run in state.having({NodeStatus.PREPARING}):
        broker = event.snapshot.brokers_by_id.get(run.node)
        if broker is not None and needs_repair(broker):
            step = then(step, stepping.gone(step.state, run_of(step.state, run.node)))
    for run in started:
        done = _bring_one_on(step.state, run, event, missing)
        step = then(step, done.state, effects=done.effects, notes=done.notes)
    return step


def _bring_one_on(state: WaveState, run: NodeRun, event: SnapshotSeen, missing: Missing) -> Step:
    if run.status is NodeStatus.RECOVERING:
        why = not_back(event.snapshot, run.node, missing, at=event.at, since=run.since)
        if why is None:
            return returning.back(state, run, event.at)
        why = why_not_back(event.snapshot, run.node, why)
        return Step(state=state.with_node(replace(run, detail=why)))
    if run.status is NodeStatus.SOAKING and state.playbook.restarts:
        why = not_back(event.snapshot, run.node, missing)
        if why is not None:
            why = why_not_back(event.snapshot, run.node, why)
            return returning.relapsed(state, run, event.at, why)
    return Step(state=state)


def _count(
    state: WaveState, event: SnapshotSeen, reading: Reading, bad: tuple[Reason, ...]
) -> Step:
    """The clean run, each soak, and the nodes whose soak is over."""
    key = seen_key(event.snapshot)
    clean = observe(state.clean, key=key, at=event.at, is_clean=not bad, index=reading.index)
    counted = soaking.observed(replace(state, clean=clean), reading, bad, key=key, at=event.at)
    step = Step(state=counted)
    for each in soaking.through(counted, event.at):
        done = returning.done(step.state, each, event.at)
        step = then(step, done.state, notes=done.notes)
    return step


def _choose(
    state: WaveState, event: SnapshotSeen, reading: Reading, ordinary: tuple[Reason, ...]
) -> tuple[Step, tuple[Reason, ...]]:
    """The next candidate on a clean snapshot, or what is in the way of all that could be.

    While a candidate is looked at once more, what the look before found still stands.
    """
    if is_looking(state, event.at):
        return Step(state=state), state.last_look
    state = replace(state, candidates=())
    due = [run.node for run in state.having({NodeStatus.STOPPING}) if nodes.is_stop_due(run)]
    if due and not not_clean(state, event.at):
        # They were taken in one decision, and each would have to wait for the one before.
        return _look_at(state, tuple(due), event.at), state.last_look
    if _must_wait(state, reading, ordinary) or not may_take(state):
        return ask_repairs(replace(state, last_look=()), reading, event.at), ()
    choice = pick(state, event.snapshot, reading)
    if not choice.nodes:
        return ask_repairs(replace(state, last_look=()), reading, event.at), choice.blockers
    return _look_at(state, choice.nodes, event.at), state.last_look


def _must_wait(state: WaveState, reading: Reading, ordinary: tuple[Reason, ...]) -> bool:
    """Whether the ordinary course keeps everybody; where several may go that is only clean time."""
    if state.concurrency == 1 or reading.repairs:
        return must_wait(ordinary, is_repair=bool(reading.repairs))
    return any(reason.code is ReasonCode.NOT_CLEAN_LONG_ENOUGH for reason in ordinary)


def _look_at(state: WaveState, candidates: tuple[int, ...], at: float) -> Step:
    chosen = replace(state, candidates=candidates, candidate_since=at)
    return Step(state=chosen, effects=(Confirm(nodes=candidates),))
