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


# --- Before the stop -----------------------------------------------------------------------------


def test_steps_before_the_stop_come_first_and_then_the_whole_gate_once_more() -> None:
    step = prepared(a_restart(before=(a_step("upload"),)))
    assert status_of(step, 2) is NodeStatus.PREPARING
    assert kinds(step.effects) == ["RunStep 2"]
    assert not step.state.in_flight
    step = done(step, 210.0)
    assert status_of(step, 2) is NodeStatus.PENDING
    assert run_of(step, 2).steps.is_prepared
    assert "NOT_CLEAN_LONG_ENOUGH cluster:payments" in codes(seen(step.state, 220.0))
    step = confirmed(clean(step.state, at=300.0).state, 2, 301.0)
    assert kinds(step.effects) == ["StopService 2"]


def test_a_node_that_is_being_prepared_is_not_excused_in_the_gate_and_takes_a_place() -> None:
    state = prepared(a_restart(before=(a_step("upload"),))).state
    step = clean(state, at=260.0, brokers=brokers(b2={"alive": False}))
    assert "BROKER_DOWN broker:2" in codes(step)
    assert not clean(state, at=260.0).effects


def test_a_failed_step_before_the_stop_fails_the_node_which_was_never_stopped() -> None:
    step = done(prepared(a_restart(before=(a_step("upload"),))), 210.0, Outcome.FAILED)
    assert status_of(step, 2) is NodeStatus.FAILED
    assert not step.commands


def test_a_node_that_goes_down_while_it_is_prepared_is_brought_back_first() -> None:
    step = prepared(a_restart(before=(a_step("upload"), a_step("more"))))
    step = seen(step.state, 205.0, brokers=brokers(b2={"alive": False}))
    step = done(step, 210.0)
    assert status_of(step, 2) is NodeStatus.PENDING
    assert not run_of(step, 2).steps.is_prepared
    assert not step.commands


def test_an_abort_begins_no_further_step_before_the_stop() -> None:
    step = prepared(a_restart(before=(a_step("upload"), a_step("more"))))
    step = ordered(step.state, Verb.ABORT, 205.0)
    assert step.state.status is not WaveStatus.ABORTED
    step = done(step, 210.0)
    assert not step.commands
    assert step.state.status is WaveStatus.ABORTED


def test_a_shutdown_begins_no_further_step_on_a_node_that_runs() -> None:
    step = prepared(a_restart(before=(a_step("upload"), a_step("more"))))
    step = done(reduce(step.state, events.Draining(at=205.0)), 210.0)
    assert not step.commands
    step = ticked(reduce(step.state, events.Resumed(at=300.0)).state, 301.0)
    assert kinds(step.effects)[:1] == ["RunStep 2"]


# --- Questions -----------------------------------------------------------------------------------


def test_a_question_holds_by_name_until_it_is_confirmed() -> None:
    playbook = a_restart(before=(a_prompt("is the backup done?"), a_step("upload")))
    step = seen(prepared(playbook).state, 210.0)
    (hold,) = [each for each in step.state.holds if each.reason.code == "APPROVAL_MISSING"]
    assert hold.reason.object == "broker:2"
    assert "is the backup done?" in hold.reason.detail
    assert step.state.status is WaveStatus.HOLDING
    step = ordered(step.state, Verb.CONFIRM, 300.0, 2)
    assert kinds(step.effects) == ["RunStep 2"]
    assert notes(step)[:2] == ["order_confirm", "step_done"]


def test_nobody_confirms_what_is_not_asked() -> None:
    state = prepared(a_restart(before=(a_step("upload"),))).state
    assert "waits for nobody's" in str(refusal_of(state, an_order(Verb.CONFIRM, node=2)))
    assert "needs a broker" in str(refusal_of(state, an_order(Verb.CONFIRM)))


def test_a_node_that_asks_may_be_skipped_and_one_in_a_step_may_not() -> None:
    asking = prepared(a_restart(before=(a_prompt(),))).state
    assert status_of(ordered(asking, Verb.SKIP, 300.0, 2), 2) is NodeStatus.SKIPPED
    working = prepared(a_restart(before=(a_step("upload"),))).state
    assert "its step 'upload'" in str(refusal_of(working, an_order(Verb.SKIP, node=2)))


def recovering(playbook: Playbook, **changes: Any) -> WaveState:
    """Node 2 back from the stop with all its steps in between."""
    run = a_run(2, NodeStatus.RECOVERING)
    run = replace(run, steps=replace(run.steps, is_worked=True))
    return a_wave(run, playbook=playbook, **changes)


def test_the_time_that_a_person_takes_is_no_time_of_the_recovery() -> None:
    step = seen(recovering(a_restart(after=(a_prompt(),))), 110.0)
    assert run_of(step, 2).steps.phase is StepPhase.ASKING
    assert not ticked(step.state, 110.0 + 5000.0).state.is_paused
    step = ordered(step.state, Verb.CONFIRM, 5110.0, 2)
    assert status_of(step, 2) is NodeStatus.SOAKING
    assert not ticked(step.state, 5120.0).state.is_paused


def test_an_abort_leaves_out_a_question_and_what_is_behind_it() -> None:
    step = seen(recovering(a_restart(after=(a_prompt(), a_step("finalize")))), 110.0)
    step = ticked(ordered(step.state, Verb.ABORT, 120.0).state, 121.0)
    assert not step.commands
    assert notes(step).count("step_left_out") == 2


# --- After the restart ---------------------------------------------------------------------------


def test_steps_after_the_restart_wait_until_the_node_is_back_and_then_it_soaks() -> None:
    state = recovering(a_restart(after=(a_step("smoke"),)))
    assert not seen(state, 105.0, brokers=brokers(b2={"alive": False})).commands
    step = seen(state, 110.0)
    assert kinds(step.effects) == ["RunStep 2"]
    assert status_of(done(step, 115.0), 2) is NodeStatus.SOAKING


def test_a_failure_after_the_restart_fails_a_node_that_runs() -> None:
    step = done(seen(recovering(a_restart(after=(a_step("smoke"),))), 110.0), 115.0, Outcome.FAILED)
    assert status_of(step, 2) is NodeStatus.FAILED
    assert not run_of(step, 2).is_watched


def test_a_process_that_ends_during_a_step_is_started_and_the_steps_go_on_when_it_is_back() -> None:
    playbook = a_restart(after=(a_step("smoke"), a_step("more")))
    step = seen(recovering(playbook), 110.0)
    step = observed(step.state, 2, 112.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    step = done(step, 115.0)
    assert not step.commands
    step = observed(step.state, 2, 120.0, RUNS_ANEW)
    assert kinds(seen(step.state, 130.0).effects) == ["RunStep 2"]


def test_a_step_that_is_done_once_is_the_last_nodes() -> None:
    playbook = a_restart(after=(a_step("finalize", once=True),))
    others = [a_run(node, NodeStatus.DONE) for node in (1, 3)]
    worked = [replace(each, steps=replace(each.steps, is_worked=True)) for each in others]
    me = recovering(playbook).nodes[0]
    step = seen(a_wave(worked[0], me, worked[1], playbook=playbook), 110.0)
    assert kinds(step.effects) == ["RunStep 2"]
    step = seen(a_wave(worked[0], me, 3, playbook=playbook), 110.0)
    assert "step_left_out" in notes(step)
    failed = replace(worked[1], status=NodeStatus.FAILED)
    step = seen(a_wave(worked[0], me, failed, playbook=playbook), 110.0)
    assert "step_left_out" in notes(step)


def test_a_step_that_is_done_once_waits_for_the_soak_of_those_who_left_it_out() -> None:
    playbook = a_restart(after=(a_step("finalize", once=True),))
    me = recovering(playbook).nodes[0]
    other = a_run(1, NodeStatus.RECOVERING, steps=replace(me.steps, over=(4,)))
    gone = brokers(b1={"alive": False})
    step = seen(a_wave(other, me, playbook=playbook), 110.0, topics=(), brokers=gone)
    assert not [each for each in step.commands if each.node == 2]
    soaking = step.state.with_node(replace(run_of(step, 1), status=NodeStatus.SOAKING))
    assert "RunStep 2" in kinds(ticked(soaking, 112.0).effects)


# --- Repairs and another try ---------------------------------------------------------------------


def test_a_repair_is_brought_back_without_steps_and_has_its_turn_afterwards() -> None:
    playbook = a_restart(between=(a_step("patch"),))
    run = a_run(2, NodeStatus.STARTING, repair=True, started_before=None)
    step = observed(a_wave(run, playbook=playbook), 2, 110.0, RUNS)
    step = seen(step.state, 120.0)
    assert [each for each in kinds(step.effects) if "RunStep" in each] == []
    soaking = step.state.with_node(replace(run_of(step, 2), status=NodeStatus.SOAKING, since=120.0))
    step = clean(soaking, at=300.0)
    assert status_of(step, 2) is NodeStatus.PENDING
    assert not run_of(step, 2).repair
    step = confirmed(clean(step.state, at=400.0).state, 2, 401.0)
    assert kinds(step.effects) == ["StopService 2"]


def test_a_retry_stops_again_only_when_a_step_in_between_is_missing() -> None:
    playbook = a_restart(between=(a_step("a"), a_step("b")), after=(a_step("smoke"),))
    broken = a_run(2, NodeStatus.FAILED, is_watched=False)
    broken = replace(broken, steps=replace(broken.steps, over=(2,)))
    state = ordered(a_wave(broken, playbook=playbook), Verb.RETRY, 500.0, 2).state
    step = confirmed(clean(state, at=600.0).state, 2, 601.0, RUNS_ANEW)
    assert kinds(step.effects) == ["StopService 2"]
    step = observed(step.state, 2, 610.0, IS_DOWN)
    assert [each.step for each in step.commands if isinstance(each, RunStep)] == [3]
    worked = replace(broken, steps=replace(broken.steps, over=(2, 3), is_worked=True))
    state = ordered(a_wave(worked, playbook=playbook), Verb.RETRY, 500.0, 2).state
    step = confirmed(clean(state, at=600.0).state, 2, 601.0, RUNS_ANEW)
    assert not step.commands
    assert status_of(step, 2) is NodeStatus.RECOVERING


def test_a_node_whose_host_stays_away_is_watched_and_started_when_it_answers() -> None:
    step = done(stopped(a_restart(between=(a_reboot(),))), 120.0, Outcome.FAILED)
    step = ticked(
        observed(step.state, 2, 121.0, UNKNOWN).state, 121.0 + QUICK.start_timeout_seconds
    )
    assert status_of(step, 2) is NodeStatus.FAILED
    assert run_of(step, 2).is_watched
    step = observed(step.state, 2, 900.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]


# --- Playbooks that stop nothing -----------------------------------------------------------------


def test_a_playbook_that_stops_nothing_soaks_and_is_done() -> None:
    step = done(prepared(beside(a_step("agent"))), 210.0)
    assert status_of(step, 2) is NodeStatus.SOAKING
    assert not step.state.away
    step = clean(step.state, at=400.0)
    assert step.state.status is WaveStatus.SUCCEEDED


def test_its_soak_excuses_nobody_and_starts_nobody() -> None:
    step = done(prepared(beside(a_step("agent"))), 210.0)
    step = clean(step.state, at=400.0, brokers=brokers(b2={"alive": False}))
    assert "BROKER_DOWN broker:2" in codes(step)
    assert status_of(step, 2) is NodeStatus.SOAKING
    assert not step.commands


def test_only_permission_is_asked_where_the_playbook_says_so() -> None:
    playbook = beside(a_wait("look"), gate=GateNeeded.PERMISSION)
    state = a_wave(2, playbook=playbook)
    ill = {"brokers": brokers(b1={"alive": False}, b2={"alive": False})}
    step = seen(state, 10.0, **ill)
    assert kinds(step.effects) == ["Confirm 2"]
    step = confirmed(step.state, 2, 11.0, IS_DOWN, **ill)
    assert kinds(step.effects) == ["RunStep 2"]
    step = done(step, 12.0)
    assert status_of(step, 2) is NodeStatus.DONE
    assert step.state.status is WaveStatus.SUCCEEDED
