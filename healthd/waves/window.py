"""Maintenance windows as a policy says them: weekdays, a start, an end and an explicit time zone.

When a window is open is told by `healthd.waves.calendar`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from healthd.waves.policy_values import RefusedError
from healthd.waves.problems import describe_type, unknown_key


class Weekday(StrEnum):
    """A day of the week; its position in the enum is what `date.weekday()` gives."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


DAY_MINUTES: Final = 24 * 60
TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MACHINES_OWN: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Names that mean whatever the machine is set to."""
WINDOW_KEYS: Final = ("days", "start", "end", "timezone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of local time on some weekdays; it belongs to the day on which it starts."""

    days: tuple[Weekday, ...] = tuple(Weekday)
    start: int
    """Minutes after local midnight."""
    end: int
    """Minutes after local midnight of the same day, or of the next when it is before `start`."""
    timezone: str
    """A name of the IANA database, such as `Europe/Berlin`."""

    @property
    def crosses_midnight(self) -> bool:
        """Whether it ends on the day after the one on which it starts."""
        return self.end < self.start

    @property
    def length_minutes(self) -> int:
        """How long it is by the local clock; a day on which that clock is set differs."""
        return self.end - self.start + (DAY_MINUTES if self.crosses_midnight else 0)


def read_windows(value: object) -> tuple[Window, ...]:
    """The windows of a policy.

    Raises:
        RefusedError: one of them cannot be understood; it names the place in the list.
    """
    if not isinstance(value, list | tuple):
        raise RefusedError(
            f"must be a list of windows, not {describe_type(value)}",
            'write - {days: [thu], start: "21:00", end: "05:00", timezone: UTC}',
        )
    windows = []
    for position, item in enumerate(value):
        try:
            windows.append(item if isinstance(item, Window) else _window(item))
        except RefusedError as refused:
            raise RefusedError(
                refused.message, refused.action, position, *refused.location
            ) from None
    return tuple(windows)


def window_document(window: Window) -> dict[str, Any]:
    """The window in the form of a wave file."""
    return {
        "days": [day.value for day in window.days],
        "start": clock_text(window.start),
        "end": clock_text(window.end),
        "timezone": window.timezone,
    }


def clock_text(minutes: int) -> str:
    """Minutes after midnight as `HH:MM`."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _window(item: object) -> Window:
    if not isinstance(item, Mapping):
        raise RefusedError(
            f"must be a mapping, not {describe_type(item)}",
            'write {days: [thu], start: "21:00", end: "05:00", timezone: UTC}',
        )
    for key in item:
        if key not in WINDOW_KEYS:
            raise RefusedError(*unknown_key(str(key), WINDOW_KEYS), str(key))
    for key in ("start", "end", "timezone"):
        if key not in item:
            raise RefusedError(f"{key} is missing", f"add {key}")
    return Window(
        days=_days(item["days"]) if "days" in item else tuple(Weekday),
        start=_time(item["start"], "start"),
        end=_time(item["end"], "end"),
        timezone=_timezone(item["timezone"]),
    )


def _days(value: object) -> tuple[Weekday, ...]:
    if not isinstance(value, list | tuple):
        raise RefusedError(
            f"must be a list of weekdays, not {describe_type(value)}", "write [mon, tue]", "days"
        )
    known = [day.value for day in Weekday]
    for position, day in enumerate(value):
        if not isinstance(day, str) or day not in known:
            raise RefusedError("is no weekday", f"use one of: {', '.join(known)}", "days", position)
        if day in value[:position]:
            raise RefusedError(f"names {day} twice", "remove one of the two", "days", position)
    return tuple(Weekday(day) for day in known if day in value)


def _time(value: object, key: str) -> int:
    if not isinstance(value, str):
        raise RefusedError(
            f"must be a time of day as text, not {describe_type(value)}", 'write "21:00"', key
        )
    if key == "end" and value == "24:00":
        return DAY_MINUTES
    found = TIME.fullmatch(value)
    if found is None:
        raise RefusedError(
            "must be a time of day from 00:00 to 23:59, an end may be 24:00", 'write "21:00"', key
        )
    return int(found[1]) * 60 + int(found[2])


def _timezone(value: object) -> str:
    if not isinstance(value, str):
        raise RefusedError(
            f"must be the name of a time zone, not {describe_type(value)}",
            "write a name such as UTC or Europe/Berlin",
            "timezone",
        )
    if not is_timezone(value):
        raise RefusedError(
            "is no time zone of the IANA database",
            "write a name such as UTC or Europe/Berlin",
            "timezone",
        )
    return value


@cache
def is_timezone(name: str) -> bool:
    """Whether the IANA database has a time zone of that name."""
    if name in _MACHINES_OWN:
        return False
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # For an odd, an unsafe and an unknown name.
        return False
    return True
