"""A real ZooKeeper ensemble and the Kafka 3.9 brokers on it, on hosts that healthd can drive.

    with ZooKeeperFleet(brokers=2) as fleet:
        fleet.write_fleet_file(path)
        fleet.server(2).kill(stays_dead=True)

Every server and broker is a service of one supervisor, and has an address of its own on which one
sshd listens. All of them end with this process.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, Self

from support.kafka_cluster import KafkaNode
from support.zookeeper_cluster import CHROOT, CLIENT, ZooKeeperEnsemble, kafka_on, mode

from healthd.demo import fleet_file, hosts, installed
from healthd.demo.addresses import find_free_block
from healthd.demo.files import EXECUTABLE, TEMPLATES
from healthd.demo.guarded import Command, GuardedProcesses
from healthd.demo.nodes import Node
from healthd.demo.provision import ensure, find_program, jars_folder
from healthd.demo.service import BrokerService, wait_until

CLUSTER = "ledger"
START_SECONDS = 120.0
_LEADS = ("leader", "standalone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """One server or broker as a service of its host; as much of a `Node` as its service needs."""

    id: int
    host: str
    service: Path
    service_command: Path
    start_fails_flag: Path
    process: KafkaNode
    """Its ports and its files; the process itself is the supervisor's."""


class ZooKeeperFleet:
    """Running servers and brokers, until the end of the block.

    Args:
        brokers: How many, with ids from 1 as the servers have.
        servers: How many.
        versions: Sets of jars that every broker's host has installed, in a folder for each version
            and with a link to the first of them; without any the brokers run from the cache.
    """

    def __init__(self, *, brokers: int = 2, servers: int = 3, versions: Sequence[str] = ()) -> None:
        ensure(("zookeeper", "kafka", "sshd", "runit", *versions))
        self.root = Path(tempfile.mkdtemp(prefix="zookeeper-fleet-"))
        self.ensemble = ZooKeeperEnsemble(servers)
        self.kafka = kafka_on(self.ensemble, nodes=brokers)
        self._versions = tuple(versions)
        self._block = find_free_block(servers + len(self.kafka.nodes))
        self._guarded: GuardedProcesses | None = None
        self._hosted: dict[tuple[str, int], Hosted] = {}
        self._ssh: hosts.SshAccess | None = None

    @property
    def bootstrap(self) -> str:
        """The bootstrap servers, for a client."""
        return self.kafka.bootstrap

    @property
    def server_ids(self) -> tuple[int, ...]:
        """The ids of the ensemble's servers."""
        return tuple(server.id for server in self.ensemble.servers)

    def server(self, number: int) -> BrokerService:
        """The service of one server."""
        return BrokerService(self._node("zookeeper", number))

    def broker(self, number: int) -> BrokerService:
        """The service of one broker."""
        return BrokerService(self._node("kafka", number))

    def started(self, kind: str) -> dict[int, int | None]:
        """When the process of each was started, in clock ticks; None: it does not run."""
        found = {}
        for each, number in self._hosted:
            if each == kind:
                status = BrokerService(self._node(kind, number)).status()
                found[number] = None if status is None else status[1]
        return found

    def starts(self, kind: str) -> dict[int, int]:
        """How often the process of each was started."""
        return {
            number: len(hosted.start_fails_flag.with_name("starts").read_text().splitlines())
            for (each, number), hosted in self._hosted.items()
            if each == kind
        }

    def leader(self) -> int:
        """The server that leads, as soon as one does."""
        found: list[int] = []

        def has_one() -> bool:
            # A server that a busy machine lets wait says nothing: it is asked again.
            found[:] = [one.id for one in self.ensemble.servers if mode(one) in _LEADS]
            return len(found) == 1

        wait_until(has_one, "one server leads", START_SECONDS)
        return found[0]

    def is_whole(self) -> bool:
        """Whether every server serves, and one leads."""
        modes = [mode(one) for one in self.ensemble.servers]
        return None not in modes and sum(each in _LEADS for each in modes) == 1

    def wait_whole(self) -> None:
        """Every server serves, and one leads."""
        wait_until(self.is_whole, "the ensemble is whole", START_SECONDS)

    def write_fleet_file(self, path: Path) -> Path:
        """What healthd needs to know of it is at ``path``, which is given back."""
        assert self._ssh is not None
        fleet_file.write_fleet_file(path, [self.entry()])
        return path

    def entry(self) -> dict[str, Any]:
        """What a fleet file says of this cluster."""
        assert self._ssh is not None
        servers = self._of("zookeeper")
        return {
            "name": CLUSTER,
            "bootstrapServers": self.bootstrap.split(","),
            "ssh": {
                "user": self._ssh.user,
                "port": self._block.ports.ssh,
                "keyFile": str(self._ssh.key_file),
                "knownHostsFile": str(self._ssh.known_hosts_file),
            },
            "service": self._words("kafka", "{broker_id}"),
            "hosts": [
                {"broker": one.id, "address": one.host, **self._variables(one)}
                for one in self._of("kafka")
            ],
            "zookeeper": {
                "servers": [one.process.address(CLIENT) for one in servers],
                "chroot": CHROOT,
                "service": self._words("zookeeper", "{server_id}"),
                "hosts": [{"server": one.id, "address": one.host} for one in servers],
            },
        }

    def _variables(self, broker: Hosted) -> dict[str, Any]:
        """What the playbooks of an upgrade want to know of a host."""
        if not self._versions:
            return {}
        folder = self.opt(broker.id)
        values = {
            "installFolder": str(folder),
            "link": str(folder / installed.KAFKA_LINK),
            "propertiesFile": str(broker.process.properties_file),
        }
        return {"variables": values}

    def _words(self, kind: str, number: str) -> dict[str, list[str]]:
        command = str(self.root / f"{kind}-{number}" / "healthd-service")
        return {word: [command, word] for word in fleet_file.SERVICE_WORDS}

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self._run()
            self.kafka.wait_complete()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Every process has ended and the folders are gone; may be called twice."""
        if self._guarded is not None:
            self._guarded.close()
        for folder in (self.root, self.ensemble.folder, self.kafka.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def _prepare(self) -> None:
        """Files of every process, and one sshd for all addresses."""
        (self.root / "services").mkdir()
        for server in self.ensemble.servers:
            self.ensemble._write(server)
            self._add("zookeeper", server)
        for node in self.kafka.nodes:
            self.kafka._write(node)
            if self._versions:
                self._use_link(node)
            self._add("kafka", node)
        first = self.root / "host"
        places = [
            Node(
                id=0,
                host=one.host,
                rack="",
                is_controller=False,
                ports=self._block.ports,
                folder=first if at == 0 else self.root / f"host-{at}",
            )
            for at, one in enumerate(self._hosted.values())
        ]
        self._ssh = hosts.write_hosts(places[:1], self.root)
        known = self._ssh.known_hosts_file
        key = known.read_text("utf-8").split(" ", 1)[1]
        known.write_text("".join(f"[{it.host}]:{it.ssh_port} {key}" for it in places), "utf-8")
        config = first / "sshd" / "sshd_config"
        more = "".join(f"ListenAddress {it.host}:{it.ssh_port}\n" for it in places[1:])
        config.write_text(config.read_text("utf-8") + more, "utf-8")
        self._sshd = hosts.sshd_command(places[0])

    def _add(self, kind: str, process: KafkaNode) -> None:
        folder = self.root / f"{kind}-{process.id}"
        folder.mkdir()
        service = self.root / "services" / folder.name
        service.mkdir()
        hosted = Hosted(
            id=process.id,
            host=self._block.host(len(self._hosted) + 1),
            service=service,
            service_command=folder / "healthd-service",
            start_fails_flag=folder / "start-fails",
            process=process,
        )
        self._hosted[kind, process.id] = hosted
        self.install(kind, process.id)
        values = {
            "id": process.id,
            "sv": str(find_program("sv")),
            "service": str(service),
            "log": process.log_file,
        }
        _write(service / "check", _template("broker-check", values))
        _write(hosted.service_command, _template("healthd-service", values))

    def install(self, kind: str, number: int) -> None:
        """The service runs, from its next start on, what its process says now."""
        hosted = self._hosted[kind, number]
        words = " ".join(f"'{word}'" for word in hosted.process.command)
        starts = hosted.start_fails_flag.with_name("starts")
        values = {
            "log": hosted.process.log_file,
            "flag": hosted.start_fails_flag,
            "id": number,
            "java": words,
        }
        script = _template("broker-run", values)
        before, _, last = script.rpartition("exec ")
        script = f"{before}echo started >>'{starts}'\nexec {last}"
        _write(hosted.service / "run", script)

    def opt(self, broker: int) -> Path:
        """Where a broker's host has its versions, and the link."""
        return self.root / f"opt-{broker}"

    def version_in_use(self, broker: int) -> str:
        """What the link of a broker points to."""
        return (self.opt(broker) / installed.KAFKA_LINK).readlink().name

    def _use_link(self, node: KafkaNode) -> None:
        """The broker runs, from its next start on, whatever its link points to."""
        folder = self.opt(node.id)
        folder.mkdir()
        for need in reversed(self._versions):
            place = installed.write_version(folder, jars_folder(need))
        link = folder / installed.KAFKA_LINK
        link.symlink_to(place.name)
        jars = f"{jars_folder('zookeeper')}/*"
        node.command = tuple(f"{link}/libs/*" if word == jars else word for word in node.command)

    def _run(self) -> None:
        supervisor = [str(find_program("runsvdir")), "-P", str(self.root / "services")]
        self._guarded = GuardedProcesses(
            [
                Command(argv=self._sshd, log=self.root / "sshd.log"),
                Command(argv=supervisor, log=self.root / "supervisor.log"),
            ],
            self.root,
            remove_folder=True,
        )
        self.wait_whole()
        for one in self._of("kafka"):
            for port in one.process.ports.values():
                wait_until(
                    lambda host=one.process.host, port=port: _accepts(host, port),  # type: ignore[misc]
                    f"broker {one.id} listens",
                    START_SECONDS,
                )

    def _of(self, kind: str) -> list[Hosted]:
        return [hosted for (each, _), hosted in self._hosted.items() if each == kind]

    def _node(self, kind: str, number: int) -> Any:
        return self._hosted[kind, number]


def _template(name: str, values: dict[str, Any]) -> str:
    return Template((TEMPLATES / name).read_text("utf-8")).substitute(values)


def _write(path: Path, text: str) -> None:
    # A run script is replaced while the supervisor may start it.
    part = path.with_name(f".{path.name}")
    part.write_text(text, "utf-8")
    part.chmod(EXECUTABLE)
    part.replace(path)


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
