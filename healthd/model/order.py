"""Natural order of names: runs of digits compare as numbers."""

import re
from functools import lru_cache

_DIGITS = re.compile(r"([0-9]+)")

NaturalKey = tuple[tuple[tuple[int, str], ...], str]


@lru_cache(maxsize=16_384)
def natural_key(name: str) -> NaturalKey:
    """A sort key under which ``orders-2`` comes before ``orders-10``.

    Digits are compared by length and then as text, so a number of any length has its place; names
    that differ only in leading zeros are ordered as text.
    """
    parts: list[tuple[int, str]] = []
    for position, part in enumerate(_DIGITS.split(name)):
        if position % 2:
            digits = part.lstrip("0")
            parts.append((len(digits), digits))
        else:
            parts.append((0, part))
    return tuple(parts), name
