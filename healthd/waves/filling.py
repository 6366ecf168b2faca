"""Filling variables into the texts of a playbook, by the rules of `string.Template`.

``${name}`` and ``$name`` stand for a variable, ``$$`` for one dollar sign. Patterns and templates
have dollar signs or braces of their own: in a pattern only ``${name}`` is filled in, and what is in
it counts as it stands; a template's own text is not touched at all.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from string import Template
from typing import Any, Final, TypeVar

from healthd.waves.patterns import literal_pattern

T = TypeVar("T")

_BRACED: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATTERNS: Final = frozenset({"stdout_matches", "body_matches"})
"""Fields that are patterns."""
_AS_THEY_ARE: Final = frozenset({"stdin", "bearer_token"})
"""Fields that name a variable instead of holding a text."""


class Unfilled(ValueError):  # noqa: N818  # It says what is wrong with the text.
    """A text that cannot be filled in."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name
        """The variable that has no value; None when the text itself is wrong."""


def names_in(text: str) -> tuple[str, ...]:
    """The variables that a text asks for, in their order, each once.

    Raises:
        Unfilled: it has a dollar sign that is neither a variable nor written twice.
    """
    template = Template(text)
    if not template.is_valid():
        message = f"{text!r} has a '$' that is no variable: write '$$' for the sign itself"
        raise Unfilled(message)
    return tuple(template.get_identifiers())


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables filled in.

    Raises:
        Unfilled: a variable has no value, or the text has a stray dollar sign.
    """
    for name in names_in(text):
        if name not in values:
            raise Unfilled(f"the variable {name} has no value", name)
    return Template(text).substitute(values)


def fill_pattern(text: str, values: Mapping[str, str]) -> str:
    """The pattern with its variables filled in, as texts that match themselves only.

    Raises:
        Unfilled: a variable has no value.
    """

    def literal(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            raise Unfilled(f"the variable {name} has no value", name)
        return literal_pattern(values[name])

    return _BRACED.sub(literal, text)


def filled(part: T, values: Mapping[str, str]) -> T:
    """An action, a check, or several of them, with every text filled in.

    Raises:
        Unfilled: a variable has no value, or a text has a stray dollar sign.
    """
    return _filled(part, values, "")  # type: ignore[no-any-return]


def names_of(part: object) -> tuple[str, ...]:
    """Every variable that the texts of an action or a check ask for, each once.

    Raises:
        Unfilled: a text has a stray dollar sign.
    """
    return tuple(dict.fromkeys(_names(part, "")))


def _filled(value: Any, values: Mapping[str, str], key: str) -> Any:
    if isinstance(value, tuple):
        return tuple(_filled(each, values, key) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: _filled(getattr(value, field.name), values, field.name)
            for field in fields(value)
            if not _is_left(value, field.name)
        }
        return replace(value, **changed)
    # Members of enums are texts as well, and no text of the file.
    if type(value) is not str:
        return value
    return fill_pattern(value, values) if key in _PATTERNS else fill(value, values)


def _names(value: object, key: str) -> Iterator[str]:
    if isinstance(value, tuple):
        for each in value:
            yield from _names(each, key)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if not _is_left(value, field.name):
                yield from _names(getattr(value, field.name), field.name)
    elif type(value) is str:
        yield from _BRACED.findall(value) if key in _PATTERNS else names_in(value)


def _is_left(part: object, name: str) -> bool:
    """Whether a field is not filled in: it names a variable, or is the text of a template."""
    return name in _AS_THEY_ARE or (name == "template" and getattr(part, "is_inline", False))
