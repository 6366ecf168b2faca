"""One mapping of a playbook while it is read: a reader answers None when it has added a problem.

What a text holds is not repeated in a message unless it is a word of the language: a command may
have a password in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from healthd.waves.patterns import PatternError, pattern
from healthd.waves.playbook_texts import without_variables
from healthd.waves.problems import Location, describe_type, unknown_key
from healthd.waves.spec_findings import Findings

Word = TypeVar("Word", bound=StrEnum)

MAX_TEXT: Final = 100_000
"""Characters of one text; a longer one belongs into a file beside the playbook."""
MAX_ITEMS: Final = 1_000
MAX_NUMBER: Final = 2**63
"""The largest that Kafka has in its configuration, and a bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A mapping, where it stands, and where to say what is wrong with it."""

    data: Mapping[Any, Any]
    at: Location
    found: Findings

    def add(self, message: str, action: str, *inner: str | int, code: str = "") -> None:
        """One more problem, at a place inside."""
        self.found.add((*self.at, *inner), message, action, code=code)

    def misplaced(self, key: str, message: str, action: str, code: str = "") -> None:
        """A key that does not belong there, whatever its value."""
        self.found.add((*self.at, key), message, action, code=code, is_key=True)

    def keys(self, known: Iterable[str]) -> frozenset[str]:
        """The keys that were meant by those that nobody knows, which are refused."""
        meant: set[str] = set()
        for key in self.data:
            if key not in known:
                message, action = unknown_key(str(key), known)
                self.found.add((*self.at, str(key)), message, action, is_key=True)
                meant.update(name for name in known if action == f"rename it to {name}")
        return frozenset(meant)

    def has(self, key: str) -> bool:
        """Whether the key is given."""
        return key in self.data

    def text(self, key: str, *, required: bool = False) -> str | None:
        """The text at a key."""
        if key not in self.data:
            if required:
                self.add(f"{key} is missing", f"add {key}")
            return None
        return self.text_of(self.data[key], key)

    def text_of(self, value: object, *inner: str | int) -> str | None:
        """A value that has to be text."""
        if not isinstance(value, str):
            self.add(f"must be text, not {describe_type(value)}", "put it in quotes", *inner)
        elif not value.strip():
            self.add("is empty", "write a value, or remove the key", *inner)
        elif len(value) > MAX_TEXT:
            self.add(f"has more than {MAX_TEXT} characters", "put it in a file", *inner)
        elif "\0" in value:
            self.add("has a NUL character", "remove the character", *inner)
        else:
            return value
        return None

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self.data.get(key, default)
        if not isinstance(value, bool):
            message = f"must be true or false, not {describe_type(value)}"
            self.add(message, "write true or false, without quotes", key)
            return default
        return value

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return self.whole_of(self.data.get(key, default), default, low, high, key)

    def whole_of(self, value: object, default: int, low: int, high: int, *inner: str | int) -> int:
        """A value that has to be such a number."""
        if type(value) is not int:
            message = f"must be a whole number, not {describe_type(value)}"
            self.add(message, f"write one from {low} to {high}", *inner)
            return default
        if not low <= value <= high:
            self.add(f"must be from {low} to {high}", "choose a value in that range", *inner)
            return default
        return value

    def wholes(self, key: str, default: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
        """A list of such numbers."""
        if key not in self.data:
            return default
        value = self.data[key]
        if not isinstance(value, list | tuple) or not value:
            self.add("must be a list of whole numbers", f"write [{default[0]}]", key)
            return default
        return tuple(self.whole_of(item, low, low, high, key, at) for at, item in enumerate(value))

    def word(self, key: str, words: type[Word], default: Word | None) -> Word | None:
        """One of some words."""
        if key not in self.data:
            return default
        value = self.data[key]
        for word in words:
            if value == word.value:
                return word
        self.add(f"{shown(value)} is no {key}", f"write one of {', '.join(words)}", key)
        return default

    def argv(self, value: object, *inner: str | int) -> tuple[str, ...]:
        """A program and its arguments; empty, with problems, when it is none."""
        if not isinstance(value, list | tuple):
            message = f"must be a list of arguments, not {describe_type(value)}"
            self.add(message, "write [PROGRAM, ARGUMENT, ...]: no shell reads it", *inner)
            return ()
        if not value:
            self.add("is empty: there is no program", "write [PROGRAM, ARGUMENT, ...]", *inner)
        if len(value) > MAX_ITEMS:
            self.add(f"has more than {MAX_ITEMS} arguments", "put them in a file", *inner)
            return ()
        for at, item in enumerate(value):
            if not isinstance(item, str):
                message = f"an argument must be text, not {describe_type(item)}"
                self.add(message, "put it in quotes", *inner, at, code="unquoted-value")
            elif "\0" in item:
                self.add("has a NUL character", "remove the character", *inner, at)
            elif not at and not item.strip():
                self.add("the program is empty", "name the program", *inner, at)
        return tuple(item for item in value if isinstance(item, str))

    def pattern(self, key: str) -> str | None:
        """A regular expression as RE2 reads it."""
        text = self.text(key)
        if text is not None:
            try:
                # A variable's value matches itself only, so that any letter stands for it.
                pattern(without_variables(text, "x"))
            except PatternError as error:
                self.add(f"is no pattern: it {error}", "correct the pattern (RE2)", key)
                return None
        return text

    def values(self, value: object, *inner: str | int) -> tuple[tuple[str, str], ...]:
        """Names and values as texts, by name; whole numbers, true and false are taken, too."""
        if not isinstance(value, Mapping) or not value:
            what = "is empty" if isinstance(value, Mapping) else describe_type(value)
            message = what if what == "is empty" else f"must be a mapping, not {what}"
            self.add(message, "write {name: value}", *inner)
            return ()
        found = {}
        for key, item in value.items():
            if isinstance(item, bool):
                found[str(key)] = str(item).lower()
            elif isinstance(item, int) and abs(item) < MAX_NUMBER:
                found[str(key)] = str(item)
            elif isinstance(item, str):
                found[str(key)] = item
            else:
                message = f"must be text, not {describe_type(item)}"
                action = "put it in quotes: 4.10 without them is 4.1"
                self.add(message, action, *inner, str(key), code="unquoted-value")
        return tuple(sorted(found.items()))


def shown(value: object) -> str:
    """A value that should have been a word; only what is short and plain is repeated."""
    if isinstance(value, str) and len(value) <= 40 and value.isprintable():  # noqa: PLR2004 - a line's half.
        return repr(value)
    return describe_type(value)
