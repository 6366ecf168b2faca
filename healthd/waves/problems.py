"""What is wrong in a wave file or policy: a place, a sentence and what to do."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_TYPE_NAMES: Final = {bool: "a boolean", str: "text", list: "a list", dict: "a mapping"}

KIND: Final = re.compile(r"[A-Z][A-Za-z]{0,39}")
"""What a kind looks like; whatever else stands there is not repeated."""

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecProblem:
    """One mistake in a wave file or policy: where it is, what is wrong and what to do."""

    location: Location
    message: str
    action: str
    code: str = ""
    """A word for programs, where there is one (`healthd playbook lint`)."""
    is_key: bool = False
    """Whether the key stands wrong, not its value."""

    @property
    def path(self) -> str:
        """The place as people write it, such as `stages[0].brokers`."""
        return render_path(self.location)

    def under(self, *prefix: str | int) -> "SpecProblem":
        """The same problem seen from the document that holds this part at `prefix`."""
        return replace(self, location=(*prefix, *self.location))


def render_path(location: Iterable[str | int]) -> str:
    """`clusters[0].name` for `("clusters", 0, "name")`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def describe_type(value: object) -> str:
    """What a value is, in words that show nothing of it."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, int) and not isinstance(value, bool):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def unknown_key(key: str, known: Iterable[str]) -> tuple[str, str]:
    """The message and the action for a key that nobody knows, with the nearest right one."""
    names = sorted(known)
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(key.lower(), list(lowered), n=1, cutoff=0.6)
    if near:
        right = lowered[near[0]]
        return f"unknown key; did you mean {right}?", f"rename it to {right}"
    return "unknown key", f"remove it, or use one of: {', '.join(names)}"


def other_kind(mapping: Mapping[Any, Any], wanted: str) -> SpecProblem | None:
    """The one problem of a file of quite another kind, of which nothing else is worth telling.

    None when it has the kind, or none, or one that may be a typing error of it.
    """
    kind = mapping.get("kind")
    if not isinstance(kind, str) or kind == wanted:
        return None
    if difflib.get_close_matches(kind.lower(), [wanted.lower()], n=1, cutoff=0.6):
        return None
    words = kind if KIND.fullmatch(kind) else "another kind"
    message = f"must be {wanted}, not {words}"
    action = f"name a file of kind {wanted}, or write kind: {wanted}"
    return SpecProblem(location=("kind",), message=message, action=action)


def not_built(location: Location) -> SpecProblem:
    """The refusal of something that the contract has and this version does not do yet."""
    return SpecProblem(
        location=location,
        message="not built yet: this version would not act on it",
        action="remove it",
    )
