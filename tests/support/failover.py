"""Two real clusters, a real daemon that routes between them, and real clients that follow it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.kafka_cluster import KafkaCluster, start_together

from healthd.client import ProfileResolver, Route
from healthd.client.consumer import FailoverConsumer, Received
from healthd.client.moving import Spread
from healthd.client.producer import FailoverProducer
from healthd.client.sending import Delivery
from healthd.demo.daemon import DaemonProcess
from healthd.demo.service import wait_until
from healthd.demo.topics import quiet_client

SCORING = Path(__file__).resolve().parents[2] / "config" / "scoring.demo.yaml"
PROFILE, TOPIC, PARTITIONS = "NAD1700", "orders", 3
INTERVAL_SECONDS = 1
SPREAD = Spread(seconds=2.0, down_seconds=0.5)


@dataclass(kw_only=True)
class Pair:
    """East, which the profile prefers, and west."""

    east: KafkaCluster
    west: KafkaCluster
    daemon: DaemonProcess

    def resolver(self, client_id: str | None = None) -> ProfileResolver:
        """Started."""
        return ProfileResolver(PROFILE, self.daemon.url, client_id=client_id).start()

    def verdict(self, cluster: str = "east") -> str:
        """The verdict as the daemon shows it."""
        found = self.daemon.get("/api/v1/routes")["verdicts"]
        return str(next(row["verdict"] for row in found if row["cluster"] == cluster))

    def index(self, cluster: str = "east") -> float:
        """The Health Index; 100 while there is none."""
        return float(self.daemon.get(f"/api/v1/clusters/{cluster}/health")["healthIndex"])

    def wait_verdict(self, verdict: str, seconds: float = 60.0) -> None:
        """East has that verdict."""
        wait_until(lambda: self.verdict() == verdict, f"east is {verdict}", seconds)


@contextmanager
def pair_of_clusters(folder: Path, nodes: int = 1) -> Iterator[Pair]:
    """Both run, the daemon watches them, and both are IN."""
    with closing(KafkaCluster(nodes=nodes)) as east, closing(KafkaCluster(nodes=nodes)) as west:
        start_together(east, west)
        for cluster in (east, west):
            admin = AdminClient(quiet_client(cluster.bootstrap))
            new = NewTopic(TOPIC, PARTITIONS, min(3, nodes), config={"min.insync.replicas": "1"})
            admin.create_topics([new])[TOPIC].result(30)
        fleet = {
            "apiVersion": "healthd/v1",
            "kind": "Fleet",
            "scoringProfile": str(SCORING),
            "profiles": [{"name": PROFILE, "members": ["east", "west"]}],
            "clusters": [
                {"name": name, "bootstrapServers": cluster.bootstrap.split(",")}
                for name, cluster in (("east", east), ("west", west))
            ],
        }
        file = folder / "fleet.yaml"
        file.write_text(json.dumps(fleet), "utf-8")
        daemon = DaemonProcess(
            file,
            folder,
            interval_seconds=INTERVAL_SECONDS,
            collect_deadline_seconds=4,
            kafka_timeout_seconds=2,
        )
        with daemon:
            daemon.start()
            pair = Pair(east=east, west=west, daemon=daemon)
            for name in ("east", "west"):
                wait_until(
                    lambda name=name: pair.verdict(name) == "IN",  # type: ignore[misc]
                    f"{name} is IN",
                    60,
                )
            yield pair
            daemon.stop()


@dataclass(kw_only=True)
class Account:
    """What was sent, acknowledged and read; by the message's name."""

    sent: list[str] = field(default_factory=list)
    delivered: dict[str, Delivery] = field(default_factory=dict)
    failed: list[Delivery] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    read_in: dict[str, set[str]] = field(default_factory=dict)
    first_at: dict[tuple[str, str], float] = field(default_factory=dict)
    """When each client was first acknowledged by each cluster since the marks were cleared."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_delivery(self, delivery: Delivery) -> None:
        """A message was settled."""
        name = str(delivery.value)
        with self._lock:
            if delivery.error is not None:
                self.failed.append(delivery)
                return
            self.delivered[name] = delivery
            self.first_at.setdefault((name.partition(":")[0], delivery.cluster), time.monotonic())

    def on_read(self, received: Received) -> None:
        """A message was read."""
        name = received.message.value().decode()
        with self._lock:
            self.read[name] += 1
            self.read_in.setdefault(name, set()).add(received.cluster)

    @property
    def unread(self) -> set[str]:
        """Acknowledged and not read."""
        with self._lock:
            return self.delivered.keys() - self.read.keys()

    @property
    def sent_again(self) -> int:
        """Given to a second cluster because the first did not acknowledge them."""
        with self._lock:
            return sum(found.is_maybe_duplicated for found in self.delivered.values())

    @property
    def in_both(self) -> int:
        """Read in both clusters: written twice."""
        with self._lock:
            return sum(len(clusters) > 1 for clusters in self.read_in.values())

    @property
    def read_again(self) -> int:
        """Readings beyond the first of each message."""
        with self._lock:
            return sum(self.read.values()) - len(self.read)


class Clients:
    """Producers that write without a pause and consumers that read, until they are stopped."""

    def __init__(self, pair: Pair, *, producers: int = 2, consumers: int = 1) -> None:
        self.account = Account()
        self.resolvers = [pair.resolver(f"client-{at}") for at in range(max(producers, consumers))]
        self.resolved_at: dict[int, float] = {}
        """When each resolver told of a route without east."""
        self._writing = threading.Event()
        self._reading = threading.Event()
        self._writing.set()
        self._reading.set()
        for at, resolver in enumerate(self.resolvers):
            resolver.subscribe(lambda route, at=at: self._resolved(at, route))  # type: ignore[misc]
        self.producers = [
            FailoverProducer(self.resolvers[at], {"log_level": 0}, spread=SPREAD, drain_seconds=5)
            for at in range(producers)
        ]
        self.consumers = [
            FailoverConsumer(
                self.resolvers[at],
                {
                    "group.id": "readers",
                    "log_level": 0,
                    "auto.commit.interval.ms": 500,
                    "session.timeout.ms": 6000,
                },
                spread=SPREAD,
                drain_seconds=10,
                quiet_seconds=1,
                leave_seconds=5,
            )
            for at in range(consumers)
        ]
        self._threads = [
            threading.Thread(target=self._write, args=(at,)) for at in range(producers)
        ] + [threading.Thread(target=self._read, args=(each,)) for each in self.consumers]

    def start(self) -> Clients:
        """They write and read; some of both has been done."""
        for producer in self.producers:
            producer.start(30)
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self.account.read) > 20, "messages are read", 60)
        return self

    def wait_on(self, cluster: str, seconds: float = 60.0) -> None:
        """All of them write to and read from that cluster, with acknowledgements from there."""
        wait_until(
            lambda: (
                {found.cluster for found in self.producers} == {cluster}
                and {found.cluster for found in self.consumers} == {cluster}
            ),
            f"all clients are on {cluster}",
            seconds,
        )
        self.account.first_at.clear()
        self.wait_all_acknowledged(cluster, seconds)

    def wait_all_acknowledged(self, cluster: str, seconds: float = 60.0) -> None:
        """That cluster has acknowledged each of them since the marks were cleared."""
        wait_until(
            lambda: all(
                (str(at), cluster) in self.account.first_at for at in range(len(self.producers))
            ),
            f"all clients are acknowledged by {cluster}",
            seconds,
        )

    def stop_writing(self) -> None:
        """Nothing more is written, and everything is settled."""
        self._writing.clear()
        for producer in self.producers:
            producer.close(60)

    def close(self) -> None:
        """All threads have ended."""
        if self._writing.is_set():
            self.stop_writing()
        self._reading.clear()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(60)
        for resolver in self.resolvers:
            resolver.close()

    def _resolved(self, at: int, route: Route) -> None:
        if route.member("east") is None:
            self.resolved_at.setdefault(at, time.monotonic())

    def _write(self, at: int) -> None:
        producer, number = self.producers[at], 0
        while self._writing.is_set():
            number += 1
            name = f"{at}:{number}"
            self.account.sent.append(name)
            producer.produce(TOPIC, name, name, on_delivery=self.account.on_delivery)
            time.sleep(0.005)

    def _read(self, consumer: FailoverConsumer) -> None:
        consumer.subscribe([TOPIC], timeout_seconds=30)
        while self._reading.is_set():
            received = consumer.poll(0.2)
            if received is not None:
                self.account.on_read(received)
        consumer.close()


def summary(account: Account) -> dict[str, Any]:
    """The account in numbers."""
    return {
        "sent": len(account.sent),
        "acknowledged": len(account.delivered),
        "failed": len(account.failed),
        "sentToBoth": account.sent_again,
        "writtenTwice": account.in_both,
        "readAgain": account.read_again,
        "unread": len(account.unread),
    }
