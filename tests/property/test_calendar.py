"""Windows against an oracle that only looks at a clock on a wall, minute by minute."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from healthd.waves.calendar import calendar_at
from healthd.waves.window import DAY_MINUTES, Weekday, Window

CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, tzinfo=UTC)),  # Half an hour.
    ("Australia/Lord_Howe", datetime(2026, 10, 3, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, tzinfo=UTC)),  # At midnight.
    ("Africa/Cairo", datetime(2026, 4, 24, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),  # A whole day is left out.
    ("Asia/Kolkata", datetime(2026, 6, 1, tzinfo=UTC)),  # Never.
]
"""A zone, and a day near which its clocks are set."""


@st.composite
def windows(draw: st.DrawFn, zone: str) -> Window:
    days = draw(st.sets(st.sampled_from(Weekday), min_size=1))
    return Window(
        days=tuple(day for day in Weekday if day in days),
        start=draw(st.integers(0, DAY_MINUTES - 1)),
        end=draw(st.integers(0, DAY_MINUTES)),
        timezone=zone,
    )


def walked(window: Window, first: datetime, minutes: int) -> Iterator[tuple[float, bool]]:
    """For each minute whether the window is open, by the furthest that the clock has shown."""
    zone = ZoneInfo(window.timezone)
    begin = first - timedelta(days=3)
    furthest = datetime.min  # noqa: DTZ901 - a clock on a wall knows no zone.
    for step in range(minutes + 3 * DAY_MINUTES):
        moment = begin + timedelta(minutes=step)
        furthest = max(furthest, moment.astimezone(zone).replace(tzinfo=None))
        if moment >= first:
            yield (
                moment.timestamp(),
                any(start <= furthest < end for start, end in _local(window, furthest)),
            )


def _local(window: Window, around: datetime) -> Iterator[tuple[datetime, datetime]]:
    for offset in (-1, 0):
        day = datetime.combine(around.date(), datetime.min.time()) + timedelta(days=offset)
        if list(Weekday)[day.weekday()] not in window.days:
            continue
        end = window.end + (DAY_MINUTES if window.end < window.start else 0)
        yield day + timedelta(minutes=window.start), day + timedelta(minutes=end)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(CHANGES))
def test_a_window_is_open_when_the_clock_on_the_wall_says_so(
    data: st.DataObject, change: tuple[str, datetime]
) -> None:
    zone, day = change
    window = data.draw(windows(zone))
    first = day - timedelta(hours=data.draw(st.integers(0, 12)))
    step = data.draw(st.sampled_from([1, 7, 13]))
    for number, (wall, is_open) in enumerate(walked(window, first, 36 * 60)):
        if number % step:
            continue
        found = calendar_at([window], cutoff_seconds=0, wall=wall)
        assert found.is_open is is_open, datetime.fromtimestamp(wall, ZoneInfo(zone))


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(CHANGES), st.integers(0, 6 * 86_400), st.integers(0, 7_200))
def test_what_is_told_of_the_next_opening_comes_true(
    data: st.DataObject, change: tuple[str, datetime], later: int, cutoff: int
) -> None:
    zone, day = change
    given_windows = [data.draw(windows(zone)) for _ in range(data.draw(st.integers(1, 3)))]
    wall = day.timestamp() + later
    found = calendar_at(given_windows, cutoff_seconds=cutoff, wall=wall)
    if found.opens_at is not None:
        assert not found.is_open
        before = calendar_at(given_windows, cutoff_seconds=cutoff, wall=found.opens_at - 1)
        after = calendar_at(given_windows, cutoff_seconds=cutoff, wall=found.opens_at)
        assert (before.is_open, after.is_open) == (False, True)
    if found.is_open and found.ends_at is not None:
        last = found.ends_at - cutoff
        assert calendar_at(given_windows, cutoff_seconds=cutoff, wall=last - 1).is_open
        assert not calendar_at(given_windows, cutoff_seconds=cutoff, wall=last).is_open
