"""Windows and other permissions: nothing new is taken, and what is in flight is finished."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.snapshots import NOON, a_partition, a_topic
from support.waves import QUICK, a_run, a_wave, clean, confirmed, run_of, seen, snapshot_at

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.waves import events
from healthd.waves.effects import Confirm, StopService
from healthd.waves.events import Confirmed
from healthd.waves.policy import SpecProblem, WavePolicy, parse_policy, unmeetable
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, WaveState, WaveStatus

FREEZE = Reason(code=ReasonCode.FREEZE, object="cluster:payments", detail="year end, by ben")
ALERT = Reason(code=ReasonCode.ALERT_FIRING, object="alert:DiskFull", detail="since 10:00")


def until(minutes: int, **policy: object) -> WavePolicy:
    """A policy with a window from 11:00 until so many minutes after noon, every day."""
    found = parse_policy(
        {
            "windows": [
                {"start": "11:00", "end": f"12:{minutes:02d}", "timezone": "UTC"},
            ],
            **policy,
        },
        QUICK,
    )
    assert isinstance(found, WavePolicy), found
    return found


def codes(state: WaveState) -> set[ReasonCode]:
    return {hold.reason.code for hold in state.holds}


def test_inside_its_window_a_wave_goes_on_as_without_one() -> None:
    step = clean(a_wave(policy=until(50)))
    assert [type(effect) for effect in step.effects] == [Confirm]


def test_outside_of_it_the_wave_holds_and_says_when_it_opens() -> None:
    step = clean(a_wave(policy=until(1)), at=200)
    assert step.effects == ()
    assert step.state.status is WaveStatus.HOLDING
    (hold,) = (each for each in step.state.holds if each.reason.code == "WINDOW_CLOSED")
    assert hold.reason.object == "cluster:payments"
    assert hold.reason.detail.startswith("opens ")


def test_a_window_that_closes_before_the_last_look_keeps_the_broker() -> None:
    looking = clean(a_wave(policy=until(4)), at=238).state
    assert looking.candidates
    step = confirmed(looking, looking.candidates[0], 241)
    assert not any(isinstance(effect, StopService) for effect in step.effects)
    assert ReasonCode.WINDOW_CLOSED in codes(step.state)


def test_the_event_says_the_time_of_day_when_it_knows() -> None:
    event = events.SnapshotSeen(
        at=15.0,
        snapshot=snapshot_at(15.0),
        previous=None,
        collected_since=15.0,
        wall=(NOON + timedelta(hours=3)).timestamp(),
    )
    step = reduce(a_wave(policy=until(50)), event)
    assert ReasonCode.WINDOW_CLOSED in codes(step.state)


def test_when_it_opens_a_whole_clean_run_has_to_pass_first() -> None:
    policy = replace(until(1), windows=until(1).windows)
    state = clean(a_wave(policy=policy), at=200).state
    assert state.clean.snapshots == 0
    opened = replace(state, policy=until(50))
    for at in (215, 230):
        step = seen(opened, at)
        opened = step.state
        assert step.effects == ()
        assert codes(opened) == {ReasonCode.NOT_CLEAN_LONG_ENOUGH}
    step = seen(opened, 245)
    assert [type(effect) for effect in step.effects] == [Confirm]


@pytest.mark.parametrize("missing", [FREEZE, None], ids=["a freeze begins", "the window closes"])
def test_a_soak_is_finished_without_permission_and_nothing_more_is_taken(
    missing: Reason | None,
) -> None:
    policy = until(50) if missing else until(1)
    holds = (missing,) if missing else ()
    state = a_wave(a_run(1, NodeStatus.SOAKING, at=100), 2, policy=policy, last_change=100.0)
    for at in range(115, 161, 15):
        step = seen(state, at, holds=holds)
        state = step.state
        assert step.effects == ()
    done = state.node(1)
    assert done is not None
    assert done.status is NodeStatus.DONE
    assert done.since == 145
    assert state.status is WaveStatus.HOLDING
    assert state.clean.snapshots == 0
    assert done.soak.snapshots == 3


def test_a_hold_of_health_starts_the_soak_again_all_the_same() -> None:
    state = a_wave(a_run(1, NodeStatus.SOAKING, at=100), 2, policy=until(50), last_change=100.0)
    state = seen(seen(state, 115).state, 130, holds=(ALERT,)).state
    assert state.soak_since == 130
    assert run_of(state, 1).soak.snapshots == 0


def test_a_bad_last_look_starts_the_soak_beside_it_again() -> None:
    state = a_wave(
        a_run(1, NodeStatus.SOAKING, at=100),
        2,
        policy=until(50),
        last_change=100.0,
        candidates=(2,),
        candidate_since=200.0,
        soak_since=190.0,
    )
    looked = Confirmed(at=205, nodes=(2,), hosts={}, snapshot=None)
    assert reduce(state, looked).state.soak_since == 205


def test_a_daemon_that_takes_it_up_again_counts_both_runs_anew() -> None:
    soaking = a_run(1, NodeStatus.SOAKING, at=150)
    state = clean(a_wave(soaking, 2, policy=until(50), soak_since=150.0), at=175).state
    assert run_of(state, 1).soak.snapshots == 3
    state = reduce(state, events.Resumed(at=210)).state
    assert (state.clean.snapshots, run_of(state, 1).soak.snapshots) == (0, 0)


@pytest.mark.parametrize(
    ("policy", "paths"),
    [
        ({"windows": [{"days": [], "start": "01:00", "end": "02:00", "timezone": "UTC"}]},
         ["windows[0]"]),
        ({"windows": [{"start": "01:00", "end": "02:00", "timezone": "UTC"}],
          "cutoffSeconds": 3600}, ["cutoffSeconds"]),
        ({"windows": [{"start": "01:00", "end": "02:00", "timezone": "UTC"}],
          "cutoffSeconds": 3599}, []),
    ],
    ids=["no day", "the cutoff is as long", "a second is left"],
)  # fmt: skip
def test_a_window_that_never_opens_can_never_be_met(
    policy: dict[str, object], paths: list[str]
) -> None:
    parsed = parse_policy(policy)
    assert isinstance(parsed, WavePolicy)
    problems: list[SpecProblem] = unmeetable(parsed)
    assert [problem.path for problem in problems] == paths


def test_who_waits_for_a_window_hears_now_that_no_broker_can_go() -> None:
    alone = a_topic("alone", [a_partition(0, replicas=(2,), isr=(2,), leader=2)])
    after = seen(a_wave(2, policy=until(1)), 200.0, topics=(alone,)).state
    assert codes(after) >= {ReasonCode.WINDOW_CLOSED, ReasonCode.RF_ONE}
    ill = seen(a_wave(2, policy=until(1)), 200.0, topics=(alone,), holds=(ALERT,)).state
    assert ReasonCode.RF_ONE not in codes(ill)
