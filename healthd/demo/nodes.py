"""The nodes of a demo cluster: who they are, where they listen and where their files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from healthd.demo.addresses import Block, Ports

RACKS = {1: "az1", 2: "az1", 3: "az2", 4: "az2", 5: "az3"}
"""Two racks of two and a small one: the stretch over two and a half zones that JPMC describes."""
CONTROLLERS = (1, 3, 5)
"""One in each rack: losing a rack leaves two of three voters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large a demo cluster is, and how many copies it keeps."""

    racks: Mapping[int, str]
    """The rack of every node, by its id."""
    controllers: tuple[int, ...]
    """The ids of the voters."""
    replication_factor: int
    min_insync_replicas: int


FIVE = Shape(racks=RACKS, controllers=CONTROLLERS, replication_factor=4, min_insync_replicas=3)
THREE = Shape(
    racks={1: "az1", 2: "az2", 3: "az3"},
    controllers=(1, 2, 3),
    replication_factor=3,
    min_insync_replicas=2,
)
"""As small as a cluster is that may lose a broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One host with its sshd, its service supervisor, its broker and its exporter."""

    id: int
    host: str
    rack: str
    is_controller: bool
    """Whether the node is a voter of the quorum besides being a broker."""
    ports: Ports
    folder: Path
    """Everything of this host: ``disk``, ``services``, ``sshd``, ``bin`` and the logs."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The KRaft roles, as ``process.roles`` has them."""
        return ("broker", "controller") if self.is_controller else ("broker",)

    @property
    def kafka_address(self) -> str:
        """Where clients and other brokers connect."""
        return f"{self.host}:{self.ports.kafka}"

    @property
    def controller_address(self) -> str:
        """Where the quorum's own traffic goes, when the node is a controller."""
        return f"{self.host}:{self.ports.controller}"

    @property
    def exporter_address(self) -> str:
        """Where the metrics page is."""
        return f"{self.host}:{self.ports.exporter}"

    @property
    def exporter_url(self) -> str:
        """The metrics page, whole."""
        return f"http://{self.exporter_address}/metrics"

    @property
    def ssh_port(self) -> int:
        """Where the host's own sshd listens."""
        return self.ports.ssh

    @property
    def disk_folder(self) -> Path:
        """Where the broker's disk is mounted, when it has one of its own."""
        return self.folder / "disk"

    @property
    def data_folder(self) -> Path:
        """The one log directory of the broker."""
        return self.disk_folder / "data"

    @property
    def properties_file(self) -> Path:
        """The broker's configuration."""
        return self.folder / "server.properties"

    @property
    def log_file(self) -> Path:
        """What the broker says, and what its ``run`` script says when it does not start."""
        return self.folder / "broker.log"

    @property
    def services_folder(self) -> Path:
        """What the host's ``runsvdir`` watches."""
        return self.folder / "services"

    @property
    def service(self) -> Path:
        """The broker's service directory, for ``sv``."""
        return self.services_folder / "broker"

    @property
    def exporter_service(self) -> Path:
        """The service directory of the relay before the exporter."""
        return self.services_folder / "exporter"

    @property
    def service_command(self) -> Path:
        """The ``healthd-service`` script: ``stop``, ``start``, ``status`` and ``logs``."""
        return self.folder / "bin" / "healthd-service"

    @property
    def start_fails_flag(self) -> Path:
        """While this file is there the broker does not start."""
        return self.folder / "start-fails"


def plan_nodes(block: Block, root: Path, shape: Shape = FIVE) -> tuple[Node, ...]:
    """The nodes of a cluster on a block of addresses, each with a folder under ``root``."""
    return tuple(
        Node(
            id=number,
            host=block.host(number),
            rack=rack,
            is_controller=number in shape.controllers,
            ports=block.ports,
            folder=root / f"node-{number}",
        )
        for number, rack in shape.racks.items()
    )
