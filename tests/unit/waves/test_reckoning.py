"""Which event adds what to a wave's tally."""

from dataclasses import replace

from support.snapshots import a_partition, a_topic
from support.waves import OLD, a_run, a_wave, brokers, observed, seen, ticked

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.waves.events import HostState
from healthd.waves.state import Hold, NodeStatus, WaveState, WaveStatus

FROZEN = Hold(
    reason=Reason(code=ReasonCode.FREEZE, object="cluster:payments", detail="why"), since=0.0
)
SOAKS = Hold(reason=Reason(code=ReasonCode.SOAKING, object="broker:1", detail="why"), since=0.0)


def held() -> WaveState:
    wave = a_wave(a_run(1, NodeStatus.SOAKING), 2)
    return replace(wave, status=WaveStatus.HOLDING, holds=(FROZEN, SOAKS), clock=100.0)


def test_the_time_of_a_hold_is_added_up_with_every_event_and_the_ordinary_course_is_not() -> None:
    step = ticked(held(), 102.0)
    step = ticked(step.state, 105.0)
    assert step.state.tally.closed_seconds == (("FREEZE", 5.0),)


def test_time_that_stands_still_and_time_of_a_wave_that_runs_add_nothing() -> None:
    assert ticked(held(), 90.0).state.tally.closed_seconds == ()
    running = replace(held(), status=WaveStatus.RUNNING)
    assert ticked(running, 110.0).state.tally.closed_seconds == ()


def test_a_snapshot_shows_what_a_broker_in_flight_costs() -> None:
    wave = a_wave(a_run(1, NodeStatus.RECOVERING), 2)
    lacking = (a_topic(partitions=[a_partition(isr=(2, 3), leader=2)]),)
    step = seen(wave, 110.0, topics=lacking)
    step = seen(step.state, 125.0, topics=lacking)
    tally = step.state.tally
    assert (tally.under_replicated, tally.under_replicated_seconds) == (1, 15.0)
    assert tally.looks == 2


def test_a_node_that_fails_begins_a_trouble_that_ends_when_the_cluster_has_it_back() -> None:
    run = a_run(1, NodeStatus.STARTING, command=None, started_before=OLD)
    failed = observed(a_wave(run, 2), 1, 120.0, HostState(is_running=True, start=OLD))
    assert failed.state.tally.away == (1,)
    step = seen(failed.state, 130.0, brokers=brokers(b1={"alive": False}))
    assert step.state.tally.restores == ()
    step = seen(step.state, 150.0)
    assert step.state.tally.restores == (30.0,)
