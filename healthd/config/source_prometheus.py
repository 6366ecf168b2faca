"""`prometheus` of the fleet and of a cluster: servers that scrape the exporters already."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from healthd.config.fields import Name, Text
from healthd.config.problems import Problem
from healthd.config.schema import FileModel, refusal
from healthd.config.secret_fields import secret_of
from healthd.config.source_server import (
    ServerConfig,
    ServerModel,
    rest_of_server,
    server_problems,
)
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _checked_label(text: str) -> str:
    if not _LABEL.fullmatch(text) or text.startswith("__"):
        raise refusal(
            "names what is no label of Prometheus",
            "write letters, digits and underscores, such as kafka_cluster",
        )
    return text


def _checked_matchers(matchers: dict[str, str]) -> dict[str, str]:
    for name in matchers:
        _checked_label(name)
    return matchers


Label = Annotated[str, AfterValidator(_checked_label)]
Matchers = Annotated[dict[str, Text], AfterValidator(_checked_matchers)]


class PrometheusModel(ServerModel):
    """One item of the fleet's `prometheus`."""

    name: Name


class PrometheusUseModel(FileModel):
    """`prometheus` of a cluster."""

    server: Name
    matchers: Matchers = Field(default_factory=dict)
    node_label: Label | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusServer(ServerConfig):
    """One Prometheus server, or whatever answers its query API at its address."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusUse:
    """Where a cluster's pages are in a Prometheus server."""

    server: PrometheusServer
    matchers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What the labels of its targets are, besides."""
    node_label: str | None = None
    """The target label that holds the node id; None: `instance` is the exporter's address."""


class PrometheusFile:
    """The servers of one fleet file, and how its clusters use them."""

    def __init__(
        self, models: Sequence[PrometheusModel] | None, folder: Path, document: Document
    ) -> None:
        """Read nothing.

        Args:
            models: `prometheus` at the top; None: the top is wrong in some other way.
            folder: What relative paths start from.
            document: The file.
        """
        self._models = models or ()
        self._folder = folder
        self._document = document
        self._servers = {model.name: _server(model, folder) for model in self._models}
        self._are_known = models is not None

    def use(self, model: PrometheusUseModel | None) -> PrometheusUse | None:
        """The source that a cluster names; None when it names none, or one that is not there."""
        server = None if model is None else self._servers.get(model.server)
        if model is None or server is None:
            return None
        return PrometheusUse(
            server=server,
            matchers=MappingProxyType(dict(model.matchers)),
            node_label=model.node_label,
        )

    def problems(self) -> Iterator[Problem]:
        """What is wrong with servers whose values have the right form."""
        seen: set[str] = set()
        for index, model in enumerate(self._models):
            here: Location = ("prometheus", index)
            if model.name in seen:
                yield self._document.problem(
                    (*here, "name"),
                    f"duplicate Prometheus server {model.name}",
                    "rename or remove one of the two",
                )
            seen.add(model.name)
            server = _server(model, self._folder)
            yield from server_problems(model, server, self._document, here)

    def use_problems(
        self, model: PrometheusUseModel | None, cluster: Any, at: Location
    ) -> Iterator[Problem]:
        """What is wrong with a cluster's use of a server; `cluster` as the file has it."""
        if model is None:
            return
        here: Location = (*at, "prometheus")
        if self._are_known and model.server not in self._servers:
            known = ", ".join(sorted(self._servers)) or "none"
            yield self._document.problem(
                (*here, "server"),
                f"there is no Prometheus server {model.server}; the fleet has: {known}",
                "add it to prometheus at the top of the file, or correct the name",
            )
        addresses, others = _exporters(cluster)
        if model.node_label is None and not addresses:
            yield self._document.problem(
                here,
                "cannot tell whose pages are whose",
                "write nodeLabel, or the exporter of each host: host:port is the label instance",
                of_key=True,
            )
        if model.node_label is not None and not model.matchers:
            yield self._document.problem(
                (*here, "nodeLabel"),
                "needs matchers: node ids are those of one cluster only",
                "add matchers: {LABEL: VALUE}",
                of_key=True,
            )
        unused = [(place, "prometheus") for place in others]
        if model.node_label is not None:
            unused += [(place, "prometheus.nodeLabel") for place in addresses]
        for place, key in unused:
            yield self._document.problem(
                (*at, *place),
                f"is not used with {key}: nothing is scraped",
                "remove it",
                of_key=True,
            )


def _exporters(cluster: Any) -> tuple[list[Location], list[Location]]:
    """Where a cluster says what its exporters' addresses are, and where what else of them."""
    exporter = cluster.get("exporter") if isinstance(cluster, dict) else None
    keys = exporter if isinstance(exporter, dict) else {}
    addresses: list[Location] = [("exporter", "port")] if "port" in keys else []
    others: list[Location] = [("exporter", "path")] if "path" in keys else []
    hosts = cluster.get("hosts") if isinstance(cluster, dict) else None
    if not hosts:
        return [], others + addresses
    addresses += [
        ("hosts", index, "exporter")
        for index, host in enumerate(hosts)
        if isinstance(host, dict) and host.get("exporter") is not None
    ]
    return addresses, others


def _server(model: PrometheusModel, folder: Path) -> PrometheusServer:
    place = f"prometheus {model.name}"
    return PrometheusServer(
        name=model.name,
        rest=rest_of_server(model, folder, place),
        bearer_token=secret_of(model, "bearer_token", folder, place),
        timeout_seconds=model.timeout_seconds,
    )
