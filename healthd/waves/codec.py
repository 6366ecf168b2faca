"""The JSON form of a wave's state, for the journal: every field, nothing else, and back again."""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from healthd.waves.state import DERIVED, SPARSE, WaveState

T = TypeVar("T")
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
"""What JSON has as it is."""


class StateUnreadable(ValueError):  # noqa: N818  # It names the thing, not the act.
    """A stored state that this version of healthd does not understand."""


def encode_state(state: WaveState) -> dict[str, Any]:
    """The state as a JSON value."""
    encoded = encode_value(state)
    if not isinstance(encoded, dict):
        raise TypeError("a wave's state is an object")
    return encoded


def decode_state(data: Mapping[str, Any]) -> WaveState:
    """The state from its JSON value.

    Raises:
        StateUnreadable: a field is unknown, missing or of another shape; it was written by another
            version, or damaged.
    """
    return _decode_fields(WaveState, _upgraded(data), "state")


def _upgraded(data: Any) -> Any:
    """A state as this version writes it.

    Before several could be looked at there was one candidate, and one soak for all: it starts again
    when a daemon takes the wave up.
    """
    if not isinstance(data, Mapping) or "candidate" not in data or "candidates" in data:
        return data
    after = {key: data[key] for key in data if key not in {"candidate", "soak_since"}}
    after["candidates"] = [] if data["candidate"] is None else [data["candidate"]]
    return after


def encode_value(value: Any) -> Any:
    """A part of the state as a JSON value."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, tuple | list):
        return [encode_value(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(encode_value(item) for item in value)
    if not is_dataclass(kind):
        return value
    encoded: dict[str, Any] = {}
    for name, unsaid in _written(kind):
        part = getattr(value, name)
        if unsaid is None or part != unsaid():
            encoded[name] = encode_value(part)
    return encoded


@cache
def _written(kind: Any) -> tuple[tuple[str, Callable[[], Any] | None], ...]:
    """The fields of a class that are written, each with what goes without saying, if anything does.

    Most nodes of most waves have no steps of their own.
    """
    return tuple(
        (item.name, _unsaid(item)) for item in fields(kind) if not item.metadata.get(DERIVED)
    )


def _unsaid(item: "Field[Any]") -> Callable[[], Any] | None:
    is_sparse = item.metadata.get(SPARSE) and item.default_factory is not MISSING
    return item.default_factory if is_sparse else None  # type: ignore[return-value]


def decode_value(kind: type[T], value: Any, path: str) -> T:
    """A part of a state, or another value of such parts, from its JSON value.

    Raises:
        StateUnreadable: it is of another shape.
    """
    return _decode_fields(kind, value, path)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(kind: Any, value: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin in {Union, types.UnionType}:
        return _decode_union(get_args(kind), value, path)
    if origin in {tuple, frozenset}:
        return _decode_many(kind, origin, value, path)
    if isinstance(kind, type) and is_dataclass(kind):
        return _decode_fields(kind, value, path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            raise StateUnreadable(f"{path}: {value!r} is no {kind.__name__}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise StateUnreadable(f"{path}: must be {kind}, not {value!r}")
    return value


def _decode_union(choices: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in choices:
        return None
    problem: StateUnreadable | None = None
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return _decode(choice, value, path)
        except StateUnreadable as error:
            problem = error
    raise problem or StateUnreadable(f"{path}: must not be {value!r}")


def _decode_many(kind: Any, origin: type, value: Any, path: str) -> Any:
    if not isinstance(value, list):
        raise StateUnreadable(f"{path}: must be a list, not {value!r}")
    inner = get_args(kind)
    repeated = origin is frozenset or (len(inner) == 2 and inner[1] is Ellipsis)  # noqa: PLR2004  # tuple[X, ...]
    if not repeated and len(inner) != len(value):
        raise StateUnreadable(f"{path}: must have {len(inner)} parts")
    return origin(
        _decode(inner[0] if repeated else inner[at], item, f"{path}[{at}]")
        for at, item in enumerate(value)
    )


def _decode_fields(kind: type[T], value: Any, path: str) -> T:
    if not isinstance(value, Mapping):
        raise StateUnreadable(f"{path}: must be an object, not {value!r}")
    known = {
        item.name: item
        for item in fields(kind)  # type: ignore[arg-type]  # checked by the caller
        if not item.metadata.get(DERIVED)
    }
    for key in value:
        if key not in known:
            raise StateUnreadable(f"{path}.{key}: is not known to this version of healthd")
    hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]  # Every class can be hashed.
    found: dict[str, Any] = {}
    for name, item in known.items():
        if name in value:
            found[name] = _decode(hints[name], value[name], f"{path}.{name}")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise StateUnreadable(f"{path}.{name}: is missing")
    return kind(**found)
