"""A YAML document as a tree that still knows where every key and value stood.

ruamel.yaml reads the text; the tree is built from its events, so that all duplicate keys are
reported and not just the first, and so that nothing is expanded before it is counted.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.nodes import ScalarNode as RuamelScalar

MAX_DEPTH: Final = 64
"""Deeper nesting than any file here needs; keeps the recursion and ruamel's flow scanner cheap."""

_TAG: Final = "tag:yaml.org,2002:"
_KNOWN_TAGS: Final = frozenset(
    {_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq")}
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Position:
    """A place in a text file; lines and columns start at 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A mistake in the text itself."""

    position: Position
    message: str
    action: str


@dataclass(slots=True, kw_only=True)
class Scalar:
    """One plain value."""

    position: Position
    value: str | int | float | bool | None
    is_plain: bool = True


@dataclass(slots=True, kw_only=True)
class Sequence:
    """A list."""

    position: Position
    items: "list[Node]" = field(default_factory=list)
    is_open: bool = True
    """Still being read: an alias to it would be a loop."""


@dataclass(slots=True, kw_only=True)
class Mapping:
    """Keys in order, each with its own position."""

    position: Position
    entries: "dict[str, tuple[Position, Node]]" = field(default_factory=dict)
    is_open: bool = True


Node = Scalar | Sequence | Mapping


class UnusableYamlError(Exception):
    """The text cannot be read any further; carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def position_of(event: Event) -> Position:
    """Where an event begins."""
    mark = event.start_mark
    return Position(line=mark.line + 1, column=mark.column + 1)


class TreeBuilder:
    """Builds the tree of the one document in `text`; mistakes that allow going on are kept.

    Raises:
        UnusableYamlError: From `build`, when reading has to end early.
        ruamel.yaml.error.YAMLError: From `build`, when the text is not YAML.
    """

    def __init__(self, text: str, *, max_nodes: int) -> None:
        yaml = YAML(typ="safe", pure=True)
        self._events: Iterator[Event] = yaml.parse(text)
        self._resolver = yaml.resolver
        self._anchors: dict[str, Node] = {}
        self._nodes = 0
        self._max_nodes = max_nodes
        self.findings: list[Finding] = []

    def build(self) -> Node | None:
        """The tree, or None when the text has no content."""
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self._check_document(event, is_second=root is not None)
            elif isinstance(event, ScalarEvent | CollectionStartEvent | AliasEvent):
                root = self._node(event, depth=0)
        return root

    def _check_document(self, event: DocumentStartEvent, *, is_second: bool) -> None:
        if is_second:
            self._stop(event, "a second document begins here", "keep one document in a file")
        if event.version is not None and tuple(event.version) != (1, 2):
            self._stop(event, "only YAML 1.2 is read", "remove the %YAML line")

    def _stop(self, event: Event, message: str, action: str) -> None:
        raise UnusableYamlError(
            Finding(position=position_of(event), message=message, action=action)
        )

    def _note(self, position: Position, message: str, action: str) -> None:
        self.findings.append(Finding(position=position, message=message, action=action))

    def _node(self, event: Event, *, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > self._max_nodes:
            self._stop(event, f"more than {self._max_nodes} values", "split the file")
        if depth > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels", "flatten the file")
        if isinstance(event, AliasEvent):
            return self._alias(event)
        self._check_tag(event)
        node: Node
        if isinstance(event, ScalarEvent):
            node = self._scalar(event)
            self._anchor(event, node)
        elif isinstance(event, MappingStartEvent):
            node = Mapping(position=position_of(event))
            self._anchor(event, node)
            self._fill_mapping(node, depth)
        else:
            node = Sequence(position=position_of(event))
            self._anchor(event, node)
            while not isinstance(item := next(self._events), SequenceEndEvent):
                node.items.append(self._node(item, depth=depth + 1))
            node.is_open = False
        return node

    def _anchor(self, event: Any, node: Node) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = node

    def _alias(self, event: AliasEvent) -> Node:
        # An anchor's name is not repeated: a password that begins with * looks like an alias.
        node = self._anchors.get(event.anchor)
        if node is None:
            self._stop(event, "an alias (*...) to an anchor that is not there", "quote the value")
        elif not isinstance(node, Scalar) and node.is_open:
            self._stop(event, "an alias (*...) to what it is part of", "write the value out")
        assert node is not None
        return node

    def _check_tag(self, event: Any) -> None:
        # A tag's name is not repeated: a password that begins with ! looks like a tag.
        tag = event.tag
        if tag is not None and str(tag) != "!" and str(tag) not in _KNOWN_TAGS:
            self._note(position_of(event), "tags (!...) are not used here", "quote the value")

    def _fill_mapping(self, node: Mapping, depth: int) -> None:
        merged: list[Node] = []
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, depth=depth + 1)
            value = self._node(next(self._events), depth=depth + 1)
            if isinstance(key, Scalar) and key.is_plain and key.value == "<<":
                merged.append(value)
            else:
                self._enter(node, key, value, position_of(event))
        for value in merged:
            self._merge(node, value)
        node.is_open = False

    def _enter(self, node: Mapping, key: Node, value: Node, at: Position) -> None:
        if not isinstance(key, Scalar) or not isinstance(key.value, str):
            self._note(at, "a key must be text", "put the key in quotes")
            return
        if key.value in node.entries:
            first = node.entries[key.value][0]
            self._note(
                at,
                f"key {key.value} is here twice; first at line {first.line}, column {first.column}",
                "remove one of the two",
            )
            return
        node.entries[key.value] = (at, value)

    def _merge(self, node: Mapping, value: Node) -> None:
        for source in value.items if isinstance(value, Sequence) else [value]:
            if not isinstance(source, Mapping):
                self._note(source.position, "<< needs a mapping", "write <<: *NAME")
                continue
            # Merging copies keys, and copies of copies grow fast: they count as values read.
            self._nodes += len(source.entries)
            for key, entry in source.entries.items():
                node.entries.setdefault(key, entry)

    def _scalar(self, event: ScalarEvent) -> Scalar:
        at = position_of(event)
        text: str = event.value
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._note(at, "is not valid Unicode (half of a surrogate pair)", "correct the escape")
            return Scalar(position=at, value="", is_plain=False)
        is_plain = event.tag is None and bool(event.implicit[0])
        if is_plain:
            tag = str(self._resolver.resolve(RuamelScalar, text, (True, False)))
        else:
            tag = str(event.tag) if event.tag is not None else _TAG + "str"
        try:
            return Scalar(position=at, value=plain_value(tag, text), is_plain=is_plain)
        except (ValueError, OverflowError):
            self._note(at, "is not a value of its type", "correct it, or quote it as text")
            return Scalar(position=at, value=None, is_plain=is_plain)


def plain_value(tag: str, text: str) -> str | int | float | bool | None:
    """The value of one scalar under YAML 1.2; times and dates stay text (12:30 is 12:30).

    Raises:
        ValueError: The text is no such value, or a number too long to be one.
    """
    kind = tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        lowered = text.lower()
        if lowered not in {"true", "false"}:
            raise ValueError(kind)
        return lowered == "true"
    if kind == "int":
        return _whole_number(text)
    if kind == "float":
        return _fraction(text)
    return text


def _whole_number(text: str) -> int:
    digits = text.replace("_", "").lower()
    if re.fullmatch(r"[-+]?0[xob][0-9a-f]+", digits):
        return int(digits, 0)
    return int(digits, 10)


def _fraction(text: str) -> float:
    lowered = text.replace("_", "").lower()
    if lowered.lstrip("+-") == ".inf":
        return -math.inf if lowered.startswith("-") else math.inf
    if lowered == ".nan":
        return math.nan
    return float(lowered)
