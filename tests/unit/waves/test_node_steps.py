"""What the restart of a node says of its steps: prepared, worked, broken, or still to come."""

from dataclasses import replace
from typing import Any

import pytest
from support.step_events import done, stopped
from support.step_playbooks import a_prompt, a_restart, a_step
from support.waves import (
    IS_DOWN,
    RUNS,
    RUNS_ANEW,
    UNKNOWN,
    a_run,
    a_wave,
    clean,
    confirmed,
    ended,
    kinds,
    observed,
    run_of,
    status_of,
    ticked,
)

from healthd.waves.effects import Observe
from healthd.waves.events import Outcome, StoreFailed
from healthd.waves.playbook import Playbook
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeRun, NodeStatus, WaveState
from healthd.waves.step_run import NodeSteps, StepPhase

PATCH = a_restart(between=(a_step("patch"),))
PLACE = [step.name for step in PATCH.steps].index("patch")
PREPARED = NodeSteps(is_prepared=True)
AT_PATCH = NodeSteps(
    at=PLACE, phase=StepPhase.RUNNING, effect="2.2.step", since=100.0, sent_at=100.0
)
UNWRITTEN = "its steps were not done: the state file cannot be written"
BY_ITSELF = "its process came back by itself, before its steps were done"


def wave(run: NodeRun, playbook: Playbook = PATCH, **changes: Any) -> WaveState:
    return a_wave(run, 1, 3, playbook=playbook, **changes)


def stopping(**changes: Any) -> NodeRun:
    plain: Any = {"command": "2.1.stop", "is_stop_due": True, "steps": PREPARED}
    return a_run(2, NodeStatus.STOPPING, **(plain | changes))


# --- The stop ------------------------------------------------------------------------------------


def test_a_new_stop_forgets_how_the_last_one_ended_and_not_what_was_done() -> None:
    steps = NodeSteps(is_prepared=True, is_worked=True, broken="step 'patch' failed", over=(PLACE,))
    waits = a_run(2, NodeStatus.PENDING, steps=steps)
    step = confirmed(clean(wave(waits)).state, 2, 201.0, RUNS)
    assert kinds(step.effects) == ["StopService 2"]
    assert run_of(step, 2).steps == NodeSteps(is_prepared=True, over=(PLACE,))


# --- The process has left ------------------------------------------------------------------------


def test_a_node_that_has_left_is_given_its_steps_before_its_start() -> None:
    step = observed(wave(stopping()), 2, 110.0, IS_DOWN)
    run = run_of(step, 2)
    assert kinds(step.effects) == ["RunStep 2"]
    assert (run.status, run.since, run.is_stop_due) == (NodeStatus.STOPPED, 110.0, False)
    assert run.command is None
    assert (run.steps.at, run.steps.since) == (PLACE, 110.0)
    assert (run.steps.is_prepared, run.steps.is_worked) == (False, False)


def test_a_node_whose_steps_are_over_is_started_at_once_and_has_had_its_turn() -> None:
    over = NodeSteps(is_prepared=True, over=(PLACE,))
    step = observed(wave(stopping(steps=over)), 2, 110.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    assert run_of(step, 2).steps == NodeSteps(is_worked=True, over=(PLACE,))


def test_a_repair_that_has_left_is_only_brought_back() -> None:
    step = observed(wave(stopping(repair=True)), 2, 110.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    assert run_of(step, 2).steps == PREPARED


def test_a_plain_restart_has_no_steps_to_have_had() -> None:
    plain = wave(stopping(steps=NodeSteps()), a_wave().playbook)
    step = observed(plain, 2, 110.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    assert run_of(step, 2).steps == NodeSteps()


def test_no_step_is_begun_that_cannot_be_written_and_the_node_is_brought_back() -> None:
    state = reduce(wave(stopping()), StoreFailed(at=105.0, detail="disk full")).state
    step = observed(state, 2, 110.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    assert run_of(step, 2).steps.broken == UNWRITTEN


# --- The steps are over --------------------------------------------------------------------------


def test_after_its_last_step_the_host_is_asked_before_anything_is_started() -> None:
    at_it = a_run(2, NodeStatus.STOPPED, steps=AT_PATCH, command_at=118.0)
    step = ended(wave(at_it), AT_PATCH.effect, 120.0)
    run = run_of(step, 2)
    assert step.effects == (Observe(node=2),)
    assert (run.status, run.since, run.detail) == (
        NodeStatus.STARTING,
        120.0,
        "its steps are done",
    )
    assert (run.observed_at, run.command_at) == (120.0, None)
    assert (run.steps.is_worked, run.steps.broken) == (True, "")
    # Nothing was sent yet: the start does not wait.
    assert kinds(observed(step.state, 2, 120.1, IS_DOWN).effects) == ["StartService 2"]


def test_after_a_failed_step_the_node_is_brought_back_with_what_broke() -> None:
    step = done(stopped(PATCH), 120.0, Outcome.FAILED)
    run = run_of(step, 2)
    assert step.effects == (Observe(node=2),)
    assert run.detail == run.steps.broken
    assert "'patch' failed" in run.steps.broken
    assert not run.steps.is_worked


# --- A new process -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(
            stopping(), NodeSteps(broken=BY_ITSELF), id="before the steps of its turn were done"
        ),
        pytest.param(
            stopping(steps=NodeSteps(is_prepared=True, over=(PLACE,))),
            NodeSteps(is_worked=True, over=(PLACE,)),
            id="when they were done in an earlier try",
        ),
        pytest.param(stopping(repair=True), NodeSteps(), id="of a repair"),
        pytest.param(
            a_run(2, NodeStatus.STARTING, steps=NodeSteps(is_prepared=True, broken="as it was")),
            NodeSteps(broken="as it was"),
            id="after its start",
        ),
    ],
)
def test_a_new_process_is_judged_by_the_steps_that_belong_before_it(
    run: NodeRun, expected: NodeSteps
) -> None:
    step = observed(wave(run), 2, 110.0, RUNS_ANEW)
    assert status_of(step, 2) is NodeStatus.RECOVERING
    assert run_of(step, 2).steps == expected


def test_a_new_process_of_a_plain_restart_says_nothing_of_steps() -> None:
    run = a_run(2, NodeStatus.STARTING, steps=PREPARED)
    step = observed(wave(run, a_wave().playbook), 2, 110.0, RUNS_ANEW)
    assert run_of(step, 2).steps == PREPARED


# --- Time ----------------------------------------------------------------------------------------


def test_a_node_at_its_steps_has_no_deadline_of_a_start_and_is_not_started() -> None:
    state = wave(a_run(2, NodeStatus.STOPPED, steps=AT_PATCH, observed_at=None))
    assert ticked(state, 150.0).effects == ()
    assert observed(state, 2, 110.0, IS_DOWN).effects == ()
    assert observed(state, 2, 110.0, RUNS_ANEW).effects == ()
    without = wave(a_run(2, NodeStatus.STOPPED, observed_at=None))
    assert ticked(without, 150.0).effects == (Observe(node=2),)
    started = observed(without, 2, 110.0, IS_DOWN)
    assert kinds(started.effects) == ["StartService 2"]
    assert (run_of(started, 2).since, run_of(started, 2).starting_since) == (110.0, 110.0)
    assert status_of(observed(without, 2, 110.0, RUNS_ANEW), 2) is NodeStatus.RECOVERING


@pytest.mark.parametrize("status", [NodeStatus.STOPPED, NodeStatus.STARTING])
def test_a_host_that_its_steps_may_have_taken_away_is_watched(status: NodeStatus) -> None:
    run = a_run(2, status, observed_at=None)
    for playbook, is_watched in ((PATCH, True), (a_wave().playbook, False)):
        step = ticked(wave(run, playbook), 701.0)
        assert status_of(step, 2) is NodeStatus.FAILED
        assert run_of(step, 2).is_watched is is_watched


def test_the_time_of_steps_after_the_restart_is_not_that_of_the_recovery() -> None:
    playbook = a_restart(after=(a_prompt("go on?"),))
    place = [step.name for step in playbook.steps].index("ask")
    asking = NodeSteps(at=place, phase=StepPhase.ASKING, since=100.0, is_worked=True)
    run = a_run(2, NodeStatus.RECOVERING, observed_at=5_000.0)
    at_them = replace(run, steps=asking)
    assert not ticked(wave(at_them, playbook), 5_001.0).state.is_paused
    assert ticked(wave(run, playbook), 5_001.0).state.is_paused
    soaks = a_run(2, NodeStatus.SOAKING, soak_since=100.0)
    assert ticked(wave(soaks, playbook), 5_001.0).state.is_paused


def test_a_host_that_is_silent_changes_no_step() -> None:
    state = wave(a_run(2, NodeStatus.STOPPED, steps=AT_PATCH))
    step = observed(state, 2, 110.0, UNKNOWN)
    assert run_of(step, 2).steps == AT_PATCH
    assert run_of(step, 2).detail == "no route to host"
