"""Variables in the texts of playbooks: which a text names, and the text with their values.

Only ``${name}`` is one; ``$${`` stands for ``${``. Every other dollar sign is left as it is, for
regular expressions, awk and the like have theirs.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from healthd.waves.problems import Location

VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
PLACE: Final = re.compile(r"\$(?:\$\{|\{([^}]*)(\}?))")
"""``$${``, or a variable: its name, and whether it is closed."""
_MOST_DEEP: Final = 64


def names_in(text: str) -> tuple[str, ...]:
    """The names between ``${`` and ``}``, in their order; what is no name is among them, too."""
    return tuple(match[1] for match in PLACE.finditer(text) if match[1] is not None)


def is_open(text: str) -> bool:
    """Whether a ``${`` has no ``}``."""
    return any(match[1] is not None and not match[2] for match in PLACE.finditer(text))


def has_variables(text: str) -> bool:
    """Whether it is only known on the way to the host what the text says."""
    return bool(names_in(text))


def without_variables(text: str, instead: str) -> str:
    """The text with something else in the place of every variable."""
    return PLACE.sub(lambda match: "${" if match[1] is None else instead, text)


def texts_in(value: object, location: Location = ()) -> Iterator[tuple[Location, str]]:
    """Every text inside a plain value, with its place."""
    if len(location) > _MOST_DEEP:
        return
    if isinstance(value, str):
        yield location, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            # The names of settings may be variables, too.
            if isinstance(key, str) and "${" in key:
                yield (*location, key), key
            yield from texts_in(item, (*location, str(key)))
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from texts_in(item, (*location, at))
