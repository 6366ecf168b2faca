"""Writes what each host of the demo fleet needs on disk: broker, services, sshd, metrics rules."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

from healthd.demo import relay
from healthd.demo.installed import Installed, install, java_link, kafka_link
from healthd.demo.nodes import FIVE, Node, Shape
from healthd.demo.provision import find_program, jars_folder

HERE = Path(__file__).resolve().parent
TEMPLATES = resources.files("healthd.demo") / "templates"
EXECUTABLE = 0o755
HEAP = ("-Xms96m", "-Xmx256m")
JVM_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""All brokers share two cores: what starts fast wins over what runs fast after an hour."""


class FleetFileError(Exception):
    """A file that the fleet ships with is missing, or a node could not be formatted."""


def rule_file() -> Path:
    """The jmx_exporter rules that healthd ships."""
    return shipped_config("jmx/kafka.yml")


def shipped_config(name: str) -> Path:
    """A file of healthd's `config`: in a checkout, or in the installed package.

    Raises:
        FleetFileError: It is in neither.
    """
    places = (HERE.parent.parent / "config" / name, HERE.parent / "_shipped" / "config" / name)
    for place in places:
        if place.is_file():
            return place
    raise FleetFileError(f"no file of healthd's own at {' or '.join(map(str, places))}")


def new_cluster_id() -> str:
    """A random id in the form that Kafka gives clusters and directories: 22 characters."""
    # A leading dash would look like an option on a command line.
    return "A" + urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:]


def write_node(
    node: Node, nodes: Sequence[Node], shape: Shape = FIVE, installed: Installed | None = None
) -> None:
    """The host's folders, broker configuration, services and command are on disk."""
    if installed is not None:
        install(node, installed)
    for folder in (
        node.data_folder,
        node.service,
        node.exporter_service,
        node.service_command.parent,
    ):
        folder.mkdir(parents=True, exist_ok=True)
    voters = ",".join(
        f"{voter.id}@{voter.controller_address}" for voter in nodes if voter.is_controller
    )
    listeners = [f"BROKER://{node.kafka_address}"]
    if node.is_controller:
        listeners.append(f"CONTROLLER://{node.controller_address}")
    values = {
        "id": str(node.id),
        "roles": ",".join(node.roles),
        "rack": node.rack,
        "voters": voters,
        "listeners": ",".join(listeners),
        "advertised": listeners[0],
        "copies": str(shape.replication_factor),
        "in_sync": str(shape.min_insync_replicas),
        "data": str(node.data_folder),
        "log": str(node.log_file),
        "flag": str(node.start_fails_flag),
        "java": " ".join(_java_command(node, is_installed=installed is not None)),
        "service": str(node.service),
        "sv": str(find_program("sv")),
        "python": sys.executable,
        "relay": str(relay.__file__),
        "listen": node.exporter_address,
        "target": f"{node.host}:{node.ports.agent}",
    }
    _write(node.properties_file, "server.properties", values)
    _write(node.folder / "log4j2.properties", "log4j2.properties", values)
    _write(node.service / "run", "broker-run", values, EXECUTABLE)
    _write(node.service / "check", "broker-check", values, EXECUTABLE)
    _write(node.exporter_service / "run", "exporter-run", values, EXECUTABLE)
    _write(node.service_command, "healthd-service", values, EXECUTABLE)


def _java_command(node: Node, *, is_installed: bool) -> list[str]:
    agent = next(jars_folder().glob("jmx_prometheus_javaagent-*.jar"))
    # Both links are read when the broker is started: it is then what they point to.
    java = java_link(node) / "bin" / "java" if is_installed else find_program("java")
    jars = kafka_link(node) / "libs" if is_installed else jars_folder()
    return [
        str(java),
        *HEAP,
        *JVM_FLAGS,
        f"-javaagent:{agent}={node.host}:{node.ports.agent}:{rule_file()}",
        f"-Dlog4j2.configurationFile={node.folder / 'log4j2.properties'}",
        f"-cp '{jars}/*'",
        "kafka.Kafka",
        str(node.properties_file),
    ]


def _write(path: Path, template: str, values: dict[str, str], mode: int = 0o644) -> None:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    path.write_text(Template(text).substitute(values), encoding="utf-8")
    path.chmod(mode)


def format_storage(
    nodes: Sequence[Node], cluster_id: str, installed: Installed | None = None
) -> None:
    """Every node's log directory is formatted for the cluster.

    One JVM formats the first node; the others get its bootstrap records and a ``meta.properties``
    with their own ids. That is what the tool would have written, without four more JVMs.

    Raises:
        FleetFileError: The tool refused; its own words are in the text.
    """
    first, *others = nodes
    with_kafka = installed or Installed()
    level = with_kafka.metadata_version
    result = subprocess.run(
        [
            str(find_program("java")),
            *JVM_FLAGS,
            "-cp",
            f"{jars_folder(with_kafka.need)}/*",
            f"-Dlog4j2.configurationFile={first.folder / 'log4j2.properties'}",
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            cluster_id,
            "--config",
            str(first.properties_file),
            *(() if level is None else ("--release-version", level)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise FleetFileError(f"formatting the storage failed: {result.stdout}{result.stderr}")
    meta = (first.data_folder / "meta.properties").read_text(encoding="utf-8")
    bootstrap = (first.data_folder / "bootstrap.checkpoint").read_bytes()
    for node in others:
        own = re.sub(r"(?m)^node\.id=.*$", f"node.id={node.id}", meta)
        own = re.sub(r"(?m)^directory\.id=.*$", f"directory.id={new_cluster_id()}", own)
        (node.data_folder / "meta.properties").write_text(own, encoding="utf-8")
        (node.data_folder / "bootstrap.checkpoint").write_bytes(bootstrap)
