"""A real Kafka Connect worker in distributed mode, with MirrorMaker 2 and the file connectors.

    with KafkaCluster() as west, ConnectWorker(west.bootstrap) as worker:
        worker.create("to-file", {"connector.class": FILE_SINK, "topics": "t", "file": "/tmp/x"})

It is one JVM with the jmx_exporter agent and healthd's own rules for Connect; it dies with this
process, and its folder is removed at the end.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.kafka_cluster import HOST, free_port

from healthd.demo.daemon import die_with_parent
from healthd.demo.files import JVM_FLAGS
from healthd.demo.provision import ensure, find_program, jars_folder
from healthd.demo.service import wait_until

FILE_SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"
MIRROR_SOURCE = "org.apache.kafka.connect.mirror.MirrorSourceConnector"
MIRROR_CHECKPOINT = "org.apache.kafka.connect.mirror.MirrorCheckpointConnector"
MIRROR_HEARTBEAT = "org.apache.kafka.connect.mirror.MirrorHeartbeatConnector"
RULES = Path(__file__).parents[2] / "config" / "jmx" / "connect.yml"
START_SECONDS = 120.0

_LOG4J2 = """status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class ConnectWorker:
    """One worker, the whole of its Connect cluster, that lives as long as a ``with`` block.

    Args:
        bootstrap: The Kafka cluster that it keeps its own topics in, and writes to.
        rules: The jmx_exporter's rule file.
    """

    def __init__(self, bootstrap: str, *, rules: Path = RULES) -> None:
        self.bootstrap = bootstrap
        self.folder = Path(tempfile.mkdtemp(prefix="connect-test-"))
        self._rules = rules
        self._port = free_port()
        self._page_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its REST API."""
        return f"http://{HOST}:{self._port}"

    @property
    def page(self) -> str:
        """Its metrics page."""
        return f"http://{HOST}:{self._page_port}/metrics"

    @property
    def logs(self) -> str:
        """All that it has ever said, as text."""
        return (self.folder / "worker.log").read_text("utf-8", "replace")

    def start(self) -> Self:
        """It runs and its REST API answers."""
        ensure(("kafka", "connect"))
        (self.folder / "log4j2.properties").write_text(_LOG4J2, "utf-8")
        text = "".join(f"{key}={value}\n" for key, value in self._properties().items())
        (self.folder / "worker.properties").write_text(text, "utf-8")
        with (self.folder / "worker.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # One call of libc, no lock is taken.
            )
        try:
            wait_until(self._is_up, "the Connect worker answers", START_SECONDS)
        except BaseException:
            print(self.logs[-4000:])
            self.close()
            raise
        return self

    def close(self) -> None:
        """Its process has ended and its folder is gone; may be called twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def freeze(self) -> None:
        """SIGSTOP: it accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def create(self, name: str, config: Mapping[str, str]) -> None:
        """The connector exists with this configuration."""
        body = json.dumps(config).encode()
        wait_until(
            lambda: self._ask("PUT", f"/connectors/{name}/config", body) is not None,
            f"connector {name} is accepted",
            START_SECONDS,
        )

    def post(self, path: str) -> None:
        """Have something done, such as ``/connectors/NAME/restart``."""
        self._ask("POST", path)

    def put(self, path: str) -> None:
        """Have something set, such as ``/connectors/NAME/pause``."""
        self._ask("PUT", path)

    def states(self, name: str) -> tuple[str, ...]:
        """The state of a connector, then those of its tasks; empty while it is not known."""
        status = self._ask("GET", f"/connectors/{name}/status")
        if status is None:
            return ()
        return (status["connector"]["state"], *(task["state"] for task in status["tasks"]))

    def wait_states(self, name: str, *states: str) -> None:
        """The connector and its tasks come to these states."""
        wait_until(lambda: self.states(name) == states, f"{name} is {states}", START_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the worker ended:\n{self.logs[-4000:]}"
        return self._ask("GET", "/connectors") is not None

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The answer; None while the worker refuses, which it does while it rebalances."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=body,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return None
        except OSError:
            return None

    def _command(self) -> list[str]:
        agent = next(jars_folder().glob("jmx_prometheus_javaagent-*.jar"))
        return [
            str(find_program("java")),
            "-Xms64m",
            "-Xmx256m",
            *JVM_FLAGS,
            f"-javaagent:{agent}={HOST}:{self._page_port}:{self._rules}",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            f"{jars_folder('connect')}/*",
            "org.apache.kafka.connect.cli.ConnectDistributed",
            str(self.folder / "worker.properties"),
        ]

    def _properties(self) -> dict[str, str]:
        topics = {
            f"{kind}.storage.{key}": value
            for kind in ("config", "offset", "status")
            for key, value in (("topic", f"connect-{kind}"), ("replication.factor", "1"))
        }
        return {
            "bootstrap.servers": self.bootstrap,
            "group.id": "connect",
            "listeners": self.url,
            "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            **topics,
            "offset.storage.partitions": "1",
            "status.storage.partitions": "1",
            "offset.flush.interval.ms": "1000",
            "scheduled.rebalance.max.delay.ms": "0",
            "plugin.discovery": "service_load",
        }


def mirror_configs(
    *, source: str, source_servers: str, target: str, target_servers: str
) -> dict[str, dict[str, str]]:
    """The three connectors of one flow, by name, on a worker that writes to the target.

    The heartbeat connector writes into the source, as seen from which the source is its target.
    """
    fast = {
        "tasks.max": "1",
        "replication.factor": "1",
        "offset-syncs.topic.replication.factor": "1",
        "checkpoints.topic.replication.factor": "1",
        "heartbeats.topic.replication.factor": "1",
        "sync.topic.acls.enabled": "false",
        "refresh.topics.interval.seconds": "1",
        "emit.checkpoints.interval.seconds": "1",
        "refresh.groups.interval.seconds": "1",
        "emit.heartbeats.interval.seconds": "1",
    }
    ends = {
        "source.cluster.alias": source,
        "source.cluster.bootstrap.servers": source_servers,
        "target.cluster.alias": target,
        "target.cluster.bootstrap.servers": target_servers,
    }
    back = {
        "source.cluster.alias": target,
        "source.cluster.bootstrap.servers": target_servers,
        "target.cluster.alias": source,
        "target.cluster.bootstrap.servers": source_servers,
        "producer.override.bootstrap.servers": source_servers,
    }
    return {
        f"{source}-mirror": {
            "connector.class": MIRROR_SOURCE,
            "topics": "orders.*",
            "consumer.fetch.max.wait.ms": "100",
            **ends,
            **fast,
        },
        f"{source}-checkpoint": {"connector.class": MIRROR_CHECKPOINT, **ends, **fast},
        f"{source}-heartbeat": {"connector.class": MIRROR_HEARTBEAT, **back, **fast},
    }
