"""Moments as people write them: RFC 3339, or how long ago (``2h``)."""

import re
from datetime import UTC, datetime
from typing import Final

AGO: Final = re.compile(r"([0-9]{1,9})([smhd])")
UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_FORM: Final = "must be a time such as 2026-01-31T14:05:00Z, or how long ago such as 2h"


class NoMoment(ValueError):  # noqa: N818  # It says what happened; it is no defect.
    """A text that is no moment: what it must be."""


def parse_moment(text: str, *, now: float) -> float:
    """The Unix seconds that a text stands for.

    A time without a zone is refused: at night nobody should have to guess whose time it is. The
    seconds may be left out.

    Args:
        text: RFC 3339, or a number with s, m, h or d behind it: so long before now.
        now: Unix seconds.

    Raises:
        NoMoment: it is neither.
    """
    text = text.strip()
    ago = AGO.fullmatch(text)
    if ago is not None:
        return _possible(now - int(ago[1]) * UNIT_SECONDS[ago[2]])
    # In a query + stands for a space: 14:05:00+01:00 arrives as 14:05:00 01:00.
    match = _RFC_3339.fullmatch(re.sub(r"(?<=:[0-9]{2}) (?=[0-9]{2}:[0-9]{2}$)", "+", text))
    if match is None:
        raise NoMoment(_FORM)
    if match["zone"] is None:
        raise NoMoment(f"needs its zone: write {text}Z for UTC, or an offset such as {text}+01:00")
    try:
        return _possible(datetime.fromisoformat(match[0].upper()).timestamp())
    except (ValueError, OverflowError):
        raise NoMoment(_FORM) from None


def _possible(seconds: float) -> float:
    """The moment, when it is one that a history could have."""
    if seconds < 0:
        raise NoMoment("must not be before 1970")
    return seconds


def moment_text(seconds: float) -> str:
    """Unix seconds in RFC 3339, in UTC; whole seconds without a fraction."""
    moment = datetime.fromtimestamp(round(seconds, 3), UTC)
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=spec).removesuffix("+00:00") + "Z"
