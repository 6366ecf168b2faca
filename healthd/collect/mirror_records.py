"""The records of a flow that are not yet replicated, counted now and then."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from healthd.collect.connect_rest import ConnectRest
from healthd.collect.mirror_offsets import OriginOffsets, replicated_offsets
from healthd.collect.observation import PartitionKey
from healthd.collect.rest import RestError
from healthd.config.source_mirrors import MirrorConfig

COUNT_EVERY_SECONDS: Final = 60.0
"""Connect itself writes its offsets once a minute; each question makes it read them to the end."""


class RecordCounter:
    """Counts for one flow whose source is in the fleet file; has a thread of its own."""

    def __init__(self, mirror: MirrorConfig, *, timeout_seconds: float) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigError: a secret cannot be read.
        """
        assert mirror.origin is not None, "only made for flows whose source is known"
        self._source = mirror.source
        self._offsets = OriginOffsets(mirror.origin, timeout_seconds=timeout_seconds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"healthd-mirror-{mirror.source}")
        self._hanging: asyncio.Future[int | None] | None = None
        self._asked_at: float | None = None
        self._count: tuple[int, float] | None = None

    async def read(
        self, connect: ConnectRest, connectors: Sequence[str], now: float
    ) -> dict[str, Any]:
        """The count and its age; null where nobody could tell yet.

        Args:
            connect: The Connect cluster that runs the flow.
            connectors: The names of the flow's connectors.
            now: Monotonic seconds.
        """
        is_busy = self._hanging is not None and not self._hanging.done()
        if not is_busy and (self._asked_at is None or now - self._asked_at >= COUNT_EVERY_SECONDS):
            self._asked_at = now
            count = await self._counted(connect, connectors)
            if count is not None:
                self._count = count, now
        if self._count is None:
            return {"behindRecords": None, "behindRecordsAgeSeconds": None}
        count, at = self._count
        return {"behindRecords": count, "behindRecordsAgeSeconds": round(max(0.0, now - at), 3)}

    def close(self) -> None:
        """Let go of the client and the thread; may be called twice."""
        self._offsets.close()
        self._thread.shutdown(wait=False)

    async def _counted(self, connect: ConnectRest, connectors: Sequence[str]) -> int | None:
        replicated: dict[PartitionKey, int] = {}
        for name in connectors:
            try:
                answer = await connect.offsets(name)
            except RestError:
                # Connect before 3.6 does not tell; that the count is null says it.
                continue
            replicated.update(replicated_offsets(answer, self._source))
        if not replicated:
            return None
        self._hanging = asyncio.get_running_loop().run_in_executor(
            self._thread, self._offsets.behind, replicated
        )
        return await asyncio.shield(self._hanging)
