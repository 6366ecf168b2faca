"""How far a hold is from opening: what is promised, and what is not."""

from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import NOON, a_partition, a_topic
from support.waves import QUICK, a_run, a_wave, brokers, seen

from healthd.model.codes import ReasonCode
from healthd.waves.codec import decode_state, encode_state
from healthd.waves.outlook import Outlook, outlook_of
from healthd.waves.policy import WavePolicy, parse_policy
from healthd.waves.state import NodeStatus, WaveState


def lag(messages: float) -> dict[str, Any]:
    row = {"broker": 3, "messages": messages, "ageSeconds": 1.0}
    return {"extra": {"lag": {"brokers": [row], "ageSeconds": 1.0}}}


def behind(count: int) -> dict[str, Any]:
    """So many partitions of which broker 3 is not in the ISR."""
    rows = [a_partition(number, replicas=(1, 2, 3), isr=(1, 2)) for number in range(count)]
    return {"topics": (a_topic("orders", rows),)}


def after(state: WaveState, *snapshots: dict[str, Any], every: float = 15.0) -> WaveState:
    for number, changes in enumerate(snapshots, start=1):
        state = seen(state, 100.0 + number * every, **changes).state
    return state


def told(state: WaveState, code: ReasonCode) -> Outlook:
    hold = next(each for each in state.holds if each.reason.code is code)
    found = outlook_of(state, hold)
    assert found is not None
    return found


def test_lag_that_falls_says_how_fast_and_about_how_long() -> None:
    state = after(a_wave(), *(lag(100_000 - 9_000 * step) for step in range(5)))
    found = told(state, ReasonCode.REPLICA_LAG)
    assert found.text == "100,000 -> 64,000 messages, 600 a second: about 2 min"
    assert (found.value, found.target, found.per_second) == (64_000, 10_000, 600)
    assert found.seconds == 90.0


def test_partitions_are_counted_by_their_code() -> None:
    state = after(a_wave(), *(behind(count) for count in (12, 11, 10, 9, 8)))
    found = told(state, ReasonCode.PARTITION_UNDER_REPLICATED)
    assert found.text == "12 -> 8 partitions, 0.07 a second: about 2 min"


def test_two_readings_promise_nothing() -> None:
    found = told(after(a_wave(), lag(90_000), lag(80_000)), ReasonCode.REPLICA_LAG)
    assert (found.text, found.seconds) == ("80,000 messages", None)


def test_what_does_not_fall_promises_nothing_and_says_since_when() -> None:
    state = after(a_wave(), *(lag(value) for value in (90_000, 50_000, *[50_000] * 12)))
    found = told(state, ReasonCode.REPLICA_LAG)
    assert (found.text, found.seconds) == ("50,000 messages, not falling for 3 min", None)


def test_what_rises_says_so() -> None:
    state = after(a_wave(), *(lag(20_000 + 1_000 * step) for step in range(4)))
    found = told(state, ReasonCode.REPLICA_LAG)
    assert (found.text, found.seconds) == ("23,000 messages, rising for 45 s", None)


def test_one_odd_reading_does_not_make_it_jump() -> None:
    falling = [100_000 - 6_000 * step for step in range(6)]
    calm = told(after(a_wave(), *map(lag, falling)), ReasonCode.REPLICA_LAG)
    odd = told(after(a_wave(), *map(lag, [*falling, falling[-1] + 1_500])), ReasonCode.REPLICA_LAG)
    assert calm.seconds is not None
    assert odd.seconds is not None
    assert odd.seconds < 1.6 * calm.seconds


def test_a_number_that_is_gone_is_forgotten() -> None:
    state = after(a_wave(), lag(50_000), lag(40_000), lag(30_000), lag(0))
    assert state.tracks == ()


def test_a_broker_that_catches_up_says_how_many_partitions_it_lacks() -> None:
    state = a_wave(a_run(3, NodeStatus.RECOVERING, at=90.0), 1)
    state = after(state, *(behind(count) for count in (90, 60, 30)))
    found = told(state, ReasonCode.BROKER_IN_FLIGHT)
    assert found.text == "90 -> 30 partitions, 2 a second: about 20 s"


def test_the_clean_run_and_the_soak_say_what_is_left() -> None:
    state = seen(a_wave(1, a_run(3, NodeStatus.SOAKING, at=90.0)), 110.0).state
    assert told(state, ReasonCode.SOAKING).text == "30 s more"
    assert told(
        state, ReasonCode.NOT_CLEAN_LONG_ENOUGH
    ).text == "30 s and 2 more snapshots".replace("30 s and", "30 s more and")


def test_the_clean_run_promises_nothing_while_something_else_holds() -> None:
    state = seen(a_wave(1, 2), 110.0, brokers=brokers(b4={"alive": False})).state
    hold = next(each for each in state.holds if each.reason.code == "NOT_CLEAN_LONG_ENOUGH")
    assert outlook_of(state, hold) is None
    down = next(each for each in state.holds if each.reason.code == "BROKER_DOWN")
    assert outlook_of(state, down) is None


def test_a_window_says_when_it_opens() -> None:
    policy = parse_policy(
        {"windows": [{"start": "14:00", "end": "15:00", "timezone": "UTC"}]}, QUICK
    )
    assert isinstance(policy, WavePolicy)
    state = replace(a_wave(policy=policy), wall=NOON.timestamp() + 110.0)
    state = seen(state, 110.0).state
    found = told(replace(state, wall=NOON.timestamp() + 110.0), ReasonCode.WINDOW_CLOSED)
    assert found.text.startswith("opens in 1 h 58 min, Thu 2026-01-01 14:00 UTC")
    assert found.seconds == pytest.approx(7090.0)


def test_what_is_watched_is_stored_and_read_back() -> None:
    state = after(a_wave(), lag(50_000), lag(40_000))
    assert state.tracks
    assert decode_state(encode_state(state)) == state
