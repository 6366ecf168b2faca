"""Alertmanager's matchers: which labels of an alert are meant, as `name="value"` and its kin.

A matcher reads as Alertmanager's own does: `=`, `!=`, `=~` and `!~`; a label that is not there
counts as empty; a pattern has to match the whole value. Several matchers are joined by *and*.

Patterns are RE2 there and Python's here. What only one of the two understands is refused, and so
is a repetition inside a repetition: Python may try such a pattern for longer than a wave lasts.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

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
            is_same = _compiled(self.value).fullmatch(found) is not None
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
        MatcherError: it is no matcher, or its pattern is not one that RE2 and Python read alike.
    """
    if len(text) > MAX_LENGTH:
        raise MatcherError(f"is longer than {MAX_LENGTH} characters", "write a shorter one")
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise MatcherError("is not an Alertmanager matcher", _WRITE)
    operator = Operator(found["operator"])
    value = _unquoted(found["value"])
    if operator.is_pattern:
        _refuse_other_dialects(value)
        _compiled(value)
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


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled: RE2's classes are those of ASCII.

    Raises:
        MatcherError: it is no regular expression.
    """
    try:
        return re.compile(pattern, re.ASCII)
    except (re.error, RecursionError, OverflowError) as problem:
        raise MatcherError(
            f"holds a pattern that is no regular expression: {problem}", "correct the pattern"
        ) from None


_ONLY_PYTHON: Final = re.compile(
    r"\(\?(?![:Pims-])|\(\?P[=>]|\(\?-?[a-zA-Z-]*[aLux]|\\[0-9Z]|[*+?}]\+"
)
_TOKEN: Final = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d+(?:,(?P<most>\d*))?\}\??|[*+]\??|\?|\(|\)|\||.", re.DOTALL
)
_MOST_COPIES: Final = 100


def _refuse_other_dialects(pattern: str) -> None:
    """Refuses what RE2 does not know, and what could keep Python busy for ever."""
    bare = re.sub(r"\\[^0-9Z]", "x", pattern)
    outside = re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "x", bare)
    if _ONLY_PYTHON.search(outside) or re.search(r"\[\[:|\[\^?\[:", bare):
        raise MatcherError(
            "holds a pattern that RE2 and Python do not read alike (look-around, back reference, "
            "possessive repetition, POSIX class)",
            "use plain alternatives, classes and repetitions",
        )
    _refuse_nested_repetition(pattern)


def _refuse_nested_repetition(pattern: str) -> None:
    """Refuses a repeated group that itself repeats or chooses: its tries grow without bound."""
    stack = [False]  # For each open group: does it hold a repetition or a choice?
    closed = False  # Whether the token before was a group that does.
    many = 0
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        is_repetition = text[0] in "*+" or (text[0] == "{" and len(text) > 1)
        if is_repetition:
            many += 1
            if closed or many > _MOST_REPETITIONS:
                raise MatcherError(
                    "holds a pattern that repeats what repeats already, or repeats too often",
                    "write it without a repetition inside a repetition",
                )
            if any(int(number) > _MOST_COPIES for number in re.findall(r"\d+", text)):
                raise MatcherError(
                    f"holds a pattern that repeats more than {_MOST_COPIES} times", "use * or +"
                )
            stack[-1] = True
            closed = False
        elif text == "(":
            stack.append(False)
            closed = False
        elif text == ")" and len(stack) > 1:
            closed = stack.pop()
            stack[-1] = stack[-1] or closed
        else:
            stack[-1] = stack[-1] or text == "|"
            closed = False


_MOST_REPETITIONS: Final = 4
"""Each repetition may multiply the tries by the length of the value."""
