"""Throw-away Apache Kafka for tests: as many nodes, listeners and properties as a test needs.

    with KafkaCluster(nodes=3, racks={1: "a", 2: "b", 3: "c"}) as cluster:
        client = AdminClient({"bootstrap.servers": cluster.bootstrap})
        cluster.node(2).stop()

Unlike the demo's fleet it has no hosts, no sshd and no supervisor: each node is one JVM that this
process started. Every JVM dies with this process, also when that is killed; at the end of the
``with`` all are killed by process id and the folder is removed. Start nodes from the main thread
(or one that lives as long as the cluster): the kernel ends a JVM with the thread that started it.

A node costs about 300 MB and 4 s; ask for one node wherever one is enough, and share it.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from healthd.demo.daemon import die_with_parent
from healthd.demo.files import JVM_FLAGS, new_cluster_id
from healthd.demo.provision import ensure, find_program, jars_folder
from healthd.demo.service import DemoTimeoutError, wait_until
from healthd.demo.topics import quiet_client

HOST = "127.0.0.1"
HEAP = ("-Xms64m", "-Xmx256m")
START_SECONDS = 120.0
STOP_SECONDS = 60.0
INTER_BROKER = "BROKER"
CONTROLLER = "CONTROLLER"
CLIENT_PORTS = range(14_000, 30_000)
"""Below the ports that the kernel gives to outgoing connections, which would take ours."""

_LOG4J2 = """status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
"""
_LOG4J1 = """log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
"""

PerNode = Mapping[str, str] | Callable[["KafkaNode"], Mapping[str, str]]
FlagsPerNode = Sequence[str] | Callable[["KafkaNode"], Sequence[str]]


class KafkaStartError(Exception):
    """A node did not start; the end of its log is in the text."""


def free_port(host: str = HOST) -> int:
    """A port of a loopback address that nobody listens on, and that no client is given by chance.

    Raises:
        KafkaStartError: Two hundred attempts found none.
    """
    for _ in range(200):
        port = random.choice(CLIENT_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise KafkaStartError(f"no free port on {host}")


@dataclass(kw_only=True)
class KafkaNode:
    """One node: a JVM of its own, with its files in one folder."""

    id: int
    folder: Path
    ports: dict[str, int]
    """The port of each listener, by the listener's name."""
    roles: str
    """``broker,controller``, ``broker`` or ``controller``; empty with ZooKeeper."""
    rack: str | None = None
    host: str = HOST
    command: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def is_broker(self) -> bool:
        """Whether clients can talk to it."""
        return self.roles != "controller"

    @property
    def is_running(self) -> bool:
        """Whether its process is there (a frozen one is)."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None, f"node {self.id} was never started"
        return self.process.pid

    @property
    def properties_file(self) -> Path:
        """Its ``server.properties``; what is changed there counts from the next start."""
        return self.folder / "server.properties"

    @property
    def data_folder(self) -> Path:
        """Its log directory."""
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        """All that it has ever said."""
        return self.folder / "node.log"

    @property
    def logs(self) -> str:
        """All that it has ever said, as text."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def address(self, listener: str = INTER_BROKER) -> str:
        """``host:port`` of one of its listeners."""
        return f"{self.host}:{self.ports[listener]}"

    def spawn(self) -> None:
        """The process is there; it does not answer yet."""
        assert not self.is_running, f"node {self.id} runs already"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # One call of libc, no lock is taken.
            )

    def start(self) -> None:
        """It runs, and every one of its listeners accepts connections.

        Raises:
            KafkaStartError: It ended, or took too long.
        """
        self.spawn()
        self.wait_started()

    def wait_started(self) -> None:
        """Every listener accepts connections.

        Raises:
            KafkaStartError: It ended, or took too long.
        """

        def is_up() -> bool:
            if not self.is_running:
                raise KafkaStartError(f"node {self.id} ended at its start:\n{self.logs[-4000:]}")
            return all(_accepts(self.host, port) for port in self.ports.values())

        try:
            wait_until(is_up, f"node {self.id} listens", START_SECONDS)
        except DemoTimeoutError as error:
            raise KafkaStartError(f"{error}:\n{self.logs[-4000:]}") from None

    def stop(self) -> None:
        """Controlled shutdown by SIGTERM; killed when it hangs, as a node without a quorum does."""
        if not self.is_running:
            return
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill -9; nothing of it is left. A frozen one goes too."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it accepts connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class KafkaCluster:
    """A KRaft cluster (or brokers on a ZooKeeper) that lives as long as a ``with`` block.

    Args:
        nodes: How many; their ids are 1, 2, ...
        listeners: Name to security protocol of every client listener; there is always the
            plaintext listener ``BROKER`` for the brokers themselves, and for ``bootstrap``.
        properties: More ``server.properties`` for every node, or a function of the node; they win
            over the defaults here.
        roles: ``process.roles`` by node id; by default the first three (one of one or two) nodes
            are brokers and controllers, the others brokers.
        racks: ``broker.rack`` by node id.
        jvm: More JVM flags, or a function of the node (an agent that needs a port of its own).
        jars: Folder of Kafka's jars; by default those of the demo (Kafka 4.1).
        format_options: More words for ``StorageTool format``, such as
            ``("--add-scram", "SCRAM-SHA-256=[name=alice,password=secret]")``.
        zookeeper: ``host:port/chroot``: Kafka 3.9 and older without KRaft; needs ``jars``.
        folder: Where its files go; by default a temporary folder, removed at the end.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        listeners: Mapping[str, str] | None = None,
        properties: PerNode | None = None,
        roles: Mapping[int, str] | None = None,
        racks: Mapping[int, str] | None = None,
        jvm: FlagsPerNode = (),
        jars: Path | None = None,
        format_options: Sequence[str] = (),
        zookeeper: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self.cluster_id = new_cluster_id()
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="kafka-test-"))
        self.listeners = {INTER_BROKER: "PLAINTEXT", **(listeners or {})}
        self._jars = jars
        self._properties = properties or {}
        self._jvm = jvm
        self._format_options = tuple(format_options)
        self._zookeeper = zookeeper
        voters = 3 if nodes >= 3 else 1
        usual = {n: "broker,controller" if n <= voters else "broker" for n in range(1, nodes + 1)}
        chosen = dict.fromkeys(usual, "") if zookeeper else {**usual, **(roles or {})}
        self.nodes = tuple(
            KafkaNode(
                id=n,
                folder=self.folder / f"node-{n}",
                ports=self._ports(role),
                roles=role,
                rack=(racks or {}).get(n),
            )
            for n, role in sorted(chosen.items())
        )

    def _ports(self, roles: str) -> dict[str, int]:
        names = [] if roles == "controller" else list(self.listeners)
        if "controller" in roles:
            names.append(CONTROLLER)
        return {name: free_port() for name in names}

    @property
    def bootstrap(self) -> str:
        """The plaintext bootstrap servers, all brokers of them."""
        return self.bootstrap_of(INTER_BROKER)

    def bootstrap_of(self, listener: str) -> str:
        """The bootstrap servers of one listener."""
        return ",".join(node.address(listener) for node in self.nodes if node.is_broker)

    @property
    def logs(self) -> str:
        """All that the nodes said, one node after the other."""
        return "\n".join(f"== node {node.id}\n{node.logs}" for node in self.nodes)

    def node(self, number: int) -> KafkaNode:
        """The node with that id."""
        return next(node for node in self.nodes if node.id == number)

    def start(self) -> Self:
        """The cluster is formatted and every broker is in the metadata.

        Raises:
            KafkaStartError: A node did not start; nothing is left running.
        """
        ensure(("kafka",))
        try:
            for node in self.nodes:
                self._write(node)
            if not self._zookeeper:
                self._format()
            for node in self.nodes:
                node.spawn()
            for node in self.nodes:
                node.wait_started()
            self.wait_complete()
        except BaseException:
            self.close()
            raise
        return self

    def wait_complete(self, timeout_seconds: float = START_SECONDS) -> None:
        """Every broker whose process runs is in the metadata.

        Raises:
            KafkaStartError: They were not, in time.
        """
        admin = AdminClient(quiet_client(self.bootstrap))
        wanted = {node.id for node in self.nodes if node.is_broker and node.is_running}

        def is_complete() -> bool:
            try:
                return wanted <= admin.list_topics(timeout=2).brokers.keys()
            except KafkaException:
                return False

        try:
            wait_until(is_complete, f"brokers {sorted(wanted)} are registered", timeout_seconds)
        except DemoTimeoutError as error:
            raise KafkaStartError(f"{error}:\n{self.logs[-6000:]}") from None

    def run_tool(self, main_class: str, *arguments: str) -> str:
        """What one of Kafka's command-line tools printed; a JVM, so about a second.

        Raises:
            KafkaStartError: It failed; its words are in the text.
        """
        result = subprocess.run(
            self._java(self.folder, main_class, *arguments),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise KafkaStartError(f"{main_class} failed: {result.stdout}{result.stderr}")
        return result.stdout

    def close(self) -> None:
        """Every process has ended and the folder is gone; may be called twice."""
        for node in self.nodes:
            node.kill()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _java(self, folder: Path, *words: str, flags: Sequence[str] = ()) -> tuple[str, ...]:
        return (
            str(find_program("java")),
            *HEAP,
            *JVM_FLAGS,
            # The first is read by Kafka 4, the second by Kafka 3.
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            f"-Dlog4j.configuration=file:{self.folder / 'log4j.properties'}",
            # Where Kafka 3 would write its logs otherwise.
            f"-Dkafka.logs.dir={folder}",
            *flags,
            "-cp",
            f"{self._jars or jars_folder()}/*",
            *words,
        )

    def _write(self, node: KafkaNode) -> None:
        node.data_folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(_LOG4J2, "utf-8")
        (self.folder / "log4j.properties").write_text(_LOG4J1, "utf-8")
        values = self._defaults(node)
        more = self._properties(node) if callable(self._properties) else self._properties
        text = "".join(f"{key}={value}\n" for key, value in {**values, **more}.items())
        node.properties_file.write_text(text, "utf-8")
        flags = self._jvm(node) if callable(self._jvm) else self._jvm
        node.command = self._java(
            node.folder, "kafka.Kafka", str(node.properties_file), flags=flags
        )

    def _defaults(self, node: KafkaNode) -> dict[str, str]:
        brokers = sum(other.is_broker for other in self.nodes)
        copies = str(min(3, brokers))
        listeners = ",".join(f"{name}://{node.address(name)}" for name in node.ports)
        protocols = {**self.listeners, CONTROLLER: "PLAINTEXT"}
        values = {
            "listeners": listeners,
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in protocols.items()
            ),
            "log.dirs": str(node.data_folder),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": "3",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "3",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "log.cleaner.dedupe.buffer.size": "8388608",
            "group.initial.rebalance.delay.ms": "0",
        }
        if node.is_broker:
            values["inter.broker.listener.name"] = INTER_BROKER
        if node.rack is not None:
            values["broker.rack"] = node.rack
        if self._zookeeper:
            return {"broker.id": str(node.id), "zookeeper.connect": self._zookeeper, **values}
        voters = (other for other in self.nodes if "controller" in other.roles)
        return {
            "process.roles": node.roles,
            "node.id": str(node.id),
            "controller.listener.names": CONTROLLER,
            "controller.quorum.voters": ",".join(
                f"{voter.id}@{voter.address(CONTROLLER)}" for voter in voters
            ),
            **values,
        }

    def _format(self) -> None:
        """Format the first node in a JVM; the others get copies with their own ids."""
        first, *others = self.nodes
        self.run_tool(
            "kafka.tools.StorageTool",
            *("format", "--cluster-id", self.cluster_id),
            *("--config", str(first.properties_file)),
            *self._format_options,
        )
        meta = (first.data_folder / "meta.properties").read_text("utf-8")
        bootstrap = (first.data_folder / "bootstrap.checkpoint").read_bytes()
        for node in others:
            own = re.sub(r"(?m)^node\.id=.*$", f"node.id={node.id}", meta)
            own = re.sub(r"(?m)^directory\.id=.*$", f"directory.id={new_cluster_id()}", own)
            (node.data_folder / "meta.properties").write_text(own, "utf-8")
            (node.data_folder / "bootstrap.checkpoint").write_bytes(bootstrap)


def start_together(*clusters: KafkaCluster) -> None:
    """All of them run; what is slow about their starts overlaps. KRaft only.

    Raises:
        KafkaStartError: A node did not start; nothing is left running.
    """
    ensure(("kafka",))
    try:
        nodes = [(cluster, node) for cluster in clusters for node in cluster.nodes]
        for cluster, node in nodes:
            cluster._write(node)
        with ThreadPoolExecutor() as pool:
            list(pool.map(KafkaCluster._format, clusters))
        # By this thread: a node ends with the one that spawned it.
        for _, node in nodes:
            node.spawn()
        for _, node in nodes:
            node.wait_started()
        for cluster in clusters:
            cluster.wait_complete()
    except BaseException:
        for cluster in clusters:
            cluster.close()
        raise


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
