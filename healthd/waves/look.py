"""The last look at a candidate, right before its stop: take it, or hold with what is in the way."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.clean_run import CleanRun
from healthd.waves import nodes, stepping
from healthd.waves.choice import has_stopped_one, may_take, pick, stop_blockers
from healthd.waves.effects import Step
from healthd.waves.events import Confirmed, HostState
from healthd.waves.gate import Reading, read_gate, waiting_repairs
from healthd.waves.holding import index_too_low, not_clean, with_gate
from healthd.waves.moves import run_of, then
from healthd.waves.naming import object_of
from healthd.waves.permission import of_health
from healthd.waves.phases import has_to_be_taken_again, has_to_prepare
from healthd.waves.repairs import repair_taken, start_repair
from healthd.waves.soaking import soak_again
from healthd.waves.state import NodeRun, NodeStatus, WaveState

_SHUT: Final = frozenset(
    {
        ReasonCode.HOST_UNREACHABLE,
        ReasonCode.HOST_KEY_REFUSED,
        ReasonCode.HOST_AUTH_REFUSED,
        # Another host would be given what is meant for this one.
        ReasonCode.IDENTITY,
    }
)


def on_confirmed(state: WaveState, event: Confirmed) -> Step:
    """Take the candidates when everything still holds; say what does not otherwise."""
    runs = [run for run in map(state.node, state.candidates) if run is not None]
    if not runs or not {run.node for run in runs} <= set(event.nodes):
        return Step(state=state)  # Nobody waits for this answer any more.
    asked_at = state.candidate_since
    state = replace(state, candidates=(), last_look=())
    due = [run for run in runs if nodes.is_stop_due(run)]
    waiting = [run for run in runs if run.status is NodeStatus.PENDING] if may_take(state) else []
    if not due and not waiting:
        return Step(state=state)
    if event.snapshot is None:
        return _refused(state, (_unseen(), *event.holds), event.at, starts_again=True)
    dead = [] if due else _only_started(state, waiting, event, event.snapshot)
    if dead:
        return _start_all(state, dead, event.at)
    reading = read_gate(state, event, asked_at=asked_at)
    bad = (*reading.holds, *index_too_low(state, reading))
    if bad:
        return _refused(state, bad, event.at, starts_again=True)
    lacking = not_clean(state, event.at)
    if lacking:
        return _refused(state, lacking, event.at)
    if due:
        return _send_again(state, due, event, event.snapshot)
    choice = pick(state, event.snapshot, reading, among={run.node for run in waiting})
    taken = [run for run in waiting if run.node in choice.nodes]
    if not taken:
        return _refused(state, choice.blockers, event.at)
    return _take(state, taken, event, reading)


def _only_started(
    state: WaveState, waiting: Sequence[NodeRun], event: Confirmed, snapshot: ClusterSnapshot
) -> list[NodeRun]:
    """Those that are down and whose hosts say that they do not run: a start asks for nothing else.

    The others are looked at again when they are back.
    """
    if has_stopped_one(state):
        return []
    repairs = waiting_repairs(state, snapshot)
    return [
        run for run in waiting if run.node in repairs and event.hosts[run.node].is_running is False
    ]


def _start_all(state: WaveState, dead: Sequence[NodeRun], at: float) -> Step:
    step = Step(state=state)
    for run in dead:
        if not step.state.is_paused:
            step = _and(step, start_repair(step.state, run, at))
    return step


def _send_again(
    state: WaveState, due: Sequence[NodeRun], event: Confirmed, snapshot: ClusterSnapshot
) -> Step:
    """Stops of before a restart of the daemon: sent once more to the very same processes only."""
    step = Step(state=state)
    unknown: list[Reason] = []
    again: list[NodeRun] = []
    for run in due:
        host = event.hosts[run.node]
        reason = _host_unknown(state, run.node, host)
        if host.is_running is False:
            step = _and(step, nodes.left(step.state, run, event.at))
        elif reason is not None:
            unknown.append(reason)
        elif host.start != run.started_before:
            step = _and(step, nodes.restarted(step.state, run, event.at, host))
        else:
            again.append(run)
    blockers = stop_blockers(state, snapshot, [run.node for run in again]) if again else ()
    for run in () if blockers else again:
        step = _and(step, nodes.stop_again(step.state, run, event.at))
    if unknown or blockers:
        return _and(step, _refused(step.state, (*unknown, *blockers), event.at))
    return step


def _take(state: WaveState, runs: Sequence[NodeRun], event: Confirmed, reading: Reading) -> Step:
    """Take those whose hosts say which process would be stopped: one step, and so one write."""
    in_the_way = _host_unknown if state.playbook.restarts else _host_unreachable
    found = [(run, in_the_way(state, run.node, event.hosts[run.node])) for run in runs]
    unknown = [reason for _, reason in found if reason is not None]
    known = [run for run, reason in found if reason is None]
    step = Step(state=state)
    if known and not unknown:
        step = with_gate(step, (), event.at)
    for run in known:
        if not step.state.is_paused:
            step = _and(step, _take_one(step.state, run, event, reading))
    return _and(step, _refused(step.state, unknown, event.at)) if unknown else step


def _take_one(state: WaveState, run: NodeRun, event: Confirmed, reading: Reading) -> Step:
    host, is_repair = event.hosts[run.node], run.node in reading.repairs
    if not state.playbook.restarts:
        return stepping.prepare(state, run, event.at)
    had_its_turn = bool(run.attempt) and not has_to_be_taken_again(state.playbook, run)
    if had_its_turn and host.start != run.started_before and not is_repair:
        # It was taken in an earlier try and runs a new process: it has been restarted.
        return nodes.restarted(state, run, event.at, host)
    if not is_repair and has_to_prepare(state.playbook, run):
        return stepping.prepare(state, run, event.at)
    if not is_repair:
        # It may have been taken as a repair before, and have come back by itself.
        return nodes.stop(state, replace(run, repair=False), event)
    state, notes = repair_taken(state, run, event.at)
    if state.is_paused:
        return Step(state=state, notes=notes)
    return nodes.stop(state, run_of(state, run.node), event)


def _and(step: Step, more: Step) -> Step:
    """Both steps as one."""
    return then(step, more.state, effects=more.effects, notes=more.notes)


def _refused(
    state: WaveState, reasons: Iterable[Reason], at: float, *, starts_again: bool = False
) -> Step:
    """The step that holds; what was found stands until the next look, or a snapshot says more."""
    found = tuple(dict.fromkeys(reasons))
    kept = replace(state, last_look=found)
    if starts_again and of_health(found):
        kept = soak_again(kept, at)
    return with_gate(Step(state=kept), found, at, clean=CleanRun() if starts_again else None)


def _unseen() -> Reason:
    return Reason(
        code=ReasonCode.EVIDENCE_STALE,
        object="source:metadata",
        detail="no fresh snapshot could be had right before the stop",
    )


def _host_unknown(state: WaveState, node: int, host: HostState) -> Reason | None:
    """Why it is not known which process would be stopped; None when it is."""
    if host.is_running and host.start is not None:
        return None
    if host.reason is not None:
        return host.reason
    code = ReasonCode.HOST_STATE_UNKNOWN
    detail = host.detail or "the host does not say since when the process runs"
    if host.is_running is False:
        code = ReasonCode.IDENTITY
        detail = "the cluster lists it, but its host says that the service does not run"
    return Reason(code=code, object=object_of(state, node), detail=detail)


def _host_unreachable(_state: WaveState, _node: int, host: HostState) -> Reason | None:
    """Why nothing can be done on a host whose process is not touched; None when it can."""
    reason = host.reason
    return reason if reason is not None and reason.code in _SHUT else None
