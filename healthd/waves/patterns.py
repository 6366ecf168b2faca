"""Regular expressions as RE2 reads them, in time that grows with pattern and text alone.

Alertmanager and Prometheus match with RE2. Python's own `re` understands more, some of it in
another way, and may try one pattern for hours; a policy's pattern would then stop the daemon. What
is here is the part of RE2 that people write, run as a set of states (Thompson 1968); the rest is
refused: word boundaries, POSIX and Unicode classes, look-around, back references.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

MAX_STATES: Final = 5_000
"""A pattern that repeats more than so much is refused, as RE2 does beyond 1,000."""
_MAX_COPIES: Final = 1_000
_MAX_DEPTH: Final = 50

Ranges = tuple[tuple[str, str], ...]

_DIGIT: Final[Ranges] = (("0", "9"),)
_WORD: Final[Ranges] = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACE: Final[Ranges] = (("\t", "\n"), ("\f", "\r"), (" ", " "))
_CLASSES: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}


class PatternError(ValueError):
    """A text that is no pattern, or one of a kind that is not understood here: why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chars:
    """Which characters one place of a pattern stands for."""

    ranges: Ranges
    is_negated: bool = False
    folds: bool = False

    def has(self, char: str) -> bool:
        same = (char, char.lower(), char.upper()) if self.folds else (char,)
        found = any(low <= each <= high for each in same for low, high in self.ranges)
        return found is not self.is_negated


class _Kind(IntEnum):
    CHARS = 0
    SPLIT = 1
    BEGIN = 2
    END = 3
    MATCH = 4


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: "_Node"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: "tuple[_Node, ...]"


@dataclass(frozen=True, slots=True)
class _Choice:
    parts: "tuple[_Node, ...]"


_Node = _Chars | _Repeat | _Sequence | _Choice | _Kind


class Pattern:
    """One pattern, ready to be compared with texts."""

    def __init__(self, text: str) -> None:
        """Read a pattern.

        Raises:
            PatternError: it is none, or none that is understood here.
        """
        tree = _Parser(text).parsed()
        self._kinds: list[_Kind] = []
        self._chars: list[_Chars | None] = []
        self._next: list[tuple[int, ...]] = []
        end = self._add(_Kind.MATCH)
        self._start = self._compiled(tree, end)

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        states = self._reached({self._start}, 0, len(text))
        for at, char in enumerate(text):
            states = self._reached(
                {
                    self._next[state][0]
                    for state in states
                    if (chars := self._chars[state]) is not None and chars.has(char)
                },
                at + 1,
                len(text),
            )
            if not states:
                return False
        return any(self._kinds[state] is _Kind.MATCH for state in states)

    def is_in(self, text: str) -> bool:
        """Whether some part of the text matches; it may be the empty one."""
        states: set[int] = set()
        for at in range(len(text) + 1):
            states = self._reached(states | {self._start}, at, len(text))
            if any(self._kinds[state] is _Kind.MATCH for state in states):
                return True
            if at < len(text):
                states = {
                    self._next[state][0]
                    for state in states
                    if (chars := self._chars[state]) is not None and chars.has(text[at])
                }
        return False

    def _reached(self, states: set[int], at: int, length: int) -> set[int]:
        """The states that are reached without another character."""
        reached: set[int] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state in reached:
                continue
            reached.add(state)
            kind = self._kinds[state]
            is_open = (
                kind is _Kind.SPLIT
                or (kind is _Kind.BEGIN and at == 0)
                or (kind is _Kind.END and at == length)
            )
            if is_open:
                waiting.extend(self._next[state])
        return reached

    def _add(self, kind: _Kind, *following: int, chars: _Chars | None = None) -> int:
        if len(self._kinds) >= MAX_STATES:
            raise PatternError("repeats too much")
        self._kinds.append(kind)
        self._chars.append(chars)
        self._next.append(following)
        return len(self._kinds) - 1

    def _compiled(self, node: _Node, following: int) -> int:
        """The state with which a part begins that goes on with another state."""
        match node:
            case _Chars():
                return self._add(_Kind.CHARS, following, chars=node)
            case _Kind():
                return self._add(node, following)
            case _Sequence():
                for part in reversed(node.parts):
                    following = self._compiled(part, following)
                return following
            case _Choice():
                return self._add(
                    _Kind.SPLIT, *(self._compiled(part, following) for part in node.parts)
                )
            case _Repeat():
                return self._repeated(node, following)

    def _repeated(self, node: _Repeat, following: int) -> int:
        if node.most is None:
            # The loop is there before what it repeats, which leads back to it.
            loop = self._add(_Kind.SPLIT)
            self._next[loop] = (self._compiled(node.part, loop), following)
            following = loop
        else:
            end = following
            for _ in range(node.most - node.least):
                following = self._add(_Kind.SPLIT, self._compiled(node.part, following), end)
        for _ in range(node.least):
            following = self._compiled(node.part, following)
        return following


@lru_cache(maxsize=512)
def pattern(text: str) -> Pattern:
    """The pattern, read once.

    Raises:
        PatternError: see `Pattern`.
    """
    return Pattern(text)


def literal_pattern(text: str) -> str:
    """The text as a pattern that fits itself only; RE2 has no escape of what needs none."""
    return "".join(f"\\{char}" if char in r"\.+*?()|[]{}^$" else char for char in text)


class _Parser:
    """Reads one pattern from its first character to its last."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._folds = False
        self._dot_is_all = False

    def parsed(self) -> _Node:
        node = self._choice()
        if self._at < len(self._text):
            raise PatternError("has a ) without its (")
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, wanted: str) -> bool:
        if self._text.startswith(wanted, self._at):
            self._at += len(wanted)
            return True
        return False

    def _choice(self) -> _Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternError("has groups inside groups too deeply")
        flags = self._folds, self._dot_is_all
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        # Flags that were set inside a group end with it.
        self._folds, self._dot_is_all = flags
        self._depth -= 1
        return parts[0] if len(parts) == 1 else _Choice(tuple(parts))

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while (char := self._peek()) and char not in "|)":
            part = self._one()
            if part is not None:
                parts.append(self._quantified(part))
        return _Sequence(tuple(parts))

    def _one(self) -> _Node | None:
        """The next part; None for flags, which stand for no character."""
        char = self._peek()
        self._at += 1
        match char:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                newline: Ranges = () if self._dot_is_all else (("\n", "\n"),)
                return _Chars(ranges=newline, is_negated=True)
            case "^":
                return _Kind.BEGIN
            case "$":
                return _Kind.END
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise PatternError(f"has a {char} with nothing to repeat")
            case _:
                return _Chars(ranges=((char, char),), folds=self._folds)

    def _group(self) -> _Node | None:
        folds, dot_is_all = self._folds, self._dot_is_all
        if self._take("?P<"):
            _, closing, _ = self._text[self._at :].partition(">")
            name = self._text[self._at :].partition(">")[0]
            if not closing or not name.isidentifier():
                raise PatternError("has a group whose name is none")
            self._at += len(name) + 1
        elif self._take("?"):
            self._flags()
            if self._take(")"):
                return None  # They count for what follows in the same group.
            if not self._take(":"):
                raise PatternError("has a kind of group that is not understood (look-around?)")
        node = self._choice()
        self._folds, self._dot_is_all = folds, dot_is_all
        if not self._take(")"):
            raise PatternError("has a ( without its )")
        return node

    def _flags(self) -> None:
        is_on = True
        while (char := self._peek()) and char in "is-":
            self._at += 1
            if char == "-":
                is_on = False
            elif char == "i":
                self._folds = is_on
            else:
                self._dot_is_all = is_on

    def _quantified(self, part: _Node) -> _Node:
        char = self._peek()
        if char and char in "*+?":
            self._at += 1
            found = _Repeat(part, int(char == "+"), 1 if char == "?" else None)
        elif char == "{" and (counts := self._counts()) is not None:
            found = _Repeat(part, *counts)
        else:
            return part
        self._take("?")  # As few as possible: the same texts match.
        if self._peek() and (self._peek() in "*+?" or self._counts() is not None):
            raise PatternError("repeats what repeats already; use a group")
        return found

    def _counts(self) -> tuple[int, int | None] | None:
        """What `{n}`, `{n,}` or `{n,m}` says; None when the brace stands for itself."""
        inner, closing, _ = self._text[self._at + 1 :].partition("}")
        first, comma, second = inner.partition(",")
        is_count = first.isascii() and first.isdigit()
        is_limit = second == "" or (second.isascii() and second.isdigit())
        if self._peek() != "{" or not closing or not is_count or not is_limit:
            return None
        least = int(first[:6])
        most = (int(second[:6]) if second else None) if comma else least
        if max(least, most or 0) > _MAX_COPIES or (most is not None and most < least):
            raise PatternError(f"repeats {{{inner}}}, which is no number of times up to 1,000")
        self._at += len(inner) + 2
        return least, most

    def _escape(self) -> _Chars:
        char = self._peek()
        self._at += 1
        if char and char.lower() in _CLASSES and char.isascii():
            return _Chars(ranges=_CLASSES[char.lower()], is_negated=char.isupper())
        single = self._single(char)
        return _Chars(ranges=((single, single),), folds=self._folds)

    def _single(self, char: str) -> str:
        if char in _CONTROLS:
            return _CONTROLS[char]
        if not char or char.isalnum() or not char.isascii():
            raise PatternError(f"has an escape that is not understood: \\{char}")
        return char

    def _class(self) -> _Chars:
        is_negated = self._take("^")
        ranges: list[tuple[str, str]] = []
        is_first = True
        while is_first or self._peek() != "]":
            ranges.extend(self._class_item())
            is_first = False
        self._at += 1
        return _Chars(ranges=tuple(ranges), is_negated=is_negated, folds=self._folds)

    def _class_item(self) -> Ranges:
        if self._text.startswith("[:", self._at):
            raise PatternError("has a POSIX class; write the characters")
        low = self._class_char()
        if not isinstance(low, str):
            return low
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in {"]", ""}:
            return ((low, low),)
        self._at += 1
        high = self._class_char()
        if not isinstance(high, str) or high < low:
            raise PatternError("has a range of characters that is none")
        return ((low, high),)

    def _class_char(self) -> str | Ranges:
        char = self._peek()
        if not char:
            raise PatternError("has a [ without its ]")
        self._at += 1
        if char != "\\":
            return char
        escaped = self._peek()
        self._at += 1
        if escaped in _CLASSES:
            return _CLASSES[escaped]
        return self._single(escaped)
