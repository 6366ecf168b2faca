"""One Kafka cluster mirrored into another by a real MirrorMaker 2, and how healthd sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from support.connect_worker import ConnectWorker
from support.kafka_cluster import KafkaCluster

from healthd.demo.topics import quiet_client
from healthd.health.checks import Check

MAX_BEHIND_SECONDS = 4
LIMIT_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """East is read, west is written; the worker belongs to west."""

    east: KafkaCluster
    west: KafkaCluster
    worker: ConnectWorker

    def produce(self, count: int, *, partition: int = 0) -> None:
        """So many records more are in one partition of the topic `orders` of east."""
        producer = Producer(quiet_client(self.east.bootstrap))
        for number in range(count):
            producer.produce("orders", str(number).encode(), partition=partition)
        assert producer.flush(30) == 0

    def fleet_file(self, folder: Path) -> Path:
        """A fleet file of both clusters, with the flow and the Connect cluster of west."""
        file = folder / "fleet.yaml"
        file.write_text(
            f"""
apiVersion: healthd/v1
kind: Fleet
clusters:
  - name: orders-west
    bootstrapServers: ["{self.west.bootstrap}"]
    connect:
      - {{name: mirroring, urls: ["{self.worker.url}"]}}
    mirrors:
      - source: east
        target: west
        sourceCluster: orders-east
        connect: mirroring
        exporters: ["{self.worker.page}"]
        maxBehindSeconds: {MAX_BEHIND_SECONDS}
  - name: orders-east
    bootstrapServers: ["{self.east.bootstrap}"]
"""
        )
        return file


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What healthd says of west after one round."""

    extra: dict[str, Any]
    checks: tuple[Check, ...]

    @property
    def flow(self) -> dict[str, Any]:
        """The flow from east to west."""
        (flow,) = self.extra["mirrors"]["flows"]
        assert isinstance(flow, dict)
        return flow

    @property
    def connect(self) -> dict[str, Any]:
        """The Connect cluster."""
        (cluster,) = self.extra["connectors"]["clusters"]
        assert isinstance(cluster, dict)
        return cluster

    def check(self, code: str) -> Check | None:
        """The check of that code, where it is raised."""
        return next((check for check in self.checks if check.code == code), None)


Look = Callable[[], Awaitable[Seen]]
"""One round of collecting."""


async def until(look: Look, condition: Callable[[Seen], bool], what: str) -> Seen:
    """What is seen once the condition holds."""
    end = time.monotonic() + LIMIT_SECONDS
    seen = await look()
    while not condition(seen):
        assert time.monotonic() < end, f"never {what}: {seen.extra}"
        await asyncio.sleep(0.3)
        seen = await look()
    return seen
