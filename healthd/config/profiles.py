"""`profiles` and `clients` of the fleet file: names that clients resolve to clusters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from healthd.config.fields import Address, Name
from healthd.config.problems import Problem
from healthd.config.repeated import repeated
from healthd.config.schema import FileModel
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location, unknown_key

MAX_PROFILES: Final = 10_000


class ClientsModel(FileModel):
    """`clients` of a cluster: how clients connect, where that differs from healthd's own way."""

    bootstrap_servers: Annotated[list[Address], Field(min_length=1)]
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] | None = None


class ProfileModel(FileModel):
    """One item of `profiles`."""

    name: Name
    order: Literal["preference", "equal"] = "preference"
    members: Annotated[list[Name], Field(min_length=1)] | None = None
    match: Annotated[dict[str, str], Field(min_length=1)] | None = None


class RoutingModel(FileModel):
    """`routing` of the fleet file."""

    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientsConfig:
    """How clients connect to a cluster."""

    bootstrap_servers: tuple[str, ...]
    security_protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileConfig:
    """One connection profile: its clusters are named, or have these labels."""

    name: str
    order: str = "preference"
    """`preference` or `equal`."""
    members: tuple[str, ...] = ()
    match: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def clusters(self, labels: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
        """The names of its clusters, the most preferred first.

        Args:
            labels: The labels of every cluster of the fleet, by name, in the fleet's order.
        """
        if self.members:
            return self.members
        return tuple(
            name
            for name, own in labels.items()
            if all(own.get(label) == value for label, value in self.match.items())
        )


def profile_of(model: ProfileModel) -> ProfileConfig:
    """The profile that an item of the file describes."""
    return ProfileConfig(
        name=model.name,
        order=model.order,
        members=tuple(model.members or ()),
        match=MappingProxyType(dict(model.match or {})),
    )


def profile_problems(
    document: Document, models: list[ProfileModel], labels: Mapping[str, Mapping[str, str]]
) -> Iterator[Problem]:
    """What is wrong with the profiles beyond the form of their values.

    Args:
        document: The fleet file.
        models: Its profiles.
        labels: The labels of every cluster, by name.
    """
    seen: dict[str, Location] = {}
    for at, model in enumerate(models):
        location: Location = ("profiles", at)
        yield from repeated(document, seen, model.name, (*location, "name"), "profile")
        if (model.members is None) == (model.match is None):
            yield document.problem(
                location,
                "needs either members or match",
                "name its clusters in members, or their labels in match",
            )
            continue
        yield from _member_problems(document, model, labels, location)


def _member_problems(
    document: Document,
    model: ProfileModel,
    labels: Mapping[str, Mapping[str, str]],
    location: Location,
) -> Iterator[Problem]:
    if model.match is not None and not profile_of(model).clusters(labels):
        yield document.problem(
            (*location, "match"), "matches no cluster", "use labels that a cluster of this file has"
        )
    named: set[str] = set()
    for at, name in enumerate(model.members or ()):
        where: Location = (*location, "members", at)
        if name in named:
            yield document.problem(where, f"{name} is named twice", "remove one of the two")
        elif name not in labels:
            message, action = unknown_key(name, labels)
            yield document.problem(where, message.replace("unknown key", "unknown cluster"), action)
        named.add(name)


def as_labels(clusters: Any) -> dict[str, dict[str, str]]:
    """The labels of every cluster by its name, from the file's plain values."""
    found: dict[str, dict[str, str]] = {}
    for cluster in clusters if isinstance(clusters, list) else []:
        if isinstance(cluster, dict) and isinstance(cluster.get("name"), str):
            own = cluster.get("labels")
            found[cluster["name"]] = dict(own) if isinstance(own, dict) else {}
    return found
