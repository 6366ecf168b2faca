"""Stand-ins for fleets that this machine could not run: they speak Kafka's protocol, and are none.

A process of its own (``python standin_kafka.py SPEC.json``) listens for every broker of every
cluster and for its exporter page, and answers what healthd asks: ApiVersions, Metadata,
DescribeQuorum, ListPartitionReassignments, DescribeCluster, DescribeConfigs, DescribeLogDirs. No
record is ever produced or consumed. Answers are encoded by kafka-python's own schemas and kept, so
that the stand-ins take as little of the machine as they can while something is measured against
them. `tests/integration/support/test_standin_kafka.py` compares them with a real cluster.

Started from Python as `StandIns`; it dies with whoever started it.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
import subprocess
import sys
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

KAFKA_PORT: Final = 29_092
EXPORTER_PORT: Final = 29_071
PAGE: Final = Path(__file__).parents[1] / "data" / "broker_page.txt"
READY_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInTopic:
    """One topic: a row of leader, replicas and ISR for each partition."""

    name: str
    rows: Sequence[tuple[int, Sequence[int], Sequence[int]]]
    min_insync_replicas: int = 2
    config_source: int = 1
    """Kafka's ``ConfigSource``: 1 is the topic's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInCluster:
    """One cluster of combined nodes, led by the first."""

    name: str
    hosts: Mapping[int, str]
    """The loopback address of each broker, by id."""
    topics: Sequence[StandInTopic]
    racks: Mapping[int, str | None] = field(default_factory=dict)
    observers: Sequence[int] = ()
    """Brokers that are no voters."""
    page_lines: int = 1000

    @property
    def bootstrap(self) -> str:
        """The addresses of its first three brokers."""
        return ",".join(f"{host}:{KAFKA_PORT}" for host in list(self.hosts.values())[:3])


def made_up(
    name: str, number: int, *, brokers: int, topics: int, partitions: int, page_lines: int = 1000
) -> StandInCluster:
    """A healthy cluster with racks, three replicas each, and as many partitions in all."""
    ids = range(1, brokers + 1)
    counts = [partitions // topics + (at < partitions % topics) for at in range(topics)]

    def row(topic: int, at: int) -> tuple[int, Sequence[int], Sequence[int]]:
        # Neighbours are in different racks; the ISR has the order of its coming together.
        first = (topic * 7 + at) % brokers
        nodes = [ids[(first + step) % brokers] for step in range(min(3, brokers))]
        return nodes[0], nodes, nodes if at % 2 else nodes[::-1]

    return StandInCluster(
        name=name,
        hosts={node: f"127.{100 + number // 200}.{number % 200}.{node}" for node in ids}
        if brokers < 250  # One byte of the address.
        else {node: f"127.{100 + number}.{node // 250}.{1 + node % 250}" for node in ids},
        racks={node: f"az{node % 3}" for node in ids},
        observers=tuple(ids[3:]),
        topics=[
            StandInTopic(name=f"topic-{topic}", rows=[row(topic, at) for at in range(count)])
            for topic, count in enumerate(counts)
        ],
        page_lines=page_lines,
    )


class StandIns:
    """The process with the stand-ins, from the side of whoever measures."""

    def __init__(self, clusters: Sequence[StandInCluster], folder: Path) -> None:
        self.clusters = tuple(clusters)
        self._spec = folder / "stand-ins.json"
        self._process: subprocess.Popen[str] | None = None

    def order(self, cluster: str, behind: int) -> None:
        """In a cluster (`*`: in all), so many topics have a first partition that is behind."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"cluster": cluster, "behind": behind}) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def __enter__(self) -> Self:
        self._spec.write_text(json.dumps([asdict(cluster) for cluster in self.clusters]), "utf-8")
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the stand-ins did not start"
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        # Their process ends with its standard input.
        self._process.communicate()


# --- What runs in the process of its own ----------------------------------------------------------

# Key, oldest and newest version, as Kafka 4.1 offers them.
_API_VERSIONS: Final = 18
_METADATA: Final = 3
_OFFERED: Final = {
    _API_VERSIONS: (0, 4),
    _METADATA: (0, 13),
    32: (1, 4),
    35: (1, 4),
    46: (0, 0),
    55: (0, 2),
    60: (0, 2),
}


class _Kafka:
    """kafka-python's message classes by key, imported only where they are used."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from kafka.protocol import admin, metadata  # noqa: PLC0415  # It warns when imported.

        self.requests: Mapping[int, Any] = {
            _API_VERSIONS: metadata.ApiVersionsRequest,
            _METADATA: metadata.MetadataRequest,
            32: admin.DescribeConfigsRequest,
            35: admin.DescribeLogDirsRequest,
            46: admin.ListPartitionReassignmentsRequest,
            55: admin.DescribeQuorumRequest,
            60: admin.DescribeClusterRequest,
        }
        self.versions: Any = metadata.ApiVersionsResponse
        self.metadata: Any = metadata.MetadataResponse
        self.configs: Any = admin.DescribeConfigsResponse
        self.log_dirs: Any = admin.DescribeLogDirsResponse
        self.reassignments: Any = admin.ListPartitionReassignmentsResponse
        self.quorum: Any = admin.DescribeQuorumResponse
        self.cluster: Any = admin.DescribeClusterResponse


class _Cluster:
    """One cluster's answers: the body for each request, made when it is first asked."""

    def __init__(self, spec: Mapping[str, Any], kafka: _Kafka) -> None:
        self.spec = spec
        self.hosts = {int(node): host for node, host in spec["hosts"].items()}
        self.racks = {int(node): rack for node, rack in spec["racks"].items()}
        self.leader = min(set(self.hosts) - set(spec["observers"]))
        self.behind = 0
        self._kafka = kafka
        self._bodies: dict[bytes, bytes] = {}

    def set_behind(self, behind: int) -> None:
        self.behind = behind
        self._bodies.clear()

    def answer(self, node: int, request: bytes) -> bytes:
        """The framed answer to one request without its length."""
        key, version, correlation, length = struct.unpack_from(">hhih", request)
        at = 10 + max(0, length)
        flexible = self._kafka.requests[key].flexible_version_q(version)
        # The newer header ends with tagged fields, of which there are none.
        body = request[at + 1 :] if flexible else request[at:]
        # Only log directories differ from node to node; nobody is asked for others' configs here.
        kept = (
            request[:4] + (struct.pack(">i", node) if key == 35 else b"") + body
        )  # DescribeLogDirs.
        found = self._bodies.get(kept)
        if found is None:
            found = self._bodies[kept] = self._made(key, version, body)
        head = struct.pack(">i", correlation)
        if flexible and key != _API_VERSIONS:
            head += b"\0"
        return struct.pack(">i", len(head) + len(found)) + head + found

    def _made(self, key: int, version: int, body: bytes) -> bytes:
        request = self._kafka.requests[key].decode(body, version=version)
        makers = {
            _API_VERSIONS: self._versions,
            _METADATA: self._metadata,
            32: self._configs,
            35: self._log_dirs,
            46: self._reassignments,
            55: self._quorum,
            60: self._described,
        }
        return bytes(makers[key](request).encode(version=version))

    def _versions(self, _request: Any) -> Any:
        response = self._kafka.versions
        return response(
            error_code=0,
            api_keys=[response.ApiVersion(key, *span) for key, span in _OFFERED.items()],
            throttle_time_ms=0,
        )

    def _metadata(self, request: Any) -> Any:
        response = self._kafka.metadata
        topic = response.MetadataResponseTopic
        partition = topic.MetadataResponsePartition
        topics = self.spec["topics"] if request.topics is None else []
        return response(
            throttle_time_ms=0,
            brokers=[
                response.MetadataResponseBroker(
                    node_id=node, host=host, port=KAFKA_PORT, rack=self.racks.get(node)
                )
                for node, host in self.hosts.items()
            ],
            cluster_id=self.spec["name"],
            controller_id=self.leader,
            topics=[
                topic(
                    error_code=0,
                    name=one["name"],
                    topic_id=uuid.uuid5(uuid.NAMESPACE_DNS, one["name"]),
                    is_internal=False,
                    partitions=[
                        partition(
                            error_code=0,
                            partition_index=at,
                            leader_id=leader,
                            leader_epoch=0,
                            replica_nodes=replicas,
                            isr_nodes=isr[:-1] if number < self.behind and at == 0 else isr,
                            offline_replicas=[],
                        )
                        for at, (leader, replicas, isr) in enumerate(one["rows"])
                    ],
                    authorized_operations=set(),
                )
                for number, one in enumerate(topics)
            ],
            authorized_operations=set(),
            error_code=0,
        )

    def _configs(self, request: Any) -> Any:
        response = self._kafka.configs
        result = response.DescribeConfigsResult
        values = {
            one["name"]: (str(one["min_insync_replicas"]), one["config_source"])
            for one in self.spec["topics"]
        }
        broker = {"controller.quorum.fetch.timeout.ms": "2000", "min.insync.replicas": "1"}
        results = []
        for resource in request.resources:
            of_topic = resource.resource_type == 2  # Kafka's word for a topic.
            results.append(
                result(
                    error_code=0,
                    error_message=None,
                    resource_type=resource.resource_type,
                    resource_name=resource.resource_name,
                    configs=[
                        result.DescribeConfigsResourceResult(
                            name=name,
                            value=values[resource.resource_name][0] if of_topic else broker[name],
                            read_only=False,
                            config_source=values[resource.resource_name][1] if of_topic else 5,
                            is_sensitive=False,
                            synonyms=[],
                            config_type=0,
                            documentation=None,
                        )
                        for name in resource.configuration_keys or ()
                    ],
                )
            )
        return response(throttle_time_ms=0, results=results)

    def _log_dirs(self, _request: Any) -> Any:
        response = self._kafka.log_dirs
        directory = response.DescribeLogDirsResult(
            error_code=0, log_dir="/data", topics=[], total_bytes=1000, usable_bytes=600
        )
        return response(throttle_time_ms=0, error_code=0, results=[directory])

    def _reassignments(self, _request: Any) -> Any:
        return self._kafka.reassignments(
            throttle_time_ms=0, error_code=0, error_message=None, topics=[]
        )

    def _quorum(self, _request: Any) -> Any:
        response = self._kafka.quorum
        topic = response.TopicData
        row = topic.PartitionData

        def replica(node: int) -> Any:
            return row.ReplicaState(
                replica_id=node,
                replica_directory_id=uuid.UUID(int=node),
                log_end_offset=1000,
                last_fetch_timestamp=1_000_000,
                last_caught_up_timestamp=1_000_000,
            )

        observers = set(self.spec["observers"])
        return response(
            error_code=0,
            error_message=None,
            topics=[
                topic(
                    topic_name="__cluster_metadata",
                    partitions=[
                        row(
                            partition_index=0,
                            error_code=0,
                            error_message=None,
                            leader_id=self.leader,
                            leader_epoch=1,
                            high_watermark=1000,
                            current_voters=[replica(n) for n in self.hosts if n not in observers],
                            observers=[replica(node) for node in observers],
                        )
                    ],
                )
            ],
            nodes=[],
        )

    def _described(self, _request: Any) -> Any:
        response = self._kafka.cluster
        return response(
            throttle_time_ms=0,
            error_code=0,
            error_message=None,
            endpoint_type=1,
            cluster_id=self.spec["name"],
            controller_id=self.leader,
            brokers=[
                response.DescribeClusterBroker(
                    broker_id=node,
                    host=host,
                    port=KAFKA_PORT,
                    rack=self.racks.get(node),
                    is_fenced=False,
                )
                for node, host in self.hosts.items()
            ],
            authorized_operations=set(),
        )


class _Broker(asyncio.Protocol):
    """One connection to a stand-in broker."""

    def __init__(self, cluster: _Cluster, node: int) -> None:
        self._cluster, self._node = cluster, node
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 4:  # The length of a request.
            (size,) = struct.unpack_from(">i", self._received)
            if len(self._received) < 4 + size:
                return
            request, self._received = self._received[4 : 4 + size], self._received[4 + size :]
            self._transport.write(self._cluster.answer(self._node, request))


class _Exporter(asyncio.Protocol):
    """One connection to a stand-in exporter."""

    def __init__(self, page: bytes) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        self._answer = f"{head}Content-Length: {len(page)}\r\n\r\n".encode() + page
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            self._received = self._received.partition(b"\r\n\r\n")[2]
            self._transport.write(self._answer)


def page_of(cluster: _Cluster, node: int) -> bytes:
    """The page of a real broker with this cluster's counts, as long as the spec says."""
    topics = cluster.spec["topics"]
    changes = {
        "kafka_controller_kafkacontroller_globaltopiccount": len(topics),
        "kafka_controller_kafkacontroller_globalpartitioncount": sum(
            len(topic["rows"]) for topic in topics
        ),
        "kafka_controller_kafkacontroller_activecontrollercount": int(node == cluster.leader),
    }
    text = PAGE.read_text("utf-8")
    for name, value in changes.items():
        text = re.sub(rf"(?m)^{name} .*$", f"{name} {value}.0", text)
    lines = text.splitlines()
    for at in range(max(0, cluster.spec["page_lines"] - len(lines))):
        name = f"kafka_log_log_size_{at % 7}"
        lines.append(f'{name}{{topic="topic-{at}",partition="{at % 10}"}} {at * 4711}.0')
    return ("\n".join(lines) + "\n").encode()


async def _serve(specs: Sequence[Mapping[str, Any]]) -> None:
    loop = asyncio.get_running_loop()
    kafka = _Kafka()
    clusters = {spec["name"]: _Cluster(spec, kafka) for spec in specs}
    for cluster in clusters.values():
        for node, host in cluster.hosts.items():
            page = page_of(cluster, node)
            await loop.create_server(partial(_Broker, cluster, node), host, KAFKA_PORT)
            await loop.create_server(partial(_Exporter, page), host, EXPORTER_PORT)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        names = clusters if order["cluster"] == "*" else [order["cluster"]]
        for name in names:
            clusters[name].set_behind(order["behind"])
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
