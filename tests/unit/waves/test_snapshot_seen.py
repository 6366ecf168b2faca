"""What one snapshot does to a wave: what is remembered, who goes on, who is looked at next."""

from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_broker, a_partition, a_topic
from support.step_playbooks import a_restart, a_step, beside
from support.waves import (
    QUICK,
    a_run,
    a_wave,
    brokers,
    codes,
    ended,
    kinds,
    run_of,
    snapshot_at,
    status_of,
)

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.safety.clean_run import CleanRun
from healthd.waves.effects import Step
from healthd.waves.events import SnapshotSeen
from healthd.waves.playbook import StepKind
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeRun, NodeStatus, WaveState, WaveStatus
from healthd.waves.step_run import NodeSteps, StepPhase

FREEZE = Reason(code=ReasonCode.FREEZE, object="cluster:payments", detail="year end")
FOUND = Reason(code=ReasonCode.HOST_STATE_UNKNOWN, object="broker:2", detail="no route")
CLEAN = CleanRun(snapshots=8, since=50.0, last_at=190.0, last_snapshot="before")
WIDE: Any = {"topics": (a_topic(partitions=[]),)}
"""Nothing stands against anybody."""


def saw(
    state: WaveState,
    at: float = 200.0,
    *,
    index: float | None = 100.0,
    since: float | None = None,
    holds: tuple[Reason, ...] = (),
    **changes: Any,
) -> Step:
    """What a snapshot of that time leads to."""
    event = SnapshotSeen(
        at=at,
        snapshot=snapshot_at(at, **changes),
        previous=None,
        collected_since=at if since is None else since,
        index=index,
        holds=holds,
    )
    return reduce(state, event)


def soaking(node: int, **changes: Any) -> NodeRun:
    plain: Any = {"soak_since": 100.0, "soak": CLEAN}
    return a_run(node, NodeStatus.SOAKING, **(plain | changes))


def told(step: Step) -> list[tuple[str, int | None, str]]:
    return [(note.event, note.node, note.detail) for note in step.notes]


def reasons(step: Step) -> list[str]:
    return [hold.reason.detail for hold in step.state.holds]


# --- What is remembered --------------------------------------------------------------------------


def test_the_index_is_remembered_from_first_to_last_and_at_its_lowest() -> None:
    state = a_wave()
    for at, index in ((10.0, None), (20.0, 97.0), (30.0, 92.5), (40.0, 99.0), (50.0, None)):
        state = saw(state, at, index=index).state
    assert (state.index_before, state.index_lowest, state.index_last) == (97.0, 92.5, 99.0)


def test_who_was_up_once_is_remembered() -> None:
    state = saw(a_wave(2, 3, 9), 10.0, brokers=brokers(b2={"alive": False})).state
    assert state.seen_up == {3}
    state = saw(state, 20.0, brokers=brokers(b3={"fenced": True})).state
    assert state.seen_up == {2, 3}
    # With nobody new it is the very same value, and not written again.
    assert saw(state, 30.0).state.seen_up is state.seen_up
    assert saw(state, 30.0, brokers=brokers(b3={"fenced": True})).state.seen_up is state.seen_up


def test_a_snapshot_that_began_before_the_last_change_is_only_remembered() -> None:
    state = a_wave(a_run(2, NodeStatus.RECOVERING), 3, last_change=150.0, clean=CLEAN)
    step = saw(state, 200.0, since=149.9, index=50.0)
    assert not step.effects
    assert step.state.holds == ()
    assert step.state.clean == CLEAN
    assert step.state.index_lowest == 50.0
    assert kinds(saw(state, 200.0, since=150.0).effects) == ["ElectLeaders 2"]


# --- Who is on the way ---------------------------------------------------------------------------


def test_a_node_that_is_not_back_is_told_why() -> None:
    state = a_wave(a_run(2, NodeStatus.RECOVERING), 3)
    step = saw(state, brokers=brokers(b2={"fenced": True}))
    assert run_of(step, 2).detail == "it is fenced"
    lacking = a_topic(
        partitions=[a_partition(0, isr=(1, 3)), a_partition(1, isr=(1, 3)), a_partition(2)]
    )
    step = saw(state, topics=(lacking,))
    assert run_of(step, 2).detail == "out of the ISR of 2 partitions, first orders-0"


def test_evidence_from_before_its_new_process_does_not_bring_a_node_back() -> None:
    state = a_wave(a_run(2, NodeStatus.RECOVERING, at=195.0), 3)
    old = brokers(b2={"metrics_age_seconds": 6.0})
    step = saw(state, brokers=old)
    assert run_of(step, 2).detail == "its exporter has not answered since the start"
    new = brokers(b2={"metrics_age_seconds": 5.0})
    assert kinds(saw(state, brokers=new).effects) == ["ElectLeaders 2"]


def test_a_node_that_comes_back_is_told_and_the_gate_shows_what_it_waits_for() -> None:
    state = a_wave(a_run(2, NodeStatus.RECOVERING), 3)
    step = saw(state)
    assert ("node_back", 2, "in every ISR that it belongs to") in told(step)
    assert codes(step) == ["BROKER_IN_FLIGHT broker:2", "NOT_CLEAN_LONG_ENOUGH cluster:payments"]


def test_a_node_that_begins_to_soak_at_once_waits_for_a_snapshot_of_after_that() -> None:
    no_election = replace(
        a_wave().playbook,
        steps=tuple(
            step for step in a_wave().playbook.steps if step.kind is not StepKind.ELECT_LEADERS
        ),
    )
    state = a_wave(a_run(2, NodeStatus.RECOVERING), 3, playbook=no_election, clean=CLEAN)
    step = saw(state, since=195.0, reassignments=1)
    assert status_of(step, 2) is NodeStatus.SOAKING
    assert ("node_soaking", 2, "") in told(step)
    assert step.state.clean == CleanRun()
    assert codes(step) == ["REASSIGNMENT cluster:payments", "SOAKING broker:2"]
    assert {hold.since for hold in step.state.holds} == {200.0}


@pytest.mark.parametrize(
    ("trouble", "since"),
    [
        pytest.param({}, 200.0, id="it was seen to be back on a clean snapshot"),
        pytest.param({"reassignments": 1}, None, id="something else was wrong then"),
    ],
)
def test_clean_run_and_soak_count_from_the_moment_in_which_a_node_begins_to_soak(
    trouble: dict[str, Any], since: float | None
) -> None:
    state = a_wave(a_run(2, NodeStatus.RECOVERING), 3)
    step = saw(state, **trouble)
    (election,) = step.commands
    step = ended(step.state, election, 200.0)
    assert run_of(step, 2).soak_since == 200.0
    assert step.state.clean == run_of(step, 2).soak == CleanRun(since=since)


def test_a_node_without_steps_after_its_restart_waits_for_a_snapshot_of_after_that_too() -> None:
    worked = a_run(2, NodeStatus.RECOVERING, steps=NodeSteps(is_worked=True))
    state = a_wave(worked, 3, playbook=a_restart(between=(a_step("patch"),)), clean=CLEAN)
    step = saw(state, since=195.0, reassignments=1)
    assert status_of(step, 2) is NodeStatus.SOAKING
    assert step.state.clean == run_of(step, 2).soak == CleanRun()


def test_two_that_begin_to_soak_at_one_time_count_from_there_both() -> None:
    state = a_wave(a_run(2, NodeStatus.RECOVERING), a_run(3, NodeStatus.RECOVERING), concurrency=2)
    step = saw(state)
    for election in step.commands:
        step = ended(step.state, election, 200.0)
    assert [run_of(step, node).soak for node in (2, 3)] == [CleanRun(since=200.0)] * 2


def test_a_node_that_leaves_an_isr_in_its_soak_is_told_why() -> None:
    state = a_wave(soaking(2), 3)
    step = saw(state, topics=(a_topic(partitions=[a_partition(isr=(1, 3))]),))
    assert status_of(step, 2) is NodeStatus.RECOVERING
    assert ("node_recovering", 2, "out of the ISR of 1 partitions, first orders-0") in told(step)


def test_a_playbook_that_stops_nothing_has_no_relapse() -> None:
    state = a_wave(soaking(2), 3, playbook=beside(a_step("agent")))
    step = saw(state, topics=(a_topic(partitions=[a_partition(isr=(1, 3))]),))
    assert status_of(step, 2) is NodeStatus.SOAKING


def test_every_node_on_its_way_is_looked_at_on_the_same_snapshot() -> None:
    runs = [a_run(node, NodeStatus.RECOVERING) for node in (2, 3, 4)]
    step = saw(a_wave(*runs, concurrency=None), brokers=brokers(b3={"fenced": True}))
    assert kinds(step.effects) == ["ElectLeaders 2", "ElectLeaders 4"]
    assert run_of(step, 3).detail == "it is fenced"


def test_who_goes_down_while_it_is_prepared_begins_no_further_step() -> None:
    steps = NodeSteps(at=0, phase=StepPhase.RUNNING, since=190.0, effect="2.1.step")
    preparing = a_run(2, NodeStatus.PREPARING, steps=steps)
    playbook = a_restart(before=(a_step("upload"), a_step("more")))
    state = a_wave(preparing, 3, playbook=playbook)
    assert not run_of(saw(state), 2).steps.cut
    assert run_of(saw(state, brokers=brokers(b2={"fenced": True})), 2).steps.cut
    assert not run_of(saw(state, brokers=brokers()[2:]), 2).steps.cut


# --- The soak and the clean run ------------------------------------------------------------------


def test_a_soak_ends_on_the_snapshot_that_makes_it_long_enough() -> None:
    state = a_wave(soaking(2, soak_since=170.1), 3, policy=replace(QUICK, clean_seconds=0))
    assert status_of(saw(state), 2) is NodeStatus.SOAKING
    step = saw(a_wave(soaking(2, soak_since=170.0), 3))
    assert status_of(step, 2) is NodeStatus.DONE
    assert run_of(step, 2).since == 200.0
    assert ("node_done", 2, "") in told(step)


def test_a_clean_snapshot_counts_for_the_wave_and_for_each_soak() -> None:
    few = CleanRun(snapshots=1, since=185.0, last_at=185.0, last_snapshot="before")
    step = saw(a_wave(soaking(2, soak=few, soak_since=185.0), 3, clean=few))
    assert step.state.clean.snapshots == 2
    assert run_of(step, 2).soak.snapshots == 2
    assert step.state.clean.last_snapshot == run_of(step, 2).soak.last_snapshot != "before"
    assert step.state.clean.highest_index == 100.0
    bad = saw(a_wave(soaking(2, soak=few, soak_since=185.0), 3, clean=few), reassignments=1)
    assert (bad.state.clean.snapshots, run_of(bad, 2).soak.snapshots) == (0, 0)


# --- What is in the way --------------------------------------------------------------------------


def test_a_bad_snapshot_withdraws_the_candidates_and_shows_all_that_is_waited_for() -> None:
    state = a_wave(2, 3, candidates=(2,), candidate_since=195.0, last_look=(FOUND,), clean=CLEAN)
    step = saw(state, reassignments=1)
    assert (step.state.candidates, step.state.last_look) == ((), ())
    assert codes(step) == [
        "REASSIGNMENT cluster:payments",
        "NOT_CLEAN_LONG_ENOUGH cluster:payments",
    ]


def test_a_low_index_is_a_bad_snapshot() -> None:
    state = a_wave(2, clean=CLEAN, policy=replace(QUICK, min_health_index=100.0))
    step = saw(state, unclean_elections_24h=1)
    assert codes(step)[0] == "HEALTH_INDEX_LOW cluster:payments"
    assert step.state.clean.snapshots == 0


NARROW: Any = {"topics": (a_topic(min_insync_replicas=3),)}


def test_who_only_waits_for_leave_hears_what_will_be_in_the_way_then() -> None:
    step = saw(a_wave(2), holds=(FREEZE,), **NARROW)
    assert codes(step) == [
        "FREEZE cluster:payments",
        "NOT_CLEAN_LONG_ENOUGH cluster:payments",
        "RF_LE_MIN_ISR orders-0",
    ]


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        pytest.param(a_wave(2), {"reassignments": 1}, id="the cluster is not well"),
        pytest.param(a_wave(a_run(4, NodeStatus.STOPPED), 2), {}, id="somebody is in flight"),
        pytest.param(a_wave(2, is_draining=True), {}, id="nobody may be taken"),
    ],
)
def test_otherwise_that_is_told_when_it_is_their_turn(
    state: WaveState, changes: dict[str, Any]
) -> None:
    step = saw(state, holds=(FREEZE,), **NARROW, **changes)
    assert "RF_LE_MIN_ISR orders-0" not in codes(step)


# --- Who is looked at next -----------------------------------------------------------------------


def test_a_candidate_is_looked_at_with_its_time_and_what_was_found_before_stands() -> None:
    step = saw(a_wave(2, 3, clean=CLEAN, last_look=(FOUND,)))
    assert kinds(step.effects) == ["Confirm 2"]
    assert (step.state.candidates, step.state.candidate_since) == ((2,), 200.0)
    assert codes(step) == ["HOST_STATE_UNKNOWN broker:2"]


@pytest.mark.parametrize(("asked_at", "is_asked_again"), [(140.1, False), (140.0, True)])
def test_a_look_without_answer_is_asked_for_again_after_a_minute_and_not_before(
    asked_at: float, *, is_asked_again: bool
) -> None:
    state = a_wave(2, 3, clean=CLEAN, candidates=(2,), candidate_since=asked_at, last_look=(FOUND,))
    step = saw(state)
    assert kinds(step.effects) == (["Confirm 2"] if is_asked_again else [])
    assert step.state.candidates == (2,)
    assert step.state.candidate_since == (200.0 if is_asked_again else asked_at)
    assert codes(step) == ["HOST_STATE_UNKNOWN broker:2"]


def test_where_nobody_can_go_what_was_found_before_is_forgotten() -> None:
    # Nobody has answered the last look for more than a minute.
    state = a_wave(2, clean=CLEAN, candidates=(2,), candidate_since=100.0, last_look=(FOUND,))
    step = saw(state, **NARROW)
    assert codes(step) == ["RF_LE_MIN_ISR orders-0"]
    assert (step.state.candidates, step.state.last_look) == ((), ())


def test_while_the_clean_run_is_short_nobody_is_looked_at_and_what_was_found_is_forgotten() -> None:
    step = saw(a_wave(2, last_look=(FOUND,)))
    assert not step.effects
    assert codes(step) == ["NOT_CLEAN_LONG_ENOUGH cluster:payments"]
    assert step.state.last_look == ()


def due(node: int) -> NodeRun:
    return a_run(node, NodeStatus.STOPPING, is_stop_due=True)


def test_stops_that_are_due_are_looked_at_together_on_a_clean_gate() -> None:
    state = a_wave(due(2), due(4), 3, concurrency=1, clean=CLEAN)
    step = saw(state, **WIDE)
    assert kinds(step.effects) == ["Confirm 2 4"]
    assert step.state.candidate_since == 200.0
    assert not saw(replace(state, clean=CleanRun()), **WIDE).effects


def test_nobody_is_taken_beside_one_that_is_being_stopped() -> None:
    stopping = a_run(2, NodeStatus.STOPPING, command="2.1.stop")
    assert not saw(a_wave(stopping, 3, 4, clean=CLEAN), **WIDE).effects


@pytest.mark.parametrize(("concurrency", "expected"), [(1, []), (2, ["Confirm 12"])])
def test_where_several_may_go_a_soak_keeps_nobody(concurrency: int, expected: list[str]) -> None:
    listed = tuple(a_broker(node) for node in (1, 2, 3, 11, 12))
    state = a_wave(soaking(11, soak_since=199.0), 12, concurrency=concurrency, clean=CLEAN)
    assert kinds(saw(state, brokers=listed, **WIDE).effects) == expected
    short = replace(state, clean=CleanRun())
    assert not saw(short, brokers=listed, **WIDE).effects


def test_a_repair_waits_for_the_clean_run_and_for_no_soak() -> None:
    down: Any = {"brokers": brokers(b4={"fenced": True}), **WIDE}
    for concurrency in (1, None):
        state = a_wave(soaking(2, soak_since=199.0), 4, concurrency=concurrency, clean=CLEAN)
        assert kinds(saw(state, **down).effects) == ["Confirm 4"]
        short = replace(state, clean=CleanRun())
        assert kinds(saw(short, **down).effects) == ["Observe 4"]


def test_the_host_of_a_repair_is_asked_through_a_closed_gate_too() -> None:
    state = a_wave(3, 4, clean=CLEAN)
    down: Any = {"brokers": brokers(b4={"fenced": True}), "reassignments": 1, **WIDE}
    step = saw(state, **down)
    assert kinds(step.effects) == ["Observe 4"]
    assert run_of(step, 4).observed_at == 200.0
    assert not saw(step.state, 205.0, **down).effects


def test_a_repair_waits_for_a_node_that_is_being_prepared() -> None:
    steps = NodeSteps(at=0, phase=StepPhase.RUNNING, since=190.0, effect="2.1.step")
    playbook = a_restart(before=(a_step("upload"),))
    preparing = a_run(2, NodeStatus.PREPARING, steps=steps)
    state = a_wave(preparing, 4, playbook=playbook, concurrency=None, clean=CLEAN)
    step = saw(state, brokers=brokers(b4={"fenced": True}), **WIDE)
    assert kinds(step.effects) == ["Observe 4"]
    assert codes(step) == ["BROKER_IN_FLIGHT broker:2"]


def test_a_repair_that_cannot_be_stopped_has_its_host_asked_all_the_same() -> None:
    offline = a_topic(partitions=[a_partition(leader=-1, replicas=(4, 9), isr=(4,))])
    gone: Any = {"brokers": brokers(b4={"fenced": True}), "topics": (offline,)}
    step = saw(a_wave(4, clean=CLEAN), **gone)
    assert kinds(step.effects) == ["Observe 4"]


@pytest.mark.parametrize("status", [WaveStatus.RUNNING, WaveStatus.HOLDING])
def test_a_wave_holds_for_what_is_in_the_way_and_runs_while_it_only_waits(
    status: WaveStatus,
) -> None:
    assert saw(a_wave(2, status=status)).state.status is WaveStatus.RUNNING
    assert saw(a_wave(2, status=status), reassignments=1).state.status is WaveStatus.HOLDING
