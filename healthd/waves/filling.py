"""Filling variables into everything that a step of a playbook says.

Only ``${name}`` is a variable, and ``$${`` stands for ``${``; every other dollar sign is left as it
is. In a pattern the value of a variable matches itself only; a template's own text and the names of
files beside the playbook are not touched at all.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from healthd.waves.patterns import literal_pattern
from healthd.waves.playbook_texts import PLACE

T = TypeVar("T")

_PATTERNS: Final = frozenset({"stdout_matches", "body_matches"})
_AS_THEY_ARE: Final = frozenset({"stdin", "bearer_token", "source", "template", "ansible_playbook"})
"""Fields that name a variable or a file, or are a template."""


class Unfilled(ValueError):  # noqa: N818  # It says what is wrong with the text.
    """A text that cannot be filled in; says no value."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name
        """The variable that has no value; None when the text itself is wrong."""


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables filled in.

    Raises:
        Unfilled: a variable has no value.
    """
    return PLACE.sub(lambda found: _value(found, values), text)


def fill_pattern(text: str, values: Mapping[str, str]) -> str:
    """The pattern with its variables filled in, as texts that match themselves only.

    Raises:
        Unfilled: a variable has no value.
    """

    def literal(found: re.Match[str]) -> str:
        value = _value(found, values)
        return value if found[1] is None else literal_pattern(value)

    return PLACE.sub(literal, text)


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    name = found[1]
    if name is None:
        return "${"
    if not found[2]:
        raise Unfilled(f"'${{{name}' is not closed: write '}}' behind it, or '$${{'")
    if name not in values:
        raise Unfilled(f"the variable {name} has no value", name)
    return values[name]


def filled(part: T, values: Mapping[str, str]) -> T:
    """An action, a check, or several of them, with every text filled in.

    Raises:
        Unfilled: a variable has no value, or a ``${`` is not closed.
    """
    return _filled(part, values, "")  # type: ignore[no-any-return]


def names_of(part: object) -> tuple[str, ...]:
    """Every variable that the texts of an action or a check ask for, each once."""
    return tuple(dict.fromkeys(_names(part)))


def _filled(value: Any, values: Mapping[str, str], key: str) -> Any:
    if isinstance(value, tuple):
        return tuple(_filled(each, values, key) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: _filled(getattr(value, field.name), values, field.name)
            for field in fields(value)
            if field.name not in _AS_THEY_ARE
        }
        return replace(value, **changed)
    # Members of enums are texts as well, and no text of the file.
    if type(value) is not str:
        return value
    return fill_pattern(value, values) if key in _PATTERNS else fill(value, values)


def _names(value: object) -> Iterator[str]:
    if isinstance(value, tuple):
        for each in value:
            yield from _names(each)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name not in _AS_THEY_ARE:
                yield from _names(getattr(value, field.name))
    elif type(value) is str:
        yield from (name for name, is_closed in PLACE.findall(value) if is_closed)
