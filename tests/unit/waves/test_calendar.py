"""When windows are open: midnight, weekdays, clocks that are set, the cutoff, and what is told."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from healthd.waves.calendar import calendar_at, never_open, span_text, window_hold
from healthd.waves.policy import WavePolicy, parse_policy
from healthd.waves.window import Window

BERLIN = "Europe/Berlin"


def windows(*spans: tuple[str, str, str], timezone: str = BERLIN) -> tuple[Window, ...]:
    policy = parse_policy(
        {
            "windows": [
                {"days": days.split(), "start": start, "end": end, "timezone": timezone}
                for days, start, end in spans
            ]
        }
    )
    assert isinstance(policy, WavePolicy)
    return policy.windows


def at(text: str, timezone: str = BERLIN, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone), fold=fold).timestamp()


def is_open(given: tuple[Window, ...], wall: float, cutoff: float = 0) -> bool:
    return calendar_at(given, cutoff_seconds=cutoff, wall=wall).is_open


THU = windows(("thu", "21:00", "05:00"))


def test_without_windows_it_is_always_open() -> None:
    assert is_open((), 0.0, cutoff=1e9)


@pytest.mark.parametrize(
    ("moment", "opened"),
    [
        ("2026-11-26 20:59:59", False),
        ("2026-11-26 21:00:00", True),
        ("2026-11-27 04:59:59", True),
        ("2026-11-27 05:00:00", False),
        ("2026-11-26 03:00:00", False),
        ("2026-11-27 21:30:00", False),
    ],
)
def test_a_window_across_midnight_belongs_to_the_day_on_which_it_starts(
    moment: str, *, opened: bool
) -> None:
    assert is_open(THU, at(moment)) is opened


def test_nothing_is_taken_from_the_cutoff_on() -> None:
    assert is_open(THU, at("2026-11-27 04:44:59"), cutoff=900)
    assert not is_open(THU, at("2026-11-27 04:45:00"), cutoff=900)


def test_windows_that_touch_are_one_so_the_cutoff_is_at_the_end_of_the_last() -> None:
    both = windows(("thu", "21:00", "24:00"), ("fri", "00:00", "05:00"))
    assert is_open(both, at("2026-11-26 23:59"), cutoff=900)
    assert not is_open(both, at("2026-11-27 04:50"), cutoff=900)


def test_a_week_without_a_gap_never_ends() -> None:
    always = windows(("mon tue wed thu fri sat sun", "00:00", "24:00"))
    found = calendar_at(always, cutoff_seconds=3600, wall=at("2026-11-26 23:59"))
    assert (found.is_open, found.ends_at) == (True, None)


@pytest.mark.parametrize(
    ("moment", "opened"),
    [("01:59:59", False), ("03:00:00", True), ("03:30:00", True), ("04:00:00", False)],
)
def test_a_start_that_the_clock_leaves_out_counts_as_the_moment_of_the_change(
    moment: str, *, opened: bool
) -> None:
    night = windows(("sun", "02:30", "04:00"))
    assert is_open(night, at(f"2026-03-29 {moment}")) is opened


def test_an_end_that_the_clock_leaves_out_counts_as_the_moment_of_the_change() -> None:
    night = windows(("sun", "01:00", "02:30"))
    assert is_open(night, at("2026-03-29 01:59:59"))
    assert not is_open(night, at("2026-03-29 03:00:00"))


def test_a_window_that_the_clock_leaves_out_is_there_again_a_week_later() -> None:
    found = calendar_at(
        windows(("sun", "02:15", "02:45")), cutoff_seconds=0, wall=at("2026-03-29 00:00")
    )
    assert found.opens_at == at("2026-04-05 02:15")


def test_a_time_that_comes_twice_counts_at_its_first() -> None:
    ends, starts = windows(("sat", "22:00", "02:30")), windows(("sun", "02:30", "05:00"))
    for fold, minute, ended in ((0, "02:29", False), (0, "02:30", True), (1, "02:10", True)):
        moment = at(f"2026-10-25 {minute}", fold=fold)
        assert is_open(ends, moment) is not ended
        assert is_open(starts, moment) is ended


@pytest.mark.parametrize("jump", [-7200.0, 7200.0, 86_400.0 * 400])
def test_a_clock_that_jumps_is_answered_anew(jump: float) -> None:
    first = is_open(THU, at("2026-11-26 22:00"))
    is_open(THU, at("2026-11-26 22:00") + jump)
    assert is_open(THU, at("2026-11-26 22:00")) is first


def test_a_hold_says_when_it_opens_in_its_zone_and_in_how_long() -> None:
    hold = window_hold(THU, cutoff_seconds=0, wall=at("2026-11-23 18:30"), cluster="payments")
    assert hold is not None
    assert (hold.code, hold.object) == ("WINDOW_CLOSED", "cluster:payments")
    assert hold.detail == "opens Thu 2026-11-26 21:00 Europe/Berlin, in 3 d 2 h"


def test_a_hold_before_the_end_says_that_it_is_the_cutoff() -> None:
    hold = window_hold(THU, cutoff_seconds=900, wall=at("2026-11-27 04:50"), cluster="payments")
    assert hold is not None
    assert hold.detail == (
        "cutoff: 900 s before the end, Fri 2026-11-27 05:00 Europe/Berlin; "
        "opens Thu 2026-12-03 21:00 Europe/Berlin, in 6 d 16 h"
    )


def test_the_next_window_is_one_that_is_longer_than_the_cutoff() -> None:
    both = windows(("tue", "10:00", "10:10"), ("thu", "21:00", "05:00"))
    found = calendar_at(both, cutoff_seconds=900, wall=at("2026-11-23 18:30"))
    assert found.opens_at == at("2026-11-26 21:00")


@pytest.mark.parametrize(
    ("given", "cutoff", "never"),
    [
        pytest.param(THU, 900, (), id="it opens"),
        pytest.param(windows(("", "21:00", "05:00")), 0, (0,), id="no day"),
        pytest.param(windows(("thu", "21:00", "21:00")), 0, (0,), id="no length"),
        pytest.param((*THU, *windows(("", "10:00", "11:00"))), 0, (1,), id="one of two"),
        pytest.param(THU, 8 * 3600, None, id="the cutoff is as long"),
        pytest.param(THU, 8 * 3600 - 1, (), id="a second is left"),
        pytest.param(
            windows(("mon tue wed thu fri sat sun", "00:00", "24:00")), 1e9, (), id="always"
        ),
        pytest.param((), 1e9, (), id="no window"),
    ],
)
def test_windows_that_never_open_are_found(
    given: tuple[Window, ...], cutoff: float, never: tuple[int, ...] | None
) -> None:
    assert never_open(given, cutoff_seconds=cutoff) == never


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (5400, "1 h 30 min"),
     (93_600, "1 d 2 h")],
)  # fmt: skip
def test_a_length_of_time_is_told_in_the_units_that_matter(seconds: float, text: str) -> None:
    assert span_text(seconds) == text
