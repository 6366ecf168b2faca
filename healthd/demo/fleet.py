"""A real Kafka cluster: five nodes or three, each on a host of its own, with faults to order.

with DemoFleet.launch(cluster="payments") as fleet:
    fleet.create_topics()
    fleet.freeze(4)
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from healthd.demo import disks, files, fleet_file, guardian, hosts, provision, topics
from healthd.demo.addresses import Block, find_free_block
from healthd.demo.guarded import Command, GuardedProcesses
from healthd.demo.installed import Installed
from healthd.demo.nodes import FIVE, Node, Shape, plan_nodes
from healthd.demo.service import POLL_SECONDS, BrokerService, DemoTimeoutError, wait_until

LAUNCH_SECONDS = 120
"""Five brokers are up in some 15 s on an idle machine; a busy one gets time."""
HEAL_SECONDS = 120
EXPORTER_SECONDS = 30
WELL = (
    "kafka_server_kafkaserver_brokerstate 3.0",
    "kafka_server_replicamanager_underreplicatedpartitions 0.0",
)
"""What the page of a broker says that runs and has all its followers in sync."""


class DemoFleet:
    """Running Kafka nodes; everything of them ends with ``close`` or with this process."""

    def __init__(
        self,
        *,
        cluster: str,
        nodes: Sequence[Node],
        root: Path,
        ssh: hosts.SshAccess,
        mounts: Sequence[Path] = (),
        shape: Shape = FIVE,
    ) -> None:
        self.cluster = cluster
        self.shape = shape
        self.nodes = tuple(nodes)
        self.root = root
        self.ssh = ssh
        self._mounts = tuple(mounts)
        self._services = {node.id: BrokerService(node) for node in nodes}
        self._servers: GuardedProcesses | None = None
        self._admin: AdminClient | None = None

    @classmethod
    def launch(
        cls,
        cluster: str = "payments",
        root: Path | None = None,
        *,
        shape: Shape = FIVE,
        wait: bool = True,
        installed: Installed | None = None,
    ) -> Self:
        """A fleet whose brokers are in the metadata and whose hosts and exporters answer.

        Args:
            cluster: The cluster's name in the fleet file.
            root: An empty folder to keep the files in; it stays afterwards, without the brokers'
                data when that was on disks of their own. Without it a temporary folder is used
                and removed.
            shape: How many brokers it has, and how many copies.
            wait: Whether it is up when this returns; else see ``wait_until_up``.
            installed: The hosts have this Kafka in a folder of its own, and links to it and to
                Java; without it all run from the jars in the cache.

        Raises:
            ProvisionError: A program that it needs is not there.
            DemoTimeoutError: It did not come up; the brokers' last words are in the text.
        """
        needs = {"kafka", *(() if installed is None else (installed.need,))}
        provision.ensure((*sorted(needs), "sshd", "runit"))
        place = root or Path(tempfile.mkdtemp(prefix="healthd-fleet-"))
        mounts: list[Path] = []
        try:
            nodes = plan_nodes(cls.find_addresses(len(shape.racks)), place, shape)
            for node in nodes:
                node.disk_folder.mkdir(parents=True)
                if disks.mount(node.disk_folder):
                    mounts.append(node.disk_folder)
                files.write_node(node, nodes, shape, installed)
            ssh = hosts.write_hosts(nodes, place)
            files.format_storage(nodes, files.new_cluster_id(), installed)
        except BaseException:
            guardian.unmount_all(map(str, mounts))
            if root is None:
                shutil.rmtree(place, ignore_errors=True)
            raise
        fleet = cls(cluster=cluster, nodes=nodes, root=place, ssh=ssh, mounts=mounts, shape=shape)
        try:
            fleet._start_servers(remove=root is None)
            if wait:
                fleet.wait_until_up()
        except BaseException:
            fleet.close()
            raise
        return fleet

    @classmethod
    def find_addresses(cls, hosts: int) -> Block:
        """Where the hosts of a new fleet are to be."""
        return find_free_block(hosts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """No process of the fleet is left, no disk and no temporary folder; can be called again."""
        self._admin = None
        if self._servers is not None:
            self._servers.close()
            self._servers = None
        guardian.unmount_all(map(str, self._mounts))

    # Who is there --------------------------------------------------------------------------------

    @property
    def bootstrap(self) -> str:
        """The bootstrap servers, for a client."""
        return ",".join(node.kafka_address for node in self.nodes)

    @property
    def controllers(self) -> tuple[int, ...]:
        """The node ids of the voters."""
        return self.shape.controllers

    def node(self, broker: int) -> Node:
        """One node by its id."""
        return next(node for node in self.nodes if node.id == broker)

    def service(self, broker: int) -> BrokerService:
        """One broker's service by its id."""
        return self._services[broker]

    @property
    def has_own_disks(self) -> bool:
        """Whether every broker has a disk of its own, which ``fill_disk`` needs."""
        return len(self._mounts) == len(self.nodes)

    def process_start_time(self, broker: int) -> int | None:
        """When the broker's process started, in clock ticks since boot; None when it is down."""
        running = self.service(broker).status()
        return running[1] if running else None

    def process_id(self, broker: int) -> int | None:
        """The broker's process id; None when it is down."""
        running = self.service(broker).status()
        return running[0] if running else None

    def write_fleet_file(self, path: Path, *, probe: bool = False) -> Path:
        """The fleet file for healthd is at ``path``, which is given back."""
        fleet_file.write_fleet_file(path, [self.entry(probe=probe)])
        return path

    def entry(self, *, probe: bool = False) -> dict[str, Any]:
        """What a fleet file says of this cluster."""
        return fleet_file.cluster_entry(self.cluster, self.nodes, self.ssh, self.root, probe=probe)

    def create_topics(self, partitions: dict[str, int] | None = None) -> None:
        """Topics with data and ``__consumer_offsets``, as the shape has them; all in sync."""
        topics.create_topics(self.bootstrap, partitions or topics.DEMO_TOPICS, self.shape)
        self.wait_until_healthy()

    # What can be done to it ----------------------------------------------------------------------

    def stop(self, broker: int) -> None:
        """Controlled shutdown, as an operator would do it; the process has ended."""
        self.service(broker).stop()

    def start(self, broker: int) -> None:
        """The broker's process is there; ``wait_until_healthy`` tells when it is back in sync."""
        self.service(broker).start()

    def kill(self, broker: int, *, stays_dead: bool = True) -> None:
        """The broker died by kill -9, and its supervisor leaves it so unless told otherwise."""
        self.service(broker).kill(stays_dead=stays_dead)

    def kill_quorum(self) -> tuple[int, ...]:
        """So many controllers are killed that no quorum is left; gives their ids back."""
        victims = self.controllers[: len(self.controllers) // 2 + 1]
        for broker in victims:
            self.kill(broker)
        return victims

    def freeze(self, broker: int) -> None:
        """The broker's process stands still: connections are accepted and never answered."""
        self.service(broker).freeze()

    def thaw(self, broker: int) -> None:
        """The frozen broker goes on."""
        self.service(broker).thaw()

    def start_fails(self, broker: int) -> None:
        """From now on each start of the broker fails, until ``start_works``."""
        self.node(broker).start_fails_flag.touch()

    def start_works(self, broker: int) -> None:
        """Starts work again; the broker is not started by this."""
        self.node(broker).start_fails_flag.unlink(missing_ok=True)

    def exporter_gone(self, broker: int) -> None:
        """The metrics page refuses connections while the broker runs on."""
        self.service(broker).exporter_down()

    def exporter_back(self, broker: int) -> None:
        """The metrics page is there again."""
        self.service(broker).exporter_up()
        node = self.node(broker)
        wait_until(lambda: bool(metrics_page(node)), "the exporter answers", EXPORTER_SECONDS)

    def fill_disk(self, broker: int, ratio: float) -> None:
        """The broker's disk is as full as that; only where it has one of its own."""
        assert self.has_own_disks, "the machine's own disk is not filled"
        disks.fill(self.node(broker).disk_folder, ratio)

    def empty_disk(self, broker: int) -> None:
        """The broker's disk holds its data only."""
        disks.empty(self.node(broker).disk_folder)

    def heal(self) -> None:
        """Every fault is taken back: all brokers up and in sync, and every exporter answers."""
        for node in self.nodes:
            self.empty_disk(node.id)
            self.start_works(node.id)
            self.thaw(node.id)
            self.service(node.id).exporter_up()
        deadline = time.monotonic() + HEAL_SECONDS
        while time.monotonic() < deadline:
            # Somebody whose start failed may still be on the way to its "down": look again.
            for node in self.nodes:
                if self.process_id(node.id) is None:
                    self.start(node.id)
            if self._is_healthy():
                return
            time.sleep(POLL_SECONDS)
        self.wait_until_healthy(POLL_SECONDS)

    # How it is -----------------------------------------------------------------------------------

    def look(self) -> topics.ClusterView | None:
        """What the metadata says now; None when no broker answers."""
        if self._admin is None:
            # A frozen broker keeps its connection; with this it is given up for another broker.
            impatient = {"socket.timeout.ms": 1500}
            self._admin = AdminClient(topics.quiet_client(self.bootstrap, **impatient))
        try:
            return topics.look(self._admin)
        except KafkaException:
            return None

    def wait_until_healthy(self, timeout_seconds: float = HEAL_SECONDS) -> None:
        """All brokers are in the metadata, every ISR is full and every exporter says the same.

        Raises:
            DemoTimeoutError: Not within the time; what was seen last is in the text.
        """
        try:
            wait_until(self._is_healthy, "the fleet is healthy", timeout_seconds)
        except DemoTimeoutError as error:
            raise DemoTimeoutError(f"{error}; last seen: {self.look()}\n{self._logs()}") from None

    def _is_healthy(self) -> bool:
        view = self.look()
        return (
            view is not None
            and view.brokers == set(self.shape.racks)
            and not view.out_of_sync
            and all(map(_says_it_is_well, self.nodes))
        )

    def _start_servers(self, *, remove: bool) -> None:
        commands = []
        for node in self.nodes:
            sshd, supervisor = hosts.sshd_command(node), hosts.supervisor_command(node)
            commands.append(Command(argv=sshd, log=node.folder / "sshd.log"))
            commands.append(Command(argv=supervisor, log=node.folder / "supervisor.log"))
        self._servers = GuardedProcesses(
            commands, self.root, remove_folder=remove, mounts=self._mounts
        )

    def wait_until_up(self) -> None:
        """All brokers are in the metadata, and hosts and exporters answer.

        Raises:
            DemoTimeoutError: It did not come up; the brokers' last words are in the text.
        """
        for node in self.nodes:
            for port in (node.ssh_port, node.ports.kafka):
                wait_until(
                    lambda node=node, port=port: _accepts(node.host, port),  # type: ignore[misc]
                    f"{node.host}:{port} of node {node.id} accepts connections",
                    LAUNCH_SECONDS,
                )
        self.wait_until_healthy(LAUNCH_SECONDS)

    def _logs(self) -> str:
        lines = (f"broker {id_}:\n{it.last_log_lines(3)}" for id_, it in self._services.items())
        return "\n".join(lines)


def metrics_page(node: Node) -> str:
    """The node's metrics page; empty when it does not answer."""
    try:
        # The address is our own http:// on a loopback alias.
        with urllib.request.urlopen(node.exporter_url, timeout=5) as answer:  # noqa: S310
            return str(answer.read().decode())
    except (OSError, HTTPException):
        # A relay whose broker is away closes the connection without a word.
        return ""


def _says_it_is_well(node: Node) -> bool:
    # For some seconds after a crash the metadata shows what was before it; a broker that runs and
    # leads nothing under-replicated has registered again, and then the metadata is true.
    lines = metrics_page(node).splitlines()
    return all(line in lines for line in WELL)


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False
