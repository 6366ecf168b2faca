"""A name that is in a file twice, where each names one thing."""

from collections.abc import Iterator
from typing import Any

from healthd.config.problems import Problem
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location


def repeated(
    document: Document, seen: dict[Any, Location], value: Any, location: Location, what: str
) -> Iterator[Problem]:
    """The problem of a value that was seen before, with the place of the first one.

    Args:
        document: The file.
        seen: Where each value was first; the value is added.
        value: The name or id.
        location: Where it is now.
        what: What it names, as a person says it.
    """
    if value not in seen:
        seen[value] = location
        return
    first = document.position(seen[value])
    yield document.problem(
        location,
        f"duplicate {what} {value}; first at line {first.line}, column {first.column}",
        "rename or remove one of the two",
    )
