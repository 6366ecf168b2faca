"""Keeping the last values of every cluster on disk, behind everything that matters more."""

import asyncio
import json

import structlog

from healthd.engine.clock import Clock
from healthd.engine.journal import StoreThread
from healthd.engine.tasks import Background
from healthd.health.history import History
from healthd.health.history_json import put_in
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot
from healthd.store.errors import StoreError
from healthd.store.records import StoredSnapshot

log = structlog.get_logger(__name__)

SAVE_SECONDS = 60.0
"""How often the last values of a large cluster are saved; a small one's after every sweep."""
SMALL_CLUSTER_PARTITIONS = 5_000


class SnapshotSaver:
    """Saves one snapshot at a time, the newest of each cluster.

    The store has one thread. Were every cluster's snapshot waiting for it while the file is
    locked, the start of a stopped broker would wait behind them.
    """

    def __init__(self, store: StoreThread, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tasks = Background("last_values_saving_broke")
        self._waiting: dict[str, tuple[ClusterSnapshot, float]] = {}
        self._offered: dict[str, float] = {}
        self._is_saving = False

    def offer(self, snapshot: ClusterSnapshot, history: History) -> None:
        """Save it soon, unless its cluster is large and was saved not long ago."""
        cluster, now = snapshot.cluster, self._clock.monotonic()
        is_small = sum(len(topic) for topic in snapshot.topics) <= SMALL_CLUSTER_PARTITIONS
        if not is_small and now - self._offered.get(cluster, float("-inf")) < SAVE_SECONDS:
            return
        self._offered[cluster] = now
        self._waiting[cluster] = (put_in(snapshot, history), self._clock.wall())
        if not self._is_saving:
            self._is_saving = True
            self._tasks.spawn(self._save_all(), name="save last values")

    async def forget(self, cluster: str) -> None:
        """Drop what is kept of a cluster that has left the fleet."""
        self._waiting.pop(cluster, None)
        self._offered.pop(cluster, None)
        # A save that is under way would bring it back.
        await self._tasks.join()
        try:
            await self._store.call(lambda store: store.forget_snapshot(cluster))
        except StoreError as error:
            log.warning("last_values_not_forgotten", cluster=cluster, detail=str(error))

    async def close(self) -> None:
        """Save what was offered."""
        await self._tasks.join()

    async def _save_all(self) -> None:
        try:
            while self._waiting:
                cluster = next(iter(self._waiting))
                await self._save(*self._waiting.pop(cluster))
        finally:
            self._is_saving = False

    async def _save(self, snapshot: ClusterSnapshot, at: float) -> None:
        def rendered() -> str:
            return json.dumps(render_snapshot(snapshot), separators=(",", ":"))

        body = await asyncio.to_thread(rendered)
        stored = StoredSnapshot(cluster=snapshot.cluster, at=at, body=body)
        try:
            await self._store.call(lambda store: store.save_snapshot(stored))
        except StoreError as error:
            log.warning("last_values_not_saved", cluster=snapshot.cluster, detail=str(error))
