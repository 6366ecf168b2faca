"""A wave's state as the journal keeps it: a small head, and parts that are rows of their own.

A wave over 1,500 brokers is half a megabyte of JSON, and each of its writes changes one broker.
So a write holds the head and those parts whose value is another object than at the last write.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from healthd.waves.codec import StateUnreadable, decode_state, encode_state, encode_value
from healthd.waves.state import DERIVED, WaveState

_ALWAYS: Final = ("playbook", "policy", "seen_up")
_LATER: Final = ("pins", "forecast")
"""Waves of before there was such a field have no such part."""
_APART: Final = (*_ALWAYS, *_LATER)
"""Fields that are large and seldom change."""
_NODE: Final = "node:"
_NODES: Final = "nodes"
_STRIDE: Final = 64
_HANDLED: Final = frozenset({*_APART, _NODES})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """What one write of the journal holds of a state."""

    head: str
    parts: Mapping[str, str] | None
    """The parts that have changed; None when the head is the whole state."""


class StateParts:
    """Splits the states of one wave, and knows which parts the disk has."""

    def __init__(self) -> None:
        self._on_disk: WaveState | None = None

    def changed_in(self, state: WaveState) -> StoredState:
        """What is to be written so that the disk has this state.

        The state of a wave that has ended is written whole: it never changes again.
        """
        if state.status.has_ended:
            return StoredState(head=whole(state), parts=None)
        head = {
            item.name: encode_value(getattr(state, item.name))
            for item in fields(state)
            if item.name not in _HANDLED and not item.metadata.get(DERIVED)
        }
        head[_NODES] = len(state.nodes)
        parts = {
            name: _dumps(encode_value(getattr(state, name)))
            for name in _APART
            if self._on_disk is None or getattr(state, name) is not getattr(self._on_disk, name)
        }
        return StoredState(head=_dumps(head), parts=parts | self._changed_nodes(state))

    def _changed_nodes(self, state: WaveState) -> dict[str, str]:
        known = () if self._on_disk is None else self._on_disk.nodes
        if state.nodes is known:
            return {}
        changed: dict[str, str] = {}
        for first in range(0, len(state.nodes), _STRIDE):
            some = state.nodes[first : first + _STRIDE]
            # Tuples of the same objects are compared without a look into them.
            if some != known[first : first + _STRIDE]:
                for at, run in enumerate(some, first):
                    if at >= len(known) or run is not known[at]:
                        changed[f"{_NODE}{at}"] = _dumps(encode_value(run))
        return changed

    def written(self, state: WaveState) -> None:
        """The disk has this state now."""
        self._on_disk = state


def whole(state: WaveState) -> str:
    """The whole state as one text."""
    return _dumps(encode_state(state))


def read_stored(head: str, parts: Mapping[str, str]) -> WaveState:
    """The state from what was stored of it.

    Raises:
        StateUnreadable: it was written by another version, or is damaged.
    """
    data = _loads(head, "state")
    if not isinstance(data, dict):
        raise StateUnreadable(f"state: must be an object, not {data!r}")
    if isinstance(data.get(_NODES), int):
        data |= {name: _part(parts, name) for name in _APART if name in parts or name in _ALWAYS}
        data[_NODES] = [_part(parts, f"{_NODE}{at}") for at in range(data[_NODES])]
    return decode_state(data)


def _part(parts: Mapping[str, str], name: str) -> Any:
    if name not in parts:
        raise StateUnreadable(f"{name}: is missing; the state is damaged")
    return _loads(parts[name], name)


def _loads(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise StateUnreadable(f"{path}: is no JSON ({error}); the state is damaged") from None


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
