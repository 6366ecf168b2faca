"""How many records of a source are not yet replicated: its end offsets beside MirrorMaker's own.

MirrorMaker keeps, for each partition of the source, the offset of the last record that it has
replicated; Connect tells it (`GET /connectors/NAME/offsets`, from Kafka 3.6). No translation is
needed, for both are offsets of the source. A partition of a replicated topic that has no such
offset has never been replicated, and all its records count. Connect flushes offsets once a minute
by default, and markers of transactions count as records: the number is an upper bound.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
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
        try:
            client = self._connected()
            never = self._partitions(client, {topic for topic, _ in replicated}) - set(replicated)
            ends = self._list(client, {*replicated, *never}, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # It ships no types.
            begins = self._list(client, never, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        except (KafkaException, AccessError, ValueError, TimeoutError):
            return None
        from_ = {**begins, **replicated}
        return sum(max(0, end - from_[key]) for key, end in ends.items())

    def _partitions(self, client: Any, topics: AbstractSet[str]) -> set[PartitionKey]:
        known = client.list_topics(timeout=self._timeout).topics
        keys = (
            (name, number) for name in topics & known.keys() for number in known[name].partitions
        )
        return set(islice(keys, PARTITIONS_AT_MOST))

    def _list(
        self, client: Any, keys: AbstractSet[PartitionKey], which: Any
    ) -> dict[PartitionKey, int]:
        if not keys:
            return {}
        wanted = {TopicPartition(*key): which for key in sorted(keys)}
        futures = client.list_offsets(wanted, request_timeout=self._timeout)
        return {
            (partition.topic, partition.partition): future.result(self._timeout + 1).offset
            for partition, future in futures.items()
        }

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
