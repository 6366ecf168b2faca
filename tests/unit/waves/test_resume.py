"""A daemon takes a wave up again: everything in flight is observed before anything else."""

import json

import pytest
from support.snapshots import a_partition, a_topic
from support.waves import (
    IS_DOWN,
    OLD,
    RUNS,
    RUNS_ANEW,
    UNKNOWN,
    a_run,
    a_wave,
    clean,
    codes,
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
from healthd.waves.codec import StateUnreadable, decode_state, encode_state
from healthd.waves.events import Outcome, Resumed
from healthd.waves.reducer import reduce
from healthd.waves.state import IN_FLIGHT, Hold, NodeStatus, Pause, WaveState, WaveStatus

AT = 150.0


def resumed(state: WaveState) -> WaveState:
    """The state after a crash, through the journal and back."""
    read = decode_state(json.loads(json.dumps(encode_state(state))))
    assert read == state
    step = reduce(read, Resumed(at=AT))
    expected = [f"Observe {run.node}" for run in state.nodes if run.status in IN_FLIGHT]
    assert kinds(step.effects) == expected
    return step.state


@pytest.mark.parametrize("status", sorted(IN_FLIGHT))
def test_nothing_but_observing_is_done_first(status: NodeStatus) -> None:
    run = a_run(2, status, command="2.1.stop", command_at=100.0)
    state = resumed(a_wave(run, 1, 3, 4, clean=CleanRun(snapshots=9, since=1.0)))
    assert run_of(state, 2).command is None
    assert state.clean == CleanRun()


@pytest.mark.parametrize("status", [NodeStatus.STOPPING, NodeStatus.STOPPED, NodeStatus.STARTING])
def test_a_broker_that_is_down_is_started_and_one_that_runs_anew_is_not(
    status: NodeStatus,
) -> None:
    state = resumed(a_wave(a_run(2, status, command="x"), 1, 3, 4))
    step = observed(state, 2, 150.5, IS_DOWN)
    assert kinds(step.effects) == ["StartService 2"]
    assert status_of(step, 2) is NodeStatus.STARTING
    step = observed(state, 2, 150.5, RUNS_ANEW)
    assert not step.commands
    assert status_of(step, 2) is NodeStatus.RECOVERING


def test_a_recovering_broker_is_not_restarted() -> None:
    state = resumed(a_wave(a_run(2, NodeStatus.RECOVERING), 1, 3, 4))
    assert not observed(state, 2, 150.5, RUNS_ANEW).effects
    assert kinds(seen(state, 160.0).effects) == ["ElectLeaders 2"]


def test_a_soak_starts_again() -> None:
    run = a_run(2, NodeStatus.SOAKING)
    state = resumed(a_wave(run, 1, 3, 4, soak_since=100.0))
    assert state.soak_since == AT


def test_evidence_of_before_the_crash_does_not_count() -> None:
    state = resumed(a_wave())
    assert not seen(state, 155.0, collected_since=149.0).state.clean.snapshots


def test_a_wave_that_was_accepted_and_never_began_begins() -> None:
    step = reduce(a_wave(status=WaveStatus.PLANNED), Resumed(at=0.0))
    assert step.state.status is WaveStatus.RUNNING


def test_a_pause_outlives_the_daemon() -> None:
    state = resumed(a_wave(pauses=(Pause(by="ada", reason="lunch", since=1.0),)))
    assert state.status is WaveStatus.PAUSED
    assert not clean(state).effects


def test_a_watched_broker_is_observed_too() -> None:
    state = a_wave(a_run(2, NodeStatus.FAILED, is_watched=True), 1)
    step = reduce(state, Resumed(at=AT))
    assert kinds(step.effects) == ["Observe 2"]


# --- A stop of which nobody knows whether it was carried out -------------------------------------


def interrupted() -> WaveState:
    run = a_run(2, NodeStatus.STOPPING, command="2.1.stop", command_at=100.0)
    state = resumed(a_wave(run, 1, 3, 4))
    return observed(state, 2, 150.5, RUNS).state


def test_it_is_looked_at_once_more_and_sent_to_the_very_same_process() -> None:
    step = clean(interrupted())
    assert kinds(step.effects) == ["Confirm 2"]
    step = confirmed(step.state, 2, 201.0, RUNS)
    (command,) = step.commands
    assert kinds(step.effects) == ["StopService 2"]
    assert command.effect_id == "2.2.stop"
    assert run_of(step, 2).started_before == OLD
    assert run_of(step, 2).since == 201.0  # Its deadline begins now.
    assert not clean(step.state, at=300.0).commands


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param(RUNS_ANEW, NodeStatus.RECOVERING, id="a new process"),
        pytest.param(IS_DOWN, NodeStatus.STARTING, id="no process"),
        pytest.param(UNKNOWN, NodeStatus.STOPPING, id="nobody knows"),
    ],
)
def test_it_is_not_sent_to_any_other_process(host: object, status: NodeStatus) -> None:
    step = confirmed(clean(interrupted()).state, 2, 201.0, host)  # type: ignore[arg-type]
    assert "StopService 2" not in kinds(step.effects)
    assert status_of(step, 2) is status


def test_it_is_not_sent_again_through_a_closed_gate() -> None:
    state = clean(interrupted()).state
    assert not confirmed(state, 2, 201.0, reassignments=1).commands
    narrow = a_topic(partitions=[a_partition(isr=(1, 2))])
    step = confirmed(state, 2, 201.0, topics=(narrow,))
    assert not step.commands
    assert "PARTITION_UNDER_REPLICATED orders-0" in codes(step)
    assert not clean(interrupted(), reassignments=1).effects


def test_a_stop_sent_again_that_did_not_arrive_stays_due() -> None:
    step = confirmed(clean(interrupted()).state, 2, 201.0)
    state = ended(step.state, "2.2.stop", 205.0, Outcome.NOT_SENT).state
    # The first daemon's stop may still be at work: the node is not given back.
    assert status_of(state, 2) is NodeStatus.STOPPING
    assert kinds(clean(state, at=260.0).effects) == ["Confirm 2"]


def test_a_stop_that_nobody_could_repeat_fails_in_the_end_and_is_watched() -> None:
    step = ticked(interrupted(), 751.0)
    assert status_of(step, 2) is NodeStatus.FAILED
    assert run_of(step, 2).is_watched


# --- The form on disk ----------------------------------------------------------------------------


def test_every_field_of_a_state_comes_back() -> None:
    state = clean(a_wave(a_run(2, NodeStatus.SOAKING), 1, soak_since=1.0), reassignments=1).state
    state = reduce(state, Resumed(at=400.0)).state
    assert any(isinstance(hold, Hold) for hold in state.holds)
    assert decode_state(json.loads(json.dumps(encode_state(state)))) == state


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param({"colour": 1}, "state.colour: is not known", id="an unknown field"),
        pytest.param({"status": "asleep"}, "no WaveStatus", id="an unknown status"),
        pytest.param({"nodes": [{"node": "x"}]}, r"state.nodes\[0\].node", id="another type"),
        pytest.param({"nodes": [{"node": True}]}, r"state.nodes\[0\].node", id="a boolean id"),
        pytest.param({"nodes": 3}, "must be a list", id="no list"),
        pytest.param({"policy": []}, "state.policy: must be an object", id="no object"),
        pytest.param({"clock": "now"}, "state.clock", id="a time in words"),
    ],
)
def test_a_state_of_another_version_is_refused_with_its_path(
    damage: dict[str, object], words: str
) -> None:
    with pytest.raises(StateUnreadable, match=words):
        decode_state({**encode_state(a_wave()), **damage})


def test_a_missing_field_is_refused() -> None:
    encoded = encode_state(a_wave())
    del encoded["cluster"]
    with pytest.raises(StateUnreadable, match=r"state\.cluster: is missing"):
        decode_state(encoded)


def test_fields_that_came_later_have_their_defaults() -> None:
    encoded = encode_state(a_wave())
    del encoded["last_look"]
    assert decode_state(encoded) == a_wave()


def test_a_state_from_when_only_one_node_was_looked_at_is_still_read() -> None:
    encoded = encode_state(a_wave())
    del encoded["candidates"], encoded["wall"]
    assert decode_state({**encoded, "candidate": 2}) == a_wave(candidates=(2,))
    assert decode_state({**encoded, "candidate": None}) == a_wave()
    with pytest.raises(StateUnreadable, match="candidate"):
        decode_state({**encoded, "candidate": 2, "candidates": []})
