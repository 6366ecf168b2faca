"""Change freezes: times in which nothing may be begun on some clusters, whatever their health.

A freeze is from the fleet file or made by command. What is in flight when it begins is finished:
a stopped broker is always started again.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from healthd.model.codes import ReasonCode
from healthd.model.moments import NoMoment, moment_text, parse_moment
from healthd.model.reason import Reason

FROM_FILE: Final = "fleet file"
"""Who made a freeze that the fleet file has."""

_LOCAL: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})([T ](?P<clock>[0-9]{2}:[0-9]{2}(:[0-9]{2})?))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """One freeze: which clusters, when, and why."""

    name: str
    reason: str
    by: str
    """Who made it."""
    clusters: tuple[str, ...] = ()
    """By name."""
    match: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Labels that its clusters have, all of them."""
    is_for_all: bool = False
    """Whether it covers the whole fleet."""
    begins: float | None = None
    """Unix seconds; None: it has been on since it was made."""
    ends: float | None = None
    """Unix seconds; None: it lasts until somebody removes it."""
    created_at: float | None = None
    """Unix seconds; None when the fleet file has it."""
    is_from_file: bool = False

    def covers(self, cluster: str, labels: Mapping[str, str]) -> bool:
        """Whether it is about a cluster with that name and these labels."""
        if self.is_for_all or cluster in self.clusters:
            return True
        return bool(self.match) and all(
            labels.get(label) == value for label, value in self.match.items()
        )

    def is_on(self, now: float) -> bool:
        """Whether it holds at a moment: its beginning belongs to it, its end does not."""
        return (self.begins is None or self.begins <= now) and not self.has_ended(now)

    def has_ended(self, now: float) -> bool:
        """Whether it will never hold again."""
        return self.ends is not None and self.ends <= now

    def __str__(self) -> str:
        """Its name, who made it, until when, and why."""
        until = "until it is removed" if self.ends is None else f"until {moment_text(self.ends)}"
        return f"{self.name}, by {self.by}, {until}: {self.reason}"


def freeze_holds(
    cluster: str, labels: Mapping[str, str], freezes: Iterable[Freeze], now: float
) -> tuple[Reason, ...]:
    """The hold that freezes put on a cluster at a moment; one names all of them."""
    found = [each for each in freezes if each.covers(cluster, labels) and each.is_on(now)]
    return (freeze_hold(cluster, "; ".join(map(str, found))),) if found else ()


def freeze_hold(cluster: str, detail: str) -> Reason:
    """The hold of a freeze, or of freezes that nobody can read: what is not known is closed."""
    return Reason(code=ReasonCode.FREEZE, object=f"cluster:{cluster}", detail=detail)


def freeze_moment(text: str, timezone: str | None, *, is_end: bool) -> float:
    """The Unix seconds at which a freeze begins or ends.

    A day alone is meant as a whole: a freeze begins with it, or ends with it. A local time that
    the clock shows twice, or leaves out, counts so that the freeze is the longer one.

    Args:
        text: RFC 3339 with its zone; or a local time, or a day, in `timezone`.
        timezone: a name of the IANA database, or None.
        is_end: whether it ends then.

    Raises:
        NoMoment: it is no moment, or a local time of nobody knows where.
    """
    local = _LOCAL.fullmatch(text.strip())
    if local is None:
        return parse_moment(_not_ago(text), now=0.0)
    if timezone is None:
        raise NoMoment(f"needs its zone: write timezone beside it, or {local['day']}T00:00Z")
    try:
        day = date.fromisoformat(local["day"])
        clock = time.fromisoformat(local["clock"] or "00:00")
        if local["clock"] is None and is_end:
            day += timedelta(days=1)
        moments = [
            datetime.combine(day, clock.replace(fold=fold), ZoneInfo(timezone)).timestamp()
            for fold in (0, 1)
        ]
    except (ValueError, OverflowError):
        raise NoMoment("is no day or time of the calendar") from None
    return max(moments) if is_end else min(moments)


def _not_ago(text: str) -> str:
    if re.fullmatch(r"[0-9]+[smhd]", text.strip()):
        raise NoMoment("must be a time such as 2026-01-31T14:05:00Z, or a day")
    return text
