"""Several brokers in flight: who goes together, who waits, and what a failure does."""

from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_broker, a_partition, a_topic
from support.waves import (
    IS_DOWN,
    QUICK,
    RUNS,
    RUNS_ANEW,
    UNKNOWN,
    a_run,
    a_wave,
    clean,
    codes,
    ended,
    kinds,
    notes,
    observed,
    ordered,
    run_of,
    seen,
    snapshot_at,
    status_of,
    ticked,
)

from healthd.model.words import BrokerState, EvidenceGroup
from healthd.waves import events
from healthd.waves.effects import Step, StopService
from healthd.waves.events import HostState, Outcome, Verb
from healthd.waves.planner import plan
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, WaveState, WaveStatus


def plain(*rows: tuple[int, ...], min_isr: int = 2) -> dict[str, Any]:
    """Brokers 11 to 16, next to the controllers 1 to 3, and a topic with these replicas."""
    return {
        "brokers": (
            *(a_broker(node) for node in (1, 2, 3)),
            *(a_broker(node) for node in range(11, 17)),
        ),
        "topics": (
            a_topic(
                partitions=[
                    a_partition(number, leader=row[0], replicas=row, isr=row)
                    for number, row in enumerate(rows)
                ],
                min_insync_replicas=min_isr,
            ),
        ),
    }


PAIRS = plain((11, 13, 15), (12, 14, 16), (11, 14, 15), (12, 13, 16))
"""11 and 12, 13 and 14, 15 and 16 share no partition: they may go together."""
ALL = (11, 12, 13, 14, 15, 16)


def looked_at(
    state: WaveState, at: float, hosts: dict[int, HostState] | None = None, **changes: Any
) -> Step:
    """What the answer of the last look at all candidates leads to."""
    return reduce(
        state,
        events.Confirmed(
            at=at,
            nodes=state.candidates,
            hosts=dict.fromkeys(state.candidates, RUNS) | (hosts or {}),
            snapshot=snapshot_at(at, **changes),
        ),
    )


# --- Who goes together ---------------------------------------------------------------------------


def test_one_clean_gate_takes_all_that_the_plan_has_in_its_first_step() -> None:
    step = clean(a_wave(*ALL, concurrency=None), **PAIRS)
    first = plan(snapshot_at(0, **PAIRS), nodes=ALL, concurrency=None).steps[0].nodes
    assert first == (11, 12)
    assert step.state.candidates == first
    assert kinds(step.effects) == ["Confirm 11 12"]


def test_all_stops_of_one_decision_are_in_one_step_each_with_its_start() -> None:
    step = looked_at(clean(a_wave(*ALL, concurrency=None), **PAIRS).state, 201.0, **PAIRS)
    stops = [effect for effect in step.effects if isinstance(effect, StopService)]
    assert [(each.effect_id, each.start_effect_id) for each in stops] == [
        ("11.1.stop", "11.1.start"),
        ("12.1.stop", "12.1.start"),
    ]
    assert step.state.in_flight == {11, 12}
    assert step.must_be_written


@pytest.mark.parametrize(
    ("concurrency", "expected"), [(1, (11,)), (2, (11, 12)), (3, (11, 12)), (None, (11, 12))]
)
def test_no_more_are_taken_than_the_concurrency_allows(
    concurrency: int | None, expected: tuple[int, ...]
) -> None:
    assert clean(a_wave(*ALL, concurrency=concurrency), **PAIRS).state.candidates == expected


def test_with_brokers_that_all_share_a_partition_one_goes_at_a_time() -> None:
    crowded = plain((11, 12, 13), (11, 14, 15), (12, 14, 16), (13, 15, 16), (11, 16, 13),
                    (12, 15, 13), (14, 13, 12))  # fmt: skip
    step = clean(a_wave(*ALL, concurrency=None), **crowded)
    assert len(step.state.candidates) == len(
        plan(snapshot_at(0, **crowded), nodes=ALL, concurrency=None).steps[0].nodes
    )


def test_with_concurrency_one_a_soak_keeps_everybody() -> None:
    state = a_wave(a_run(11, NodeStatus.SOAKING), 12, soak_since=199.0)
    assert not clean(state, **PAIRS).effects


def test_the_next_starts_beside_a_soak_as_soon_as_the_gate_is_clean() -> None:
    policy = replace(QUICK, soak_seconds=300)
    state = a_wave(a_run(11, NodeStatus.SOAKING), *ALL[1:], concurrency=2, policy=policy)
    step = clean(state, **PAIRS)
    assert step.state.candidates == (12,)
    assert status_of(looked_at(step.state, 201.0, **PAIRS), 11) is NodeStatus.SOAKING


def test_it_starts_beside_one_that_recovers_too() -> None:
    state = a_wave(a_run(11, NodeStatus.RECOVERING), *ALL[1:], concurrency=None)
    gone = plain((11, 13, 15), (12, 14, 16), (11, 14, 15), (12, 13, 16))
    gone["topics"] = (
        a_topic(
            partitions=[
                a_partition(0, leader=13, replicas=(11, 13, 15), isr=(13, 15)),
                a_partition(1, leader=12, replicas=(12, 14, 16), isr=(12, 14, 16)),
            ],
        ),
    )
    assert clean(state, **gone).state.candidates == (12,)


def test_nobody_goes_beside_one_with_which_it_shares_what_can_spare_only_one() -> None:
    state = a_wave(a_run(11, NodeStatus.SOAKING), 13, 14, 15, concurrency=None)
    state = replace(state, policy=replace(QUICK, soak_seconds=300))
    step = clean(state, **PAIRS)
    assert not step.effects
    assert step.state.status is WaveStatus.RUNNING  # It waits in its ordinary course.
    assert codes(step) == ["SOAKING broker:11"]


def test_nobody_restarts_beside_one_that_recovers_its_logs() -> None:
    recovering = dict(PAIRS)
    recovering["brokers"] = tuple(
        a_broker(each.id, state=BrokerState.RECOVERY) if each.id == 11 else each
        for each in PAIRS["brokers"]
    )
    state = a_wave(a_run(11, NodeStatus.RECOVERING), 12, concurrency=None)
    assert not clean(state, **recovering).effects


def test_a_change_to_one_voids_the_clean_run_of_all() -> None:
    policy = replace(QUICK, soak_seconds=300)
    state = a_wave(a_run(11, NodeStatus.STARTING), 12, concurrency=2, policy=policy)
    state = clean(state, **PAIRS).state
    step = observed(state, 11, 205.0, RUNS_ANEW)
    assert step.state.clean.snapshots == 0
    assert step.state.last_change == 205.0


# --- Controllers and repairs ---------------------------------------------------------------------


def test_controllers_go_alone_whatever_the_concurrency() -> None:
    step = clean(a_wave(1, 2, 3, *ALL, concurrency=None), **PAIRS)
    assert step.state.candidates == (2,)


def test_plain_brokers_wait_for_a_controller_that_is_still_in_flight() -> None:
    policy = replace(QUICK, soak_seconds=300)
    state = a_wave(a_run(1, NodeStatus.SOAKING), *ALL, concurrency=None, policy=policy)
    assert not clean(state, **PAIRS).effects


def test_a_controller_that_is_tried_again_waits_for_no_plain_broker_but_for_room() -> None:
    policy = replace(QUICK, soak_seconds=300)
    soaking = a_run(11, NodeStatus.SOAKING)
    for concurrency, expected in ((2, (2,)), (1, ())):
        state = a_wave(soaking, 2, 12, concurrency=concurrency, policy=policy)
        assert clean(state, **PAIRS).state.candidates == expected


def test_the_active_controller_does_not_go_before_one_that_waits_for_those_in_flight() -> None:
    shared = plain((11, 2, 15), (12, 14, 16))
    policy = replace(QUICK, soak_seconds=300)
    state = a_wave(a_run(11, NodeStatus.SOAKING), 1, 2, 12, concurrency=None, policy=policy)
    assert not clean(state, **shared).effects
    alone = a_wave(a_run(11, NodeStatus.SOAKING), 1, 12, concurrency=None, policy=policy)
    assert clean(alone, **shared).state.candidates == (1,)


def fenced(*nodes: int) -> dict[str, Any]:
    changed = dict(PAIRS)
    changed["brokers"] = tuple(
        a_broker(each.id, fenced=True) if each.id in nodes else each for each in PAIRS["brokers"]
    )
    return changed


def test_repairs_go_together_as_far_as_the_concurrency_allows() -> None:
    trouble = fenced(11, 12, 14)
    for concurrency, expected in ((1, (11,)), (2, (11, 12)), (None, (11, 12, 14))):
        step = clean(a_wave(*ALL, concurrency=concurrency), **trouble)
        assert step.state.candidates == expected


def test_a_controller_to_be_repaired_goes_alone_and_first() -> None:
    trouble = fenced(2, 3, 11)
    step = clean(a_wave(1, 2, 3, *ALL, concurrency=None), **trouble)
    assert step.state.candidates == (2,)
    last = clean(a_wave(a_run(2, NodeStatus.DONE), 3, *ALL, concurrency=None), **fenced(3, 11))
    assert last.state.candidates == (3, 11)


def test_nobody_else_is_taken_until_a_repair_is_back() -> None:
    for status, expected in ((NodeStatus.STOPPING, ()), (NodeStatus.RECOVERING, ())):
        state = a_wave(a_run(11, status, repair=True), 12, concurrency=None)
        assert clean(state, **PAIRS).state.candidates == expected
    soaking = a_run(11, NodeStatus.SOAKING, repair=True)
    state = a_wave(soaking, 12, concurrency=None, policy=replace(QUICK, soak_seconds=300))
    assert clean(state, **PAIRS).state.candidates == (12,)


def test_a_repair_waits_until_nobody_is_between_stop_and_recovery() -> None:
    state = a_wave(a_run(11, NodeStatus.RECOVERING), 12, 13, concurrency=None)
    assert not clean(state, **fenced(12)).effects


def test_of_several_repairs_those_that_do_not_run_are_only_started() -> None:
    trouble = fenced(11, 12)
    state = clean(a_wave(*ALL, concurrency=None), **trouble).state
    step = looked_at(state, 201.0, {12: IS_DOWN}, **trouble)
    assert kinds(step.effects) == ["StartService 12"]
    assert status_of(step, 11) is NodeStatus.PENDING


# --- The last look -------------------------------------------------------------------------------


def test_a_host_that_cannot_be_asked_holds_its_broker_and_not_the_others() -> None:
    state = clean(a_wave(*ALL, concurrency=None), **PAIRS).state
    step = looked_at(state, 201.0, {11: UNKNOWN}, **PAIRS)
    assert kinds(step.effects) == ["StopService 12"]
    assert codes(step) == ["HOST_STATE_UNKNOWN broker:11"]
    assert status_of(step, 11) is NodeStatus.PENDING


def test_what_was_skipped_meanwhile_is_not_taken_with_the_others() -> None:
    state = clean(a_wave(*ALL, concurrency=None), **PAIRS).state
    both = state.candidates
    state = ordered(state, Verb.SKIP, 200.5, 12).state
    event = events.Confirmed(
        at=201.0, nodes=both, hosts=dict.fromkeys(both, RUNS), snapshot=snapshot_at(201.0, **PAIRS)
    )
    assert kinds(reduce(state, event).effects) == ["StopService 11"]


def test_the_set_is_asked_again_and_who_does_not_fit_any_more_is_left() -> None:
    state = clean(a_wave(*ALL, concurrency=None), **PAIRS).state
    other = plain((11, 12, 15), (12, 14, 16), (13, 14, 15))
    step = looked_at(state, 201.0, **other)
    assert len(step.commands) == 1
    assert step.state.in_flight < {11, 12}


def test_a_gate_that_has_closed_meanwhile_takes_nobody() -> None:
    state = clean(a_wave(*ALL, concurrency=None), **PAIRS).state
    assert not looked_at(state, 201.0, **PAIRS, reassignments=1).effects


def test_those_that_a_daemon_did_not_get_to_stop_are_stopped_in_one_step_later() -> None:
    runs = [a_run(node, NodeStatus.STOPPING, command=f"{node}.1.stop") for node in (11, 12)]
    state = reduce(a_wave(*runs, 13, concurrency=None), events.Resumed(at=150.0)).state
    for node in (11, 12):
        state = observed(state, node, 150.5, RUNS).state
    state = clean(state, **PAIRS).state
    assert state.candidates == (11, 12)
    step = looked_at(state, 201.0, **PAIRS)
    assert kinds(step.effects) == ["StopService 11", "StopService 12"]
    mixed = looked_at(state, 201.0, {11: RUNS_ANEW, 12: UNKNOWN}, **PAIRS)
    assert status_of(mixed, 11) is NodeStatus.RECOVERING
    assert not mixed.commands
    assert "HOST_STATE_UNKNOWN broker:12" in codes(mixed)


# --- Each soak by itself -------------------------------------------------------------------------


def soaking_beside(status: NodeStatus, **changes: Any) -> WaveState:
    """11 has soaked since 100, and 12 is in flight beside it."""
    first = a_run(11, NodeStatus.SOAKING)
    second = a_run(12, status, **changes)
    return a_wave(first, second, 13, concurrency=2, soak_since=100.0, last_change=100.0)


def test_a_neighbour_that_is_restarted_leaves_the_soak_of_another_alone() -> None:
    state = seen(seen(soaking_beside(NodeStatus.STARTING), 101.0, **PAIRS).state, 116.0, **PAIRS)
    step = observed(state.state, 12, 120.0, RUNS_ANEW)
    assert run_of(step, 11).soak_since == 100.0
    step = seen(step.state, 131.0, **PAIRS)
    assert status_of(step, 11) is NodeStatus.DONE
    assert status_of(step, 12) is NodeStatus.RECOVERING


def test_evidence_from_before_a_neighbours_change_is_no_bad_sign_for_an_older_soak() -> None:
    state = seen(soaking_beside(NodeStatus.STARTING), 105.0, **PAIRS).state
    state = observed(state, 12, 120.0, RUNS_ANEW).state
    ages = {**dict.fromkeys(snapshot_at(0).effective_ages, 0.0), EvidenceGroup.METRICS: 8.0}
    step = seen(state, 122.0, **PAIRS, ages=ages)
    assert "EVIDENCE_STALE source:metrics" in codes(step)
    assert run_of(step, 11).soak_since == 100.0
    assert run_of(step, 11).soak.snapshots == 2
    # It is a bad sign for a soak that began after it was seen.
    late = replace(run_of(state, 11), soak_since=119.0)
    assert run_of(seen(state.with_node(late), 122.0, **PAIRS, ages=ages), 11).soak_since == 122.0


def test_a_hold_of_health_starts_every_soak_again() -> None:
    state = soaking_beside(NodeStatus.SOAKING)
    step = seen(state, 125.0, **PAIRS, reassignments=1)
    assert [run_of(step, node).soak_since for node in (11, 12)] == [125.0, 125.0]


def test_a_neighbour_that_relapses_starts_every_soak_again() -> None:
    state = seen(soaking_beside(NodeStatus.SOAKING), 110.0, **PAIRS).state
    left = dict(PAIRS)
    left["topics"] = (
        a_topic(partitions=[a_partition(0, leader=14, replicas=(12, 14, 16), isr=(14, 16))]),
    )
    step = seen(state, 120.0, **left)
    assert status_of(step, 12) is NodeStatus.RECOVERING
    assert run_of(step, 11).soak.snapshots <= 1
    assert run_of(step, 11).soak_since == 120.0


def test_a_repair_beside_it_starts_a_soak_again() -> None:
    state = soaking_beside(NodeStatus.STARTING, repair=True)
    step = observed(state, 12, 120.0, RUNS_ANEW)
    assert run_of(step, 11).soak_since is None


def test_a_repair_that_is_back_leaves_the_soak_of_another_alone() -> None:
    state = soaking_beside(NodeStatus.RECOVERING, repair=True)
    step = seen(state, 120.0, **PAIRS)
    (election,) = step.commands
    step = ended(step.state, election, 120.5)
    assert status_of(step, 12) is NodeStatus.SOAKING
    assert [run_of(step, node).soak_since for node in (11, 12)] == [100.0, 120.5]


def test_a_soak_that_lacks_clean_snapshots_says_so() -> None:
    state = a_wave(a_run(11, NodeStatus.SOAKING), 12, concurrency=2, soak_since=100.0)
    state = replace(state, policy=replace(QUICK, clean_snapshots=9))
    held = codes(seen(state, 160.0, **PAIRS))
    assert held == ["NOT_CLEAN_LONG_ENOUGH cluster:payments"]


# --- Trouble with several in flight --------------------------------------------------------------


def test_the_first_failure_pauses_the_wave_and_the_others_finish() -> None:
    runs = [
        a_run(11, NodeStatus.STARTING, at=100.0),
        a_run(12, NodeStatus.RECOVERING, at=100.0),
    ]
    state = a_wave(*runs, 13, concurrency=2)
    state = observed(state, 11, 120.0, RUNS).state
    assert state.status is WaveStatus.PAUSED
    assert status_of(state, 11) is NodeStatus.FAILED
    state = seen(state, 130.0, **PAIRS).state
    state = ended(state, "12.2.elect", 131.0).state
    assert status_of(state, 12) is NodeStatus.SOAKING
    step = clean(state, at=180.0, **PAIRS)
    assert status_of(step, 12) is NodeStatus.DONE
    assert not step.effects
    assert status_of(step, 13) is NodeStatus.PENDING


def test_every_failure_beyond_the_budget_is_named_by_a_pause_of_its_own() -> None:
    runs = [a_run(node, NodeStatus.STARTING, at=100.0) for node in (11, 12)]
    state = a_wave(*runs, 13, concurrency=2)
    for node in (11, 12):
        state = observed(state, node, 120.0 + node, RUNS).state
    assert [pause.node for pause in state.pauses] == [11, 12]
    state = ordered(state, Verb.SKIP, 200.0, 11).state
    assert state.status is WaveStatus.PAUSED
    assert ordered(state, Verb.SKIP, 201.0, 12).state.status is not WaveStatus.PAUSED


def test_an_aborted_wave_ends_when_the_last_of_several_is_back() -> None:
    runs = [a_run(11, NodeStatus.STARTING), a_run(12, NodeStatus.SOAKING)]
    state = ordered(a_wave(*runs, 13, concurrency=2), Verb.ABORT, 110.0).state
    assert state.status is not WaveStatus.ABORTED
    state = observed(state, 11, 120.0, RUNS_ANEW).state
    assert state.status is not WaveStatus.ABORTED
    state = seen(state, 130.0, **PAIRS).state
    assert ended(state, "11.2.elect", 131.0).state.status is WaveStatus.ABORTED


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.ABORT])
def test_an_order_withdraws_all_candidates(verb: Verb) -> None:
    state = clean(a_wave(*ALL, concurrency=None), **PAIRS).state
    state = ordered(state, verb, 200.5).state
    assert state.candidates == ()


def test_a_stop_that_was_not_sent_gives_its_broker_back_and_the_others_go_on() -> None:
    state = clean(a_wave(*ALL, concurrency=None), **PAIRS).state
    state = looked_at(state, 201.0, **PAIRS).state
    step = ended(state, "11.1.stop", 202.0, Outcome.NOT_SENT)
    assert status_of(step, 11) is NodeStatus.PENDING
    assert status_of(step, 12) is NodeStatus.STOPPING


def test_a_daemon_that_takes_over_asks_for_all_in_flight_first() -> None:
    runs = [a_run(node, NodeStatus.STARTING) for node in (11, 12)]
    step = reduce(a_wave(*runs, 13, concurrency=2), events.Resumed(at=150.0))
    assert kinds(step.effects) == ["Observe 11", "Observe 12"]
    assert "wave_resumed_by_daemon" in notes(step)
    assert ticked(step.state, 151.0).state.in_flight == {11, 12}
