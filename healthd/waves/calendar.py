"""When the maintenance windows of a policy are open (restart-safety.md sections 2 and 5.10).

A window is a span of local time. It opens when the clock on the wall of its zone reaches `start`,
and closes when that clock reaches `end`, each for the first time on its day: on the night on which
the clock is set back, an hour comes twice and counts once. On the night on which it is set forward,
a time that is left out counts as the moment of the change. Windows that touch are one.

Nothing is remembered from one question to the next, so a clock that jumps is simply answered anew.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.waves.window import DAY_MINUTES, Weekday, Window

_BEFORE_DAYS: Final = 2
"""A window of yesterday may still be open; zones differ from UTC by up to a day."""
_AHEAD_DAYS: Final = 16
"""A window of one weekday that a change of clocks leaves out is there again a week later."""
_ENDLESS_SECONDS: Final = 8 * 86_400
_ALL_WEEK: Final = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
"""A Monday like any other, to find out whether windows ever open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time in which a window is open, in Unix seconds."""

    start: float
    end: float
    timezone: str
    """The zone of the window that begins it."""

    @property
    def is_endless(self) -> bool:
        """Whether no end of it is in sight: what ends at all ends every week."""
        return self.end - self.start > _ENDLESS_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """What the windows say at one moment."""

    is_open: bool
    """Whether a broker may be taken: inside of a window, before its cutoff."""
    ends_at: float | None = None
    """When the window that it is in ends, cutoff or not; None outside, and when it never does."""
    opens_at: float | None = None
    """When a broker may be taken next; None while one may be, and when never."""
    timezone: str = "UTC"
    """The zone in which these moments are told."""


def calendar_at(windows: Iterable[Window], *, cutoff_seconds: float, wall: float) -> Calendar:
    """What the windows say at `wall` (Unix seconds); without any it is always open."""
    given = tuple(windows)
    if not given:
        return Calendar(is_open=True)
    found = _spans(given, wall)
    usable = [span for span in found if span.end - span.start > cutoff_seconds]
    now = next((span for span in found if span.start <= wall < span.end), None)
    ends_at = None if now is None or now.is_endless else now.end
    if now is not None and (ends_at is None or wall < ends_at - cutoff_seconds):
        return Calendar(is_open=True, ends_at=ends_at, timezone=now.timezone)
    following = next((span for span in usable if span.start > wall), None)
    zone = now or following
    return Calendar(
        is_open=False,
        ends_at=ends_at,
        opens_at=None if following is None else following.start,
        timezone=given[0].timezone if zone is None else (following or zone).timezone,
    )


def window_hold(
    windows: Iterable[Window], *, cutoff_seconds: float, wall: float, cluster: str
) -> Reason | None:
    """The hold that windows give at `wall`; None while a broker may be taken."""
    found = calendar_at(windows, cutoff_seconds=cutoff_seconds, wall=wall)
    if found.is_open:
        return None
    parts = []
    if found.ends_at is not None:
        end = moment_text(found.ends_at, found.timezone)
        parts.append(f"cutoff: {cutoff_seconds:g} s before the end, {end}")
    if found.opens_at is None:
        parts.append("no window opens in the next two weeks")
    else:
        parts.append(
            f"opens {moment_text(found.opens_at, found.timezone)},"
            f" in {span_text(found.opens_at - wall)}"
        )
    return Reason(
        code=ReasonCode.WINDOW_CLOSED, object=f"cluster:{cluster}", detail="; ".join(parts)
    )


def never_open(windows: tuple[Window, ...], *, cutoff_seconds: float) -> tuple[int, ...] | None:
    """The positions of windows that never open; None when the cutoff leaves nothing of any."""
    empty = tuple(
        at for at, window in enumerate(windows) if not window.days or not window.length_minutes
    )
    if empty or not windows:
        return empty
    found = _spans(windows, _ALL_WEEK)
    opens = any(span.is_endless or span.end - span.start > cutoff_seconds for span in found)
    return () if opens else None


def moment_text(at: float, timezone: str) -> str:
    """A moment in a zone: `Thu 2026-11-26 21:00 Europe/Berlin`."""
    return f"{datetime.fromtimestamp(at, ZoneInfo(timezone)):%a %Y-%m-%d %H:%M} {timezone}"


def span_text(seconds: float) -> str:
    """A length of time in the two units that matter: `3 d 2 h`, `14 min`, `40 s`."""
    whole = max(0, round(seconds))
    if whole < 60:  # noqa: PLR2004 - a minute.
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3600
    if hours < 1:
        return f"{minutes} min"
    if hours < 24:  # noqa: PLR2004 - a day.
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


def _spans(windows: tuple[Window, ...], wall: float) -> list[Span]:
    """The open times around `wall`, merged where they touch."""
    found = sorted(
        (span for window in windows for span in _occurrences(window, wall)),
        key=lambda span: (span.start, span.end),
    )
    merged: list[Span] = []
    for span in found:
        if merged and span.start <= merged[-1].end:
            last = merged[-1]
            merged[-1] = Span(start=last.start, end=max(last.end, span.end), timezone=last.timezone)
        else:
            merged.append(span)
    return merged


def _occurrences(window: Window, wall: float) -> Iterator[Span]:
    zone = ZoneInfo(window.timezone)
    today = datetime.fromtimestamp(wall, zone).date()
    for offset in range(-_BEFORE_DAYS, _AHEAD_DAYS + 1):
        day = today + timedelta(days=offset)
        if tuple(Weekday)[day.weekday()] not in window.days:
            continue
        end_day = day + timedelta(days=1) if window.crosses_midnight else day
        start, end = _moment(day, window.start, zone), _moment(end_day, window.end, zone)
        if start < end:
            yield Span(start=start, end=end, timezone=window.timezone)


def _moment(day: date, minutes: int, zone: ZoneInfo) -> float:
    """When the local clock first shows, or passes, this time of this day."""
    if minutes == DAY_MINUTES:
        day, minutes = day + timedelta(days=1), 0
    local = datetime.combine(day, time(minutes // 60, minutes % 60), tzinfo=zone)
    at = local.timestamp()
    if datetime.fromtimestamp(at, zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return at
    # The clock is set forward past it. With the offset of after the change it would have been
    # before the change, and the change lies between the two.
    low, high = int(local.replace(fold=1).timestamp()), int(at)
    before = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return float(high)
