"""The daemon: clusters, waves, reload and shutdown, joined. `main` builds its parts."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from healthd.collect.protocol import ClusterSource
from healthd.config.fleet import ClusterConfig, Fleet
from healthd.config.reload import ReloadResult
from healthd.engine.aging import aged
from healthd.engine.clock import Clock
from healthd.engine.collecting import ClusterLoop, Published
from healthd.engine.journal import StoreThread
from healthd.engine.schedule import Schedule
from healthd.engine.totals import Totals
from healthd.engine.view import ClusterView, JournalEntry, WaveView
from healthd.engine.waves import ElectorFactory, Playbooks, Waves
from healthd.execute.protocol import Executor
from healthd.model.parse import parse_snapshot
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot
from healthd.store.errors import StoreError
from healthd.store.records import AuditRecord, StoredSnapshot

log = structlog.get_logger(__name__)

SAVE_SECONDS = 60.0
"""How often the last values of a large cluster are saved; a small one's after every sweep."""
SMALL_CLUSTER_PARTITIONS = 5_000

SourceFactory = Callable[[ClusterConfig, ClusterSnapshot | None], ClusterSource]
"""Builds the source of a cluster; the snapshot is the last that was known, as old as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the composition root hands to the daemon."""

    store: StoreThread
    executor: Executor
    elector_of: ElectorFactory
    source_of: SourceFactory
    playbooks: Playbooks
    reload: Callable[[Fleet], ReloadResult]
    interval_seconds: float
    deadline_seconds: float
    shutdown_timeout_seconds: float
    instance: str
    holder: str
    clock: Clock = field(default_factory=Clock)


class HealthDaemon:
    """Everything that runs; also what HTTP sees (`engine.view.Daemon`)."""

    def __init__(self, fleet: Fleet, parts: Parts) -> None:
        self.fleet = fleet
        self.started_at = datetime.fromtimestamp(parts.clock.wall(), UTC)
        self.last_reload: tuple[bool, float, str] = (True, parts.clock.wall(), "")
        self._parts = parts
        self._clock = parts.clock
        self._totals = Totals()
        self._loops: dict[str, ClusterLoop] = {}
        self._saved: dict[str, float] = {}
        self._saves: set[asyncio.Task[None]] = set()
        self._schedule = Schedule(interval_seconds=parts.interval_seconds)
        self._waves = Waves(
            store=parts.store,
            executor=parts.executor,
            elector_of=parts.elector_of,
            clusters=self._loops,
            playbooks=parts.playbooks,
            instance=parts.instance,
            holder=parts.holder,
            interval_seconds=parts.interval_seconds,
            clock=parts.clock,
            totals=self._totals,
        )

    async def start(self) -> None:
        """Restore what was known, take waves up again, and begin to collect at once."""
        known = await self._stored_snapshots()
        for config in self.fleet.clusters:
            self._add(config, known.get(config.name))
        await self._waves.load()
        self._schedule.start()
        log.info("daemon_started", clusters=len(self._loops))

    async def _stored_snapshots(self) -> dict[str, ClusterSnapshot]:
        try:
            stored = await self._parts.store.call(lambda store: store.load_snapshots())
        except StoreError as error:
            log.error("last_values_unreadable", detail=str(error))
            return {}
        known: dict[str, ClusterSnapshot] = {}
        for each in stored:
            try:
                snapshot = parse_snapshot(each.body)
            except ValueError as error:
                log.error("last_values_unreadable", cluster=each.cluster, detail=str(error))
                continue
            known[each.cluster] = aged(snapshot, max(0.0, self._clock.wall() - each.at))
        return known

    def _add(self, config: ClusterConfig, known: ClusterSnapshot | None) -> None:
        loop = ClusterLoop(
            config,
            self._parts.source_of(config, known),
            deadline_seconds=self._parts.deadline_seconds,
            clock=self._clock,
            totals=self._totals,
            listener=self._published,
        )
        self._loops[config.name] = loop
        if known is not None:
            loop.restore(known)
        self._schedule.add(config.name, loop.sweep)

    async def _remove(self, name: str, *, forget: bool) -> None:
        loop = self._loops.pop(name)
        self._schedule.remove(name)
        await loop.source.aclose()
        if forget:
            self._totals.forget(name)
            try:
                await self._parts.store.call(lambda store: store.forget_snapshot(name))
            except StoreError as error:
                log.warning("last_values_not_forgotten", cluster=name, detail=str(error))

    def _published(self, cluster: str, published: Published) -> None:
        self._waves.published(cluster, published)
        now = self._clock.monotonic()
        partitions = sum(len(topic) for topic in published.snapshot.topics)
        due = now - self._saved.get(cluster, float("-inf")) >= SAVE_SECONDS
        if due or partitions <= SMALL_CLUSTER_PARTITIONS:
            self._saved[cluster] = now
            task = asyncio.create_task(self._save(published.snapshot))
            self._saves.add(task)
            task.add_done_callback(self._saves.discard)

    async def _save(self, snapshot: ClusterSnapshot) -> None:
        at = self._clock.wall()

        def work() -> str:
            return json.dumps(render_snapshot(snapshot), separators=(",", ":"))

        body = await asyncio.to_thread(work)
        stored = StoredSnapshot(cluster=snapshot.cluster, at=at, body=body)
        try:
            await self._parts.store.call(lambda store: store.save_snapshot(stored))
        except StoreError as error:
            log.warning("last_values_not_saved", cluster=snapshot.cluster, detail=str(error))

    async def stop(self) -> bool:
        """Nothing new is taken, what is half-way is brought back; false when time ran out."""
        log.info("daemon_stopping")
        is_clean = await self._waves.drain(self._parts.shutdown_timeout_seconds)
        await self._schedule.stop()
        for name in tuple(self._loops):
            await self._remove(name, forget=False)
        await asyncio.gather(*self._saves, return_exceptions=True)
        await self._parts.executor.aclose()
        await asyncio.to_thread(self._parts.store.close)
        log.info("daemon_stopped", clean=is_clean)
        return is_clean

    # What HTTP sees.

    @property
    def is_ready(self) -> bool:
        """Whether every cluster was looked at once, well or badly, and the schedule runs."""
        return self._schedule.is_running and all(
            loop.has_been_looked_at for loop in self._loops.values()
        )

    @property
    def counters(self) -> Totals:
        """Totals for /metrics."""
        return self._totals

    def clusters(self) -> Mapping[str, ClusterView]:
        """Every cluster by name."""
        return {name: loop.view for name, loop in self._loops.items()}

    def waves(self) -> Sequence[WaveView]:
        """Waves that run or ended not long ago."""
        return self._waves.views()

    def wave(self, wave: str) -> WaveView | None:
        """One wave."""
        return self._waves.view(wave)

    async def journal(self, wave: str) -> Sequence[JournalEntry]:
        """The story of a wave."""
        return await self._waves.journal(wave)

    async def start_wave(self, request: Mapping[str, Any], *, by: str) -> WaveView:
        """Accept a wave."""
        return await self._waves.start(request, by=by)

    async def order(
        self, wave: str, verb: str, *, by: str, reason: str, node: int | None = None
    ) -> WaveView:
        """Have an order carried out."""
        return await self._waves.order(wave, verb, by=by, reason=reason, node=node)

    async def pause_all(self, *, by: str, reason: str) -> Sequence[WaveView]:
        """Pause every wave that has not ended."""
        active = [view for view in self.waves() if not view.state.status.has_ended]
        return [await self.order(view.state.wave, "pause", by=by, reason=reason) for view in active]

    async def audit(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """The newest audit records."""
        records = await self._parts.store.call(lambda store: store.audit_records(limit=limit))
        return [
            {
                "at": datetime.fromtimestamp(record.at, UTC).isoformat().replace("+00:00", "Z"),
                "who": record.who,
                "what": record.what,
                "why": record.why,
                "target": record.target,
            }
            for record in records
        ]

    async def reload(self, *, by: str) -> tuple[bool, str]:
        """Read the fleet file again; a bad one, or one that breaks a wave, changes nothing."""
        result = await asyncio.to_thread(self._parts.reload, self.fleet)
        message = "; ".join(str(problem) for problem in result.problems)
        for name in (*result.removed, *result.changed):
            active = self._waves.active_on(name)
            if active is not None:
                wave = active.state.wave
                message = f"wave {wave} is under way on {name}, which the new file changes"
        if message:
            self.last_reload = (False, self._clock.wall(), message)
            log.error("fleet_reload_refused", by=by, detail=message)
            return False, message
        await self._apply(result)
        self.last_reload = (True, self._clock.wall(), "")
        log.info(
            "fleet_reloaded",
            by=by,
            added=result.added,
            removed=result.removed,
            changed=result.changed,
        )
        await self._record_reload(by)
        return True, f"{len(result.fleet.clusters)} clusters"

    async def _apply(self, result: ReloadResult) -> None:
        configs = {config.name: config for config in result.fleet.clusters}
        for name in result.removed:
            await self._remove(name, forget=True)
        for name in result.changed:
            known = self._loops[name].view.snapshot
            await self._remove(name, forget=False)
            self._add(configs[name], known)
        for name in result.added:
            self._add(configs[name], None)
        self.fleet = result.fleet

    async def _record_reload(self, by: str) -> None:
        record = AuditRecord(at=self._clock.wall(), who=by, what="fleet_reload", why="", target="")
        try:
            await self._parts.store.call(lambda store: store.audit(record))
        except StoreError as error:
            log.warning("audit_not_written", detail=str(error))
