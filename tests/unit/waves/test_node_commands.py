"""What is sent to the host of a node, what is written beside it, and what the story tells."""

from dataclasses import replace
from typing import Any

import pytest
from support.waves import (
    IS_DOWN,
    NEW,
    OLD,
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
    seen,
    status_of,
    ticked,
)

from healthd.safety.clean_run import CleanRun
from healthd.waves.effects import FetchLogs, Observe, StartService, Step, StopService
from healthd.waves.events import HostState, Outcome, Resumed
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeRun, NodeStatus, WaveState

STOP_SECONDS, START_SECONDS = 450.0, 320.0
"""Unlike what they are by default, and unlike each other."""


def one(run: NodeRun, *others: NodeRun | int, **changes: Any) -> WaveState:
    """A wave with one node on its way, and others beside it."""
    state = a_wave(run, *(others or (1, 3, 4)), **changes)
    policy = replace(
        state.policy, stop_timeout_seconds=STOP_SECONDS, start_timeout_seconds=START_SECONDS
    )
    return replace(state, policy=policy)


def told(step: Step) -> list[tuple[str, int | None, str]]:
    return [(note.event, note.node, note.detail) for note in step.notes]


BESIDE = a_run(3, NodeStatus.SOAKING, soak_since=90.0, soak=CleanRun(snapshots=2, since=90.0))
"""A node whose soak goes on, or begins again."""
COUNTED = CleanRun(snapshots=9, since=1.0)


def beside(step: Step) -> float | None:
    """Since when the node beside it has soaked."""
    return run_of(step, 3).soak_since


def is_void(step: Step, at: float) -> bool:
    """Whether older evidence, and the clean time of the wave, no longer count."""
    return step.state.clean == CleanRun() and step.state.last_change == at


# --- The stop ------------------------------------------------------------------------------------


def test_a_second_try_knows_nothing_of_the_first() -> None:
    before = a_run(
        2,
        NodeStatus.PENDING,
        attempt=3,
        started_before=OLD,
        started_after=NEW,
        starting_since=50.0,
        is_stop_due=True,
        is_overdue=True,
        is_watched=True,
        observed_at=60.0,
    )
    step = confirmed(clean(one(before)).state, 2, 201.0, RUNS)
    run = run_of(step, 2)
    assert step.effects == (
        StopService(
            node=2, effect_id="2.4.stop", start_effect_id="2.4.start", timeout_seconds=STOP_SECONDS
        ),
    )
    assert (run.status, run.since, run.attempt) == (NodeStatus.STOPPING, 201.0, 4)
    assert (run.command, run.command_at, run.start_effect) == ("2.4.stop", 201.0, "2.4.start")
    assert (run.started_before, run.started_after, run.starting_since) == (OLD, None, None)
    assert (run.is_stop_due, run.is_overdue, run.is_watched) == (False, False, False)
    assert run.observed_at == 201.0
    assert is_void(step, 201.0)
    assert ("node_stopping", 2, "") in told(step)


def due() -> WaveState:
    """A daemon has died with a stop under way; its process runs still."""
    run = a_run(2, NodeStatus.STOPPING, command="2.1.stop", command_at=100.0)
    state = reduce(one(run), Resumed(at=150.0)).state
    return clean(observed(state, 2, 150.5, RUNS).state).state


def test_a_stop_that_is_sent_again_has_a_new_id_and_its_whole_time() -> None:
    step = confirmed(due(), 2, 201.0, RUNS)
    run = run_of(step, 2)
    assert step.effects == (
        StopService(
            node=2, effect_id="2.2.stop", start_effect_id="2.2.start", timeout_seconds=STOP_SECONDS
        ),
    )
    assert (run.attempt, run.since, run.command_at) == (2, 201.0, 201.0)
    assert (run.command, run.start_effect) == ("2.2.stop", "2.2.start")
    assert told(step) == [("stop_sent_again", 2, "its process still runs")]
    assert is_void(step, 201.0)


def test_a_stop_that_was_not_sent_says_so_and_its_host_may_be_asked_at_once() -> None:
    state = one(a_run(2, NodeStatus.STOPPING, command="2.1.stop", command_at=100.0))
    step = ended(state, "2.1.stop", 110.0, Outcome.NOT_SENT)
    run = run_of(step, 2)
    assert (run.status, run.since) == (NodeStatus.PENDING, 110.0)
    assert (run.command, run.observed_at) == (None, None)
    assert run.detail == "its stop was not sent: it was not sent"
    assert told(step) == [
        ("command_ended", 2, "it was not sent"),
        ("node_pending", 2, "its stop was not sent: it was not sent"),
    ]


def test_a_stop_that_came_to_its_host_is_not_sent_a_second_time() -> None:
    state = confirmed(due(), 2, 201.0, RUNS).state
    assert run_of(state, 2).is_stop_due
    for outcome in (Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN):
        assert run_of(ended(state, "2.2.stop", 205.0, outcome), 2).is_stop_due is False


def test_a_stop_that_was_not_sent_gives_nobody_back_who_is_not_being_stopped() -> None:
    state = one(a_run(2, NodeStatus.RECOVERING, command="2.1.stop"))
    step = ended(state, "2.1.stop", 110.0, Outcome.NOT_SENT)
    assert status_of(step, 2) is NodeStatus.RECOVERING
    assert step.effects == (Observe(node=2),)


@pytest.mark.parametrize("outcome", Outcome)
def test_the_end_of_a_command_is_told_with_its_id_and_how_it_ended(outcome: Outcome) -> None:
    state = one(a_run(2, NodeStatus.STARTING, command="2.1.start", detail="as it was"))
    step = ended(state, "2.1.start", 110.0, outcome)
    (note,) = step.notes
    assert (note.event, note.node) == ("command_ended", 2)
    assert note.data == {"effect": "2.1.start", "outcome": outcome.value}
    assert step.effects == (Observe(node=2),)
    run = run_of(step, 2)
    assert (run.command, run.observed_at) == (None, 110.0)
    assert run.detail == ("as it was" if outcome is Outcome.OK else f"it was {outcome.value}")


def test_after_its_election_a_node_soaks_and_both_are_told() -> None:
    state = one(a_run(2, NodeStatus.RECOVERING, command="2.2.elect"))
    step = ended(state, "2.2.elect", 120.0, Outcome.FAILED)
    run = run_of(step, 2)
    assert (run.status, run.since, run.command) == (NodeStatus.SOAKING, 120.0, None)
    assert told(step) == [("command_ended", 2, "it was failed"), ("node_soaking", 2, "")]
    assert step.effects == ()


@pytest.mark.parametrize("status", [NodeStatus.SKIPPED, NodeStatus.SOAKING])
def test_an_election_that_ends_late_is_told_and_moves_nobody(status: NodeStatus) -> None:
    state = one(a_run(2, status, command="2.2.elect", soak_since=100.0))
    step = ended(state, "2.2.elect", 120.0)
    run = run_of(step, 2)
    assert (run.status, run.since, run.command) == (status, 100.0, None)
    assert told(step) == [("command_ended", 2, "")]
    assert step.effects == ()


# --- The start -----------------------------------------------------------------------------------


def test_a_process_that_left_is_started_with_the_id_that_was_written_with_its_stop() -> None:
    run = a_run(2, NodeStatus.STOPPING, start_effect="2.1.start", is_stop_due=True, attempt=1)
    step = observed(one(run, BESIDE, clean=COUNTED), 2, 105.0, IS_DOWN)
    now = run_of(step, 2)
    assert step.effects == (
        StartService(node=2, effect_id="2.1.start", timeout_seconds=START_SECONDS / 4),
    )
    assert (now.attempt, now.command, now.command_at) == (1, "2.1.start", 105.0)
    assert (now.start_effect, now.is_stop_due, now.is_watched) == (None, False, False)
    assert now.starting_since == 105.0
    assert told(step) == [("node_stopped", 2, "its process has left"), ("node_starting", 2, "")]
    assert is_void(step, 105.0)
    assert beside(step) == 90.0  # It was taken in its turn.


def test_a_repair_that_is_started_begins_every_soak_again() -> None:
    run = a_run(2, NodeStatus.STOPPING, start_effect="2.1.start", repair=True)
    step = observed(one(run, BESIDE), 2, 105.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    assert beside(step) is None


@pytest.mark.parametrize(
    ("sent_at", "asked_at", "is_sent"),
    [(100.0, 104.9, False), (100.0, 105.0, True), (None, 100.5, True)],
)
def test_a_start_is_sent_again_five_seconds_after_the_last(
    sent_at: float | None, asked_at: float, *, is_sent: bool
) -> None:
    run = a_run(2, NodeStatus.STARTING, attempt=1, command_at=sent_at, starting_since=95.0)
    step = observed(one(run), 2, asked_at, IS_DOWN)
    assert [each.effect_id for each in step.commands] == (["2.2.start"] if is_sent else [])
    assert run_of(step, 2).attempt == (2 if is_sent else 1)
    assert run_of(step, 2).starting_since == 95.0
    assert not step.notes  # It is in the same status.


def test_no_start_is_sent_while_another_is_under_way() -> None:
    run = a_run(2, NodeStatus.STARTING, command="2.1.start", command_at=100.0)
    assert not observed(one(run), 2, 190.0, IS_DOWN).effects


@pytest.mark.parametrize("repair", [False, True])
def test_a_new_process_ends_the_start_and_voids_what_was_seen_before(*, repair: bool) -> None:
    run = a_run(
        2,
        NodeStatus.STARTING,
        command="2.1.start",
        start_effect="2.2.start",
        is_stop_due=True,
        is_watched=True,
        starting_since=95.0,
        repair=repair,
    )
    step = observed(one(run, BESIDE, clean=COUNTED), 2, 120.0, RUNS_ANEW)
    now = run_of(step, 2)
    assert (now.status, now.since) == (NodeStatus.RECOVERING, 120.0)
    assert (now.started_before, now.started_after) == (OLD, NEW)
    assert (now.command, now.start_effect, now.starting_since) == (None, None, 95.0)
    assert (now.is_stop_due, now.is_watched) == (False, False)
    assert told(step) == [("node_recovering", 2, "new process, started process 2")]
    assert is_void(step, 120.0)
    assert beside(step) == (None if repair else 90.0)


def test_a_restart_that_nobody_saw_begin_has_its_recovery_time_from_then() -> None:
    run = a_run(2, NodeStatus.STOPPING, starting_since=None)
    assert run_of(observed(one(run), 2, 120.0, RUNS_ANEW), 2).starting_since == 120.0


def test_a_process_that_ends_while_it_recovers_is_told_and_is_started_again() -> None:
    run = a_run(2, NodeStatus.RECOVERING, attempt=1)
    step = observed(one(run), 2, 120.0, IS_DOWN)
    assert [each.effect_id for each in step.commands] == ["2.2.start"]
    assert told(step) == [("node_starting", 2, "its process ended while it recovered")]
    assert run_of(step, 2).since == 120.0
    busy = replace(run, command="2.2.elect")
    assert not observed(one(busy), 2, 120.0, IS_DOWN).effects


def test_a_process_that_was_started_once_more_while_it_recovers_is_the_one_that_is_known() -> None:
    state = one(a_run(2, NodeStatus.RECOVERING))
    for host, known in (
        (HostState(is_running=True, start="process 3"), "process 3"),
        (HostState(is_running=True), NEW),
        (RUNS_ANEW, NEW),
    ):
        step = observed(state, 2, 120.0, host)
        assert run_of(step, 2).started_after == known
        assert status_of(step, 2) is NodeStatus.RECOVERING
        assert not step.effects


# --- What takes too long -------------------------------------------------------------------------


def test_a_stop_has_its_whole_time_and_what_its_host_said_is_told() -> None:
    state = one(a_run(2, NodeStatus.STOPPING, observed_at=None))
    assert kinds(ticked(state, 100.0 + STOP_SECONDS).effects) == ["Observe 2"]
    said = "its process did not end within 450 s of the stop"
    step = ticked(state, 100.5 + STOP_SECONDS)
    assert step.effects == (FetchLogs(node=2),)
    assert told(step)[0] == ("node_failed", 2, f"{said}; it is watched")
    assert run_of(step, 2).is_watched
    spoken = state.with_node(replace(run_of(state, 2), detail="no route to host"))
    step = ticked(spoken, 100.5 + STOP_SECONDS)
    assert told(step)[0] == ("node_failed", 2, f"{said}: no route to host; it is watched")


def test_a_start_has_its_whole_time_and_its_last_words_are_told() -> None:
    state = one(a_run(2, NodeStatus.STARTING, observed_at=None))
    assert kinds(ticked(state, 100.0 + START_SECONDS).effects) == ["Observe 2"]
    step = ticked(state, 100.5 + START_SECONDS)
    said = "its process was not running within 320 s"
    assert told(step)[0] == ("node_failed", 2, f"{said}: no answer")
    assert not run_of(step, 2).is_watched
    spoken = state.with_node(replace(run_of(state, 2), detail="exit code 1"))
    step = ticked(spoken, 100.5 + START_SECONDS)
    assert told(step)[0] == ("node_failed", 2, f"{said}: exit code 1")


@pytest.mark.parametrize(
    ("status", "every"),
    [
        (NodeStatus.STOPPING, 2.0),
        (NodeStatus.STOPPED, 2.0),
        (NodeStatus.STARTING, 2.0),
        (NodeStatus.RECOVERING, 10.0),
        (NodeStatus.FAILED, 10.0),
    ],
)
def test_a_host_is_asked_in_time_and_not_before(status: NodeStatus, every: float) -> None:
    run = a_run(2, status, observed_at=100.0, is_watched=status is NodeStatus.FAILED)
    state = one(run)
    assert not ticked(state, 100.0 + every - 0.1).effects
    step = ticked(state, 100.0 + every)
    assert step.effects == (Observe(node=2),)
    assert run_of(step, 2).observed_at == 100.0 + every
    never = state.with_node(replace(run, observed_at=None))
    assert ticked(never, 100.1).effects == (Observe(node=2),)


@pytest.mark.parametrize("status", [NodeStatus.PENDING, NodeStatus.SOAKING, NodeStatus.FAILED])
def test_nobody_asks_a_host_that_nothing_is_awaited_from(status: NodeStatus) -> None:
    assert not ticked(one(a_run(2, status, observed_at=None)), 150.0).effects


def test_a_recovery_that_takes_too_long_is_told_with_its_last_words() -> None:
    state = one(a_run(2, NodeStatus.RECOVERING, observed_at=1900.0))
    assert not ticked(state, 1900.0).notes
    step = ticked(state, 1900.5)
    said = "broker 2 is not back after 1800 s"
    assert told(step)[0] == ("wave_paused", 2, f"{said}: no evidence")
    (pause,) = step.state.pauses
    assert (pause.by, pause.reason, pause.since, pause.node) == (
        "healthd", f"{said}: no evidence", 1900.5, 2,
    )  # fmt: skip
    assert step.effects == (FetchLogs(node=2),)
    assert run_of(step, 2).is_overdue
    spoken = state.with_node(replace(run_of(state, 2), detail="it is fenced"))
    assert told(ticked(spoken, 1900.5))[0] == ("wave_paused", 2, f"{said}: it is fenced")


def test_without_the_time_of_its_start_the_recovery_counts_from_its_status() -> None:
    run = a_run(2, NodeStatus.RECOVERING, at=500.0, starting_since=None, observed_at=2300.0)
    assert not ticked(one(run), 2300.0).state.is_paused
    assert ticked(one(run), 2300.5).state.is_paused


def test_a_soak_that_takes_too_long_names_the_first_three_that_are_in_the_way() -> None:
    state = one(a_run(2, NodeStatus.SOAKING), soak_since=100.0)
    lame = {
        "unreachable": True,
        "reassignments": 1,
        "quorum": None,
        "unclean_elections_24h": None,
    }
    state = seen(state, 1895.0, **lame).state
    held = [f"{hold.reason.code.value} {hold.reason.object}" for hold in state.holds]
    assert len(held) > 3
    step = ticked(state, 1900.5)
    said = "broker 2 is not through its soak 1800 s after its start: " + ", ".join(held[:3])
    assert told(step)[0] == ("wave_paused", 2, said)
    assert step.state.pauses[0].reason == said


# --- What the host says --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [NodeStatus.STOPPING, NodeStatus.STARTING])
def test_a_host_that_says_nothing_new_leaves_the_last_words(status: NodeStatus) -> None:
    state = one(a_run(2, status, detail="exit code 1", command="x"))
    assert run_of(observed(state, 2, 105.0, UNKNOWN), 2).detail == "no route to host"
    silent = HostState(is_running=None)
    assert run_of(observed(state, 2, 105.0, silent), 2).detail == "exit code 1"


def test_the_old_process_after_a_start_fails_its_node_by_its_start_time() -> None:
    step = observed(one(a_run(2, NodeStatus.STARTING)), 2, 105.0, RUNS)
    said = "its process is still the old one, started process 1"
    assert told(step)[0] == ("node_failed", 2, said)
    assert step.state.pauses[0].reason == f"broker 2 failed: {said}"


def test_a_process_without_a_start_time_is_told_to_prove_nothing() -> None:
    step = observed(one(a_run(2, NodeStatus.STARTING)), 2, 105.0, HostState(is_running=True))
    assert run_of(step, 2).detail == "its start time is not known"


def test_a_broker_that_soaks_is_not_moved_by_what_its_host_says() -> None:
    state = one(a_run(2, NodeStatus.SOAKING), soak_since=100.0)
    for host in (IS_DOWN, RUNS, RUNS_ANEW):
        step = observed(state, 2, 105.0, host)
        assert not step.effects
        assert status_of(step, 2) is NodeStatus.SOAKING


# --- A stop that ends late -----------------------------------------------------------------------


def late(**changes: Any) -> NodeRun:
    plain: Any = {"is_watched": True, "attempt": 1, "command_at": 100.0}
    return replace(a_run(2, NodeStatus.FAILED), **(plain | changes))


def test_a_late_stop_is_started_with_the_id_that_was_written_for_it() -> None:
    state = one(late(start_effect="2.1.start"), BESIDE, clean=COUNTED)
    step = observed(state, 2, 800.0, IS_DOWN)
    now = run_of(step, 2)
    assert step.effects == (
        StartService(node=2, effect_id="2.1.start", timeout_seconds=START_SECONDS / 4),
    )
    assert (now.status, now.command, now.command_at) == (NodeStatus.FAILED, "2.1.start", 800.0)
    assert (now.attempt, now.start_effect, now.is_watched) == (2, None, True)
    assert ("late_stop_started_again", 2, "its process ended late") in told(step)
    assert is_void(step, 800.0)
    assert beside(step) is None  # Nobody expected it: every soak begins again.


def test_a_late_start_is_sent_again_five_seconds_after_the_last_and_not_beside_it() -> None:
    assert not observed(one(late()), 2, 104.9, IS_DOWN).effects
    assert [each.effect_id for each in observed(one(late()), 2, 105.0, IS_DOWN).commands] == [
        "2.2.start"
    ]
    assert kinds(observed(one(late(command_at=None)), 2, 101.0, IS_DOWN).effects) == [
        "StartService 2"
    ]
    assert not observed(one(late(command="2.1.start")), 2, 800.0, IS_DOWN).effects


def test_a_late_stop_of_a_node_that_waits_again_is_started_and_watched_no_more() -> None:
    waits = late(status=NodeStatus.PENDING, start_effect=None)
    step = observed(one(waits), 2, 800.0, IS_DOWN)
    run = run_of(step, 2)
    assert [each.effect_id for each in step.commands] == ["2.2.start"]
    assert (run.status, run.attempt, run.is_watched) == (NodeStatus.STARTING, 2, False)


def test_a_late_stop_whose_process_still_runs_is_left_alone() -> None:
    step = observed(one(late()), 2, 800.0, RUNS)
    assert not step.effects
    assert run_of(step, 2).is_watched


def test_a_late_stop_that_came_back_is_told_and_watched_no_more() -> None:
    step = observed(one(late()), 2, 800.0, RUNS_ANEW)
    assert not step.effects
    assert run_of(step, 2).is_watched is False
    assert told(step) == [("late_stop_recovered", 2, "its process runs again")]


def test_a_node_that_failed_otherwise_is_not_started() -> None:
    assert not observed(one(late(is_watched=False)), 2, 800.0, IS_DOWN).effects
