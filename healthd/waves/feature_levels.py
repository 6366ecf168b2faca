"""Levels of a cluster's features, by the names that people know: releases of Kafka.

The source is Kafka's ``MetadataVersion``; ``kafka-storage.sh version-mapping`` prints the same.
"""

import re
from typing import Final

METADATA_VERSION: Final = "metadata.version"

_FIRST: Final = {
    "3.0": (1, 1),
    "3.1": (0, 2),
    "3.2": (0, 3),
    "3.3": (0, 4),
    "3.4": (0, 8),
    "3.5": (0, 9),
    "3.6": (0, 12),
    "3.7": (0, 15),
    "3.8": (0, 20),
    "3.9": (0, 21),
    "4.0": (0, 22),
    "4.1": (0, 26),
    "4.2": (0, 28),
}
"""By release: the number of its first ``IV``, and the level of that."""
_LAST: Final = {
    **dict.fromkeys(("3.0", "4.1", "4.2"), 1),
    **dict.fromkeys(("3.1", "3.2", "3.4", "3.8", "3.9"), 0),
    **dict.fromkeys(("3.5", "3.6"), 2),
    **dict.fromkeys(("3.3", "4.0"), 3),
    "3.7": 4,
}
"""By release: the number of the ``IV`` that it was released with."""
_RELEASE: Final = re.compile(r"([0-9]+\.[0-9]+)(?:\.[0-9]+)?(?:-IV([0-9]+))?")
_LEVEL: Final = re.compile(r"[0-9]{1,5}")


def level_of(feature: str, text: str) -> int | None:
    """The level that a text means; None when nobody here knows it.

    A whole number is the level itself. Of metadata.version a release (``4.1``), or a step towards
    one (``4.1-IV0``), is understood as well.
    """
    if _LEVEL.fullmatch(text):
        return int(text)
    found = _RELEASE.fullmatch(text)
    if feature != METADATA_VERSION or found is None or found[1] not in _FIRST:
        return None
    first, level = _FIRST[found[1]]
    last = _LAST[found[1]]
    number = last if found[2] is None else int(found[2])
    return level + number - first if first <= number <= last else None


def words_of(feature: str, level: int) -> str:
    """A level as people know it: ``27 (4.1-IV1)``."""
    if feature != METADATA_VERSION:
        return str(level)
    for release, (first, lowest) in _FIRST.items():
        number = level - lowest + first
        if first <= number <= _LAST[release]:
            return f"{level} ({release}-IV{number})"
    return str(level)
