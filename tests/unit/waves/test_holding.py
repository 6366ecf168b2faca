"""Why no node is taken: what is kept of it, since when, and how it is told."""

from typing import Any

import pytest
from support.step_playbooks import a_prompt, a_restart, a_step, beside
from support.waves import QUICK, a_run, a_wave

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.safety.clean_run import CleanRun
from healthd.waves.effects import Step
from healthd.waves.gate import Reading
from healthd.waves.holding import (
    holds_with,
    in_flight,
    index_too_low,
    is_held,
    must_wait,
    not_clean,
    waiting,
    with_gate,
)
from healthd.waves.playbook import GateNeeded
from healthd.waves.state import Hold, NodeRun, NodeStatus, WaveState, WaveStatus
from healthd.waves.step_run import NodeSteps, StepPhase

SOAKING = Reason(code=ReasonCode.SOAKING, object="broker:2", detail="3 of 30 s of clean soak")
SHORT = Reason(code=ReasonCode.NOT_CLEAN_LONG_ENOUGH, object="cluster:payments", detail="1 of 3")
ENOUGH = CleanRun(snapshots=3, since=0.0, last_at=190.0)


def under(number: int, detail: str = "2 of 3 in sync") -> Reason:
    return Reason(
        code=ReasonCode.PARTITION_UNDER_REPLICATED, object=f"orders-{number}", detail=detail
    )


def closed(state: WaveState, at: float, *reasons: Reason) -> Step:
    return with_gate(Step(state=state), reasons, at)


def words(reasons: Any) -> list[str]:
    return [f"{each.code.value} {each.object}: {each.detail}" for each in reasons]


# --- What is kept and told -----------------------------------------------------------------------


def test_a_gate_that_closes_is_told_with_what_is_in_the_way_and_not_with_the_ordinary() -> None:
    step = closed(a_wave(), 10.0, under(0), SOAKING, under(1))
    assert step.state.holds == tuple(
        Hold(reason=reason, since=10.0) for reason in (under(0), SOAKING, under(1))
    )
    (note,) = step.notes
    assert (note.event, note.node) == ("gate_closed", None)
    assert note.detail == "PARTITION_UNDER_REPLICATED orders-0; PARTITION_UNDER_REPLICATED orders-1"
    assert note.data == {
        "reasons": [
            {
                "code": "PARTITION_UNDER_REPLICATED",
                "object": f"orders-{number}",
                "detail": "2 of 3 in sync",
            }
            for number in (0, 1)
        ]
    }


def test_of_many_holds_five_are_named_and_fifty_written_down() -> None:
    (note,) = closed(a_wave(), 10.0, *map(under, range(60))).notes
    assert [each.rpartition(" ")[2] for each in note.detail.split("; ")] == [
        f"orders-{number}" for number in range(5)
    ]
    assert note.data is not None
    assert len(note.data["reasons"]) == 50
    assert len(closed(a_wave(), 10.0, *map(under, range(60))).state.holds) == 60


def test_a_gate_that_opens_but_for_the_ordinary_is_told_as_clear() -> None:
    state = closed(a_wave(), 10.0, under(0)).state
    (note,) = closed(state, 20.0, SOAKING).notes
    assert (note.event, note.detail, note.data) == ("gate_clear", "", {"reasons": []})


def test_what_stands_is_told_once_whatever_its_numbers_and_keeps_its_time() -> None:
    state = closed(a_wave(), 10.0, under(0)).state
    step = closed(state, 20.0, under(0, "1 of 3 in sync"), SOAKING)
    assert step.notes == ()
    assert [(each.reason.detail, each.since) for each in step.state.holds] == [
        ("1 of 3 in sync", 10.0),
        (SOAKING.detail, 20.0),
    ]
    other = closed(step.state, 30.0, under(1))
    assert [note.event for note in other.notes] == ["gate_closed"]
    assert other.state.holds[0].since == 30.0


def test_the_ordinary_course_is_never_told() -> None:
    assert closed(a_wave(), 10.0, SOAKING, SHORT).notes == ()


def test_before_it_begins_a_wave_tells_nothing_of_its_gate() -> None:
    step = closed(a_wave(status=WaveStatus.PLANNED), 10.0, under(0))
    assert step.notes == ()
    assert [hold.reason for hold in step.state.holds] == [under(0)]


def test_the_clean_run_is_another_one_only_where_it_is_given() -> None:
    step = Step(state=a_wave(clean=ENOUGH))
    assert with_gate(step, (under(0),), 10.0).state.clean == ENOUGH
    assert with_gate(step, (under(0),), 10.0, clean=CleanRun()).state.clean == CleanRun()


def test_more_holds_stand_beside_those_that_there_are() -> None:
    state = closed(a_wave(), 10.0, under(0)).state
    assert holds_with(state, (SOAKING,), 20.0) == (
        Hold(reason=under(0), since=10.0),
        Hold(reason=SOAKING, since=20.0),
    )


def test_a_wave_is_held_by_more_than_its_ordinary_course() -> None:
    assert not is_held(closed(a_wave(), 10.0, SOAKING, SHORT).state)
    assert is_held(closed(a_wave(), 10.0, SOAKING, under(0)).state)


# --- The index and the clean run -----------------------------------------------------------------

LOW = Reading(holds=(), repairs=frozenset(), index=50.0)


def test_a_low_index_is_told_with_its_number_and_the_waves_own_minimum() -> None:
    (reason,) = index_too_low(a_wave(), LOW)
    minimum = f"{QUICK.min_health_index:g}"
    assert words([reason]) == [
        f"HEALTH_INDEX_LOW cluster:payments: the Health Index is 50.00, the wave asks for {minimum}"
    ]


def test_an_index_that_fell_in_the_clean_run_is_told_with_both_numbers() -> None:
    falling = a_wave(clean=CleanRun(snapshots=2, since=0.0, highest_index=99.5))
    fell = Reading(holds=(), repairs=frozenset(), index=97.0)
    (reason,) = index_too_low(falling, fell)
    assert (reason.code, reason.object) == (ReasonCode.HEALTH_INDEX_LOW, "cluster:payments")
    assert reason.detail == (
        "the Health Index fell to 97.00 from 99.50 in this clean run, 2 points are allowed"
    )


def test_what_the_clean_run_lacks_is_told_with_its_numbers() -> None:
    state = a_wave(clean=CleanRun(snapshots=2, since=180.0))
    assert words(not_clean(state, 199.0)) == [
        "NOT_CLEAN_LONG_ENOUGH cluster:payments: clean on 2 of 3 snapshots and for 19 of 30 s"
    ]
    assert not_clean(a_wave(clean=CleanRun(snapshots=3, since=180.0)), 210.0) == ()


def test_where_only_leave_to_work_is_asked_for_neither_is() -> None:
    state = a_wave(playbook=beside(gate=GateNeeded.PERMISSION))
    assert index_too_low(state, LOW) == ()
    assert not_clean(state, 0.0) == ()


# --- The nodes that are waited for ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(
            a_run(2, NodeStatus.STARTING),
            ["BROKER_IN_FLIGHT broker:2: starting for 12 s"],
            id="nothing was said of it",
        ),
        pytest.param(
            a_run(2, NodeStatus.RECOVERING, detail="it is fenced"),
            ["BROKER_IN_FLIGHT broker:2: recovering for 12 s: it is fenced"],
            id="with its last words",
        ),
        pytest.param(
            a_run(2, NodeStatus.SOAKING, soak_since=100.0),
            ["SOAKING broker:2: 12 of 30 s of clean soak"],
            id="it soaks",
        ),
        pytest.param(
            a_run(2, NodeStatus.SOAKING, soak_since=None),
            ["SOAKING broker:2: 0 of 30 s of clean soak"],
            id="its soak has yet to begin",
        ),
        pytest.param(a_run(2, NodeStatus.DONE), [], id="it is done"),
        pytest.param(NodeRun(node=2), [], id="it waits"),
    ],
)
def test_a_node_that_is_waited_for_is_told_with_how_far_it_is(
    run: NodeRun, expected: list[str]
) -> None:
    assert words(in_flight(a_wave(1, run), 112.0)) == expected


def test_every_node_that_is_waited_for_is_told() -> None:
    runs = [a_run(2, NodeStatus.STARTING), a_run(3, NodeStatus.RECOVERING)]
    state = a_wave(*runs, a_run(4, NodeStatus.SOAKING, soak_since=100.0), concurrency=None)
    assert [f"{each.code.value} {each.object}" for each in in_flight(state, 112.0)] == [
        "BROKER_IN_FLIGHT broker:2",
        "BROKER_IN_FLIGHT broker:3",
        "SOAKING broker:4",
    ]


def test_a_node_at_a_step_is_told_with_the_step_and_since_when() -> None:
    playbook = a_restart(between=(a_step("patch"),))
    place = [step.name for step in playbook.steps].index("patch")
    steps = NodeSteps(at=place, phase=StepPhase.RUNNING, since=105.0)
    run = a_run(2, NodeStatus.STOPPED, steps=steps, detail="its process has left")
    assert words(in_flight(a_wave(run, playbook=playbook), 112.0)) == [
        "BROKER_IN_FLIGHT broker:2: stopped for 12 s: step 'patch', running for 7 s"
    ]


def test_a_node_that_waits_for_a_person_is_told_with_the_question_and_the_next_one_too() -> None:
    playbook = a_restart(before=(a_prompt("is the rack quiet?"),))
    steps = NodeSteps(at=0, phase=StepPhase.ASKING, since=105.0)
    asks = a_run(2, NodeStatus.PREPARING, steps=steps)
    state = a_wave(asks, a_run(3, NodeStatus.STARTING), playbook=playbook, concurrency=2)
    first, second = in_flight(state, 112.0)
    assert (first.code, first.object) == (ReasonCode.APPROVAL_MISSING, "broker:2")
    assert "is the rack quiet?" in first.detail
    assert words([second]) == ["BROKER_IN_FLIGHT broker:3: starting for 12 s"]


def test_a_soak_that_lasted_and_lacks_snapshots_is_told_when_the_wave_lacks_nothing() -> None:
    few = CleanRun(snapshots=1, since=100.0)
    run = a_run(2, NodeStatus.SOAKING, soak_since=100.0, soak=few)
    state = a_wave(run, 3, clean=CleanRun(snapshots=3, since=100.0))
    assert words(in_flight(state, 140.0)) == [
        "SOAKING broker:2: its soak: clean on 1 of 3 snapshots and for 40 of 30 s"
    ]
    assert words(in_flight(a_wave(run, 3), 140.0)) == []
    through = a_run(
        2, NodeStatus.SOAKING, soak_since=100.0, soak=CleanRun(snapshots=3, since=100.0)
    )
    assert words(in_flight(a_wave(through, 3, clean=few), 130.0)) == []


def test_nodes_and_clean_run_are_waited_for_side_by_side() -> None:
    state = a_wave(a_run(2, NodeStatus.STARTING), 3)
    assert [each.code for each in waiting(state, 112.0)] == [
        ReasonCode.BROKER_IN_FLIGHT,
        ReasonCode.NOT_CLEAN_LONG_ENOUGH,
    ]


def test_only_a_repair_goes_beside_one_in_its_soak() -> None:
    for reasons, is_repair, expected in (
        ((), False, False),
        ((), True, False),
        ((SOAKING,), False, True),
        ((SOAKING,), True, False),
        ((SOAKING, SHORT), True, True),
    ):
        assert must_wait(reasons, is_repair=is_repair) is expected
