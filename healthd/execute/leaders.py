"""Preferred leader elections: giving a restarted broker its leaderships back."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from confluent_kafka import ElectionType, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

Partitions = Sequence[tuple[str, int]]
"""Topic and partition id."""

_NOTHING_TO_DO: Final = frozenset({KafkaError.ELECTION_NOT_NEEDED})


class LeaderElector(Protocol):
    """Elects the preferred leaders of partitions of one cluster.

    The cluster does the electing; a preferred replica that is out of sync is left as it is. To
    elect again what is elected already changes nothing, so it may be repeated after a crash.
    """

    async def elect_preferred(
        self, partitions: Partitions, *, timeout_seconds: float
    ) -> tuple[str, ...]:
        """What did not work, one sentence a partition; empty when all did or nothing was to do."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class KafkaLeaderElector:
    """A `LeaderElector` over Kafka's admin protocol; connects at the first election."""

    def __init__(self, properties: Callable[[], Mapping[str, Any]]) -> None:
        self._properties = properties
        self._client: Any = None
        self._is_closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="elect-leaders")

    async def elect_preferred(
        self, partitions: Partitions, *, timeout_seconds: float
    ) -> tuple[str, ...]:
        """What did not work."""
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise RuntimeError("an election after close")
        if not partitions:
            return ()  # Kafka takes an empty list for all partitions that there are.
        return await loop.run_in_executor(
            self._thread, self._elect, tuple(partitions), timeout_seconds
        )

    def _elect(self, partitions: Partitions, timeout_seconds: float) -> tuple[str, ...]:
        if self._client is None:
            # The binding of confluent-kafka 2.16 takes neither of the time-outs that it documents
            # for elect_leaders (its list of keywords is too short); the client's own one counts.
            limits = {
                "log_level": 0,
                "socket.connection.setup.timeout.ms": 5000,
                "socket.timeout.ms": round(1000 * min(max(timeout_seconds, 0.01), 300)),
            }
            self._client = AdminClient({**limits, **self._properties()})
        wanted = [TopicPartition(topic, partition) for topic, partition in partitions]
        try:
            future = self._client.elect_leaders(ElectionType.PREFERRED, wanted)
            results = future.result(timeout=timeout_seconds + 1)
        except KafkaException as error:
            # The next election connects anew, with whatever was renewed meanwhile.
            self._client = None
            return (str(error.args[0].str()),)
        return tuple(
            f"{each.topic}-{each.partition}: {_text(error)}"
            for each, error in results.items()
            if error is not None and _code(error) not in _NOTHING_TO_DO
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._is_closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._client = None


def _code(error: Any) -> int:
    kafka_error = error.args[0] if isinstance(error, KafkaException) else error
    return int(kafka_error.code())


def _text(error: Any) -> str:
    kafka_error = error.args[0] if isinstance(error, KafkaException) else error
    return str(kafka_error.str())
