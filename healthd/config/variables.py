"""Values for the variables of playbooks in the fleet file: of a cluster, and of each host."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from healthd.config.fleet import ClusterConfig
from healthd.config.problems import Problem
from healthd.config.secrets import file_problem
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location
from healthd.waves.spec_findings import Findings
from healthd.waves.variable_values import SecretSource, Value, Values, parse_values


def with_variables(
    cluster: ClusterConfig, item: Any, document: Document, folder: Path, at: Location
) -> tuple[ClusterConfig, list[Problem]]:
    """The cluster with the values that its part of the file gives, and what is wrong with them.

    Args:
        cluster: the cluster without them.
        item: its part of the file, which was validated.
        document: the file.
        folder: what the paths of secrets are relative to.
        at: where the part stands.
    """
    values, problems = _values(item, document, folder, at)
    hosts = []
    for place, (host, row) in enumerate(zip(cluster.hosts, item.get("hosts", ()), strict=True)):
        own, more = _values(row, document, folder, (*at, "hosts", place))
        problems += more
        hosts.append(replace(host, variables=own))
    return replace(cluster, variables=values, hosts=tuple(hosts)), problems


def _values(
    item: Mapping[str, Any], document: Document, folder: Path, at: Location
) -> tuple[Values, list[Problem]]:
    found, where = Findings(), (*at, "variables")
    values: dict[str, Value] = parse_values(item.get("variables", {}), where, found, may_run=True)
    problems = [document.located(problem) for problem in found.problems]
    for name, value in values.items():
        if isinstance(value, SecretSource) and value.file is not None:
            path = (folder / value.file).absolute()
            values[name] = replace(value, file=str(path))
            wrong = file_problem(path, is_private=True)
            if wrong is not None:
                problems.append(document.problem((*where, name, "file"), *wrong))
    return MappingProxyType(values), problems
