"""What a person orders, what is refused in words, and how a wave ends."""

from dataclasses import replace

import pytest
from support.waves import (
    IS_DOWN,
    RUNS,
    RUNS_ANEW,
    a_run,
    a_wave,
    an_order,
    brokers,
    clean,
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
from healthd.waves.events import Outcome, Verb
from healthd.waves.orders import refusal_of
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, Pause, WaveState, WaveStatus

BY_ADA = Pause(by="ada", reason="lunch", since=1.0)


def failed(node: int = 2, *others: int) -> WaveState:
    """A wave that a failed start has paused."""
    run = a_run(node, NodeStatus.STARTING)
    return ticked(a_wave(run, *(others or (1, 3, 4))), 701.0).state


def overdue() -> WaveState:
    return ticked(a_wave(a_run(2, NodeStatus.RECOVERING), 1, 3, 4), 1901.0).state


# --- Pause and resume ----------------------------------------------------------------------------


def test_a_pause_withdraws_the_candidate_and_takes_nothing_new() -> None:
    step = ordered(clean(a_wave()).state, Verb.PAUSE, 200.5)
    assert step.state.status is WaveStatus.PAUSED
    assert not confirmed(step.state, 2, 201.0).effects
    assert not seen(step.state, 215.0).effects
    assert step.notes[0].data == {"by": "ada"}


def test_a_paused_wave_finishes_what_is_in_flight() -> None:
    state = ordered(a_wave(a_run(2, NodeStatus.STOPPING), 1, 3, 4), Verb.PAUSE, 101.0).state
    step = observed(state, 2, 105.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    state = observed(step.state, 2, 110.0, RUNS_ANEW).state
    state = ended(seen(state, 120.0).state, "2.2.elect", 121.0).state
    step = clean(state, at=200.0)
    assert status_of(step, 2) is NodeStatus.DONE
    assert not step.effects
    assert step.state.status is WaveStatus.PAUSED


def test_resume_lifts_every_pause_and_the_next_snapshot_chooses() -> None:
    state = clean(a_wave(pauses=(BY_ADA, BY_ADA))).state
    step = ordered(state, Verb.RESUME, 201.0)
    assert step.state.status is WaveStatus.RUNNING
    assert kinds(seen(step.state, 215.0).effects) == ["Confirm 2"]


def test_resume_grants_an_overdue_broker_the_whole_time_once_more() -> None:
    state = ordered(overdue(), Verb.RESUME, 2000.0).state
    assert not ticked(state, 3800.0).state.is_paused
    assert ticked(state, 3801.0).state.is_paused


# --- Retry and skip ------------------------------------------------------------------------------


def test_retry_of_a_broker_that_is_down_only_starts_it() -> None:
    step = ordered(failed(), Verb.RETRY, 710.0, 2)
    assert status_of(step, 2) is NodeStatus.PENDING
    assert step.state.status is WaveStatus.RUNNING
    step = seen(step.state, 720.0, brokers=brokers(b2={"alive": False}))
    assert kinds(step.effects) == ["Observe 2"]
    step = observed(step.state, 2, 721.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    assert not step.state.died


def test_retry_of_a_broker_that_runs_anew_meanwhile_does_not_restart_it() -> None:
    state = ordered(failed(2, 4), Verb.RETRY, 710.0, 2).state
    step = confirmed(clean(state, at=800.0).state, 2, 801.0, RUNS_ANEW)
    assert not step.commands
    assert status_of(step, 2) is NodeStatus.RECOVERING


def test_retry_of_a_started_repair_that_runs_does_not_restart_it() -> None:
    run = a_run(2, NodeStatus.FAILED, repair=True, started_before=None)
    state = ordered(a_wave(run, 4), Verb.RETRY, 710.0, 2).state
    step = confirmed(clean(state, at=800.0).state, 2, 801.0, RUNS)
    assert not step.commands


def test_retry_of_a_broker_that_still_runs_its_old_process_stops_it_through_the_gate() -> None:
    state = ticked(a_wave(a_run(2, NodeStatus.STOPPING), 4), 701.0).state
    state = ordered(state, Verb.RETRY, 710.0, 2).state
    assert not seen(state, 715.0).effects
    step = confirmed(clean(state, at=800.0).state, 2, 801.0)
    assert [command.effect_id for command in step.commands] == ["2.2.stop"]
    assert not run_of(step, 2).is_watched


def test_a_retried_broker_whose_old_stop_ends_late_is_started_even_while_paused() -> None:
    state = ticked(a_wave(a_run(2, NodeStatus.STOPPING), 4), 701.0).state
    state = ordered(state, Verb.RETRY, 710.0, 2).state
    state = ordered(state, Verb.PAUSE, 711.0).state
    step = ticked(state, 715.0)
    assert kinds(step.effects) == ["Observe 2"]
    step = observed(step.state, 2, 716.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    assert status_of(step, 2) is NodeStatus.STARTING


def test_skip_lifts_the_pause_of_its_broker_and_the_wave_goes_on() -> None:
    step = ordered(failed(2, 4), Verb.SKIP, 710.0, 2)
    assert status_of(step, 2) is NodeStatus.SKIPPED
    assert step.state.status is WaveStatus.RUNNING
    assert run_of(step, 2).detail == "CHG-2"
    assert kinds(clean(step.state, at=800.0).effects) == ["Confirm 4"]


def test_skip_of_a_candidate_withdraws_it() -> None:
    state = clean(a_wave()).state
    step = ordered(state, Verb.SKIP, 200.5, 2)
    assert not step.state.candidates
    assert not confirmed(step.state, 2, 201.0).effects


@pytest.mark.parametrize(
    ("state", "verb", "node", "words"),
    [
        pytest.param(a_wave(), Verb.RESUME, None, "not paused", id="resume while running"),
        pytest.param(failed(), Verb.RESUME, None, "broker 2 failed", id="resume over a failure"),
        pytest.param(a_wave(), Verb.RETRY, 2, "only a failed one", id="retry of a pending one"),
        pytest.param(a_wave(), Verb.RETRY, None, "needs a broker", id="retry of nobody"),
        pytest.param(a_wave(), Verb.SKIP, 9, "which has 1, 2, 3, 4", id="skip of a stranger"),
        pytest.param(
            a_wave(a_run(2, NodeStatus.STOPPING)), Verb.SKIP, 2, "is stopping", id="skip in flight"
        ),
        pytest.param(
            a_wave(a_run(2, NodeStatus.DONE), 1),
            Verb.RETRY,
            2,
            "is done",
            id="retry of one that is done",
        ),
        pytest.param(
            a_wave(a_run(2, NodeStatus.STARTING), abort=BY_ADA),
            Verb.ABORT,
            None,
            "already, by ada",
            id="abort a second time",
        ),
        pytest.param(
            a_wave(a_run(2, NodeStatus.FAILED), a_run(3, NodeStatus.STARTING), abort=BY_ADA),
            Verb.RETRY,
            2,
            "being aborted",
            id="retry in an abort",
        ),
        pytest.param(
            a_wave(status=WaveStatus.SUCCEEDED), Verb.PAUSE, None, "has ended", id="after the end"
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_words_and_changes_nothing(
    state: WaveState, verb: Verb, node: int | None, words: str
) -> None:
    order = an_order(verb, 800.0, node)
    refusal = refusal_of(state, order)
    assert refusal is not None
    assert words in refusal
    step = reduce(state, order)
    assert not step.effects
    assert not step.notes
    assert step.state.nodes == state.nodes


# --- How it ends ---------------------------------------------------------------------------------


def test_abort_waits_for_what_is_between_stop_and_recovery() -> None:
    state = ordered(a_wave(a_run(2, NodeStatus.STOPPING), 4), Verb.ABORT, 101.0).state
    assert not state.status.has_ended
    step = observed(state, 2, 105.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    state = observed(step.state, 2, 110.0, RUNS_ANEW).state
    assert not state.status.has_ended
    step = ended(seen(state, 120.0).state, "2.2.elect", 121.0)
    assert step.state.status is WaveStatus.ABORTED
    assert "wave_aborted" in notes(step)


def test_abort_of_a_wave_with_nothing_in_flight_ends_it_at_once() -> None:
    assert ordered(a_wave(), Verb.ABORT, 10.0).state.status is WaveStatus.ABORTED


def test_abort_does_not_wait_for_a_broker_that_runs_and_is_overdue() -> None:
    assert ordered(overdue(), Verb.ABORT, 1950.0).state.status is WaveStatus.ABORTED


def test_abort_waits_for_an_overdue_broker_that_does_not_run() -> None:
    state = observed(overdue(), 2, 1905.0, IS_DOWN).state
    assert not ordered(state, Verb.ABORT, 1950.0).state.status.has_ended


def test_a_wave_whose_nodes_are_done_or_skipped_has_succeeded() -> None:
    state = a_wave(a_run(1, NodeStatus.DONE), 2)
    step = ordered(state, Verb.SKIP, 10.0, 2)
    assert step.state.status is WaveStatus.SUCCEEDED
    assert step.state.holds == ()


@pytest.mark.parametrize("budget", [0, 1])
def test_a_wave_with_a_failed_node_ends_failed_within_the_budget_or_not(budget: int) -> None:
    state = a_wave(a_run(1, NodeStatus.DONE), a_run(2, NodeStatus.STARTING))
    state = replace(state, policy=replace(state.policy, max_failed_brokers=budget))
    assert ticked(state, 701.0).state.status is WaveStatus.FAILED


def test_a_wave_stays_to_start_a_stop_that_may_end_late_and_then_ends() -> None:
    state = ticked(a_wave(a_run(2, NodeStatus.STOPPING)), 701.0).state
    assert not state.status.has_ended
    state = ticked(state, 712.0).state
    step = observed(state, 2, 712.1, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    step = observed(step.state, 2, 725.0, RUNS_ANEW)
    assert step.state.status is WaveStatus.FAILED


def test_a_wave_does_not_stay_for_ever_for_a_stop_that_never_ends() -> None:
    state = ticked(a_wave(a_run(2, NodeStatus.STOPPING)), 701.0).state
    assert ticked(state, 1302.0).state.status is WaveStatus.FAILED


# --- The daemon's own troubles -------------------------------------------------------------------


def test_a_journal_that_cannot_be_written_pauses_the_wave_with_the_reason() -> None:
    state = clean(a_wave()).state
    step = reduce(state, events.StoreFailed(at=201.0, detail="disk full"))
    assert step.state.status is WaveStatus.PAUSED
    assert step.state.pauses[0].reason == "the state file: disk full"
    assert "STORE_UNSAFE" in {hold.reason.code for hold in step.state.holds}
    assert not confirmed(step.state, 2, 202.0).effects
    again = reduce(step.state, events.StoreFailed(at=203.0, detail="disk full"))
    assert len(again.state.pauses) == 1


def test_a_failing_journal_is_said_even_when_the_wave_is_paused_for_another_reason() -> None:
    died = Pause(by="healthd", reason="broker 3 and broker 4 went down", since=1.0)
    step = reduce(a_wave(pauses=(died,)), events.StoreFailed(at=2.0, detail="disk full"))
    assert len(step.state.pauses) == 2


def test_a_daemon_that_stops_takes_nothing_new_and_brings_back_what_is_half_way() -> None:
    step = reduce(clean(a_wave()).state, events.Draining(at=200.5))
    assert not step.state.candidates
    assert not confirmed(step.state, 2, 201.0).effects
    assert not seen(step.state, 215.0).effects
    state = reduce(taken(a_wave(), 2).state, events.Draining(at=202.0)).state
    assert kinds(observed(state, 2, 205.0, IS_DOWN).effects) == ["StartService 2"]


def test_what_a_command_said_is_kept_for_the_person_who_looks() -> None:
    state = a_wave(a_run(2, NodeStatus.STOPPING, command="2.1.stop"))
    step = ended(state, "2.1.stop", 105.0, Outcome.FAILED)
    assert run_of(step, 2).detail == "it was failed"
