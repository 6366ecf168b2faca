"""Nodes that are down before they are taken: started, looked at, or a reason to pause."""

from dataclasses import replace
from typing import Any

from support.snapshots import a_partition, a_topic
from support.waves import (
    IS_DOWN,
    RUNS,
    a_run,
    a_wave,
    brokers,
    clean,
    codes,
    confirmed,
    kinds,
    run_of,
    seen,
    snapshot_at,
    status_of,
    taken,
)

from healthd.model.words import BrokerState
from healthd.waves import events
from healthd.waves.events import HostState
from healthd.waves.reducer import reduce
from healthd.waves.sequence import Rank, sequence
from healthd.waves.state import NodeStatus, WaveState, WaveStatus


def with_dead(*nodes: int) -> dict[str, Any]:
    isr = tuple(node for node in (1, 2, 3, 4) if node not in nodes)
    return {
        "brokers": brokers(**{f"b{node}": {"alive": False} for node in nodes}),
        "topics": (
            a_topic(
                partitions=[a_partition(leader=isr[0], replicas=(1, 2, 3, 4), isr=isr)],
                min_insync_replicas=3,
            ),
        ),
    }


def observe(state: WaveState, node: int, at: float, host: HostState) -> Any:
    return reduce(state, events.Observed(at=at, node=node, host=host))


def test_a_node_whose_process_does_not_run_is_only_started_and_asks_for_nothing_else() -> None:
    step = seen(a_wave(), 10.0, **with_dead(4))
    assert kinds(step.effects) == ["Observe 4"]
    step = observe(step.state, 4, 11.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 4"]
    assert status_of(step, 4) is NodeStatus.STARTING
    assert run_of(step, 4).repair


def test_the_host_of_a_repair_is_asked_every_ten_seconds_and_not_with_every_snapshot() -> None:
    state = seen(a_wave(), 10.0, **with_dead(4)).state
    early = seen(state, 19.9, **with_dead(4))
    assert not early.effects
    step = seen(early.state, 20.0, **with_dead(4))
    assert kinds(step.effects) == ["Observe 4"]
    assert run_of(step, 4).observed_at == 20.0


def test_a_repair_that_runs_is_stopped_only_through_the_gate() -> None:
    state = seen(a_wave(), 10.0, **with_dead(4)).state
    assert not observe(state, 4, 11.0, RUNS).effects
    fenced = {**with_dead(4), "brokers": brokers(b4={"fenced": True})}
    state = clean(a_wave(), **fenced).state
    step = confirmed(state, 4, 201.0, **fenced)
    assert kinds(step.effects) == ["StopService 4"]
    assert run_of(step, 4).repair


def test_a_node_that_came_back_before_its_repair_reached_it_is_no_repair_any_more() -> None:
    waits = a_run(4, NodeStatus.PENDING, attempt=1, repair=True)
    step = confirmed(clean(a_wave(waits)).state, 4, 201.0)
    assert kinds(step.effects) == ["StopService 4"]
    assert not run_of(step, 4).repair


def test_several_that_were_dead_from_the_start_are_started_together() -> None:
    step = seen(a_wave(), 10.0, **with_dead(3, 4))
    assert kinds(step.effects) == ["Observe 3", "Observe 4"]
    first = observe(step.state, 3, 11.0, IS_DOWN)
    second = observe(first.state, 4, 11.1, IS_DOWN)
    assert kinds(second.effects) == ["StartService 4"]
    assert not second.state.is_paused


def test_a_repair_waits_while_another_that_was_stopped_is_not_back() -> None:
    state = a_wave(a_run(1, NodeStatus.RECOVERING), 4)
    assert not seen(state, 110.0, **with_dead(1, 4)).effects


def test_a_repair_whose_answer_comes_while_a_stopped_one_is_not_back_waits() -> None:
    waits = a_run(4, NodeStatus.PENDING, attempt=0, started_before=None)
    state = a_wave(a_run(1, NodeStatus.RECOVERING), waits)
    assert not observe(state, 4, 111.0, IS_DOWN).effects
    looked_at = replace(state, candidates=(4,), candidate_since=110.0)
    assert not confirmed(looked_at, 4, 111.0, IS_DOWN, **with_dead(4)).effects


def test_a_fenced_node_is_looked_at_beside_one_in_its_soak() -> None:
    state = a_wave(a_run(2, NodeStatus.SOAKING), 3, 4, soak_since=190.0)
    state = replace(state, policy=replace(state.policy, soak_seconds=300))
    wide = a_topic(partitions=[a_partition(replicas=(1, 2, 3, 4), isr=(1, 2, 3))])
    step = clean(state, brokers=brokers(b4={"fenced": True}), topics=(wide,))
    assert kinds(step.effects) == ["Confirm 4"]


def test_a_node_that_dies_beside_one_in_its_soak_is_started_at_once() -> None:
    state = a_wave(a_run(2, NodeStatus.SOAKING), 3, 4, soak_since=100.0)
    state = seen(state, 105.0).state
    step = seen(state, 120.0, **with_dead(4))
    assert kinds(step.effects) == ["Observe 4"]
    step = observe(step.state, 4, 121.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 4"]
    assert step.state.died == (4,)


def test_the_second_node_that_dies_by_itself_pauses_the_wave_and_both_are_named() -> None:
    state = a_wave(3, 4, died=(4,), seen_up=frozenset({3, 4}))
    state = seen(state, 120.0, **with_dead(3)).state
    step = observe(state, 3, 121.0, IS_DOWN)
    assert not step.effects
    assert step.state.status is WaveStatus.PAUSED
    assert "broker 4 and broker 3" in step.state.pauses[0].reason


def test_nothing_is_repaired_while_the_wave_is_paused() -> None:
    state = reduce(
        a_wave(), events.Ordered(at=5.0, verb=events.Verb.PAUSE, by="ada", reason="r")
    ).state
    assert not seen(state, 10.0, **with_dead(4)).effects


def test_a_node_that_was_restarted_in_an_earlier_try_is_not_restarted_again() -> None:
    state = a_wave(a_run(2, NodeStatus.PENDING, started_before="process 0"), 4)
    step = taken(state, 2)
    assert not step.effects
    assert status_of(step, 2) is NodeStatus.RECOVERING


def test_a_dead_node_outside_the_wave_holds_it() -> None:
    step = clean(a_wave(1, 2, 3), **with_dead(4))
    assert not step.effects
    assert "BROKER_DOWN broker:4" in codes(step)


def test_a_repair_in_log_recovery_is_not_stopped() -> None:
    recovering = brokers(b4={"alive": False, "state": BrokerState.RECOVERY})
    step = clean(a_wave(), **{**with_dead(4), "brokers": recovering})
    assert "Confirm 4" not in kinds(step.effects)
    assert "BROKER_RECOVERING broker:4" in codes(step)


def test_repairs_are_taken_as_the_plan_says_controllers_first_and_the_active_one_last() -> None:
    fenced = brokers(b1={"fenced": True}, b2={"fenced": True}, b4={"fenced": True})
    ranked = sequence(snapshot_at(1.0, brokers=fenced), (1, 2, 3, 4))
    assert [node for rank, node in ranked if rank is Rank.REPAIR] == [2, 1, 4]
