"""The steps of a playbook between stop and start, and what becomes of each."""

import pytest
from support.step_events import VERIFY, answered, detail_of, done, prepared, stopped
from support.step_playbooks import (
    SECONDS,
    a_prompt,
    a_reboot,
    a_restart,
    a_step,
)
from support.waves import (
    IS_DOWN,
    RUNS_ANEW,
    a_run,
    a_wave,
    codes,
    ended,
    kinds,
    notes,
    observed,
    ordered,
    run_of,
    seen,
    status_of,
    ticked,
)

from healthd.waves import events
from healthd.waves.effects import ObserveStep, RunStep
from healthd.waves.events import Outcome, StepState, Verb
from healthd.waves.playbook_steps import OnFailure
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, WaveStatus

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


# --- What becomes of a step ----------------------------------------------------------------------


def test_a_lost_answer_is_asked_for_and_never_sent_again() -> None:
    step = stopped(a_restart(between=(a_step("patch"),)))
    step = done(step, 120.0, Outcome.UNKNOWN)
    assert kinds(step.effects) == ["ObserveStep 2"]
    step = answered(step, 121.0, StepState.RUNNING, detail="Unpacking")
    assert not step.effects
    assert run_of(step, 2).steps.said == "Unpacking"
    step = ticked(step.state, 123.0)
    assert kinds(step.effects) == ["ObserveStep 2"]
    assert status_of(answered(step, 124.0, StepState.DONE), 2) is NodeStatus.STARTING


def test_what_never_began_is_sent_again_under_the_same_id() -> None:
    step = stopped(a_restart(between=(a_step("patch"),)))
    first = run_of(step, 2).steps.effect
    step = answered(done(step, 120.0, Outcome.UNKNOWN), 121.0, StepState.NOT_DONE)
    assert [effect.effect_id for effect in step.commands] == [first]
    step = done(step, 125.0, Outcome.NOT_SENT)
    assert not step.commands
    assert not ticked(step.state, 127.0).commands
    again = ticked(step.state, 131.0)
    assert [effect.effect_id for effect in again.commands] == [first]


def test_a_step_that_cannot_be_sent_until_its_deadline_fails_and_the_node_is_brought_back() -> None:
    step = done(stopped(a_restart(between=(a_step("patch"),))), 120.0, Outcome.NOT_SENT)
    step = ticked(step.state, 110.0 + SECONDS + 1)
    assert status_of(step, 2) is NodeStatus.STARTING
    assert "could not be begun" in detail_of(step)


@pytest.mark.parametrize("repeatable", [True, False])
def test_an_interrupted_step_is_repeated_only_when_it_may_be(*, repeatable: bool) -> None:
    step = stopped(a_restart(between=(a_step("patch", repeatable=repeatable),)))
    first = run_of(step, 2).steps.effect
    step = answered(done(step, 115.0, Outcome.UNKNOWN), 116.0, StepState.INTERRUPTED)
    if repeatable:
        (command,) = step.commands
        assert command.effect_id != first
    else:
        assert status_of(step, 2) is NodeStatus.STARTING
        assert "a person has to look" in detail_of(step)


def test_tries_are_made_under_new_ids_until_none_is_left() -> None:
    step = stopped(a_restart(between=(a_step("patch", repeatable=True, tries=2),)))
    first = run_of(step, 2).steps.effect
    step = done(step, 115.0, Outcome.FAILED)
    assert not step.commands
    step = ticked(step.state, 120.5)
    (command,) = step.commands
    assert command.effect_id != first
    assert status_of(done(step, 125.0, Outcome.FAILED), 2) is NodeStatus.STARTING


def test_a_failure_that_is_ignored_is_told_and_the_next_step_is_done() -> None:
    step = stopped(
        a_restart(between=(a_step("patch", on_failure=OnFailure.IGNORE), a_step("clean")))
    )
    step = done(step, 115.0, Outcome.FAILED)
    assert kinds(step.effects) == ["RunStep 2"]
    assert "step_failed" in notes(step)
    step = observed(done(step, 120.0).state, 2, 121.0, IS_DOWN)
    assert not run_of(step, 2).steps.broken


def test_a_step_is_over_when_its_verify_is_true_and_fails_when_it_never_is() -> None:
    step = done(stopped(a_restart(between=(a_step("patch", verify=VERIFY),))), 115.0)
    (effect,) = step.effects
    assert isinstance(effect, ObserveStep)
    assert effect.is_verify
    step = answered(step, 116.0, StepState.NOT_DONE, verify=True, detail="not so")
    assert kinds(ticked(step.state, 118.0).effects) == ["ObserveStep 2"]
    good = answered(step, 119.0, StepState.DONE, verify=True)
    assert status_of(good, 2) is NodeStatus.STARTING
    assert not run_of(good, 2).steps.broken
    late = ticked(step.state, 110.0 + SECONDS + 20)
    assert "has not worked within 60 s: not so" in detail_of(late)


def test_a_node_is_started_when_nobody_knows_how_its_step_ended() -> None:
    step = stopped(a_restart(between=(a_step("patch"),)))
    step = ticked(step.state, 110.0 + SECONDS + 31)
    assert kinds(step.effects) == ["ObserveStep 2"]
    step = answered(step, 110.0 + SECONDS + 40, StepState.RUNNING)
    assert status_of(step, 2) is NodeStatus.STOPPED
    step = ticked(step.state, 110.0 + SECONDS + 61)
    assert status_of(step, 2) is NodeStatus.STARTING


def test_answers_about_an_earlier_try_are_not_believed() -> None:
    step = stopped(a_restart(between=(a_step("patch", repeatable=True, tries=2),)))
    old = run_of(step, 2).steps.effect
    step = ticked(done(step, 115.0, Outcome.FAILED).state, 121.0)
    assert not ended(step.state, old, 122.0).effects
    event = events.StepObserved(at=123.0, node=2, effect_id=old, step=2, state=StepState.DONE)
    assert run_of(reduce(step.state, event), 2).steps.at == 2


# --- A daemon that dies --------------------------------------------------------------------------


def test_after_a_crash_a_step_is_observed_and_the_stopped_node_is_not_started() -> None:
    step = stopped(a_restart(between=(a_step("patch"), a_step("clean"))))
    step = reduce(step.state, events.Resumed(at=115.0))
    assert kinds(step.effects) == ["Observe 2", "ObserveStep 2"]
    assert not observed(step.state, 2, 116.0, IS_DOWN).effects
    step = answered(step, 116.0, StepState.DONE)
    assert kinds(step.effects) == ["RunStep 2"]


def test_a_question_survives_a_crash() -> None:
    step = prepared(a_restart(before=(a_prompt(),)))
    step = reduce(step.state, events.Resumed(at=400.0))
    assert "APPROVAL_MISSING broker:2" in codes(step)
    assert kinds(ordered(step.state, Verb.CONFIRM, 410.0, 2).effects) == []


def test_a_stopped_node_is_brought_back_when_no_step_can_be_written() -> None:
    playbook = a_restart(between=(a_step("patch"), a_step("clean")))
    lost = reduce(stopped(playbook).state, events.StoreFailed(at=112.0, detail="disk full"))
    step = ticked(lost.state, 113.0)
    assert kinds(step.effects) == ["ObserveStep 2"]
    step = answered(step, 114.0, StepState.DONE)
    assert status_of(step, 2) is NodeStatus.STARTING
    assert not step.commands
    assert "cannot be written" in detail_of(step)


def test_a_node_that_leaves_while_nothing_can_be_written_is_started_at_once() -> None:
    state = a_wave(a_run(2, NodeStatus.STOPPING), playbook=a_restart(between=(a_step("patch"),)))
    lost = reduce(state, events.StoreFailed(at=105.0, detail="disk full"))
    step = observed(lost.state, 2, 110.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    step = seen(observed(step.state, 2, 115.0, RUNS_ANEW).state, 130.0)
    assert status_of(step, 2) is NodeStatus.FAILED
