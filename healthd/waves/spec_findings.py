"""The problems found while a wave file is read, and the readers that add to them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from healthd.waves.problems import Location, SpecProblem, describe_type, unknown_key

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
PLAYBOOK: Final = re.compile(rf"({NAME.pattern})(?:@sha256:([0-9a-f]{{64}}))?")
"""A playbook's name, and its digest where only exactly that one may be run."""


class Findings:
    """The problems found so far; a reader answers None when it has added one."""

    def __init__(self) -> None:
        self.problems: list[SpecProblem] = []

    def add(
        self,
        location: Location,
        message: str,
        action: str,
        *,
        code: str = "",
        is_key: bool = False,
    ) -> None:
        """One more problem."""
        self.problems.append(
            SpecProblem(location=location, message=message, action=action, code=code, is_key=is_key)
        )

    def keys(self, mapping: Mapping[Any, Any], location: Location, known: Iterable[str]) -> None:
        """Refuses what nobody knows."""
        for key in mapping:
            if key not in known:
                self.add((*location, str(key)), *unknown_key(str(key), known))

    def text(
        self, mapping: Mapping[str, Any], key: str, location: Location, *, required: bool = True
    ) -> str | None:
        """The text at `key`, or None with its problem noted."""
        if key not in mapping:
            if required:
                self.add(location, f"{key} is missing", f"add {key}")
            return None
        value = mapping[key]
        if not isinstance(value, str):
            self.add((*location, key), f"must be text, not {describe_type(value)}", "quote it")
            return None
        if not value.strip():
            self.add((*location, key), "is empty", f"say the {key}")
            return None
        return value

    def playbook(self, mapping: Mapping[str, Any]) -> tuple[str, str | None] | None:
        """A playbook's name and digest."""
        value = self.text(mapping, "playbook", ())
        if value is None:
            return None
        match = PLAYBOOK.fullmatch(value)
        if match is not None:
            return match[1], match[2]
        if "@" in value:
            message = "must be NAME or NAME@sha256:DIGEST, with 64 digits 0-9 and a-f"
            self.add(("playbook",), message, "copy the digest from 'healthd playbook digest FILE'")
            return None
        self.name(mapping, "playbook", ())
        return None

    def name(self, mapping: Mapping[str, Any], key: str, location: Location) -> str | None:
        """A name that is safe in a URL, a metric label and a file name."""
        value = self.text(mapping, key, location)
        if value is not None and not NAME.fullmatch(value):
            self.add(
                (*location, key),
                "must be letters, digits, dots, dashes and underscores, 128 at most",
                "choose a plain name",
            )
            return None
        return value
