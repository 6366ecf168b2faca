"""The steps of a playbook at one node: before its stop, between stop and start, and after it."""

from dataclasses import replace
from typing import Any

import pytest
from support.step_playbooks import (
    SECONDS,
    a_prompt,
    a_reboot,
    a_restart,
    a_step,
    a_wait,
    beside,
)
from support.waves import (
    IS_DOWN,
    QUICK,
    RUNS,
    RUNS_ANEW,
    UNKNOWN,
    a_run,
    a_wave,
    an_order,
    brokers,
    clean,
    codes,
    confirmed,
    ended,
    kinds,
    notes,
    observed,
    ordered,
    run_of,
    seen,
    status_of,
    taken,
    ticked,
)

from healthd.waves import events
from healthd.waves.effects import ObserveStep, RunStep, Step
from healthd.waves.events import Outcome, StepState, Verb
from healthd.waves.orders import refusal_of
from healthd.waves.playbook import GateNeeded, Playbook
from healthd.waves.playbook_steps import CommandCheck, OnFailure
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, WaveState, WaveStatus
from healthd.waves.step_run import StepPhase

VERIFY = (CommandCheck(command=("true",)),)


def answered(
    step: Step | WaveState, at: float, state: StepState, *, detail: str = "", verify: bool = False
) -> Step:
    """What it leads to when somebody says what became of node 2's step."""
    wave = step.state if isinstance(step, Step) else step
    run = run_of(wave, 2)
    assert run.steps.at is not None
    event = events.StepObserved(
        at=at,
        node=2,
        effect_id=run.steps.effect,
        step=run.steps.at,
        state=state,
        detail=detail,
        is_verify=verify,
    )
    return reduce(wave, event)


def done(step: Step, at: float, outcome: Outcome = Outcome.OK) -> Step:
    """What the end of the step's command leads to."""
    return ended(step.state, run_of(step, 2).steps.effect, at, outcome)


def stopped(playbook: Playbook, **changes: Any) -> Step:
    """Node 2 when its process has left."""
    state = a_wave(
        1, a_run(2, NodeStatus.STOPPING, is_stop_due=False), 3, playbook=playbook, **changes
    )
    return observed(state, 2, 110.0, IS_DOWN)


def prepared(playbook: Playbook, node: int = 2) -> Step:
    """The node in its steps before the stop, after a clean run and the last look."""
    return taken(a_wave(node, playbook=playbook), node)


def detail_of(step: Step) -> str:
    return run_of(step, 2).detail


# --- Between stop and start ----------------------------------------------------------------------


def test_steps_between_are_done_in_order_and_the_start_comes_after_the_last() -> None:
    step = stopped(a_restart(between=(a_step("patch"), a_step("clean"))))
    assert kinds(step.effects) == ["RunStep 2"]
    assert status_of(step, 2) is NodeStatus.STOPPED
    step = done(step, 120.0)
    assert kinds(step.effects) == ["RunStep 2"]
    assert [effect.step for effect in step.effects if isinstance(effect, RunStep)] == [3]
    step = done(step, 130.0)
    assert status_of(step, 2) is NodeStatus.STARTING
    assert kinds(step.effects) == ["Observe 2"]
    step = observed(step.state, 2, 131.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]


def test_while_steps_run_a_stopped_node_is_not_started() -> None:
    step = stopped(a_restart(between=(a_step("patch"),)))
    assert not observed(step.state, 2, 111.0, IS_DOWN).effects
    assert not ticked(step.state, 150.0).effects
    assert status_of(ticked(step.state, 110.0 + 700.0), 2) is NodeStatus.STOPPED


def test_a_failed_step_leaves_out_the_others_brings_the_node_back_and_fails_it() -> None:
    step = stopped(a_restart(between=(a_step("patch"), a_step("clean"))))
    step = done(step, 120.0, Outcome.FAILED)
    assert status_of(step, 2) is NodeStatus.STARTING
    step = observed(step.state, 2, 121.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    step = observed(step.state, 2, 130.0, RUNS_ANEW)
    step = seen(step.state, 140.0)
    assert status_of(step, 2) is NodeStatus.FAILED
    assert "'patch' failed" in detail_of(step)
    assert step.state.is_paused


def test_a_process_that_a_reboot_started_is_not_started_twice() -> None:
    step = stopped(a_restart(between=(a_reboot(),)))
    step = done(step, 120.0)
    step = observed(step.state, 2, 121.0, RUNS_ANEW)
    assert not step.effects
    assert status_of(step, 2) is NodeStatus.RECOVERING


def test_a_process_that_comes_back_before_its_steps_fails_when_it_is_back() -> None:
    state = a_wave(
        1,
        a_run(2, NodeStatus.STOPPING),
        3,
        playbook=a_restart(between=(a_step("patch"),)),
    )
    step = observed(state, 2, 110.0, RUNS_ANEW)
    assert status_of(step, 2) is NodeStatus.RECOVERING
    assert not step.commands
    step = seen(step.state, 120.0)
    assert status_of(step, 2) is NodeStatus.FAILED
    assert "came back by itself" in detail_of(step)


def test_a_shutdown_does_not_keep_a_stopped_node_from_its_steps() -> None:
    step = stopped(a_restart(between=(a_step("patch"), a_step("clean"))))
    step = reduce(step.state, events.Draining(at=111.0))
    step = done(step, 120.0)
    assert kinds(step.effects) == ["RunStep 2"]


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.ABORT])
def test_orders_do_not_cut_the_steps_of_a_stopped_node_in_two(verb: Verb) -> None:
    step = stopped(a_restart(between=(a_step("patch"), a_step("clean"))))
    step = ordered(step.state, verb, 111.0)
    step = done(step, 120.0)
    assert kinds(step.effects) == ["RunStep 2"]
    assert step.state.status is not WaveStatus.ABORTED
