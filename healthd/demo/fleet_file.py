"""The fleet file that describes the demo's clusters to healthd, as an operator would write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from healthd.demo.hosts import SshAccess
from healthd.demo.nodes import Node

SERVICE_WORDS = ("stop", "start", "status", "logs")


def write_fleet_file(path: Path, clusters: Sequence[Mapping[str, Any]], **settings: Any) -> None:
    """The fleet file is at ``path``.

    Args:
        path: Where to write it.
        clusters: What ``cluster_entry`` gave for each cluster.
        settings: What else is said of the whole fleet, in the file's own words.
    """
    document = {"apiVersion": "healthd/v1", "kind": "Fleet", **settings, "clusters": clusters}
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    # A long command stays on its line.
    yaml.width = 4096
    with path.open("w", encoding="utf-8") as output:
        yaml.dump(document, output)


def cluster_entry(
    cluster: str, nodes: Sequence[Node], ssh: SshAccess, root: Path, *, probe: bool = False
) -> dict[str, Any]:
    """One cluster of the file; its service commands are the hosts' ``healthd-service``."""
    command = str(root / "node-{broker_id}" / "bin" / "healthd-service")
    ports = nodes[0].ports
    return {
        "name": cluster,
        "labels": {"env": "demo", "region": "local", "tier": "1"},
        "bootstrapServers": [node.kafka_address for node in nodes],
        "security": {"protocol": "PLAINTEXT"},
        "exporter": {"port": ports.exporter, "path": "/metrics"},
        "ssh": {
            "user": ssh.user,
            "port": ports.ssh,
            "keyFile": str(ssh.key_file),
            "knownHostsFile": str(ssh.known_hosts_file),
            "connectTimeoutSeconds": 5,
        },
        "service": {word: [command, word] for word in SERVICE_WORDS},
        **({"probe": {}} if probe else {}),
        "hosts": [
            {
                "broker": node.id,
                "address": node.host,
                "rack": node.rack,
                "exporter": node.exporter_address,
            }
            for node in nodes
        ],
    }
