"""The life of one node: stopping, stopped, starting, recovering, soaking, done; or failed."""

from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_partition, a_quorum, a_topic
from support.waves import (
    IS_DOWN,
    RUNS,
    RUNS_ANEW,
    UNKNOWN,
    a_run,
    a_wave,
    brokers,
    clean,
    codes,
    confirmed,
    ended,
    kinds,
    notes,
    observed,
    run_of,
    seen,
    snapshot_at,
    status_of,
    taken,
    ticked,
)

from healthd.model.words import BrokerState, EvidenceGroup
from healthd.waves import events
from healthd.waves.effects import ElectLeaders, StartService
from healthd.waves.events import HostState, Outcome
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeRun, NodeStatus, WaveState, WaveStatus


def one(run: NodeRun, **changes: Any) -> WaveState:
    """A wave with one node on its way, and others that wait."""
    others = [node for node in (1, 2, 3, 4) if node != run.node]
    return a_wave(run, *others, **changes)


def stopping(**changes: Any) -> WaveState:
    return one(a_run(2, NodeStatus.STOPPING, command="2.1.stop", command_at=100.0, **changes))


def starting(**changes: Any) -> WaveState:
    return one(a_run(2, NodeStatus.STARTING, **{"command_at": 100.0, **changes}))


def recovering(**changes: Any) -> WaveState:
    return one(a_run(2, NodeStatus.RECOVERING, **changes), last_change=100.0)


def test_a_node_lives_from_pending_to_done_in_this_order() -> None:
    state = taken(a_wave(2), 2).state
    state = ended(state, "2.1.stop", 206.0).state
    step = observed(state, 2, 206.1, IS_DOWN)
    (start,) = step.effects
    state = ended(step.state, "2.1.start", 207.0).state
    state = observed(state, 2, 209.0, RUNS_ANEW).state
    step = seen(state, 220.0)
    assert kinds(step.effects) == ["ElectLeaders 2"]
    state = ended(step.state, "2.2.elect", 221.0).state
    assert status_of(state, 2) is NodeStatus.SOAKING
    step = clean(state, at=270.0)
    assert [status for status, _ in run_of(step, 2).history] == [
        "pending",
        "stopping",
        "stopped",
        "starting",
        "recovering",
        "soaking",
        "done",
    ]
    assert isinstance(start, StartService)
    assert step.state.status is WaveStatus.SUCCEEDED


# --- Stopping ------------------------------------------------------------------------------------


def test_a_stop_that_has_ended_is_observed_whatever_it_says() -> None:
    for outcome in (Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN):
        step = ended(stopping(), "2.1.stop", 105.0, outcome)
        assert kinds(step.effects) == ["Observe 2"]
        assert status_of(step, 2) is NodeStatus.STOPPING


def test_a_process_that_has_left_is_started_in_the_same_step() -> None:
    step = observed(stopping(), 2, 105.0, IS_DOWN)
    (effect,) = step.effects
    assert isinstance(effect, StartService)
    assert effect.effect_id == "2.1.start"
    assert notes(step) == ["node_stopped", "node_starting"]
    assert run_of(step, 2).starting_since == 105.0


def test_an_answer_that_was_lost_is_no_reason_to_stop_again() -> None:
    step = ended(stopping(), "2.1.stop", 105.0, Outcome.UNKNOWN)
    assert kinds(step.effects) == ["Observe 2"]
    assert kinds(observed(step.state, 2, 106.0, RUNS).effects) == []
    assert kinds(observed(step.state, 2, 106.0, IS_DOWN).effects) == ["StartService 2"]


def test_a_stop_that_was_not_sent_did_nothing_and_waits_for_its_turn_again() -> None:
    step = ended(stopping(), "2.1.stop", 110.0, Outcome.NOT_SENT)
    assert not step.effects
    assert status_of(step, 2) is NodeStatus.PENDING
    assert "not sent" in run_of(step, 2).detail
    again = taken(step.state, 2)
    assert [effect.effect_id for effect in again.commands] == ["2.2.stop"]


def test_after_a_stop_that_was_not_sent_a_new_process_is_not_stopped() -> None:
    state = ended(stopping(), "2.1.stop", 110.0, Outcome.NOT_SENT).state
    step = confirmed(clean(state).state, 2, 201.0, RUNS_ANEW)
    assert not step.effects
    assert status_of(step, 2) is NodeStatus.RECOVERING


def test_a_new_process_proves_the_restart_even_if_nobody_saw_it_leave() -> None:
    step = observed(stopping(), 2, 105.0, RUNS_ANEW)
    assert status_of(step, 2) is NodeStatus.RECOVERING
    assert not step.commands


def test_ok_with_the_old_process_is_a_failure_and_the_old_one_stays_watched() -> None:
    state = ended(stopping(), "2.1.stop", 101.0).state
    assert status_of(observed(state, 2, 102.0, RUNS), 2) is NodeStatus.STOPPING
    step = ticked(state, 701.0)
    assert status_of(step, 2) is NodeStatus.FAILED
    assert run_of(step, 2).is_watched
    assert kinds(step.effects) == ["FetchLogs 2"]
    assert step.state.status is WaveStatus.PAUSED
    assert "broker 2 failed" in step.state.pauses[0].reason


def test_the_host_is_asked_every_two_seconds_while_the_process_leaves() -> None:
    state = stopping()
    assert not ticked(state, 101.0).effects
    step = ticked(state, 102.0)
    assert kinds(step.effects) == ["Observe 2"]
    assert not ticked(step.state, 103.0).effects


def timed_out() -> WaveState:
    return ticked(stopping(start_effect="2.1.start"), 701.0).state


def test_a_stop_that_timed_out_is_started_when_its_process_ends_after_all() -> None:
    step = ticked(timed_out(), 712.0)
    assert kinds(step.effects) == ["Observe 2"]
    step = observed(step.state, 2, 712.1, IS_DOWN)
    assert [command.effect_id for command in step.commands] == ["2.1.start"]
    assert status_of(step, 2) is NodeStatus.FAILED
    step = observed(step.state, 2, 730.0, RUNS_ANEW)
    assert not run_of(step, 2).is_watched


def test_a_late_start_that_fails_is_sent_again() -> None:
    state = observed(timed_out(), 2, 712.0, IS_DOWN).state
    state = ended(state, "2.1.start", 713.0, Outcome.FAILED).state
    step = observed(state, 2, 722.0, IS_DOWN)
    assert [command.effect_id for command in step.commands] == ["2.3.start"]


def test_a_skipped_node_whose_stop_timed_out_is_still_watched() -> None:
    state = reduce(
        timed_out(),
        events.Ordered(at=705.0, verb=events.Verb.SKIP, by="ada", reason="r", node=2),
    ).state
    step = ticked(state, 715.0)
    assert kinds(step.effects) == ["Observe 2"]
    assert kinds(observed(step.state, 2, 716.0, IS_DOWN).effects) == ["StartService 2"]


# --- Starting ------------------------------------------------------------------------------------


def test_a_start_that_failed_is_sent_again_after_a_while() -> None:
    state = starting(command="2.1.start")
    step = ended(state, "2.1.start", 101.0, Outcome.FAILED)
    assert kinds(step.effects) == ["Observe 2"]
    assert not observed(step.state, 2, 102.0, IS_DOWN).effects
    step = observed(step.state, 2, 105.0, IS_DOWN)
    assert [command.effect_id for command in step.commands] == ["2.2.start"]
    assert run_of(step, 2).since == 100.0
    assert run_of(step, 2).starting_since == 100.0


def test_a_start_that_hangs_leaves_time_for_others() -> None:
    step = observed(starting(), 2, 106.0, IS_DOWN)
    (effect,) = step.commands
    assert effect.timeout_seconds < 600 / 2
    assert not observed(step.state, 2, 150.0, IS_DOWN).effects
    step = ended(step.state, effect, 256.0, Outcome.UNKNOWN)
    assert kinds(observed(step.state, 2, 257.0, IS_DOWN).effects) == ["StartService 2"]


def test_a_node_that_does_not_start_in_time_fails_with_its_last_words() -> None:
    step = ticked(starting(detail="exit code 1"), 701.0)
    assert status_of(step, 2) is NodeStatus.FAILED
    assert kinds(step.effects) == ["FetchLogs 2"]
    (pause,) = step.state.pauses
    assert pause.node == 2
    assert "exit code 1" in pause.reason
    assert "node_failed" in notes(step)


def test_within_its_budget_a_failure_does_not_pause_but_its_broker_holds_the_gate() -> None:
    state = starting()
    state = replace(state, policy=replace(state.policy, max_failed_brokers=1))
    state = ticked(state, 701.0).state
    assert not state.is_paused
    step = clean(
        state,
        at=800.0,
        brokers=brokers(b2={"alive": False}),
        topics=(a_topic(partitions=[a_partition(isr=(1, 3))]),),
    )
    assert not step.effects
    assert "BROKER_DOWN broker:2" in codes(step)


def test_the_old_process_after_a_start_is_a_failure() -> None:
    step = observed(starting(), 2, 105.0, RUNS)
    assert status_of(step, 2) is NodeStatus.FAILED
    assert run_of(step, 2).is_watched


def test_a_process_without_a_start_time_proves_nothing() -> None:
    step = observed(starting(), 2, 105.0, HostState(is_running=True))
    assert status_of(step, 2) is NodeStatus.STARTING
    assert run_of(step, 2).detail


def test_a_host_that_cannot_be_asked_changes_nothing() -> None:
    for state in (stopping(), starting(), recovering()):
        step = observed(state, 2, 105.0, UNKNOWN)
        assert not step.effects
        assert run_of(step, 2).status is run_of(state, 2).status
        assert run_of(step, 2).detail == "no route to host"


# --- Recovering ----------------------------------------------------------------------------------

FRESH = dict.fromkeys(snapshot_at(0).effective_ages, 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"brokers": brokers()[:1]}, id="not listed"),
        pytest.param({"brokers": brokers(b2={"alive": False})}, id="not alive"),
        pytest.param({"brokers": brokers(b2={"fenced": True})}, id="fenced"),
        pytest.param({"brokers": brokers(b2={"state": BrokerState.RECOVERY})}, id="recovering"),
        pytest.param({"brokers": brokers(b2={"state": BrokerState.UNKNOWN})}, id="state unknown"),
        pytest.param(
            {"brokers": brokers(b2={"metrics_age_seconds": 11.0})}, id="a page from before"
        ),
        pytest.param({"topics": (a_topic(partitions=[a_partition(isr=(1, 3))]),)}, id="no ISR"),
        pytest.param({"quorum": a_quorum(2)}, id="its voter is behind"),
        pytest.param({"ages": {**FRESH, EvidenceGroup.METADATA: 11.0}}, id="old metadata"),
        pytest.param({"ages": {**FRESH, EvidenceGroup.QUORUM: 11.0}}, id="an old quorum"),
    ],
)
def test_it_is_not_back_while(changes: dict[str, Any]) -> None:
    step = seen(recovering(), 110.0, **changes)
    assert not step.commands
    assert status_of(step, 2) is NodeStatus.RECOVERING
    assert run_of(step, 2).detail


def test_when_it_is_back_it_gets_its_leaders_once_and_then_soaks() -> None:
    step = seen(recovering(), 110.0)
    (effect,) = step.effects
    assert isinstance(effect, ElectLeaders)
    assert effect.timeout_seconds == 30
    assert not seen(step.state, 112.0).effects
    for outcome in Outcome:
        soaking = ended(step.state, effect, 113.0, outcome)
        assert status_of(soaking, 2) is NodeStatus.SOAKING
        assert soaking.state.soak_since == 113.0
        assert soaking.state.clean.snapshots == 0


def test_a_late_answer_of_an_election_moves_no_node_that_was_skipped() -> None:
    step = seen(recovering(is_overdue=True), 110.0)
    skipped = reduce(
        step.state,
        events.Ordered(at=111.0, verb=events.Verb.SKIP, by="ada", reason="r", node=2),
    )
    assert status_of(ended(skipped.state, "2.2.elect", 112.0), 2) is NodeStatus.SKIPPED


def test_a_process_that_ends_while_its_broker_recovers_is_started_again() -> None:
    step = observed(recovering(), 2, 120.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    assert run_of(step, 2).starting_since == 100.0


def test_the_recovery_time_out_runs_from_starting_and_its_pause_names_the_broker() -> None:
    state = recovering(since=1000.0, starting_since=100.0, detail="out of the ISR")
    assert not ticked(state, 1900.0).state.is_paused
    step = ticked(state, 1901.0)
    assert kinds(step.effects) == ["FetchLogs 2"]
    assert step.state.status is WaveStatus.PAUSED
    assert step.state.pauses[0].node == 2
    assert "broker 2 is not back after 1800 s: out of the ISR" in step.state.pauses[0].reason
    assert status_of(step, 2) is NodeStatus.RECOVERING
    assert len(ticked(step.state, 5000.0).state.pauses) == 1


def test_the_recovery_time_out_runs_while_it_starts_too() -> None:
    state = starting()
    state = replace(state, policy=replace(state.policy, recovery_timeout_seconds=200))
    assert ticked(state, 301.0).state.is_paused
    assert status_of(ticked(state, 301.0), 2) is NodeStatus.STARTING


def test_an_overdue_node_that_comes_back_goes_on_but_nothing_new_is_taken() -> None:
    state = ticked(recovering(starting_since=100.0), 1901.0).state
    step = seen(state, 1910.0)
    assert kinds(step.effects) == ["ElectLeaders 2"]
    state = ended(step.state, "2.2.elect", 1911.0).state
    step = clean(state, at=1960.0)
    assert status_of(step, 2) is NodeStatus.DONE
    assert not step.effects
    assert step.state.status is WaveStatus.PAUSED


# --- Soaking -------------------------------------------------------------------------------------


def soaking(**changes: Any) -> WaveState:
    return one(a_run(2, NodeStatus.SOAKING, **changes), soak_since=100.0, last_change=100.0)


def test_a_broker_that_leaves_an_isr_in_its_soak_recovers_once_more() -> None:
    step = seen(soaking(), 110.0, topics=(a_topic(partitions=[a_partition(isr=(1, 3))]),))
    assert status_of(step, 2) is NodeStatus.RECOVERING
    assert run_of(step, 2).starting_since == 100.0
    assert step.state.soak_since is None
    assert step.state.clean.snapshots <= 1
    assert kinds(seen(step.state, 125.0).effects) == ["ElectLeaders 2"]


def test_a_lost_exporter_is_no_relapse() -> None:
    step = seen(soaking(), 150.0, brokers=brokers(b2={"metrics_age_seconds": 50.0}))
    assert status_of(step, 2) is NodeStatus.SOAKING


def test_a_soak_that_cannot_end_pauses_with_what_is_in_the_way() -> None:
    state = seen(soaking(starting_since=90.0), 1890.0, reassignments=1).state
    step = ticked(state, 1891.0)
    assert step.state.status is WaveStatus.PAUSED
    assert "REASSIGNMENT cluster:payments" in step.state.pauses[0].reason


def test_a_clean_soak_that_began_in_time_may_end_after_the_recovery_time_out() -> None:
    state = soaking(starting_since=90.0)
    state = replace(state, policy=replace(state.policy, soak_seconds=5000.0))
    for at in range(1800, 5100, 15):
        state = ticked(seen(state, float(at)).state, at + 1.0).state
        assert not state.is_paused
    assert status_of(seen(state, 5100.0), 2) is NodeStatus.DONE


def test_a_soak_that_nothing_is_seen_of_for_the_whole_time_out_pauses() -> None:
    state = seen(soaking(starting_since=90.0), 1880.0).state
    assert not ticked(state, 3680.0).state.is_paused
    assert ticked(state, 3681.0).state.is_paused


def test_a_soak_that_begins_again_after_the_recovery_time_out_pauses() -> None:
    state = seen(soaking(starting_since=90.0), 1880.0).state
    state = seen(state, 1900.0, reassignments=1).state
    assert ticked(state, 1901.0).state.is_paused
    state = seen(state, 1910.0).state
    assert ticked(state, 1911.0).state.is_paused


def test_an_unknown_command_that_ends_changes_nothing() -> None:
    state = starting(command="2.2.start")
    step = ended(state, "2.1.start", 105.0, Outcome.FAILED)
    assert not step.effects
    assert run_of(step, 2).command == "2.2.start"


def test_the_last_log_lines_are_kept_for_the_report() -> None:
    step = reduce(a_wave(), events.LogsSeen(at=1.0, node=2, text="OutOfMemoryError"))
    assert step.notes[0].detail == "OutOfMemoryError"
