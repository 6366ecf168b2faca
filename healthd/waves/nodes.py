"""The life of one node in a wave: stopping, stopped, starting, recovering, soaking.

Every function takes the state and what happened, and gives the new state with what is to be done.
A start's intent is always written with its stop's, and nothing here repeats a restart without
having looked at the process first.
"""

from dataclasses import replace
from typing import Final

from healthd.waves.effects import FetchLogs, Note, Observe, StartService, Step, StopService
from healthd.waves.events import CommandEnded, Confirmed, HostState, Observed, Outcome
from healthd.waves.moves import (
    BY_HEALTHD,
    changed_broker,
    command_id,
    failed,
    followed,
    moved,
    paused,
    run_of,
    store_fails,
    then,
)
from healthd.waves.naming import name_of
from healthd.waves.phases import StepGroup, has_steps, steps_of
from healthd.waves.phases import left as left_of
from healthd.waves.playbook import StepKind
from healthd.waves.returning import soak
from healthd.waves.soaking import back_by
from healthd.waves.state import NodeRun, NodeStatus, Pause, WaveState
from healthd.waves.step_run import NodeSteps
from healthd.waves.steps import enter

POLL_SECONDS: Final = 2.0
"""How often a host is asked while its process is on its way out or in."""
SLOW_POLL_SECONDS: Final = 10.0
"""How often while the broker recovers, or a late stop is watched."""
START_AGAIN_SECONDS: Final = 5.0
"""How long after a failed start the next one is sent."""
_UNWRITTEN: Final = "its steps were not done: the state file cannot be written"
START_TRIES: Final = 4
"""How many starts without an answer fit into the time that a start has."""


def stop(state: WaveState, run: NodeRun, event: Confirmed) -> Step:
    """Take a node: the intents to stop and to start it are written in one go."""
    attempt = run.attempt + 1
    stop_id, start_id = command_id(run, attempt, "stop"), command_id(run, attempt, "start")
    step = moved(state, run, NodeStatus.STOPPING, event.at)
    taken = replace(
        run_of(step.state, run.node),
        attempt=attempt,
        command=stop_id,
        command_at=event.at,
        start_effect=start_id,
        started_before=event.hosts[run.node].start,
        started_after=None,
        starting_since=None,
        is_stop_due=False,
        is_overdue=False,
        is_watched=False,
        observed_at=event.at,
        # Who had its turn, and is stopped only because it does not come back, has no other.
        steps=replace(run.steps, is_worked=run.repair and run.steps.is_worked, broken=""),
    )
    effect = StopService(
        node=run.node,
        effect_id=stop_id,
        start_effect_id=start_id,
        timeout_seconds=state.playbook.timeout_seconds(StepKind.STOP, state.policy),
    )
    after = changed_broker(step.state.with_node(taken), event.at, in_turn=not run.repair)
    return then(step, after, effects=(effect,))


def is_stop_due(run: NodeRun) -> bool:
    """Whether its stop may never have been carried out, and none is under way."""
    return run.status is NodeStatus.STOPPING and run.is_stop_due and run.command is None


def stop_again(state: WaveState, run: NodeRun, at: float) -> Step:
    """Send a stop whose intent is on disk, and that nobody knows to have been carried out."""
    attempt = run.attempt + 1
    stop_id, start_id = command_id(run, attempt, "stop"), command_id(run, attempt, "start")
    changed = replace(
        run,
        attempt=attempt,
        command=stop_id,
        command_at=at,
        start_effect=start_id,
        # Its deadline begins with this stop.
        since=at,
    )
    effect = StopService(
        node=run.node,
        effect_id=stop_id,
        start_effect_id=start_id,
        timeout_seconds=state.playbook.timeout_seconds(StepKind.STOP, state.policy),
    )
    note = Note(event="stop_sent_again", node=run.node, detail="its process still runs")
    after = changed_broker(state.with_node(changed), at, in_turn=not run.repair)
    return Step(state=after, effects=(effect,), notes=(note,))


def _not_stopped(state: WaveState, run: NodeRun, at: float, detail: str) -> Step:
    """Nothing was done: the node waits for its turn once more, through the whole gate."""
    step = moved(state, run, NodeStatus.PENDING, at, f"its stop was not sent: {detail}")
    changed = replace(run_of(step.state, run.node), command=None, observed_at=None)
    return then(step, step.state.with_node(changed))


def start(state: WaveState, run: NodeRun, at: float, detail: str = "") -> Step:
    """Start a node whose process the host reports as not running."""
    step = Step(state=state)
    if run.status is not NodeStatus.STARTING:
        step = moved(state, run, NodeStatus.STARTING, at, detail)
    current = run_of(step.state, run.node)
    effect_id, attempt = run.start_effect, run.attempt
    if effect_id is None:
        attempt = run.attempt + 1
        effect_id = command_id(run, attempt, "start")
    changed = replace(
        current,
        attempt=attempt,
        command=effect_id,
        command_at=at,
        start_effect=None,
        is_stop_due=False,
        is_watched=False,
        starting_since=at if run.starting_since is None else run.starting_since,
    )
    effect = StartService(
        node=run.node,
        effect_id=effect_id,
        timeout_seconds=_start_seconds(state),
    )
    after = changed_broker(step.state.with_node(changed), at, in_turn=not run.repair)
    return then(step, after, effects=(effect,))


def _start_seconds(state: WaveState) -> float:
    """The deadline of one start: a hanging one leaves time to look, and to start again."""
    return state.playbook.timeout_seconds(StepKind.START, state.policy) / START_TRIES


def restarted(state: WaveState, run: NodeRun, at: float, host: HostState) -> Step:
    """The host shows a new process: wait until the broker is back in the cluster."""
    step = moved(state, run, NodeStatus.RECOVERING, at, f"new process, started {host.start}")
    changed = replace(
        run_of(step.state, run.node),
        steps=_steps_restarted(state, run),
        started_after=host.start,
        starting_since=at if run.starting_since is None else run.starting_since,
        command=None,
        start_effect=None,
        is_stop_due=False,
        is_watched=False,
    )
    after = changed_broker(step.state.with_node(changed), at, in_turn=not run.repair)
    return then(step, after)


def _steps_restarted(state: WaveState, run: NodeRun) -> NodeSteps:
    """Where a node is in its steps when its new process is seen."""
    if not has_steps(state.playbook):
        return run.steps
    steps = replace(run.steps, is_prepared=False)
    if run.status is not NodeStatus.STOPPING or run.repair:
        return steps
    if left_of(state.playbook, run, StepGroup.BETWEEN):
        return replace(steps, broken="its process came back by itself, before its steps were done")
    return replace(steps, is_worked=True)


def start_after_steps(state: WaveState, run: NodeRun, at: float) -> Step:
    """The steps between stop and start are over, or one has failed: bring the node back.

    The host is asked first: a reboot may have started the process, and nobody does it twice.
    """
    step = moved(state, run, NodeStatus.STARTING, at, run.steps.broken or "its steps are done")
    current = run_of(step.state, run.node)
    ready = replace(current.steps, is_worked=not current.steps.broken)
    asked = replace(current, steps=ready, observed_at=at, command_at=None)
    return then(step, step.state.with_node(asked), effects=(Observe(node=run.node),))


def on_tick(state: WaveState, run: NodeRun, at: float) -> Step:
    """Ask hosts in time and give up what takes too long."""
    policy, playbook = state.policy, state.playbook
    waited = at - run.since
    if run.status is NodeStatus.STOPPED and run.steps.at is not None:
        return Step(state=state)  # Its steps have deadlines of their own.
    if run.status is NodeStatus.STOPPING:
        limit = playbook.timeout_seconds(StepKind.LEFT, policy)
        if waited > limit:
            said = f": {run.detail}" if run.detail else ""
            detail = f"its process did not end within {limit:g} s of the stop{said}; it is watched"
            return failed(state, run, at, detail, watched=True)
        return _ask(state, run, at, POLL_SECONDS)
    if run.status in {NodeStatus.STOPPED, NodeStatus.STARTING}:
        limit = playbook.timeout_seconds(StepKind.START, policy)
        if waited > limit:
            detail = f"its process was not running within {limit:g} s: {run.detail or 'no answer'}"
            # A step may have taken its host away: it is started when that is back.
            is_watched = bool(steps_of(playbook, StepGroup.BETWEEN))
            return failed(state, run, at, detail, watched=is_watched)
        return _overdue(state, run, at) or _ask(state, run, at, POLL_SECONDS)
    if run.status is NodeStatus.RECOVERING:
        return _overdue(state, run, at) or _ask(state, run, at, SLOW_POLL_SECONDS)
    if run.status is NodeStatus.SOAKING:
        return _overdue(state, run, at) or Step(state=state)
    if run.is_watched:
        return _ask(state, run, at, SLOW_POLL_SECONDS)
    return Step(state=state)


def _overdue(state: WaveState, run: NodeRun, at: float) -> Step | None:
    """Nothing moves on by itself when a restart takes too long: a person has to look."""
    limit = state.playbook.timeout_seconds(StepKind.BACK, state.policy)
    is_back = run.status is NodeStatus.RECOVERING and run.steps.at is not None
    if run.is_overdue or is_back or at <= back_by(state, run):
        return None
    if run.status is NodeStatus.SOAKING:
        held = [hold.reason for hold in state.holds]
        why = ", ".join(f"{reason.code.value} {reason.object}" for reason in held[:3])
        reason = (
            f"{name_of(state, run.node)} is not through its soak {limit:g} s after its start: {why}"
        )
    else:
        why = run.detail or "no evidence"
        reason = f"{name_of(state, run.node)} is not back after {limit:g} s: {why}"
    changed = state.with_node(replace(run, is_overdue=True))
    pause = Pause(by=BY_HEALTHD, reason=reason, since=at, node=run.node)
    return Step(
        state=paused(changed, pause),
        effects=(FetchLogs(node=run.node),),
        notes=(Note(event="wave_paused", node=run.node, detail=reason),),
    )


def _ask(state: WaveState, run: NodeRun, at: float, every: float) -> Step:
    if run.observed_at is not None and at - run.observed_at < every:
        return Step(state=state)
    return Step(
        state=state.with_node(replace(run, observed_at=at)), effects=(Observe(node=run.node),)
    )


def on_command_ended(state: WaveState, run: NodeRun, event: CommandEnded) -> Step:
    """A command has ended: what it says is noted, what is true is observed."""
    if run.command != event.effect_id:
        return Step(state=state)
    verb = event.effect_id.rsplit(".", 1)[-1]
    changed = replace(run, command=None, observed_at=event.at)
    note = Note(
        event="command_ended",
        node=run.node,
        detail=event.detail,
        data={"effect": event.effect_id, "outcome": event.outcome.value},
    )
    if verb == "elect":
        after = state.with_node(changed)
        if run.status is not NodeStatus.RECOVERING:
            return Step(state=after, notes=(note,))
        soaking = soak(after, changed, event.at)
        return then(Step(state=after, notes=(note,)), soaking.state, notes=soaking.notes)
    if event.outcome is not Outcome.OK:
        changed = replace(changed, detail=event.detail)
    after = state.with_node(changed)
    if verb == "stop" and run.status is NodeStatus.STOPPING:
        if event.outcome is not Outcome.NOT_SENT:
            after = after.with_node(replace(changed, is_stop_due=False))
        elif not run.is_stop_due:
            nothing = _not_stopped(after, changed, event.at, event.detail)
            return then(Step(state=after, notes=(note,)), nothing.state, notes=nothing.notes)
    return Step(state=after, effects=(Observe(node=run.node),), notes=(note,))


def on_observed(state: WaveState, run: NodeRun, event: Observed) -> Step:
    """The host has said whether the process runs, and since when."""
    host, at = event.host, event.at
    if host.is_running is None:
        return Step(state=state.with_node(replace(run, detail=host.detail or run.detail)))
    renewed = host.is_running and host.start is not None and host.start != run.started_before
    if run.status is NodeStatus.STOPPING:
        if not host.is_running:
            return left(state, run, at)
        return restarted(state, run, at, host) if renewed else Step(state=state)
    if run.status is NodeStatus.STOPPED and run.steps.at is not None:
        return Step(state=state)  # It is started when its steps are over.
    if run.status is NodeStatus.STOPPED and not host.is_running:
        return start(state, run, at)
    if run.status in {NodeStatus.STOPPED, NodeStatus.STARTING}:
        return _starting(state, run, event, renewed=renewed)
    if run.status is NodeStatus.RECOVERING:
        return _recovering(state, run, event)
    if run.is_watched and run.status.has_ended:
        return _late(state, run, event, renewed=renewed)
    return Step(state=state)


def left(state: WaveState, run: NodeRun, at: float) -> Step:
    """The process has ended: the playbook's steps come now, and without any the start.

    Whoever was down before it was taken is only brought back: its turn is still to come.
    """
    gone = moved(state, run, NodeStatus.STOPPED, at, "its process has left")
    stopped = replace(run_of(gone.state, run.node), command=None)
    if not run.repair and has_steps(state.playbook):
        between = left_of(state.playbook, run, StepGroup.BETWEEN)
        steps = replace(stopped.steps, is_prepared=False, is_worked=not between)
        stopped = replace(stopped, steps=steps, is_stop_due=False)
        if between and store_fails(state):
            # No step can be begun whose id is not on disk; its start's intent is.
            steps = replace(steps, broken=_UNWRITTEN)
            stopped = replace(stopped, steps=steps)
        elif between:
            return followed(gone, enter(gone.state.with_node(stopped), stopped, at))
    return followed(gone, start(gone.state, stopped, at))


def _late(state: WaveState, run: NodeRun, event: Observed, *, renewed: bool) -> Step:
    """A stop that timed out has ended after all: start it; the node stays failed."""
    at = event.at
    if renewed:
        note = Note(event="late_stop_recovered", node=run.node, detail="its process runs again")
        return Step(state=state.with_node(replace(run, is_watched=False)), notes=(note,))
    due = run.command_at is None or at - run.command_at >= START_AGAIN_SECONDS
    if event.host.is_running or run.command is not None or not due:
        return Step(state=state)
    attempt = run.attempt + 1
    effect_id = run.start_effect or command_id(run, attempt, "start")
    changed = replace(run, attempt=attempt, command=effect_id, command_at=at, start_effect=None)
    effect = StartService(
        node=run.node,
        effect_id=effect_id,
        timeout_seconds=_start_seconds(state),
    )
    note = Note(event="late_stop_started_again", node=run.node, detail="its process ended late")
    after = changed_broker(state.with_node(changed), at, in_turn=False)
    return Step(state=after, effects=(effect,), notes=(note,))


def _starting(state: WaveState, run: NodeRun, event: Observed, *, renewed: bool) -> Step:
    at, host = event.at, event.host
    if renewed:
        return restarted(state, run, at, host)
    if host.is_running:
        if host.start is None:
            return Step(state=state.with_node(replace(run, detail="its start time is not known")))
        detail = f"its process is still the old one, started {host.start}"
        return failed(state, run, at, detail, watched=True)
    due = run.command_at is None or at - run.command_at >= START_AGAIN_SECONDS
    if run.command is None and due:
        return start(state, run, at)
    return Step(state=state)


def _recovering(state: WaveState, run: NodeRun, event: Observed) -> Step:
    """A process that ended again while its broker recovered is started again."""
    if not event.host.is_running and run.command is None:
        return start(state, run, event.at, "its process ended while it recovered")
    if event.host.is_running and event.host.start not in {None, run.started_after}:
        return Step(state=state.with_node(replace(run, started_after=event.host.start)))
    return Step(state=state)
