"""Strict reading of JSON: every refusal names the path of what is wrong.

Beyond what `json` checks: no key twice in one object, no lone surrogates, no number that is not
finite, no unknown field.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

LARGEST_ID = 2**31 - 1

_RFC_3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:[0-5]\d)",
    re.ASCII,
)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")

WordT = TypeVar("WordT", bound=StrEnum)


class InputError(ValueError):
    """Input that cannot be used: says where and why."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = printable(path)
        self.problem = printable(problem)
        super().__init__(f"{self.path}: {self.problem}" if path else self.problem)


def printable(text: str) -> str:
    """The text with what cannot be encoded, and control characters, written as escapes."""
    encodable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if encodable.isprintable():
        return encodable
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in encodable
    )


class _RepeatedKey(dict[str, Any]):
    """An object of the input in which `key` stands twice."""

    key = ""


@dataclass(frozen=True, slots=True)
class _NoNumber:
    """What stands for a number that cannot be one, until its path is known."""

    problem: str


def load_json(data: bytes | str) -> Any:
    """The JSON value of a document.

    Raises:
        InputError: it is not JSON, or holds what a snapshot must not.
    """
    text = _text(data)
    if not text.strip():
        # What a program that failed leaves in a pipe.
        raise InputError("", "is empty: nothing was written to it")
    reading = _Reading()
    try:
        value = reading.value(text)
    except RecursionError:
        raise InputError("", "is nested too deeply") from None
    except ValueError as error:
        raise InputError("", f"is not JSON: {error}") from None
    if reading.is_odd:
        _refuse_odd(value)
    if _SURROGATE_ESCAPE.search(text):
        _refuse_surrogates(value)
    return value


class _Reading:
    """One pass of the parser, which marks what is refused once its path is known."""

    def __init__(self) -> None:
        self.is_odd = False

    def value(self, text: str) -> Any:
        """The value of a text, marks included."""
        try:
            return self._parsed(text)
        except json.JSONDecodeError:
            raise
        except ValueError:
            # Some integer has more digits than Python converts. Only now is each one converted
            # here, for that is slow.
            return self._parsed(text, self._integer)

    def _parsed(self, text: str, parse_int: Callable[[str], Any] | None = None) -> Any:
        return json.loads(
            text,
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_int=parse_int,
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self.is_odd = True
        marked = _RepeatedKey(found)
        seen: set[str] = set()
        marked.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add() returns None: falsy on purpose
        return marked

    def _constant(self, name: str) -> _NoNumber:
        self.is_odd = True
        return _NoNumber(f"is not JSON: {name} is no number here")

    def _integer(self, digits: str) -> int | _NoNumber:
        try:
            return int(digits)
        except ValueError:
            self.is_odd = True
            return _NoNumber(f"is a number of {len(digits)} digits, which is too long")


def _text(data: bytes | str) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("", f"is not UTF-8 text: byte {error.start} cannot be read") from None


def _refuse_odd(value: Any) -> None:
    for path, node in walk(value):
        if isinstance(node, _RepeatedKey):
            raise InputError(member(path, node.key), "is there twice")
        if isinstance(node, _NoNumber):
            raise InputError(path, node.problem)


def _refuse_surrogates(value: Any) -> None:
    for path, node in walk(value):
        texts = [node] if isinstance(node, str) else node if isinstance(node, dict) else ()
        for text in texts:
            if any("\ud800" <= char <= "\udfff" for char in text):
                where = path if isinstance(node, str) else member(path, text)
                raise InputError(where, "is not valid Unicode text")


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every value inside a JSON value with its path, in the order of the document."""
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        path, node = pending.pop()
        yield path, node
        if isinstance(node, dict):
            pending.extend((member(path, key), node[key]) for key in reversed(node))
        elif isinstance(node, list):
            pending.extend((f"{path}[{at}]", node[at]) for at in reversed(range(len(node))))


def member(path: str, key: str) -> str:
    """The path of a member of the object at `path`."""
    return f"{path}.{key}" if path else key


def refuse(path: str, problem: str) -> NoReturn:
    """Raise the error for a path."""
    raise InputError(path, problem)


def an_object(value: Any, path: str, known: Collection[str]) -> dict[str, Any]:
    """The object at a path without its null members; unknown fields are refused."""
    if not isinstance(value, dict):
        refuse(path, f"must be an object, not {kind_of(value)}")
    for key in value:
        if key not in known:
            refuse(member(path, key), "is no known field")
    if None in value.values():
        return {key: item for key, item in value.items() if item is not None}
    return value


def required(found: dict[str, Any], key: str, path: str) -> Any:
    """The member of an object that must be there."""
    if key not in found:
        refuse(member(path, key), "is required")
    return found[key]


def a_list(value: Any, path: str) -> list[Any]:
    """The list at a path."""
    if not isinstance(value, list):
        refuse(path, f"must be a list, not {kind_of(value)}")
    return value


def a_text(value: Any, path: str) -> str:
    """The text at a path."""
    if not isinstance(value, str):
        refuse(path, f"must be text, not {kind_of(value)}")
    return value


def a_boolean(value: Any, path: str) -> bool:
    """The truth value at a path."""
    if not isinstance(value, bool):
        refuse(path, f"must be true or false, not {kind_of(value)}")
    return value


def an_integer(value: Any, path: str, lowest: int = 0, highest: int | None = None) -> int:
    """The integer at a path, inside its limits."""
    if type(value) is not int:
        refuse(path, f"must be an integer, not {kind_of(value)}")
    if value < lowest or (highest is not None and value > highest):
        limits = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        refuse(path, f"must be {limits}")
    return value


def an_id(value: Any, path: str, lowest: int = 0) -> int:
    """The id (or, with `lowest` -1, the id or none) at a path."""
    return an_integer(value, path, lowest, LARGEST_ID)


def a_number(value: Any, path: str, highest: float | None = None) -> float:
    """The finite number of at least zero at a path."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(path, f"must be a number, not {kind_of(value)}")
    try:
        number = float(value)
    except OverflowError:
        refuse(path, "must be finite")
    if not math.isfinite(number):
        refuse(path, "must be finite")
    if number < 0 or (highest is not None and number > highest):
        refuse(path, "must be at least 0" if highest is None else f"must be from 0 to {highest:g}")
    return number


def a_word(value: Any, path: str, words: type[WordT]) -> WordT:
    """The word at a path, one of a closed set."""
    text = a_text(value, path)
    try:
        return words(text)
    except ValueError:
        refuse(path, f"must be one of {', '.join(words)}")


def unique(values: list[Any], path_of: Callable[[int], str]) -> None:
    """Refuse the second of two equal values, at the path of its position."""
    if len(set(values)) == len(values):
        return
    seen: set[Any] = set()
    for at, value in enumerate(values):
        if value in seen:
            refuse(path_of(at), f"{value} is there twice")
        seen.add(value)


def rfc_3339(value: Any, path: str) -> str:
    """The time at a path in the form that `datetime.fromisoformat` reads; a zone is required."""
    match = _RFC_3339.fullmatch(a_text(value, path))
    if match is None:
        refuse(path, "must be an RFC 3339 time with a zone, like 2026-01-01T00:00:00Z")
    day, minute, second, fraction, zone = match.groups()
    # RFC 3339 allows a leap second, which datetime does not know.
    second = "59" if second == "60" else second
    micros = f".{fraction[:6]:0<6}" if fraction else ""
    return f"{day}T{minute}:{second}{micros}{'+00:00' if zone in 'Zz' else zone}"


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
