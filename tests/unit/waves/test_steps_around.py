"""The steps of a playbook before the stop and after the restart, and those that stop nothing."""

from dataclasses import replace
from typing import Any

from support.step_events import done, prepared, stopped
from support.step_playbooks import (
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
from healthd.waves.effects import RunStep
from healthd.waves.events import Outcome, Verb
from healthd.waves.orders import refusal_of
from healthd.waves.playbook import GateNeeded, Playbook
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, WaveState, WaveStatus
from healthd.waves.step_run import StepPhase

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


def test_a_retry_of_a_node_that_hangs_after_its_turn_restarts_it_without_another_turn() -> None:
    playbook = a_restart(between=(a_step("patch"),))
    hangs = a_run(2, NodeStatus.RECOVERING, is_overdue=True, attempt=1, started_before="process 1")
    hangs = replace(hangs, steps=replace(hangs.steps, over=(2,), is_worked=True))
    state = ordered(a_wave(hangs, playbook=playbook), Verb.RETRY, 500.0, 2).state
    # Its process runs, and the cluster does not list it as alive.
    down = brokers(b2={"alive": False})
    step = confirmed(clean(state, at=600.0, brokers=down).state, 2, 601.0, RUNS_ANEW, brokers=down)
    assert kinds(step.effects) == ["StopService 2"]
    assert run_of(step, 2).repair
    step = observed(step.state, 2, 610.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    soaking = step.state.with_node(replace(run_of(step, 2), status=NodeStatus.SOAKING, since=700.0))
    assert status_of(clean(soaking, at=900.0), 2) is NodeStatus.DONE


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
