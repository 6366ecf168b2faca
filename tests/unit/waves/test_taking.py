"""Which node is taken, and when: order, gate over time, the last look right before a stop."""

from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_broker, a_partition, a_quorum, a_topic
from support.waves import (
    IS_DOWN,
    RUNS,
    UNKNOWN,
    a_run,
    a_wave,
    brokers,
    clean,
    codes,
    confirmed,
    kinds,
    notes,
    run_of,
    seen,
    snapshot_at,
    status_of,
    taken,
    ticked,
)

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.words import EvidenceGroup
from healthd.safety.clean_run import CleanRun
from healthd.waves import events
from healthd.waves.choice import pick
from healthd.waves.effects import StopService
from healthd.waves.events import HostState
from healthd.waves.gate import read_gate
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, WaveStatus

RF_FOUR = a_topic(
    partitions=[a_partition(replicas=(1, 2, 3, 4), isr=(1, 2, 3, 4))], min_insync_replicas=3
)


def done(*nodes: int) -> tuple[Any, ...]:
    return tuple(a_run(node, NodeStatus.DONE, at=50.0) for node in nodes)


# --- Order ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("through", "expected"),
    [
        pytest.param((), 2, id="a controller that is not active comes first"),
        pytest.param((2,), 3, id="then the next one"),
        pytest.param((2, 3), 1, id="then the active one"),
        pytest.param((2, 3, 1), 4, id="then a plain broker"),
    ],
)
def test_controllers_come_before_brokers_and_the_active_one_is_their_last(
    through: tuple[int, ...], expected: int
) -> None:
    waits = [node for node in (1, 2, 3, 4) if node not in through]
    step = clean(a_wave(*done(*through), *waits))
    assert kinds(step.effects) == [f"Confirm {expected}"]
    assert step.state.candidates == (expected,)


def test_the_active_controller_is_read_when_a_node_is_chosen_because_it_moves() -> None:
    step = clean(a_wave(), quorum=a_quorum(leader_id=2))
    assert step.state.candidates == (1,)


def test_a_node_that_is_down_comes_before_every_controller() -> None:
    step = clean(a_wave(), brokers=brokers(b4={"fenced": True}))
    assert kinds(step.effects) == ["Confirm 4"]


def test_a_blocked_node_is_passed_over_for_the_next_of_its_group() -> None:
    rf_one = a_topic("single", [a_partition(leader=2, replicas=(2,), isr=(2,))])
    step = clean(a_wave(), topics=(rf_one,))
    assert step.state.candidates == (3,)


def test_plain_brokers_wait_for_a_blocked_controller_and_the_hold_shows_its_blockers() -> None:
    rf_one = a_topic("single", [a_partition(leader=2, replicas=(2,), isr=(2,))])
    step = clean(a_wave(*done(1, 3), 2, 4), topics=(rf_one,))
    assert not step.effects
    assert codes(step) == ["RF_ONE single-0"]
    assert "if broker 2 stopped now" in step.state.holds[0].reason.detail
    assert step.state.status is WaveStatus.HOLDING


def test_a_second_controller_waits_while_another_one_is_in_flight() -> None:
    state = a_wave(a_run(1, NodeStatus.SOAKING), 2, concurrency=2, soak_since=100.0)
    step = clean(replace(state, policy=replace(state.policy, soak_seconds=9)), topics=(RF_FOUR,))
    assert status_of(step, 1) is NodeStatus.DONE
    state = a_wave(a_run(1, NodeStatus.SOAKING), 2, concurrency=2, soak_since=199.0)
    step = clean(state, topics=(RF_FOUR,))
    assert not step.effects


def test_a_wave_over_a_node_that_the_cluster_does_not_list_holds_and_names_it() -> None:
    step = clean(a_wave(9))
    assert not step.effects
    assert codes(step) == ["BROKER_STATE_UNKNOWN broker:9"]


# --- The gate over time --------------------------------------------------------------------------


def test_the_clean_run_counts_before_the_first_broker_too() -> None:
    first = seen(a_wave(), 170.0)
    assert not first.effects
    assert codes(first) == ["NOT_CLEAN_LONG_ENOUGH cluster:payments"]
    assert first.state.status is WaveStatus.RUNNING  # Waiting is no holding.


def test_a_snapshot_that_only_grew_older_counts_once() -> None:
    state = seen(a_wave(), 170.0).state
    ages = dict.fromkeys(snapshot_at(0).effective_ages, 15.0)
    again = seen(state, 185.0, ages=ages)
    assert again.state.clean.snapshots == 1


def test_one_bad_snapshot_starts_clean_run_and_soak_again() -> None:
    state = a_wave(a_run(1, NodeStatus.SOAKING), 2, 3, 4, soak_since=100.0)
    state = seen(seen(state, 110.0).state, 125.0).state
    bad = seen(state, 140.0, brokers=brokers(b4={"alive": False}), holds=())
    # Node 4 waits in this wave: it is a repair and no hold; a reassignment is one.
    assert bad.state.clean.snapshots == 3
    bad = seen(state, 140.0, reassignments=1)
    assert bad.state.clean.snapshots == 0
    assert bad.state.soak_since == 140.0
    assert bad.state.status is WaveStatus.HOLDING
    assert codes(bad)[0] == "REASSIGNMENT cluster:payments"


def test_soak_and_clean_run_go_side_by_side_and_the_next_is_chosen_at_once() -> None:
    state = a_wave(a_run(2, NodeStatus.SOAKING), 1, 3, 4, soak_since=100.0)
    state = seen(seen(state, 101.0).state, 116.0).state
    early = seen(state, 129.0)
    assert status_of(early, 2) is NodeStatus.SOAKING
    step = seen(early.state, 131.0)
    assert status_of(step, 2) is NodeStatus.DONE
    assert kinds(step.effects) == ["Confirm 3"]


def test_evidence_from_before_the_last_change_is_ignored() -> None:
    state = a_wave(a_run(2, NodeStatus.RECOVERING), 3, last_change=100.0)
    step = seen(state, 105.0, collected_since=99.0)
    assert not step.effects
    assert status_of(step, 2) is NodeStatus.RECOVERING


def test_a_source_last_seen_before_the_last_change_holds_although_it_is_fresh() -> None:
    state = a_wave(last_change=195.0)
    ages = {**dict.fromkeys(snapshot_at(0).effective_ages, 0.0), EvidenceGroup.QUORUM: 8.0}
    step = seen(state, 200.0, ages=ages)
    assert codes(step)[0] == "EVIDENCE_STALE source:quorum"


def test_an_isr_that_shrinks_between_two_snapshots_holds() -> None:
    before = snapshot_at(185.0)
    state = clean(a_wave(3, 4), at=185.0).state
    shrunk = a_topic(partitions=[a_partition(isr=(1, 2))])
    step = seen(state, 200.0, topics=(shrunk,), previous=before)
    assert "ISR_SHRINKING orders-0" in codes(step)


def test_a_controller_change_away_from_a_node_in_flight_is_no_hold() -> None:
    before = snapshot_at(185.0)
    moved = a_quorum(leader_id=2)
    own = a_wave(a_run(1, NodeStatus.SOAKING), 2, soak_since=100.0)
    assert "CONTROLLER_CHANGED cluster:payments" not in codes(
        seen(own, 200.0, quorum=moved, previous=before)
    )
    other = a_wave(a_run(3, NodeStatus.SOAKING), 2, soak_since=100.0)
    assert "CONTROLLER_CHANGED cluster:payments" in codes(
        seen(other, 200.0, quorum=moved, previous=before)
    )


def test_an_index_below_the_waves_threshold_holds_by_name() -> None:
    state = a_wave(2)
    state = replace(state, policy=replace(state.policy, min_health_index=100.0))
    step = seen(state, 200.0, unclean_elections_24h=1)
    assert "HEALTH_INDEX_LOW cluster:payments" in codes(step)


def test_an_index_that_falls_in_its_clean_run_is_named_on_the_very_snapshot() -> None:
    state = clean(a_wave(2)).state
    busy = tuple(a_broker(node, request_handler_idle=0.1) for node in (1, 2, 3, 4))
    low = seen(state, 215.0, brokers=busy)
    assert low.state.clean.snapshots == 0
    assert "HEALTH_INDEX_LOW cluster:payments" in codes(low)


def test_the_waves_own_broker_that_is_down_does_not_close_the_gate() -> None:
    state = a_wave(a_run(2, NodeStatus.STARTING), 1, 3, 4)
    step = seen(
        state,
        110.0,
        brokers=brokers(b2={"alive": False}),
        topics=(
            a_topic(
                partitions=[a_partition(replicas=(1, 2, 3, 4), isr=(1, 3, 4))],
                min_insync_replicas=3,
            ),
        ),
        quorum=a_quorum(2),
    )
    assert codes(step) == ["BROKER_IN_FLIGHT broker:2", "NOT_CLEAN_LONG_ENOUGH cluster:payments"]
    assert step.state.status is WaveStatus.RUNNING


def test_what_the_daemon_knows_beside_the_snapshot_holds() -> None:
    lost = Reason(code=ReasonCode.LEASE_LOST, object="cluster:payments", detail="taken")
    step = clean(a_wave(), holds=(lost,))
    assert not step.effects
    assert codes(step)[0] == "LEASE_LOST cluster:payments"


def test_a_hold_keeps_the_time_it_began_and_the_journal_one_line() -> None:
    first = seen(a_wave(), 100.0, reassignments=1)
    second = seen(first.state, 115.0, reassignments=2)
    assert "gate_closed" in notes(first)
    assert second.notes == ()
    assert second.state.holds[0].since == 100.0
    assert "gate_clear" in notes(seen(second.state, 130.0))


# --- The last look -------------------------------------------------------------------------------


def test_a_stop_has_its_start_beside_it_and_knows_its_process() -> None:
    step = taken(a_wave(), 2)
    (effect,) = step.effects
    assert isinstance(effect, StopService)
    assert (effect.effect_id, effect.start_effect_id) == ("2.1.stop", "2.1.start")
    assert effect.timeout_seconds == 600
    assert status_of(step, 2) is NodeStatus.STOPPING
    assert run_of(step, 2).started_before == RUNS.start
    assert step.state.last_change == 201.0
    assert step.must_be_written


@pytest.mark.parametrize(
    ("changes", "hold"),
    [
        pytest.param({"reassignments": 1}, "REASSIGNMENT cluster:payments", id="a reassignment"),
        pytest.param({"quorum": None}, "QUORUM_UNKNOWN cluster:payments", id="no quorum"),
        pytest.param(
            {"quorum": a_quorum(3)}, "VOTER_BEHIND node:3", id="another voter fell behind"
        ),
        pytest.param(
            {"topics": (a_topic(partitions=[a_partition(isr=(1, 2))]),)},
            "PARTITION_UNDER_REPLICATED orders-0",
            id="a replica fell out",
        ),
    ],
)
def test_the_gate_is_asked_once_more_right_before_the_stop(
    changes: dict[str, Any], hold: str
) -> None:
    step = confirmed(clean(a_wave()).state, 2, 201.0, **changes)
    assert not step.effects
    assert hold in codes(step)
    assert step.state.clean.snapshots == 0
    assert status_of(step, 2) is NodeStatus.PENDING


def test_ok_to_stop_is_asked_once_more_right_before_the_stop() -> None:
    narrow = a_topic(min_insync_replicas=3)
    step = confirmed(clean(a_wave()).state, 2, 201.0, topics=(narrow,))
    assert not step.effects
    assert set(codes(step)) == {"RF_LE_MIN_ISR orders-0"}


def test_configs_that_were_not_read_again_hold() -> None:
    state = clean(a_wave()).state
    ages = {**dict.fromkeys(snapshot_at(0).effective_ages, 0.0), EvidenceGroup.CONFIGS: 90.0}
    step = confirmed(state, 2, 201.0, ages=ages)
    assert codes(step) == ["EVIDENCE_STALE source:configs"]


def test_without_a_fresh_snapshot_nothing_is_stopped() -> None:
    state = clean(a_wave()).state
    step = reduce(state, events.Confirmed(at=201.0, nodes=(2,), snapshot=None, hosts={2: RUNS}))
    assert not step.effects
    assert codes(step) == ["EVIDENCE_STALE source:metadata"]


def test_a_bad_snapshot_withdraws_the_candidate_although_its_last_look_is_good() -> None:
    state = clean(a_wave()).state
    before = snapshot_at(200.0)
    churn = seen(state, 200.5, quorum=a_quorum(leader_id=3), previous=before)
    assert not churn.state.candidates
    step = confirmed(churn.state, 2, 201.0, quorum=a_quorum(leader_id=3))
    assert not step.effects


@pytest.mark.parametrize(
    ("host", "hold"),
    [
        pytest.param(
            HostState(
                is_running=None,
                reason=Reason(
                    code=ReasonCode.HOST_KEY_REFUSED, object="broker:2", detail="two fingerprints"
                ),
            ),
            "HOST_KEY_REFUSED broker:2",
            id="another host key",
        ),
        pytest.param(UNKNOWN, "HOST_STATE_UNKNOWN broker:2", id="no answer"),
        pytest.param(HostState(is_running=True), "HOST_STATE_UNKNOWN broker:2", id="no start time"),
        pytest.param(IS_DOWN, "IDENTITY broker:2", id="another host than the cluster's"),
    ],
)
def test_a_host_that_cannot_say_which_process_it_runs_holds_and_nothing_is_done(
    host: HostState, hold: str
) -> None:
    step = confirmed(clean(a_wave()).state, 2, 201.0, host)
    assert not step.effects
    assert codes(step) == [hold]
    assert step.state.status is WaveStatus.HOLDING
    # It stands while the next look is under way, and does not flap with every snapshot.
    again = seen(step.state, 215.0)
    assert kinds(again.effects) == ["Confirm 2"]
    assert hold in codes(again)
    assert again.notes == ()
    looking = seen(again.state, 230.0)
    assert hold in codes(looking)
    assert not looking.effects
    assert kinds(confirmed(looking.state, 2, 231.0).effects) == ["StopService 2"]


def test_a_last_look_without_answer_is_asked_for_again_after_a_minute() -> None:
    state = clean(a_wave()).state
    for at in (215.0, 230.0, 245.0):
        step = seen(state, at)
        assert not step.effects
        state = step.state
    assert kinds(seen(state, 260.0).effects) == ["Confirm 2"]


def test_an_answer_that_nobody_waits_for_changes_nothing() -> None:
    state = clean(a_wave()).state
    assert kinds(confirmed(state, 3, 201.0).effects) == []
    first = confirmed(state, 2, 201.0)
    second = confirmed(first.state, 2, 202.0)
    assert not second.effects


def test_a_clean_run_that_was_lost_meanwhile_keeps_the_candidate() -> None:
    state = replace(clean(a_wave()).state, clean=CleanRun())
    step = confirmed(state, 2, 201.0)
    assert not step.effects
    assert codes(step) == ["NOT_CLEAN_LONG_ENOUGH cluster:payments"]


def test_a_node_in_its_soak_still_counts_as_down_when_the_next_is_chosen() -> None:
    state = a_wave()
    look = events.Confirmed(at=1, nodes=(2,), snapshot=snapshot_at(1), hosts={2: RUNS})
    reading = read_gate(state, look)
    alone = a_wave(2, concurrency=2)
    assert pick(alone, snapshot_at(1, topics=(RF_FOUR,)), reading).nodes == (2,)
    beside = a_wave(a_run(4, NodeStatus.SOAKING), 2, concurrency=2)
    assert not pick(beside, snapshot_at(1, topics=(RF_FOUR,)), reading).nodes


# --- Repairs -------------------------------------------------------------------------------------


def test_time_alone_opens_nothing() -> None:
    state = seen(a_wave(), 10.0, reassignments=1).state
    for at in (100.0, 10_000.0):
        step = ticked(state, at)
        assert not step.effects
        assert step.state.status is WaveStatus.HOLDING


def test_the_gate_is_not_open_before_a_snapshot_was_judged() -> None:
    waits = ["NOT_CLEAN_LONG_ENOUGH cluster:payments"]
    state = reduce(a_wave(1, status=WaveStatus.PLANNED), events.Began(at=0.0)).state
    assert codes(state) == waits
    assert codes(reduce(replace(state, holds=()), events.Resumed(at=5.0))) == waits
