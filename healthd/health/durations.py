"""Durations in the words of somebody who reads them at night."""

from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """A duration in its largest unit that is not below 1: ``45 s``, ``5 min``, ``3 h``, ``7 d``."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
