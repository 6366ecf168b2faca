"""Alertmanager's matchers: which labels of an alert are meant, as `name="value"` and its kin.

A matcher reads as Alertmanager's own does: `=`, `!=`, `=~` and `!~`; a label that is not there
counts as empty; a pattern has to match the whole value. Several matchers are joined by *and*.

Patterns are those of RE2, read by `healthd.waves.patterns`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthd.waves.patterns import PatternError, pattern

MAX_LENGTH: Final = 1_000
"""A matcher is written by a person; what is longer than this was not."""


class Operator(StrEnum):
    """How a matcher compares a label's value with its own."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    DIFFERS = "!~"

    @property
    def is_pattern(self) -> bool:
        """Whether the matcher's value is a regular expression."""
        return self in {Operator.MATCHES, Operator.DIFFERS}

    @property
    def is_negated(self) -> bool:
        """Whether the matcher wants the value not to be, or not to match, its own."""
        return self in {Operator.NOT_EQUAL, Operator.DIFFERS}


class MatcherError(ValueError):
    """A matcher that cannot be read; the text says why, `action` what to write instead."""

    def __init__(self, message: str, action: str) -> None:
        super().__init__(message)
        self.message = message
        self.action = action


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition on one label."""

    name: str
    operator: Operator
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet the condition; a label that is missing counts as empty."""
        found = labels.get(self.name, "")
        if self.operator.is_pattern:
            is_same = pattern(self.value).matches(found)
        else:
            is_same = found == self.value
        return is_same is not self.operator.is_negated

    def __str__(self) -> str:
        """The matcher as Alertmanager writes it."""
        return f"{self.name}{self.operator.value}{quoted(self.value)}"


_MATCHER: Final = re.compile(
    r"\s*(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)\s*(?P<operator>=~|!=|!~|=)\s*(?P<value>.*?)\s*",
    re.DOTALL,
)
_ESCAPES: Final = {"\\": "\\", '"': '"', "n": "\n"}
_ESCAPED: Final = re.compile(r'\\(["\\n])')
_WRITE: Final = 'write name="value", name!="value", name=~"pattern" or name!~"pattern"'


def parse_matcher(text: str) -> Matcher:
    """The matcher that a text such as `severity=~"critical|page"` describes.

    Raises:
        MatcherError: it is no matcher, or its pattern is none that RE2 takes.
    """
    if len(text) > MAX_LENGTH:
        raise MatcherError(f"is longer than {MAX_LENGTH} characters", "write a shorter one")
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise MatcherError("is not an Alertmanager matcher", _WRITE)
    operator = Operator(found["operator"])
    value = _unquoted(found["value"])
    if operator.is_pattern:
        _understood(value)
    return Matcher(name=found["name"], operator=operator, value=value)


def parse_matchers(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """All matchers of a list.

    Raises:
        MatcherError: one cannot be read, or no alert could ever meet all of them.
    """
    matchers = tuple(parse_matcher(text) for text in texts)
    wanted: dict[str, Matcher] = {}
    for matcher in matchers:
        if matcher.operator is not Operator.EQUAL:
            continue
        first = wanted.setdefault(matcher.name, matcher)
        if first.value != matcher.value:
            raise MatcherError(
                f"{first} and {matcher} can never both match: an alert has to match all of them",
                f"write one pattern: {matcher.name}=~{quoted(f'{first.value}|{matcher.value}')}",
            )
    for matcher in matchers:
        first = wanted.get(matcher.name, matcher)
        if first is not matcher and not matcher.matches({first.name: first.value}):
            raise MatcherError(
                f"{first} and {matcher} can never both match: an alert has to match all of them",
                "remove one of them",
            )
    return matchers


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether labels meet every one of the matchers."""
    return all(matcher.matches(labels) for matcher in matchers)


def quoted(value: str) -> str:
    """A value in double quotes, as matchers and PromQL write it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _unquoted(written: str) -> str:
    """The value inside its quotes; one without quotes is taken as it stands."""
    if not written.startswith('"'):
        if '"' in written or "," in written:
            raise MatcherError("holds more than one matcher, or a stray quote", _WRITE)
        return written
    inner = re.fullmatch(r'"((?:[^"\\]|\\.)*)"', written, re.DOTALL)
    if inner is None:
        raise MatcherError("has a quote that is not closed, or more behind it", _WRITE)
    return _ESCAPED.sub(lambda found: _ESCAPES[found[1]], inner[1])


def _understood(value: str) -> None:
    """Refuse a pattern that RE2 would not take, or that is not understood here.

    Raises:
        MatcherError: why.
    """
    try:
        pattern(value)
    except PatternError as problem:
        raise MatcherError(
            f"holds a pattern that {problem}", "use alternatives, classes and repetitions of RE2"
        ) from None
