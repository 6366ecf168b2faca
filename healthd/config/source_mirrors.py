"""`mirrors` of a cluster: the MirrorMaker 2 flows that bring other clusters' topics to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeGuard

from pydantic import Field

from healthd.config.fields import Name, Text, Url
from healthd.config.problems import Problem
from healthd.config.schema import FileModel
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

if TYPE_CHECKING:
    from healthd.config.fleet import ClusterConfig, SecurityConfig

MAX_BEHIND_SECONDS: Final = 60.0


class MirrorModel(FileModel):
    """One item of `mirrors`."""

    source: Name
    target: Name | None = None
    source_cluster: Name | None = None
    connect: Name | None = None
    connectors: list[Text] = Field(default_factory=list)
    exporters: Annotated[list[Url], Field(max_length=64)] = Field(default_factory=list)
    heartbeats_topic: Text | None = None
    max_behind_seconds: Annotated[float, Field(gt=0)] = MAX_BEHIND_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCluster:
    """The cluster that a flow reads from, where the fleet file knows it."""

    name: str
    bootstrap_servers: tuple[str, ...]
    security: "SecurityConfig"


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorConfig:
    """One flow into this cluster."""

    source: str
    """MirrorMaker's alias of the cluster that is read."""
    target: str
    """MirrorMaker's alias of this cluster."""
    source_cluster: str | None = None
    """The name that the source has in the fleet file; None: its alias, if there is such a one."""
    connect: str | None = None
    """The Connect cluster that runs it, by its name in `connect`; None: states are not read."""
    connectors: tuple[str, ...] = ()
    """Its connectors; empty: those of the Connect cluster that have these two aliases."""
    exporters: tuple[str, ...] = ()
    """The metrics pages of all its workers."""
    heartbeats_topic: str
    """Where the source's heartbeats arrive on this cluster."""
    max_behind_seconds: float = MAX_BEHIND_SECONDS
    origin: SourceCluster | None = None
    """The source's own access; None: the fleet file does not know it."""


def mirrors_of(models: Sequence[MirrorModel], cluster: str) -> tuple[MirrorConfig, ...]:
    """The flows that the fleet file describes; `cluster` is the name of the one they lead to."""
    return tuple(
        MirrorConfig(
            source=model.source,
            target=model.target or cluster,
            source_cluster=model.source_cluster,
            connect=model.connect,
            connectors=tuple(model.connectors),
            exporters=tuple(dict.fromkeys(model.exporters)),
            heartbeats_topic=model.heartbeats_topic or f"{model.source}.heartbeats",
            max_behind_seconds=model.max_behind_seconds,
        )
        for model in models
    )


def mirrors_problems(
    mirrors: Sequence[MirrorConfig], known: Sequence[str], document: Document, at: Location
) -> Iterator[Problem]:
    """What is wrong with the flows; `known` are the names of the cluster's Connect clusters."""
    seen: set[str] = set()
    for index, mirror in enumerate(mirrors):
        here: Location = (*at, index)
        if mirror.source in seen:
            yield document.problem(
                (*here, "source"), f"duplicate flow from {mirror.source}", "keep one of the two"
            )
        seen.add(mirror.source)
        if mirror.source == mirror.target:
            yield document.problem(
                (*here, "source"),
                "is the target itself",
                "write MirrorMaker's alias of the other cluster",
            )
        if mirror.connect is not None and mirror.connect not in known:
            yield document.problem(
                (*here, "connect"),
                f"there is no Connect cluster {mirror.connect} in this cluster's connect",
                "name one of connect, or add it there",
            )
        if mirror.connectors and mirror.connect is None:
            yield document.problem(
                (*here, "connectors"), "is of no use without connect", "add connect", of_key=True
            )


def with_origins(clusters: Sequence["ClusterConfig"]) -> list["ClusterConfig"]:
    """The clusters, each flow with the access to its source where the fleet file has it."""
    by_name = {cluster.name: cluster for cluster in clusters}

    def linked(mirror: MirrorConfig) -> MirrorConfig:
        origin = by_name.get(mirror.source_cluster or mirror.source)
        if origin is None:
            return mirror
        access = SourceCluster(
            name=origin.name,
            bootstrap_servers=origin.bootstrap_servers,
            security=origin.security,
        )
        return replace(mirror, origin=access)

    return [
        replace(cluster, mirrors=tuple(map(linked, cluster.mirrors)))
        if cluster.mirrors
        else cluster
        for cluster in clusters
    ]


def origin_problems(document: Document) -> Iterator[Problem]:
    """Flows that name a source which the fleet file does not have.

    Judged on the plain values: a mistake in another cluster does not make it unknown.
    """
    clusters = document.data.get("clusters")
    found = [item for item in clusters if isinstance(item, dict)] if _is_list(clusters) else []
    names = {item.get("name") for item in found if isinstance(item.get("name"), str)}
    for at, cluster in enumerate(clusters if _is_list(clusters) else []):
        mirrors = cluster.get("mirrors") if isinstance(cluster, dict) else None
        for index, mirror in enumerate(mirrors if _is_list(mirrors) else []):
            named = mirror.get("sourceCluster") if isinstance(mirror, dict) else None
            if isinstance(named, str) and named not in names:
                yield document.problem(
                    ("clusters", at, "mirrors", index, "sourceCluster"),
                    "there is no cluster of that name in this file",
                    "correct the name, or remove sourceCluster",
                )


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
