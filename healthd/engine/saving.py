"""Keeping the last values of every cluster on disk, behind everything that matters more."""

import asyncio
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import structlog

from healthd.engine.clock import Clock
from healthd.engine.journal import StoreThread
from healthd.engine.tasks import Background
from healthd.health.history import History
from healthd.health.history_json import put_in
from healthd.health.index import HealthReport
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot, Topic
from healthd.store.errors import StoreError
from healthd.store.records import StoredSnapshot

log = structlog.get_logger(__name__)

SAVE_SECONDS = 60.0
"""How often the last values of a cluster are saved at most, when it is large or nothing of them
has changed that counts; a small one is saved at once when something has."""
SMALL_CLUSTER_PARTITIONS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """What was offered last for saving."""

    at: float
    """Monotonic seconds."""
    topics: Sequence[Topic]
    tells: Hashable


class SnapshotSaver:
    """Saves one snapshot at a time, the newest of each cluster.

    The store has one thread. Were every cluster's snapshot waiting for it while the file is
    locked, the start of a stopped broker would wait behind them.

    A snapshot that tells the same as the one that was saved waits for its minute: after a crash
    that one is shown, older by the time that has passed, and an older one is never better. After an
    orderly end the newest is shown.
    """

    def __init__(self, store: StoreThread, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tasks = Background("last_values_saving_broke")
        self._waiting: dict[str, tuple[ClusterSnapshot, float]] = {}
        self._saved: dict[str, _Saved] = {}
        self._put_off: dict[str, tuple[ClusterSnapshot, History, float]] = {}
        self._is_saving = False

    def offer(
        self, snapshot: ClusterSnapshot, history: History, report: HealthReport | None = None
    ) -> None:
        """Save it soon, unless its cluster was saved not long ago and is large or the same.

        Args:
            snapshot: What was published.
            history: What the next one will be judged with.
            report: What it was judged to be; None: it counts as changed.
        """
        cluster, now = snapshot.cluster, self._clock.monotonic()
        tells = None if report is None else _told(snapshot, report)
        last = self._saved.get(cluster)
        if last is not None and now - last.at < SAVE_SECONDS:
            is_same = tells is not None and tells == last.tells and snapshot.topics is last.topics
            if is_same or _is_large(snapshot):
                self._put_off[cluster] = (snapshot, history, self._clock.wall())
                return
        self._saved[cluster] = _Saved(at=now, topics=snapshot.topics, tells=tells)
        self._put_off.pop(cluster, None)
        self._enqueue(snapshot, history, self._clock.wall())

    def _enqueue(self, snapshot: ClusterSnapshot, history: History, wall: float) -> None:
        self._waiting[snapshot.cluster] = (put_in(snapshot, history), wall)
        if not self._is_saving:
            self._is_saving = True
            self._tasks.spawn(self._save_all(), name="save last values")

    async def forget(self, cluster: str) -> None:
        """Drop what is kept of a cluster that has left the fleet."""
        self._waiting.pop(cluster, None)
        self._saved.pop(cluster, None)
        self._put_off.pop(cluster, None)
        # A save that is under way would bring it back.
        await self._tasks.join()
        try:
            await self._store.call(lambda store: store.forget_snapshot(cluster))
        except StoreError as error:
            log.warning("last_values_not_forgotten", cluster=cluster, detail=str(error))

    async def close(self) -> None:
        """Save what was offered, also what was put off."""
        put_off, self._put_off = self._put_off, {}
        for snapshot, history, wall in put_off.values():
            self._enqueue(snapshot, history, wall)
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


def _is_large(snapshot: ClusterSnapshot) -> bool:
    return sum(map(len, snapshot.topics)) > SMALL_CLUSTER_PARTITIONS


def _told(snapshot: ClusterSnapshot, report: HealthReport) -> Hashable:
    """Everything but the topics that may make the first index after a crash another one.

    The index itself is in it, so that whatever it is made of counts to the last digit.
    """
    quorum = snapshot.quorum
    return (
        report.health_index,
        report.completeness,
        tuple((check.code, check.severity, check.count) for check in report.checks),
        tuple((node.id, node.alive, node.fenced, node.state) for node in snapshot.brokers),
        None if quorum is None else (quorum.leader_id, quorum.absent_seconds),
        snapshot.probe,
        snapshot.reassignments,
        snapshot.unclean_elections_24h,
        snapshot.unreachable,
    )
