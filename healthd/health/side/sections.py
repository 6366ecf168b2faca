"""Reading a section that another version may have written: what does not fit is not there."""

import math
from collections.abc import Iterator, Mapping
from typing import Any


def objects_in(value: object, key: str) -> Iterator[Mapping[str, Any]]:
    """The objects of the list under `key`; nothing when there is no such list."""
    found = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(found, list | tuple):
        yield from (item for item in found if isinstance(item, Mapping))


def text_in(value: Mapping[str, Any], key: str) -> str:
    """The text under `key`, empty when there is none."""
    found = value.get(key)
    return found if isinstance(found, str) else ""


def number_in(value: Mapping[str, Any], key: str) -> float | None:
    """The finite number under `key`, None when there is none."""
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return found if math.isfinite(found) else None
