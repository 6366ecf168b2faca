"""How many records of a source are not yet replicated: its end offsets beside MirrorMaker's own.

MirrorMaker keeps, for each partition of the source, the offset of the last record that it has
replicated; Connect tells it (`GET /connectors/NAME/offsets`, from Kafka 3.6). No translation is
needed, for both are offsets of the source. Connect flushes them once a minute by default, and
markers of transactions count as records: the number is an upper bound.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # OffsetSpec is public.
    AdminClient,
    OffsetSpec,
)

from healthd.collect.access import Access
from healthd.collect.failing import AccessError
from healthd.collect.observation import PartitionKey
from healthd.config.source_mirrors import SourceCluster

PARTITIONS_AT_MOST: Final = 20_000


def replicated_offsets(answer: Any, source: str) -> dict[PartitionKey, int]:
    """The next offset to replicate of each partition of the source; empty when it says none."""
    entries = answer.get("offsets") if isinstance(answer, dict) else None
    return dict(_entries(entries, source)) if isinstance(entries, list) else {}


def _entries(entries: list[Any], source: str) -> Iterator[tuple[PartitionKey, int]]:
    for entry in entries[:PARTITIONS_AT_MOST]:
        at = entry.get("partition") if isinstance(entry, dict) else None
        offset = entry.get("offset") if isinstance(entry, dict) else None
        if not isinstance(at, dict) or not isinstance(offset, dict):
            continue
        topic, number, last = at.get("topic"), at.get("partition"), offset.get("offset")
        if at.get("cluster") != source or not isinstance(topic, str):
            continue
        if type(number) is int and type(last) is int:
            yield (topic, number), last + 1


class OriginOffsets:
    """The end offsets of one source. Blocking: call it on a thread of its own."""

    def __init__(self, origin: SourceCluster, *, timeout_seconds: float) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigError: a secret cannot be read.
        """
        self._servers = ",".join(origin.bootstrap_servers)
        self._access = Access.of(origin.security)
        self._timeout = timeout_seconds
        self._client: Any = None

    def behind(self, replicated: Mapping[PartitionKey, int]) -> int | None:
        """Records of these partitions that are not yet replicated; None: the source is silent."""
        keys = {key: TopicPartition(*key) for key in replicated}
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # It ships no types.
        try:
            futures = self._connected().list_offsets(
                dict.fromkeys(keys.values(), latest),
                request_timeout=self._timeout,
            )
            ends: dict[PartitionKey, int] = {
                (partition.topic, partition.partition): future.result(self._timeout + 1).offset
                for partition, future in futures.items()
            }
        except (KafkaException, AccessError, ValueError, TimeoutError):
            return None
        return sum(max(0, ends[key] - offset) for key, offset in replicated.items() if key in ends)

    def close(self) -> None:
        """Let go of the client."""
        self._client = None

    def _connected(self) -> Any:
        if self._client is None:
            limit = round(self._timeout * 1000)
            self._access.ready()
            self._client = AdminClient(
                {
                    "bootstrap.servers": self._servers,
                    "client.id": "healthd",
                    "socket.timeout.ms": max(1000, limit),
                    "socket.connection.setup.timeout.ms": max(1000, limit),
                    "reconnect.backoff.max.ms": 2000,
                    "log.connection.close": False,
                    "log_level": 0,
                    **self._access.confluent_config(),
                }
            )
        return self._client
