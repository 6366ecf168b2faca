"""`freezes` of the fleet file: change freezes that are known in advance."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from healthd.config.fields import Name, Text
from healthd.config.problems import Problem
from healthd.config.repeated import repeated
from healthd.config.schema import FileModel
from healthd.config.yaml_source import Document
from healthd.model.moments import NoMoment
from healthd.waves.freezes import FROM_FILE, Freeze, freeze_moment
from healthd.waves.policy import Location, unknown_key
from healthd.waves.window import is_timezone

MAX_FREEZES = 1_000


class FreezeModel(FileModel):
    """One item of `freezes`."""

    name: Name
    reason: Text
    clusters: Annotated[list[Name], Field(min_length=1)] | None = None
    match: Annotated[dict[str, str], Field(min_length=1)] | None = None
    all: bool = False
    from_: Annotated[Text | None, Field(alias="from")] = None
    until: Text | None = None
    timezone: Text | None = None


def freezes_of(models: Sequence[FreezeModel]) -> tuple[Freeze, ...]:
    """The freezes that the file describes; those with problems are left out."""
    return tuple(
        Freeze(
            name=model.name,
            reason=model.reason,
            by=FROM_FILE,
            clusters=tuple(model.clusters or ()),
            match=MappingProxyType(dict(model.match or {})),
            is_for_all=model.all,
            begins=_moment(model.from_, model, is_end=False),
            ends=_moment(model.until, model, is_end=True),
            is_from_file=True,
        )
        for model in models
        if not any(_time_problems(model))
    )


def freeze_problems(
    document: Document, models: Sequence[FreezeModel], labels: Mapping[str, Mapping[str, str]]
) -> Iterator[Problem]:
    """What is wrong with the freezes beyond the form of their values.

    Args:
        document: The fleet file.
        models: Its freezes.
        labels: The labels of every cluster, by name.
    """
    seen: dict[str, Location] = {}
    for index, model in enumerate(models):
        at: Location = ("freezes", index)
        yield from repeated(document, seen, model.name, (*at, "name"), "freeze")
        for key, message, action in _time_problems(model):
            yield document.problem((*at, key), message, action)
        yield from _selection_problems(document, model, labels, at)


def _selection_problems(
    document: Document,
    model: FreezeModel,
    labels: Mapping[str, Mapping[str, str]],
    at: Location,
) -> Iterator[Problem]:
    given = (model.clusters is not None, model.match is not None, model.all)
    if sum(given) != 1:
        yield document.problem(
            at,
            "needs exactly one of clusters, match and all",
            "name its clusters, their labels, or write all: true",
        )
        return
    for place, name in enumerate(model.clusters or ()):
        if name not in labels:
            message, action = unknown_key(name, labels)
            yield document.problem(
                (*at, "clusters", place), message.replace("unknown key", "unknown cluster"), action
            )
    wanted = model.match or {}
    if wanted and not any(
        all(own.get(label) == value for label, value in wanted.items()) for own in labels.values()
    ):
        yield document.problem(
            (*at, "match"), "matches no cluster", "use labels that a cluster of this file has"
        )


def _time_problems(model: FreezeModel) -> Iterator[tuple[str, str, str]]:
    """Key, message and action of what is wrong with its times."""
    if model.timezone is not None and not is_timezone(model.timezone):
        yield (
            "timezone",
            "is no time zone of the IANA database",
            "write a name such as UTC or Europe/Berlin",
        )
        return
    moments = []
    for key, text in (("from", model.from_), ("until", model.until)):
        try:
            moments.append(_moment(text, model, is_end=key == "until"))
        except NoMoment as error:
            yield key, str(error), "write 2026-12-20, 2026-12-20T18:00 or 2026-12-20T18:00:00Z"
            return
    begins, ends = moments
    if begins is not None and ends is not None and ends <= begins:
        yield "until", "ends before it begins", "correct from or until"


def _moment(text: str | None, model: FreezeModel, *, is_end: bool) -> float | None:
    return None if text is None else freeze_moment(text, model.timezone, is_end=is_end)
