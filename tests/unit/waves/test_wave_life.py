"""The life of a wave: how it begins, is taken up again, holds, pauses and ends."""

from dataclasses import replace
from typing import Any

import pytest
from support.step_playbooks import a_restart, a_step
from support.waves import (
    IS_DOWN,
    QUICK,
    RUNS,
    RUNS_ANEW,
    a_run,
    a_wave,
    clean,
    codes,
    ended,
    kinds,
    observed,
    ordered,
    run_of,
    seen,
    status_of,
    ticked,
)

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.safety.clean_run import CleanRun
from healthd.waves import events
from healthd.waves.effects import Step
from healthd.waves.events import Event, Verb
from healthd.waves.reducer import reduce
from healthd.waves.state import Hold, NodeRun, NodeStatus, Pause, WaveStatus
from healthd.waves.step_run import NodeSteps, StepPhase

BY_ADA = Pause(by="ada", reason="lunch", since=1.0)
LOST = Reason(code=ReasonCode.LEASE_LOST, object="cluster:payments", detail="taken by another")
SOAKS = Reason(code=ReasonCode.SOAKING, object="broker:3", detail="3 of 30 s of clean soak")
HELD = (Hold(reason=LOST, since=7.0),)
SHORT = "NOT_CLEAN_LONG_ENOUGH cluster:payments"


def told(step: Step) -> list[tuple[str, int | None, str]]:
    return [(note.event, note.node, note.detail) for note in step.notes]


# --- Time ----------------------------------------------------------------------------------------


def test_a_wave_keeps_the_latest_time_of_its_clock_and_of_the_day() -> None:
    state = reduce(a_wave(), events.Ticked(at=10.0, wall=1_000.0)).state
    assert (state.clock, state.wall) == (10.0, 1_000.0)
    state = reduce(state, events.Ticked(at=8.0)).state
    assert (state.clock, state.wall) == (10.0, 1_000.0)
    state = reduce(state, events.Ticked(at=12.0, wall=900.0)).state
    assert (state.clock, state.wall) == (12.0, 900.0)


def test_the_time_in_which_it_held_is_counted_by_what_held_it() -> None:
    state = a_wave(status=WaveStatus.HOLDING, holds=HELD, clock=10.0)
    state = reduce(state, events.Ticked(at=25.0)).state
    assert state.tally.closed_seconds == (("LEASE_LOST", 15.0),)


# --- How it begins -------------------------------------------------------------------------------


def test_a_wave_begins_with_its_reason_and_waits_for_its_clean_run() -> None:
    step = reduce(a_wave(status=WaveStatus.PLANNED), events.Began(at=5.0))
    assert step.state.status is WaveStatus.RUNNING
    assert told(step) == [("wave_started", None, "CHG-1")]
    assert codes(step) == [SHORT]
    assert step.state.holds[0].since == 5.0


def test_what_is_planned_stays_planned_whatever_is_seen() -> None:
    step = ticked(a_wave(status=WaveStatus.PLANNED, holds=HELD), 10.0)
    assert step.state.status is WaveStatus.PLANNED
    assert step.notes == ()


# --- How it is taken up again --------------------------------------------------------------------


def test_a_daemon_that_takes_it_up_knows_of_no_look_command_or_clean_time() -> None:
    stopping = a_run(2, NodeStatus.STOPPING, command="2.1.stop", command_at=100.0)
    recovering = a_run(3, NodeStatus.RECOVERING, command="3.2.elect", command_at=110.0)
    state = a_wave(
        stopping,
        recovering,
        a_run(4, NodeStatus.SOAKING, soak_since=100.0),
        concurrency=None,
        candidates=(1,),
        last_look=(LOST,),
        clean=CleanRun(snapshots=5, since=1.0),
        is_draining=True,
        last_change=120.0,
        holds=(*HELD, Hold(reason=SOAKS, since=8.0)),
    )
    step = reduce(state, events.Resumed(at=150.0))
    after = step.state
    assert kinds(step.effects) == ["Observe 2", "Observe 3", "Observe 4"]
    assert told(step)[0] == ("wave_resumed_by_daemon", None, "3 nodes are observed first")
    assert (after.candidates, after.last_look, after.clean) == ((), (), CleanRun())
    assert (after.is_draining, after.last_change) == (False, 150.0)
    for node, since, is_due in ((2, 150.0, True), (3, 100.0, False)):
        run = run_of(after, node)
        assert (run.command, run.command_at, run.observed_at) == (None, None, 150.0)
        assert (run.since, run.is_stop_due) == (since, is_due)
    assert run_of(after, 4).soak_since == 150.0
    assert codes(after) == [
        "LEASE_LOST cluster:payments",
        "BROKER_IN_FLIGHT broker:2",
        "BROKER_IN_FLIGHT broker:3",
        "SOAKING broker:4",
        SHORT,
    ]
    assert {hold.since for hold in after.holds} == {150.0}


def test_a_change_that_is_later_than_the_clock_stays_the_last() -> None:
    assert reduce(a_wave(last_change=180.0), events.Resumed(at=150.0)).state.last_change == 180.0


def test_a_step_that_was_under_way_is_asked_for_when_it_is_taken_up() -> None:
    steps = NodeSteps(at=0, phase=StepPhase.RUNNING, since=90.0, effect="2.1.step")
    run = a_run(2, NodeStatus.PREPARING, steps=steps)
    state = a_wave(run, 3, playbook=a_restart(before=(a_step("upload"),)))
    step = reduce(state, events.Resumed(at=150.0))
    assert kinds(step.effects) == ["Observe 2", "ObserveStep 2"]
    assert run_of(step, 2).steps.asked_at == 150.0


def test_a_pause_is_not_told_again_when_its_wave_is_taken_up() -> None:
    step = reduce(a_wave(status=WaveStatus.PAUSED, pauses=(BY_ADA,)), events.Resumed(at=150.0))
    assert step.state.status is WaveStatus.PAUSED
    assert [note.event for note in step.notes] == ["wave_resumed_by_daemon"]


def test_nobody_is_observed_who_is_not_on_the_way() -> None:
    step = reduce(a_wave(a_run(1, NodeStatus.DONE), 2), events.Resumed(at=150.0))
    assert step.effects == ()
    assert told(step)[0][2] == "0 nodes are observed first"


# --- What is told beside it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.LogsSeen(at=1.0, node=2, text="OutOfMemoryError"), ("logs_seen", 2)),
        (
            events.Noted(at=1.0, what="silence_not_made", node=3, detail="OutOfMemoryError"),
            ("silence_not_made", 3),
        ),
    ],
)
def test_what_is_known_beside_it_is_told_and_changes_nothing(
    event: Event, expected: tuple[str, int]
) -> None:
    step = reduce(a_wave(), event)
    assert told(step) == [(*expected, "OutOfMemoryError")]
    assert step.effects == ()
    assert step.state.nodes == a_wave().nodes


def test_a_daemon_that_shuts_down_tells_it_and_withdraws_its_candidates() -> None:
    step = reduce(a_wave(candidates=(2,)), events.Draining(at=5.0))
    assert told(step) == [("daemon_stopping", None, "")]
    assert step.state.is_draining
    assert step.state.candidates == ()


def test_an_event_that_no_wave_knows_is_a_defect() -> None:
    with pytest.raises(TypeError, match=r"^no event of a wave: Event\("):
        reduce(a_wave(), Event(at=1.0))


@pytest.mark.parametrize(
    "event",
    [
        events.Observed(at=5.0, node=9, host=IS_DOWN),
        events.CommandEnded(at=5.0, node=9, effect_id="9.1.stop", outcome=events.Outcome.OK),
        events.StepObserved(
            at=5.0, node=9, effect_id="9.1.step", step=0, state=events.StepState.DONE
        ),
    ],
)
def test_a_node_that_is_not_in_the_wave_changes_nothing(event: Event) -> None:
    step = reduce(a_wave(), event)
    assert (step.effects, step.notes) == ((), ())
    assert step.state.nodes == a_wave().nodes


def test_the_end_of_a_step_and_that_of_a_command_are_told_apart() -> None:
    steps = NodeSteps(at=0, phase=StepPhase.RUNNING, since=90.0, effect="2.1.step")
    playbook = a_restart(before=(a_step("upload"),))
    run = a_run(2, NodeStatus.PREPARING, steps=steps)
    step = ended(a_wave(run, 3, playbook=playbook), "2.1.step", 110.0)
    assert status_of(step, 2) is NodeStatus.PENDING
    stray = replace(run, steps=replace(steps, effect="2.2.step"))
    step = ended(a_wave(stray, 3, playbook=playbook), "2.1.step", 110.0)
    assert status_of(step, 2) is NodeStatus.PREPARING
    over = replace(run, steps=replace(steps, at=None))
    step = ended(a_wave(over, 3, playbook=playbook), "2.1.step", 110.0)
    assert (step.effects, step.notes) == ((), ())


# --- The journal ---------------------------------------------------------------------------------


def test_a_journal_that_fails_pauses_in_the_name_of_healthd_and_holds_the_wave() -> None:
    step = reduce(a_wave(holds=HELD), events.StoreFailed(at=50.0, detail="disk full"))
    (pause,) = step.state.pauses
    assert (pause.by, pause.reason, pause.since) == ("healthd", "the state file: disk full", 50.0)
    assert [(each.reason, each.since) for each in step.state.holds] == [
        (LOST, 7.0),
        (
            Reason(code=ReasonCode.STORE_UNSAFE, object="wave:w", detail="disk full"),
            50.0,
        ),
    ]
    assert told(step) == [("wave_paused", None, "the state file: disk full")]
    assert step.state.status is WaveStatus.PAUSED


def test_a_journal_that_fails_in_a_pause_is_told_too() -> None:
    paused = a_wave(status=WaveStatus.PAUSED, pauses=(BY_ADA,))
    step = reduce(paused, events.StoreFailed(at=50.0, detail="disk full"))
    assert told(step) == [("wave_paused", None, "the state file: disk full")]


def test_a_journal_that_still_fails_is_not_told_again() -> None:
    state = reduce(a_wave(), events.StoreFailed(at=50.0, detail="disk full")).state
    step = reduce(state, events.StoreFailed(at=60.0, detail="disk full"))
    assert step.notes == ()
    assert step.state.pauses == state.pauses


# --- Its status ----------------------------------------------------------------------------------


def test_a_wave_that_holds_tells_the_first_of_its_reasons() -> None:
    step = seen(a_wave(), 10.0, holds=(LOST,))
    (note,) = [note for note in step.notes if note.event == "wave_holding"]
    assert note.detail == "LEASE_LOST cluster:payments: taken by another"
    assert note.data == {"before": "running"}
    again = seen(step.state, 20.0)
    (note,) = [note for note in again.notes if note.event == "wave_running"]
    assert (note.detail, note.data) == ("", {"before": "holding"})


def test_a_wave_that_is_paused_tells_it_once_with_the_reason() -> None:
    step = ticked(a_wave(a_run(2, NodeStatus.RECOVERING), pauses=(), clean=CleanRun()), 1901.0)
    assert [event for event, _, _ in told(step)] == ["wave_paused"]
    resumed = ticked(a_wave(pauses=(BY_ADA, replace(BY_ADA, reason="tea"))), 10.0)
    (note,) = resumed.notes
    assert (note.event, note.detail, note.data) == ("wave_paused", "tea", {"before": "running"})


def test_a_wave_that_is_paused_is_paused_whatever_holds_it() -> None:
    assert ticked(a_wave(pauses=(BY_ADA,), holds=HELD), 10.0).state.status is WaveStatus.PAUSED
    assert ticked(a_wave(holds=HELD), 10.0).state.status is WaveStatus.HOLDING
    ordinary = (Hold(reason=SOAKS, since=1.0),)
    assert ticked(a_wave(holds=ordinary), 10.0).state.status is WaveStatus.RUNNING


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (NodeStatus.DONE, WaveStatus.SUCCEEDED),
        (NodeStatus.SKIPPED, WaveStatus.SUCCEEDED),
        (NodeStatus.FAILED, WaveStatus.FAILED),
        (NodeStatus.SOAKING, WaveStatus.PAUSED),
        (NodeStatus.PENDING, WaveStatus.PAUSED),
        (NodeStatus.PREPARING, WaveStatus.PAUSED),
    ],
)
def test_a_wave_ends_when_it_is_through_with_every_node_and_leaves_nothing_behind(
    last: NodeStatus, expected: WaveStatus
) -> None:
    run = a_run(2, last) if last is not NodeStatus.PENDING else NodeRun(node=2)
    state = a_wave(a_run(1, NodeStatus.DONE), run, pauses=(BY_ADA,), holds=HELD, candidates=(2,))
    step = ticked(state, 101.0)
    assert step.state.status is expected
    if expected.has_ended:
        assert (step.state.candidates, step.state.holds, step.state.pauses) == ((), (), ())
        assert told(step) == [(f"wave_{expected.value}", None, "")]
        later = seen(step.state, 110.0, reassignments=1)
        assert later.state.status is expected


def test_an_abort_waits_for_whoever_is_not_back_and_not_for_a_soak() -> None:
    for status, is_over in (
        (NodeStatus.PREPARING, False),
        (NodeStatus.STOPPING, False),
        (NodeStatus.STARTING, False),
        (NodeStatus.RECOVERING, False),
        (NodeStatus.SOAKING, True),
        (NodeStatus.DONE, True),
    ):
        state = a_wave(a_run(2, status, observed_at=101.0), 3, abort=BY_ADA)
        assert ticked(state, 101.0).state.status.has_ended is is_over, status


@pytest.mark.parametrize(
    ("changes", "is_over"),
    [
        pytest.param({"is_overdue": True}, True, id="it is not back for too long"),
        pytest.param({"is_overdue": False}, False, id="it has time"),
        pytest.param(
            {"is_overdue": True, "steps": NodeSteps(at=4, effect="2.1.step", since=100.0)},
            False,
            id="a step is under way",
        ),
        pytest.param(
            {"is_overdue": True, "status": NodeStatus.STARTING}, False, id="it does not run"
        ),
    ],
)
def test_an_abort_leaves_only_a_node_that_runs_and_is_overdue(
    changes: dict[str, Any], *, is_over: bool
) -> None:
    run = replace(a_run(2, NodeStatus.RECOVERING, observed_at=101.0), **changes)
    state = a_wave(run, 3, abort=BY_ADA, playbook=a_restart(after=(a_step("smoke"),)))
    assert ticked(state, 101.0).state.status.has_ended is is_over


@pytest.mark.parametrize(("at", "is_over"), [(700.0, False), (700.5, True)])
def test_a_wave_stays_for_a_late_stop_as_long_as_a_stop_may_take(
    at: float, *, is_over: bool
) -> None:
    late = a_run(2, NodeStatus.FAILED, is_watched=True, observed_at=at)
    for state in (a_wave(late), a_wave(late, 3, abort=BY_ADA)):
        assert ticked(state, at).state.status.has_ended is is_over
    policy = replace(QUICK, stop_timeout_seconds=800.0)
    assert not ticked(a_wave(late, policy=policy), at).state.status.has_ended


def test_a_watched_node_that_waits_again_keeps_no_wave_that_is_aborted() -> None:
    waits = a_run(2, NodeStatus.PENDING, is_watched=True, observed_at=101.0)
    assert ticked(a_wave(waits, 3, abort=BY_ADA), 101.0).state.status is WaveStatus.ABORTED


# --- Ticks ---------------------------------------------------------------------------------------


def test_with_every_tick_each_node_on_its_way_has_its_time() -> None:
    runs = [a_run(node, NodeStatus.STARTING, observed_at=100.0) for node in (2, 3)]
    watched = a_run(4, NodeStatus.FAILED, is_watched=True, observed_at=100.0)
    step = ticked(a_wave(*runs, watched, 1, concurrency=None), 110.0)
    assert kinds(step.effects) == ["Observe 2", "Observe 3", "Observe 4"]
    assert ticked(step.state, 111.0).effects == ()


def test_an_answer_for_a_node_that_waits_is_no_answer_for_one_on_its_way() -> None:
    waits = a_run(2, NodeStatus.PENDING, observed_at=100.0)
    assert kinds(observed(a_wave(waits, 3), 2, 105.0, IS_DOWN).effects) == ["StartService 2"]
    assert observed(a_wave(waits, 3), 2, 105.0, RUNS).effects == ()
    starting = a_run(2, NodeStatus.STARTING)
    assert status_of(observed(a_wave(starting, 3), 2, 105.0, RUNS_ANEW), 2) is NodeStatus.RECOVERING


def test_an_order_is_carried_out_and_told() -> None:
    step = ordered(clean(a_wave()).state, Verb.PAUSE, 210.0)
    assert step.notes[0].event == "order_pause"
    assert step.state.status is WaveStatus.PAUSED
