"""Scoring profile files: the numbers of the Health Index, where somebody wants others.

A file says what it changes; every other number is that of the built-in profile. The result is
validated as a whole: weights that do not add up to 100, or limits out of order, are refused.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, create_model
from pydantic.alias_generators import to_camel

from healthd.config.problems import ConfigError, Problem
from healthd.config.schema import FileModel, refusal, validate
from healthd.config.yaml_source import Document, read_document
from healthd.health.scoring import DEFAULT, ScoringError, ScoringProfile
from healthd.waves.policy import Location
from healthd.waves.spec import NAME

SECTIONS: Final = (
    "weights",
    "risk",
    "severities",
    "caps",
    "freshness",
    "bands",
    "checks",
    "routing",
)
_FIXED: Final = frozenset({"tolerance", "objects_shown", "min_isr_above_rf_works_from"})
"""Numbers that are no matter of taste: rounding, the contract, a fact about Kafka."""
_SNAKE: Final = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")


def _checked_name(text: str) -> str:
    if not NAME.fullmatch(text) or text == DEFAULT.name:
        raise refusal(
            f"must be a plain name other than {DEFAULT.name}", "choose a name such as strict"
        )
    return text


def _checked_version(text: str) -> str:
    if not NAME.fullmatch(text):
        raise refusal("must be a short text of letters, digits, dots and dashes", 'write "1"')
    return text


def _section_model(name: str) -> type[FileModel]:
    section = getattr(DEFAULT, name)
    numbers: dict[str, Any] = {
        field.name: (
            Annotated[int | None, Field(ge=1)]
            if isinstance(getattr(section, field.name), int) and field.type in {"int", int}
            else Annotated[float | None, Field(ge=0)],
            None,
        )
        for field in fields(section)
        if field.name not in _FIXED
    }
    return create_model(f"{name.capitalize()}Section", __base__=FileModel, **numbers)


class ScoringProfileModel(FileModel):
    """The head of a scoring profile file."""

    api_version: Literal["healthd/v1"]
    kind: Literal["ScoringProfile"]
    name: Annotated[str, AfterValidator(_checked_name)]
    version: Annotated[str, AfterValidator(_checked_version)]


_SECTION_FIELDS: Final[dict[str, Any]] = {
    name: (_section_model(name) | None, None) for name in SECTIONS
}
SCORING_MODEL: Final[type[ScoringProfileModel]] = create_model(
    "ScoringProfileFile", __base__=ScoringProfileModel, **_SECTION_FIELDS
)


def load_scoring(path: str | Path) -> ScoringProfile:
    """The scoring profile in a file.

    Raises:
        ConfigError: it cannot be opened or has problems; it names all of them.
    """
    try:
        document, problems = read_document(path)
    except OSError as error:
        raise ConfigError(
            [
                Problem(
                    file=str(path),
                    message=f"cannot be opened: {error.strerror or error}",
                    action="check the path and its permissions",
                )
            ]
        ) from error
    profile = None
    if document is not None:
        profile, more = parse_scoring(document)
        problems = [*problems, *more]
    if problems or profile is None:
        raise ConfigError(problems)
    return profile


class ScoringFiles:
    """The scoring profiles that a fleet file names; each file is read once."""

    def __init__(self, folder: Path) -> None:
        """Read nothing yet.

        Args:
            folder: What relative paths are relative to.
        """
        self._folder = folder
        self._read: dict[Path, ScoringProfile | None] = {}

    def read(
        self, document: Document, location: Location, part: Any
    ) -> tuple[ScoringProfile | None, list[Problem]]:
        """The profile that a part of a fleet file names, and what is wrong with it.

        Args:
            document: The fleet file.
            location: Where the part would name it.
            part: The part's plain values; None for the profile when it names none.
        """
        named = part.get("scoringProfile") if isinstance(part, dict) else None
        if not isinstance(named, str) or not named.strip():
            return None, []
        path = (self._folder / named).absolute()
        if path in self._read:
            return self._read[path], []
        try:
            self._read[path] = load_scoring(path)
        except ConfigError as error:
            self._read[path] = None
            first, *_ = error.problems
            if first.line is None:
                return None, [document.problem(location, f"{path} {first.message}", first.action)]
            return None, list(error.problems)
        return self._read[path], []


def check_scoring(document: Document, _folder: Path) -> list[Problem]:
    """What is wrong with a scoring profile file."""
    return parse_scoring(document)[1]


def parse_scoring(document: Document) -> tuple[ScoringProfile | None, list[Problem]]:
    """The profile in a document, or its problems."""
    model, problems = validate(SCORING_MODEL, document.data, document)
    if model is None or problems:
        return None, problems
    changed: dict[str, Any] = {
        name: replace(getattr(DEFAULT, name), **_given(getattr(model, name)))
        for name in SECTIONS
        if getattr(model, name) is not None
    }
    try:
        return replace(DEFAULT, name=model.name, version=model.version, **changed), []
    except ScoringError as error:
        return None, [_problem(document, str(error))]


def _given(section: FileModel) -> Mapping[str, Any]:
    return {name: value for name, value in section.model_dump().items() if value is not None}


def _problem(document: Document, text: str) -> Problem:
    """The contradiction in the words of the file, at the section or number that it is about."""
    where, _, message = text.partition(": ")
    location = tuple(to_camel(part) for part in where.split(" ")[0].split("."))
    camel = _SNAKE.sub(lambda found: to_camel(found[0]), message)
    return document.problem(location, camel, "change one of these numbers")
