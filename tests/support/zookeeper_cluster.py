"""Throw-away ZooKeeper for tests: an ensemble of real servers, and Kafka 3.9 on it.

    with ZooKeeperEnsemble() as ensemble, kafka_on(ensemble, nodes=2) as kafka:
        ensemble.server(2).kill()

Each server is one JVM of about 100 MB that starts in two seconds and dies with this process.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from support.kafka_cluster import HOST, KafkaCluster, KafkaNode, free_port

from healthd.demo.files import JVM_FLAGS
from healthd.demo.provision import ensure, find_program, jars_folder
from healthd.demo.service import wait_until

CLIENT, ADMIN, PEER, ELECTION = "CLIENT", "ADMIN", "PEER", "ELECTION"
CHROOT = "/kafka"
SESSION_MS = 4_000
"""How long Kafka's sessions outlive their brokers here: the default is 18 s."""
START_SECONDS = 60.0


class ZooKeeperEnsemble:
    """An ensemble that lives as long as a ``with`` block.

    Args:
        servers: How many; their ids are 1, 2, ...
        words: ``4lw.commands.whitelist`` of each server by its id; the others allow every word.
    """

    def __init__(self, servers: int = 3, *, words: Mapping[int, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="zookeeper-test-"))
        self._words = words or {}
        self.servers = tuple(
            KafkaNode(
                id=number,
                folder=self.folder / f"server-{number}",
                ports={name: free_port() for name in (CLIENT, ADMIN, PEER, ELECTION)},
                roles="",
            )
            for number in range(1, servers + 1)
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """``host:port`` for clients of every server."""
        return tuple(server.address(CLIENT) for server in self.servers)

    @property
    def admin_urls(self) -> tuple[str, ...]:
        """The AdminServer of every server."""
        return tuple(f"http://{server.address(ADMIN)}/commands" for server in self.servers)

    @property
    def connect(self) -> str:
        """What Kafka's ``zookeeper.connect`` takes."""
        return ",".join(self.addresses) + CHROOT

    def server(self, number: int) -> KafkaNode:
        """The server with that id; `kill`, `freeze` and `spawn` it."""
        return next(server for server in self.servers if server.id == number)

    def leader(self) -> KafkaNode:
        """The server that leads."""
        found = [one for one in self.servers if one.is_running and mode(one) in _LEADS]
        assert len(found) == 1, f"leaders: {[one.id for one in found]}"
        return found[0]

    def heal(self) -> None:
        """Every server runs; it may not serve yet."""
        for server in self.servers:
            if server.is_running:
                server.thaw()
            else:
                server.spawn()

    def wait_serving(self) -> None:
        """Every server that runs has joined."""
        running = [server for server in self.servers if server.is_running]
        wait_until(
            lambda: all(mode(server) is not None for server in running),
            "the ensemble serves",
            START_SECONDS,
        )

    def close(self) -> None:
        """Every process has ended and the folder is gone; may be called twice."""
        for server in self.servers:
            server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        ensure(("zookeeper",))
        try:
            for server in self.servers:
                self._write(server)
                server.spawn()
            self.wait_serving()
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

    def _write(self, server: KafkaNode) -> None:
        server.data_folder.mkdir(parents=True)
        (server.data_folder / "myid").write_text(f"{server.id}\n", "utf-8")
        members = {
            f"server.{one.id}": f"{HOST}:{one.ports[PEER]}:{one.ports[ELECTION]}"
            for one in self.servers
        }
        settings = {
            "tickTime": "500",
            "initLimit": "20",
            "syncLimit": "10",
            "dataDir": str(server.data_folder),
            "clientPortAddress": HOST,
            "clientPort": str(server.ports[CLIENT]),
            "maxClientCnxns": "0",
            "admin.serverAddress": HOST,
            "admin.serverPort": str(server.ports[ADMIN]),
            "4lw.commands.whitelist": self._words.get(server.id, "*"),
            **(members if len(self.servers) > 1 else {}),
        }
        config = server.folder / "zoo.cfg"
        config.write_text("".join(f"{k}={v}\n" for k, v in settings.items()), "utf-8")
        server.command = (
            str(find_program("java")),
            *("-Xms32m", "-Xmx96m"),
            *JVM_FLAGS,
            *("-cp", f"{jars_folder('zookeeper')}/*"),
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            str(config),
        )


_LEADS = ("leader", "standalone")


def mode(server: KafkaNode) -> str | None:
    """What a server says it is (``leader``, ``follower``, ...); None while it does not serve."""
    try:
        with urlopen(f"http://{server.address(ADMIN)}/commands/srvr", timeout=1) as answer:
            stats = json.load(answer).get("server_stats", {})
    except OSError:
        return None
    found = stats.get("server_state")
    return found if isinstance(found, str) else None


def kafka_on(ensemble: ZooKeeperEnsemble, *, nodes: int = 2) -> KafkaCluster:
    """Kafka 3.9 brokers on an ensemble, under a chroot; start them with ``with``."""
    return KafkaCluster(
        nodes,
        zookeeper=ensemble.connect,
        jars=jars_folder("zookeeper"),
        properties={
            "zookeeper.session.timeout.ms": str(SESSION_MS),
            "zookeeper.connection.timeout.ms": "10000",
            "default.replication.factor": str(min(nodes, 3)),
            "min.insync.replicas": "1",
        },
    )
