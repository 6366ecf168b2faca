"""A fleet file to a `Fleet`, or to all of its problems."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from healthd.config.fleet import (
    ClusterConfig,
    ExporterConfig,
    Fleet,
    HostConfig,
    SecurityConfig,
    ServiceCommands,
    TenantConfig,
    exporter_address,
)
from healthd.config.fleet_rules import cluster_problems, fleet_problems, unasked_problems
from healthd.config.fleet_schema import ClusterModel, FleetModel, HostModel, SecurityModel
from healthd.config.freezes import freeze_problems, freezes_of
from healthd.config.oauth import oauth_of
from healthd.config.policies import LabelPolicies
from healthd.config.problems import ConfigError, FileUnopened, Problem, in_order
from healthd.config.profiles import ClientsConfig, as_labels, profile_of, profile_problems
from healthd.config.schema import validate
from healthd.config.scoring_file import ScoringFiles
from healthd.config.secret_fields import secret_of
from healthd.config.secrets import secrets_in_clear
from healthd.config.source_alerts import alerts_of, alerts_problems
from healthd.config.source_connect import connect_of
from healthd.config.source_cruise_control import cruise_control_of, cruise_control_problems
from healthd.config.source_mirrors import mirrors_of, with_origins
from healthd.config.source_probe import probe_config, probe_problems
from healthd.config.source_prometheus import PrometheusFile
from healthd.config.source_registry import registry_of
from healthd.config.ssh_access import ssh_config
from healthd.config.variables import with_variables
from healthd.config.yaml_source import Document, read_document
from healthd.health.scoring import DEFAULT
from healthd.waves.policy import Location


def load_fleet(path: str | Path, *, interval_seconds: float = 15.0) -> Fleet:
    """The fleet that the file describes.

    Args:
        path: The file; relative paths in it are relative to its folder.
        interval_seconds: The daemon's interval, which a probe has to be quicker than.

    Raises:
        ConfigError: The file cannot be opened or has problems; it names all of them.
    """
    try:
        document, problems = read_document(path)
    except OSError as error:
        raise FileUnopened(str(path), error) from error
    fleet = None
    if document is not None:
        fleet, more = parse_fleet(document, Path(path).parent, interval_seconds=interval_seconds)
        problems = [*problems, *more]
    if problems or fleet is None:
        raise ConfigError(problems)
    return fleet


def check_fleet(path: str | Path) -> list[Problem]:
    """The problems of a fleet file in the order of its lines; empty when it can be used."""
    try:
        load_fleet(path)
    except ConfigError as error:
        return list(error.problems)
    return []


def parse_fleet(
    document: Document, folder: Path, *, interval_seconds: float = 15.0
) -> tuple[Fleet | None, list[Problem]]:
    """The fleet in a document and its problems; the fleet is None when there are any.

    Args:
        document: The file's content.
        folder: What relative paths are relative to.
        interval_seconds: The daemon's interval.
    """
    in_clear = list(secrets_in_clear(document.data))
    problems = [document.problem(*found, of_key=True) for found in in_clear]
    hidden = {document.position(location, of_key=True) for location, _, _ in in_clear}
    found: list[Problem] = []
    top, more = validate(FleetModel, document.data, document)
    found.extend(more)
    clusters: list[ClusterConfig] = []
    scoring = ScoringFiles(folder)
    default, more = scoring.read(document, ("scoringProfile",), document.data)
    found.extend(more)
    prometheus = PrometheusFile(None if top is None else top.prometheus, folder, document)
    found.extend(prometheus.problems())
    fleet_alerts = None if top is None else alerts_of(top.alerts, folder, "alerts")
    if top is not None:
        found.extend(alerts_problems(top.alerts, folder, document, ("alerts",)))
    labels = as_labels(document.data.get("clusters"))
    policies = LabelPolicies(document, labels)
    found.extend(policies.problems())
    for at, item in enumerate(_clusters(document.data)):
        location: Location = ("clusters", at)
        model, more = validate(ClusterModel, item, document, location)
        found.extend(more)
        policy, more = policies.of(item, location)
        found.extend(more)
        profile, more = scoring.read(document, (*location, "scoringProfile"), item)
        found.extend(more)
        if model is not None:
            cluster = replace(
                _converted(model, folder),
                wave_policy=policy,
                scoring=profile or default or DEFAULT,
                prometheus=prometheus.use(model.prometheus),
                alerts=alerts_of(model.alerts, folder, f"cluster {model.name}: alerts")
                or fleet_alerts,
            )
            cluster, more = with_variables(cluster, item, document, folder, location)
            found.extend(more)
            found.extend(cluster_problems(cluster, model, document, location))
            found.extend(probe_problems(cluster.probe, document, location, interval_seconds))
            found.extend(prometheus.use_problems(model.prometheus, item, location))
            found.extend(_outside_problems(model, folder, document, location))
            found.extend(unasked_problems(cluster, document, location))
            clusters.append(cluster)
    found.extend(fleet_problems(document))
    if top is not None:
        found.extend(profile_problems(document, top.profiles, labels))
        found.extend(freeze_problems(document, top.freezes, labels))
    # A secret in clear under a key that is also unknown is one mistake, not two.
    problems.extend(
        problem
        for problem in found
        if not (problem.message.startswith("unknown key") and _is_at(problem, hidden))
    )
    if problems or top is None:
        return None, list(in_order(problems))
    fleet = Fleet(
        clusters=tuple(with_origins(clusters)),
        canary=tuple(top.canary),
        scoring=default or DEFAULT,
        profiles=tuple(profile_of(model) for model in top.profiles),
        is_routing_dry_run=top.routing.dry_run,
        freezes=freezes_of(top.freezes),
    )
    return fleet, []


def _clusters(data: dict[str, Any]) -> list[Any]:
    clusters = data.get("clusters")
    return clusters if isinstance(clusters, list) else []


def _is_at(problem: Problem, places: set[Any]) -> bool:
    return any((at.line, at.column) == (problem.line, problem.column) for at in places)


def _converted(model: ClusterModel, folder: Path) -> ClusterConfig:
    exporter = None
    if model.exporter is not None:
        exporter = ExporterConfig(port=model.exporter.port, path=model.exporter.path)
    service = None
    if model.service is not None:
        service = ServiceCommands(
            stop=tuple(model.service.stop),
            start=tuple(model.service.start),
            status=tuple(model.service.status),
            logs=tuple(model.service.logs or ()),
            identity=tuple(model.service.identity or ()),
        )
    return ClusterConfig(
        name=model.name,
        labels=MappingProxyType(dict(model.labels)),
        bootstrap_servers=tuple(model.bootstrap_servers),
        security=_security(model.security, folder, f"cluster {model.name}: security"),
        exporter=exporter,
        ssh=ssh_config(model.ssh, folder, f"cluster {model.name}: ssh", local=model.local),
        service=service,
        tolerate=model.tolerate,
        log_dirs=model.log_dirs,
        probe=probe_config(model.probe),
        hosts=tuple(_hosts(model.hosts, exporter)),
        clients=_clients(model),
        tenants=tuple(
            TenantConfig(name=tenant.name, topics=tuple(tenant.topics)) for tenant in model.tenants
        ),
        connect=connect_of(model.connect, folder, model.name),
        mirrors=mirrors_of(model.mirrors, model.name),
        schema_registry=registry_of(model.schema_registry, folder, model.name),
        zookeeper=None if model.zookeeper is None else model.zookeeper.converted(),
        cruise_control=cruise_control_of(model.cruise_control, folder, model.name),
    )


def _outside_problems(
    model: ClusterModel, folder: Path, document: Document, at: Location
) -> Iterator[Problem]:
    """What is wrong with the services that close a wave's gate from outside."""
    yield from alerts_problems(model.alerts, folder, document, (*at, "alerts"))
    here: Location = (*at, "cruiseControl")
    yield from cruise_control_problems(model.cruise_control, folder, document, here)


def _clients(model: ClusterModel) -> ClientsConfig | None:
    if model.clients is None:
        return None
    return ClientsConfig(
        bootstrap_servers=tuple(model.clients.bootstrap_servers),
        security_protocol=model.clients.security_protocol or model.security.protocol,
    )


def _hosts(models: list[HostModel], exporter: ExporterConfig | None) -> Iterator[HostConfig]:
    for model in models:
        yield HostConfig(
            broker=model.broker,
            address=model.address,
            ssh_port=model.ssh_port,
            rack=model.rack,
            exporter=exporter_address(model.address, model.exporter, exporter),
            labels=MappingProxyType(dict(model.labels)),
        )


def _security(model: SecurityModel, folder: Path, place: str) -> SecurityConfig:
    return SecurityConfig(
        protocol=model.protocol,
        ca_file=_resolved_or_none(folder, model.ca_file),
        cert_file=_resolved_or_none(folder, model.cert_file),
        key_file=_resolved_or_none(folder, model.key_file),
        key_password=secret_of(model, "key_password", folder, place),
        sasl_mechanism=model.sasl_mechanism,
        username=model.username,
        password=secret_of(model, "password", folder, place),
        oauth=oauth_of(model.oauth, folder, f"{place}.oauth"),
    )


def _resolved(folder: Path, text: str) -> Path:
    return (folder / text).absolute()


def _resolved_or_none(folder: Path, text: str | None) -> Path | None:
    return None if text is None else _resolved(folder, text)
