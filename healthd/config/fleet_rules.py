"""What a fleet file must keep beyond the form of its values: no two of one, secrets that exist."""

from collections.abc import Iterator
from typing import Any

from healthd.config.addresses import AddressError, parse_address
from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_schema import ClusterModel
from healthd.config.problems import Problem
from healthd.config.repeated import repeated
from healthd.config.security_rules import security_problems
from healthd.config.source_connect import connect_problems
from healthd.config.source_mirrors import mirrors_problems, origin_problems
from healthd.config.source_rest import rest_problems, twice_problems
from healthd.config.ssh_access import ssh_problems
from healthd.config.yaml_source import Document
from healthd.waves.alert_gate import unasked
from healthd.waves.policy import Location


def fleet_problems(document: Document) -> Iterator[Problem]:
    """What is wrong between the clusters: none at all, or two that are one.

    Judged on the plain values, so that a mistake in one cluster hides nothing of another.
    """
    clusters = document.data.get("clusters")
    if clusters is None or clusters == []:
        yield document.problem(
            ("clusters",), "the fleet is empty: nothing to look after", "add a cluster", of_key=True
        )
        return
    if not isinstance(clusters, list):
        return
    names: dict[str, Location] = {}
    servers: dict[str, tuple[int, Location]] = {}
    for at, cluster in enumerate(clusters):
        if not isinstance(cluster, dict):
            continue
        location: Location = ("clusters", at)
        name = cluster.get("name")
        if isinstance(name, str):
            yield from repeated(document, names, name, (*location, "name"), "cluster")
        yield from _shared_servers(document, servers, cluster, at)
        yield from _repeated_brokers(document, cluster, location)
    yield from origin_problems(document)


def _shared_servers(
    document: Document, seen: dict[str, tuple[int, Location]], cluster: dict[str, Any], at: int
) -> Iterator[Problem]:
    """Two entries for one real cluster would get a lease each: two waves could drive it."""
    listed = cluster.get("bootstrapServers")
    for index, text in enumerate(listed if isinstance(listed, list) else []):
        try:
            server = parse_address(text) if isinstance(text, str) else None
        except AddressError:
            continue
        if server is None:
            continue
        location: Location = ("clusters", at, "bootstrapServers", index)
        owner, first_location = seen.setdefault(server, (at, location))
        if location != first_location:
            first = document.position(first_location)
            whose = "this cluster" if owner == at else "another cluster"
            yield document.problem(
                location,
                f"{server} is also a server of {whose} (line {first.line}, column {first.column})",
                "list every server once",
            )


def _repeated_brokers(
    document: Document, cluster: dict[str, Any], location: Location
) -> Iterator[Problem]:
    hosts = cluster.get("hosts")
    seen: dict[Any, Location] = {}
    for at, host in enumerate(hosts if isinstance(hosts, list) else []):
        broker = host.get("broker") if isinstance(host, dict) else None
        if type(broker) is int:
            where: Location = (*location, "hosts", at, "broker")
            yield from repeated(document, seen, broker, where, "broker")


def cluster_problems(
    cluster: ClusterConfig, model: ClusterModel, document: Document, location: Location
) -> Iterator[Problem]:
    """What is wrong inside one cluster whose values have the right form."""
    yield from _repeated_tenants(model, document, location)
    security: Location = (*location, "security")
    yield from security_problems(model.security, cluster.security, document, security)
    if model.ssh is not None and cluster.ssh is not None:
        yield from ssh_problems(model.ssh, cluster.ssh, document, (*location, "ssh"))
        if model.local:
            yield document.problem(
                (*location, "local"),
                "cannot be used together with ssh",
                "keep one of them",
                of_key=True,
            )
    drives_ensemble = cluster.zookeeper is not None and bool(cluster.zookeeper.hosts)
    if drives_ensemble and cluster.ssh is None:
        yield document.problem(
            (*location, "zookeeper", "hosts"), "are of no use without ssh", "add ssh", of_key=True
        )
    way = "local" if model.ssh is None else "ssh"
    for key, value in ((way, cluster.ssh), ("service", cluster.service)):
        if value is not None and not (cluster.hosts or (key == way and drives_ensemble)):
            yield document.problem(
                (*location, key), "is of no use without hosts", "add hosts", of_key=True
            )
    if cluster.service is not None and cluster.ssh is None:
        yield document.problem(
            (*location, "service"), "is of no use without ssh", "add ssh", of_key=True
        )
    yield from _further_sources(cluster, model, document, location)


def unasked_problems(
    cluster: ClusterConfig, document: Document, location: Location
) -> Iterator[Problem]:
    """What the cluster's own policy asks of servers that nobody has named: it takes no wave."""
    alerts = cluster.alerts
    for problem in unasked(
        cluster.wave_policy,
        has_server=alerts is not None and alerts.has_server,
        has_alertmanager=alerts is not None and alerts.alertmanager is not None,
        cluster=cluster.name,
    ):
        yield document.located(problem.under(*location, "wave", "policy"))


def _further_sources(
    cluster: ClusterConfig, model: ClusterModel, document: Document, at: Location
) -> Iterator[Problem]:
    yield from connect_problems(cluster.connect, document, (*at, "connect"))
    for index, connect in enumerate(model.connect):
        yield from twice_problems(connect, document, (*at, "connect", index))
    names = [connect.name for connect in model.connect]
    yield from mirrors_problems(cluster.mirrors, names, document, (*at, "mirrors"))
    if cluster.schema_registry is not None:
        yield from rest_problems(cluster.schema_registry, document, (*at, "schemaRegistry"))
    if model.schema_registry is not None:
        yield from twice_problems(model.schema_registry, document, (*at, "schemaRegistry"))


def _repeated_tenants(
    model: ClusterModel, document: Document, location: Location
) -> Iterator[Problem]:
    seen: dict[Any, Location] = {}
    for at, tenant in enumerate(model.tenants):
        where: Location = (*location, "tenants", at, "name")
        yield from repeated(document, seen, tenant.name, where, "tenant")
