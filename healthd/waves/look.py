"""The last look at a candidate, right before its stop: take it, or hold with what is in the way."""

from collections.abc import Iterable
from dataclasses import replace

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.clean_run import CleanRun
from healthd.waves import nodes
from healthd.waves.choice import has_stopped_one, may_take, pick, stop_blockers
from healthd.waves.effects import Step
from healthd.waves.events import Confirmed, HostState
from healthd.waves.gate import Reading, read_gate, waiting_repairs
from healthd.waves.holding import index_too_low, not_clean, with_gate
from healthd.waves.nodes import then
from healthd.waves.repairs import repair_taken, start_repair
from healthd.waves.state import NodeRun, NodeStatus, WaveState


def on_confirmed(state: WaveState, event: Confirmed) -> Step:
    """Take the candidate when everything still holds; say what does not otherwise."""
    run = state.node(event.nodes[0]) if event.nodes else None
    if state.candidates != event.nodes or run is None:
        return Step(state=state)  # Nobody waits for this answer any more.
    asked_at = state.candidate_since
    state = replace(state, candidates=(), last_look=())
    is_due = nodes.is_stop_due(run)
    if not is_due and (run.status is not NodeStatus.PENDING or not may_take(state)):
        return Step(state=state)
    if event.snapshot is None:
        return _refused(state, (_unseen(), *event.holds), event.at, starts_again=True)
    if not is_due and _is_only_started(state, run, event, event.snapshot):
        return start_repair(state, run, event.at)
    reading = read_gate(state, event, asked_at=asked_at)
    bad = (*reading.holds, *index_too_low(state, reading))
    if bad:
        return _refused(state, bad, event.at, starts_again=True)
    lacking = not_clean(state, event.at)
    if lacking:
        return _refused(state, lacking, event.at)
    if is_due:
        return _send_again(state, run, event, event.snapshot)
    node, blockers = pick(state, event.snapshot, reading)
    if node != run.node:
        return _refused(state, blockers, event.at)
    return _take(state, run, event, reading)


def _is_only_started(
    state: WaveState, run: NodeRun, event: Confirmed, snapshot: ClusterSnapshot
) -> bool:
    """Whether it is down and its host says that it does not run: a start asks for nothing else."""
    is_dead = event.hosts[run.node].is_running is False and run.node in waiting_repairs(
        state, snapshot
    )
    return is_dead and not has_stopped_one(state)


def _send_again(
    state: WaveState, run: NodeRun, event: Confirmed, snapshot: ClusterSnapshot
) -> Step:
    """A stop of before a restart of the daemon: sent once more to the very same process only."""
    host = event.hosts[run.node]
    if host.is_running is False:
        return nodes.left(state, run, event.at)
    unknown = _host_unknown(run.node, host)
    if unknown is not None:
        return _refused(state, (unknown,), event.at)
    if host.start != run.started_before:
        return nodes.restarted(state, run, event.at, host)
    blockers = stop_blockers(state, snapshot, run.node)
    if blockers:
        return _refused(state, blockers, event.at)
    return nodes.stop_again(state, run, event.at)


def _take(state: WaveState, run: NodeRun, event: Confirmed, reading: Reading) -> Step:
    host, is_repair = event.hosts[run.node], run.node in reading.repairs
    unknown = _host_unknown(run.node, host)
    if unknown is not None:
        return _refused(state, (unknown,), event.at)
    if run.attempt and host.start != run.started_before and not is_repair:
        # It was taken in an earlier try and runs a new process: it has been restarted.
        return nodes.restarted(state, run, event.at, host)
    if is_repair:
        state, notes = repair_taken(state, run, event.at)
        if state.is_paused:
            return Step(state=state, notes=notes)
        run = state.node(run.node) or run
    opened = with_gate(Step(state=state), (), event.at)
    taken = nodes.stop(opened.state, run, event)
    return then(opened, taken.state, effects=taken.effects, notes=taken.notes)


def _refused(
    state: WaveState, reasons: Iterable[Reason], at: float, *, starts_again: bool = False
) -> Step:
    """The step that holds; what was found stands until the next look, or a snapshot says more."""
    found = tuple(dict.fromkeys(reasons))
    kept = replace(state, last_look=found)
    return with_gate(Step(state=kept), found, at, clean=CleanRun() if starts_again else None)


def _unseen() -> Reason:
    return Reason(
        code=ReasonCode.EVIDENCE_STALE,
        object="source:metadata",
        detail="no fresh snapshot could be had right before the stop",
    )


def _host_unknown(node: int, host: HostState) -> Reason | None:
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
    return Reason(code=code, object=f"broker:{node}", detail=detail)
