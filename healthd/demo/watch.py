"""An independent eye on the cluster: was any partition ever under its min ISR?"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from healthd.collect import probe_topic
from healthd.config.source_probe import PROBE_TOPIC
from healthd.demo.nodes import FIVE
from healthd.demo.topics import quiet_client

LOOK_SECONDS = 0.25
TIMEOUT_SECONDS = 2.0


class MinIsrWatch:
    """Looks at the metadata several times a second, apart from healthd.

    It sees what a client sees; a partition counts when its ISR is smaller than min.insync.replicas
    or it has no leader.
    """

    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient(quiet_client(bootstrap))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="min-isr-watch", daemon=True)
        self.looks = 0
        """How often it could look."""
        self.under: set[str] = set()
        """Every partition that was ever seen under its min ISR, or without a leader."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(TIMEOUT_SECONDS * 2)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                metadata = self._admin.list_topics(timeout=TIMEOUT_SECONDS)
            except KafkaException:
                continue
            self.looks += 1
            for name, topic in metadata.topics.items():
                # healthd's own topic asks for one replica in sync.
                is_own = name == PROBE_TOPIC
                needed = probe_topic.MIN_INSYNC_REPLICAS if is_own else FIVE.min_insync_replicas
                for number, partition in topic.partitions.items():
                    if partition.leader < 0 or len(partition.isrs) < needed:
                        self.under.add(f"{name}-{number}")
