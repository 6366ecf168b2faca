"""Numbers of a rehearsal's document."""

import math
from typing import Final

from healthd.waves.problems import Location, describe_type
from healthd.waves.spec_findings import Findings

_LARGEST: Final = 2**63 - 1


def a_number(
    value: object, location: Location, found: Findings, *, is_above_zero: bool = False
) -> float | None:
    """Seconds or a factor; None with its problem noted when it is none."""
    number = finite_number(value, location, found)
    if number is None:
        return None
    if number < 0 or (is_above_zero and number == 0):
        words = "above 0" if is_above_zero else "at least 0"
        found.add(location, f"must be {words}", "choose a larger number")
        return None
    return number


def finite_number(value: object, location: Location, found: Findings) -> float | None:
    """A number of either sign; None with its problem noted when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        found.add(location, f"must be a number, not {describe_type(value)}", "write a number")
        return None
    number = float(value) if abs(value) <= _LARGEST else math.inf
    if not math.isfinite(number):
        found.add(location, "must be a finite number", "write a plain number")
        return None
    return number
