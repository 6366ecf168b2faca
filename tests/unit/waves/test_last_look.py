"""The last look right before a stop: who is taken, who is not, and with which words."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_broker, a_partition, a_topic
from support.step_playbooks import a_restart, a_step, beside
from support.waves import (
    IS_DOWN,
    OLD,
    QUICK,
    RUNS,
    RUNS_ANEW,
    UNKNOWN,
    a_run,
    a_wave,
    brokers,
    codes,
    kinds,
    run_of,
    snapshot_at,
    status_of,
)

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.safety.clean_run import CleanRun
from healthd.waves.effects import Step
from healthd.waves.events import Confirmed, HostState
from healthd.waves.reducer import reduce
from healthd.waves.state import Hold, NodeRun, NodeStatus, Pause, WaveState
from healthd.waves.step_run import NodeSteps

LOST = Reason(code=ReasonCode.LEASE_LOST, object="cluster:payments", detail="taken by another")
FREEZE = Reason(code=ReasonCode.FREEZE, object="cluster:payments", detail="year end")
ENOUGH = CleanRun(snapshots=3, since=100.0, last_at=200.0)


def looking(*runs: NodeRun | int, candidates: tuple[int, ...] = (2,), **changes: Any) -> WaveState:
    """A wave with a clean run, whose candidates are being looked at since 200."""
    plain: Any = {"clean": ENOUGH, "candidates": candidates, "candidate_since": 200.0}
    return a_wave(*(runs or (2, 3, 4)), **(plain | changes))


def look(
    state: WaveState,
    hosts: Mapping[int, HostState] | None = None,
    *,
    nodes: tuple[int, ...] | None = None,
    holds: tuple[Reason, ...] = (),
    **changes: Any,
) -> Step:
    """What the answer leads to: their processes run unless said otherwise."""
    asked = state.candidates if nodes is None else nodes
    is_seen = changes.pop("is_seen", True)
    snapshot = snapshot_at(201.0, **changes) if is_seen else None
    answers = dict.fromkeys(asked, RUNS) | dict(hosts or {})
    event = Confirmed(at=201.0, nodes=asked, snapshot=snapshot, hosts=answers, holds=holds)
    return reduce(state, event)


def words(step: Step) -> list[str]:
    return [
        f"{each.reason.code.value} {each.reason.object}: {each.reason.detail}"
        for each in step.state.holds
    ]


def told(step: Step) -> list[tuple[str, int | None, str]]:
    return [(note.event, note.node, note.detail) for note in step.notes]


def soaking(node: int) -> NodeRun:
    return a_run(node, NodeStatus.SOAKING, soak_since=150.0, soak=ENOUGH)


WIDE: Any = {"topics": (a_topic(partitions=[]),)}
"""Nothing stands against anybody."""


# --- Whose answer counts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidates", "nodes"),
    [
        pytest.param((), (2,), id="nobody is looked at"),
        pytest.param((2, 3), (2,), id="of one of two"),
        pytest.param((3,), (2,), id="of another one"),
        pytest.param((9,), (9,), id="of one that the wave does not have"),
    ],
)
def test_an_answer_that_nobody_waits_for_leaves_all_as_it_was(
    candidates: tuple[int, ...], nodes: tuple[int, ...]
) -> None:
    state = looking(candidates=candidates)
    step = look(state, nodes=nodes, **WIDE)
    assert not step.effects
    assert step.state.candidates == candidates
    assert step.state.nodes == state.nodes


def test_an_answer_of_more_than_was_asked_for_counts() -> None:
    assert kinds(look(looking(), nodes=(2, 3)).effects) == ["StopService 2"]


def test_the_look_is_over_when_nobody_may_be_taken_any_more() -> None:
    paused = looking(pauses=(Pause(by="ada", reason="lunch", since=1.0),), last_look=(LOST,))
    step = look(paused)
    assert not step.effects
    assert (step.state.candidates, step.state.last_look) == ((), ())
    for changes in ({"is_draining": True}, {"abort": Pause(by="ada", reason="r", since=1.0)}):
        assert not look(looking(2, candidates=(2,), **changes)).effects


def test_those_that_were_looked_at_are_taken_although_the_plan_has_others_first() -> None:
    ids = (11, 12, 13, 14)
    pairs = [
        a_partition(number, leader=row[0], replicas=row, isr=row)
        for number, row in enumerate([(11, 13, 1), (12, 14, 1), (11, 14, 1), (12, 13, 1)])
    ]
    state = looking(*ids, candidates=(13, 14), concurrency=None)
    listed = tuple(a_broker(node) for node in (1, 2, 3, *ids))
    step = look(state, brokers=listed, topics=(a_topic(partitions=pairs),))
    assert kinds(step.effects) == ["StopService 13", "StopService 14"]


def test_who_has_gone_on_meanwhile_is_not_taken_again() -> None:
    step = look(looking(a_run(2, NodeStatus.DONE), 3))
    assert not step.effects
    assert status_of(step, 2) is NodeStatus.DONE


# --- What is in the way --------------------------------------------------------------------------


def test_without_a_snapshot_it_is_told_with_what_else_is_known_and_all_starts_again() -> None:
    step = look(looking(soaking(3), 2, concurrency=2), is_seen=False, holds=(LOST,))
    unseen = "EVIDENCE_STALE source:metadata: no fresh snapshot could be had right before the stop"
    assert words(step) == [unseen, "LEASE_LOST cluster:payments: taken by another"]
    assert [reason.code for reason in step.state.last_look] == ["EVIDENCE_STALE", "LEASE_LOST"]
    assert step.state.clean == CleanRun()
    assert run_of(step, 3).soak_since == 201.0


def test_a_closed_gate_starts_the_clean_run_again_and_every_soak() -> None:
    step = look(looking(soaking(3), 2, concurrency=2), reassignments=1)
    assert codes(step) == ["REASSIGNMENT cluster:payments"]
    assert step.state.clean == CleanRun()
    assert run_of(step, 3).soak_since == 201.0


def test_a_missing_permission_starts_the_clean_run_again_and_no_soak() -> None:
    step = look(looking(soaking(3), 2, concurrency=2), holds=(FREEZE,))
    assert codes(step) == ["FREEZE cluster:payments"]
    assert step.state.clean == CleanRun()
    assert run_of(step, 3).soak_since == 150.0


def test_an_index_that_is_too_low_is_asked_for_once_more() -> None:
    state = looking(policy=replace(QUICK, min_health_index=100.0))
    step = look(state, unclean_elections_24h=1)
    assert codes(step) == ["HEALTH_INDEX_LOW cluster:payments"]
    assert step.state.clean == CleanRun()


def test_a_clean_run_that_is_too_short_goes_on_and_so_does_a_soak() -> None:
    short = CleanRun(snapshots=2, since=180.0, last_at=200.0)
    step = look(looking(soaking(3), 2, concurrency=2, clean=short))
    assert words(step) == [
        "NOT_CLEAN_LONG_ENOUGH cluster:payments: clean on 2 of 3 snapshots and for 21 of 30 s"
    ]
    assert step.state.holds[0].since == 201.0
    assert step.state.clean == short
    assert run_of(step, 3).soak_since == 150.0


def test_what_ok_to_stop_has_against_it_is_told_and_the_clean_run_goes_on() -> None:
    step = look(looking(2, 4), topics=(a_topic(min_insync_replicas=3),))
    assert codes(step) == ["RF_LE_MIN_ISR orders-0"]
    assert [reason.code for reason in step.state.last_look] == ["RF_LE_MIN_ISR"]
    assert step.state.holds[0].since == 201.0
    assert step.state.clean == ENOUGH


# --- What the host says --------------------------------------------------------------------------

SAID = "the host does not say since when the process runs"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param(
            UNKNOWN, "HOST_STATE_UNKNOWN broker:2: no route to host", id="with its own words"
        ),
        pytest.param(
            HostState(is_running=None), f"HOST_STATE_UNKNOWN broker:2: {SAID}", id="nothing"
        ),
        pytest.param(
            HostState(is_running=True), f"HOST_STATE_UNKNOWN broker:2: {SAID}", id="no start time"
        ),
        pytest.param(
            IS_DOWN,
            "IDENTITY broker:2: the cluster lists it, but its host says that the service does not"
            " run",
            id="that it does not run",
        ),
        pytest.param(
            HostState(is_running=None, reason=replace(LOST, code=ReasonCode.HOST_KEY_REFUSED)),
            "HOST_KEY_REFUSED cluster:payments: taken by another",
            id="a reason of its own",
        ),
    ],
)
def test_a_host_that_does_not_say_which_process_would_be_stopped_is_told_with_its_words(
    host: HostState, expected: str
) -> None:
    step = look(looking(), {2: host})
    assert not step.effects
    assert words(step) == [expected]
    assert step.state.holds[0].since == 201.0
    assert len(step.state.last_look) == 1
    assert step.state.clean == ENOUGH


def test_a_host_that_says_which_process_runs_is_believed_whatever_else_it_says() -> None:
    sure = replace(RUNS, reason=LOST)
    assert kinds(look(looking(), {2: sure}).effects) == ["StopService 2"]


def test_holds_are_gone_when_all_are_taken_and_stand_when_one_is_not() -> None:
    held = (Hold(reason=LOST, since=1.0),)
    state = looking(candidates=(2, 4), concurrency=None, holds=held)
    taken = look(looking(holds=held), **WIDE)
    assert taken.state.holds == ()
    assert ("gate_clear", None, "") in told(taken)
    plain: Any = {"quorum": None, **WIDE}
    assert codes(look(state, {4: UNKNOWN}, **plain)) == ["QUORUM_UNKNOWN cluster:payments"]


def test_a_host_that_stays_silent_keeps_the_time_of_its_hold_while_others_are_taken() -> None:
    silent = Reason(code=ReasonCode.HOST_STATE_UNKNOWN, object="broker:12", detail="no answer")
    state = looking(
        11, 12, candidates=(11, 12), concurrency=None, holds=(Hold(reason=silent, since=1.0),)
    )
    listed = tuple(a_broker(node) for node in (1, 2, 3, 11, 12))
    step = look(state, {12: UNKNOWN}, brokers=listed, **WIDE)
    assert kinds(step.effects) == ["StopService 11"]
    assert [(hold.reason.detail, hold.since) for hold in step.state.holds] == [
        ("no route to host", 1.0)
    ]
    assert "gate_clear" not in [note.event for note in step.notes]


@pytest.mark.parametrize(
    ("code", "is_taken"),
    [
        (ReasonCode.HOST_UNREACHABLE, False),
        (ReasonCode.HOST_KEY_REFUSED, False),
        (ReasonCode.HOST_AUTH_REFUSED, False),
        (ReasonCode.IDENTITY, False),
        (ReasonCode.HOST_STATE_UNKNOWN, True),
    ],
)
def test_a_playbook_that_stops_nothing_needs_the_host_and_not_its_process(
    code: ReasonCode, *, is_taken: bool
) -> None:
    state = looking(playbook=beside(a_step("agent")))
    host = HostState(is_running=None, reason=Reason(code=code, object="broker:2", detail="d"))
    step = look(state, {2: host})
    assert kinds(step.effects) == (["RunStep 2"] if is_taken else [])
    assert codes(step) == ([] if is_taken else [f"{code.value} broker:2"])
    assert kinds(look(state, {2: IS_DOWN}).effects) == ["RunStep 2"]


# --- Who has been restarted already --------------------------------------------------------------


def test_who_runs_a_new_process_since_an_earlier_try_is_not_stopped_again() -> None:
    tried = a_run(2, NodeStatus.PENDING, started_before=OLD)
    step = look(looking(tried, 3), {2: RUNS_ANEW})
    assert not step.effects
    assert told(step) == [("node_recovering", 2, "new process, started process 2")]
    assert kinds(look(looking(tried, 3), {2: RUNS}).effects) == ["StopService 2"]
    assert kinds(look(looking(2, 3), {2: RUNS_ANEW}).effects) == ["StopService 2"]


def test_a_turn_with_steps_that_never_came_is_taken_again_whatever_runs() -> None:
    tried = a_run(2, NodeStatus.PENDING, started_before=OLD)
    playbook = a_restart(between=(a_step("patch"),))
    state = looking(tried, 3, playbook=playbook)
    assert kinds(look(state, {2: RUNS_ANEW}).effects) == ["StopService 2"]
    worked = replace(tried, steps=NodeSteps(is_worked=True))
    assert not look(looking(worked, 3, playbook=playbook), {2: RUNS_ANEW}).effects


# --- Repairs -------------------------------------------------------------------------------------

DOWN: Any = {"brokers": brokers(b4={"fenced": True}), **WIDE}


def test_a_repair_is_stopped_as_one_and_needs_no_preparation() -> None:
    playbook = a_restart(before=(a_step("upload"),))
    step = look(looking(4, candidates=(4,), playbook=playbook), **DOWN)
    assert kinds(step.effects) == ["StopService 4"]
    assert run_of(step, 4).repair
    healthy = look(looking(4, candidates=(4,), playbook=playbook), **WIDE)
    assert kinds(healthy.effects) == ["RunStep 4"]
    assert status_of(healthy, 4) is NodeStatus.PREPARING


def test_a_stop_in_its_turn_leaves_the_soak_of_another_and_that_of_a_repair_does_not() -> None:
    state = looking(2, soaking(4), concurrency=2)
    plain = look(state, **WIDE)
    repair = look(state, brokers=brokers(b2={"fenced": True}), **WIDE)
    for step, since in ((plain, 150.0), (repair, None)):
        assert kinds(step.effects) == ["StopService 2"]
        assert run_of(step, 4).soak_since == since


def test_a_repair_that_was_tried_and_runs_anew_is_stopped_all_the_same() -> None:
    tried = a_run(4, NodeStatus.PENDING, started_before=OLD)
    step = look(looking(tried, 3, candidates=(4,)), {4: RUNS_ANEW}, **DOWN)
    assert kinds(step.effects) == ["StopService 4"]


def test_a_repair_that_does_not_run_is_only_started_through_any_gate() -> None:
    step = look(looking(4, 3, candidates=(4,)), {4: IS_DOWN}, reassignments=1, **DOWN)
    assert kinds(step.effects) == ["StartService 4"]
    assert run_of(step, 4).since == 201.0
    running = look(looking(4, 3, candidates=(4,)), reassignments=1, **DOWN)
    assert not running.effects


def test_the_second_repair_that_died_by_itself_pauses_before_any_command() -> None:
    died = looking(4, 3, candidates=(4,), died=(3,), seen_up=frozenset({4, 3}))
    for host in (RUNS, IS_DOWN):
        step = look(died, {4: host}, **DOWN)
        assert not step.effects
        assert [pause.reason for pause in step.state.pauses] == [
            "broker 3 and broker 4 went down by themselves in this wave"
        ]
        assert step.state.pauses[0].since == 201.0
        assert ("wave_paused", 4, step.state.pauses[0].reason) in told(step)


def test_after_a_repair_that_pauses_no_other_of_the_same_look_is_started() -> None:
    listed = tuple(a_broker(node, fenced=node in {13, 14, 15}) for node in (1, 2, 3, 13, 14, 15))
    state = looking(
        13,
        14,
        15,
        candidates=(13, 14, 15),
        concurrency=None,
        died=(9,),
        seen_up=frozenset({14}),
    )
    dead = dict.fromkeys((13, 14, 15), IS_DOWN)
    step = look(state, dead, brokers=listed, **WIDE)
    assert kinds(step.effects) == ["StartService 13"]
    assert step.state.is_paused
    assert status_of(step, 15) is NodeStatus.PENDING


# --- Stops of before a restart of the daemon -----------------------------------------------------


def due(node: int) -> NodeRun:
    return a_run(node, NodeStatus.STOPPING, is_stop_due=True)


def again(hosts: Mapping[int, HostState], **changes: Any) -> Step:
    """The look at 2 and 4, whose stops may never have been carried out."""
    state = looking(due(2), due(4), 3, candidates=(2, 4), concurrency=None)
    return look(state, hosts, **changes)


def test_of_stops_that_are_due_each_has_what_its_own_host_says() -> None:
    step = again({2: IS_DOWN, 4: RUNS}, **WIDE)
    assert kinds(step.effects) == ["StartService 2", "StopService 4"]
    assert run_of(step, 2).since == 201.0
    assert ("stop_sent_again", 4, "its process still runs") in told(step)
    step = again({2: RUNS_ANEW, 4: UNKNOWN}, **WIDE)
    assert not step.effects
    assert (run_of(step, 2).status, run_of(step, 2).since) == (NodeStatus.RECOVERING, 201.0)
    assert status_of(step, 4) is NodeStatus.STOPPING
    assert words(step) == ["HOST_STATE_UNKNOWN broker:4: no route to host"]
    assert step.state.holds[0].since == 201.0


def test_a_stop_that_is_due_is_not_sent_again_against_ok_to_stop() -> None:
    narrow = (a_topic(min_insync_replicas=3),)
    step = again({2: RUNS, 4: RUNS}, topics=narrow)
    assert not step.effects
    assert codes(step) == ["RF_LE_MIN_ISR orders-0"]
    # Where none is sent again, nothing stands against one.
    step = again({2: RUNS_ANEW, 4: UNKNOWN}, topics=narrow)
    assert codes(step) == ["HOST_STATE_UNKNOWN broker:4"]


@pytest.mark.parametrize(("repair", "since"), [(False, 150.0), (True, None)])
def test_a_stop_that_is_sent_again_in_its_turn_leaves_the_soak_of_another(
    *, repair: bool, since: float | None
) -> None:
    state = looking(replace(due(2), repair=repair), soaking(4), candidates=(2,), concurrency=2)
    step = look(state, **WIDE)
    assert kinds(step.effects) == ["StopService 2"]
    assert run_of(step, 4).soak_since == since


def test_nobody_else_is_taken_with_a_stop_that_is_due() -> None:
    state = looking(due(2), 4, candidates=(2, 4), concurrency=None)
    assert kinds(look(state, {2: RUNS, 4: RUNS}, **WIDE).effects) == ["StopService 2"]


def test_a_stop_that_is_due_is_sent_again_in_a_pause_too() -> None:
    state = looking(due(2), 3, pauses=(Pause(by="ada", reason="lunch", since=1.0),))
    assert kinds(look(state, {2: RUNS}, **WIDE).effects) == ["StopService 2"]
