"""When a wave recurs: five fields of cron and a time zone, read strictly; pure.

Days of the week are those of cron (0 and 7 are Sunday), and are handed on by name: libraries do
not agree on what 0 means.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from healthd.waves.problems import Location, describe_type
from healthd.waves.spec_findings import Findings
from healthd.waves.window import is_timezone

_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_FIELDS: Final[tuple[tuple[str, int, int, Mapping[str, int]], ...]] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, {name: at for at, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: at for at, name in enumerate(_DAYS)}),
)
_ITEM: Final = re.compile(
    r"(?:\*|(?P<low>[a-z]{1,9}|[0-9]{1,4})(?:-(?P<high>[a-z]{1,9}|[0-9]{1,4}))?)"
    r"(?:/(?P<step>[0-9]{1,4}))?"
)
_LAST_DAY: Final = 7
"""Sunday's other number."""
KEYS: Final = frozenset({"cron", "timezone"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """When a wave recurs."""

    cron: str
    """As written."""
    timezone: str
    minute: str
    hour: str
    day: str
    month: str
    day_of_week: str
    """Names of days, or ``*``."""


def parse_schedule(value: object, at: Location, found: Findings) -> Recurrence | None:
    """The recurrence that stands at `schedule`, or None with its problems noted."""
    if not isinstance(value, Mapping):
        action = 'write {cron: "0 22 * * thu", timezone: Europe/Berlin}'
        found.add(at, f"must be a mapping, not {describe_type(value)}", action)
        return None
    found.keys(value, at, KEYS)
    cron = found.text(value, "cron", at)
    timezone = found.text(value, "timezone", at)
    if timezone is not None and not is_timezone(timezone):
        message = "is no time zone of the IANA database"
        found.add((*at, "timezone"), message, "write a name such as UTC or Europe/Berlin")
    if cron is None or timezone is None:
        return None
    fields = _fields(cron, (*at, "cron"), found)
    if fields is None:
        return None
    minute, hour, day, month, day_of_week = fields
    if day != "*" and day_of_week != "*":
        # Cron takes either, schedulers both: whoever means one of the two must not get the other.
        message = "names both days of the month and days of the week"
        found.add((*at, "cron"), message, "make one of the two *")
        return None
    return Recurrence(
        cron=cron,
        timezone=timezone,
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=day_of_week,
    )


def _fields(cron: str, at: Location, found: Findings) -> list[str] | None:
    parts = cron.lower().split()
    if len(parts) != len(_FIELDS):
        found.add(
            at,
            f"must have five fields, not {len(parts)}: minute, hour, day, month, day of the week",
            'write "0 22 * * thu"',
        )
        return None
    read: list[str] = []
    for part, (what, low, high, names) in zip(parts, _FIELDS, strict=True):
        items = [_item(item, low, high, names) for item in part.split(",")]
        if any(item is None for item in items):
            message = f"{part} is no {what}: {low} to {high}, *, ranges, lists and steps"
            found.add(at, message, "correct that field")
            return None
        values = sorted({value for item in items if item is not None for value in item})
        read.append(_text(part, values, what))
    return read


def _item(text: str, low: int, high: int, names: Mapping[str, int]) -> range | None:
    match = _ITEM.fullmatch(text)
    if match is None:
        return None
    step = int(match["step"] or 1)
    first, last = low, high
    if match["low"] is not None:
        start = _number(match["low"], names)
        end = _number(match["high"], names) if match["high"] is not None else start
        if start is None or end is None:
            return None
        first, last = start, high if match["step"] and match["high"] is None else end
    if not low <= first <= last <= high or step < 1:
        return None
    return range(first, last + 1, step)


def _number(text: str, names: Mapping[str, int]) -> int | None:
    return names.get(text) if text.isalpha() else int(text)


def _text(part: str, values: list[int], what: str) -> str:
    if part == "*":
        return part
    if what == "day of the week":
        return ",".join(dict.fromkeys(_DAYS[value % _LAST_DAY] for value in values))
    return ",".join(map(str, values))
