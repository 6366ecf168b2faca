"""The daemon: clusters, waves, reload and shutdown, joined. `main` builds its parts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from healthd.collect.protocol import ClusterSource
from healthd.config.fleet import ClusterConfig, Fleet
from healthd.config.reload import ReloadResult
from healthd.engine.accepting import Playbooks
from healthd.engine.aging import aged
from healthd.engine.clock import Clock
from healthd.engine.collecting import ClusterLoop, Published
from healthd.engine.examining import Examine, Examiner, not_offered, nothing_more
from healthd.engine.fleet_waves import FleetWaves
from healthd.engine.freezing import Freezer
from healthd.engine.guards import NOBODY, Guards, Outside
from healthd.engine.history import HistoryRecorder
from healthd.engine.journal import StoreThread
from healthd.engine.keeping import AdminFactory, ElectorFactory, Tools, nobodys_admin
from healthd.engine.late import LateSource
from healthd.engine.measured import measured_on
from healthd.engine.muting import Muter
from healthd.engine.pace import Pace
from healthd.engine.rehearsals import Rehearsals
from healthd.engine.routing import Router
from healthd.engine.saving import SnapshotSaver
from healthd.engine.schedule import Schedule
from healthd.engine.thinning import HistoryLimits, Thinner
from healthd.engine.totals import Totals
from healthd.engine.view import (
    ClusterView,
    FleetView,
    JournalEntry,
    OrderRefused,
    Refusal,
    WaveView,
)
from healthd.engine.waves import Waves
from healthd.execute.protocol import Executor
from healthd.health.mutes import Mute
from healthd.model.parse import parse_snapshot
from healthd.model.snapshot import ClusterSnapshot
from healthd.store.errors import StoreError
from healthd.store.protocol import Store
from healthd.store.records import AuditRecord
from healthd.waves.events import OverrideAsked
from healthd.waves.planner_duration import MeasuredRestarts

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 10.0
"""So long the daemon's end waits for one of its parts to let go."""

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
    reloaded: Callable[[], Awaitable[None]] = nothing_more
    examine: Examine = not_offered
    admin_of: AdminFactory = nobodys_admin
    wave_secret_dir: Path | None = None
    outside: Outside = NOBODY
    clock: Clock = field(default_factory=Clock)
    pace: Pace = field(default_factory=Pace)
    history: HistoryLimits = field(default_factory=HistoryLimits)


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
        self._reloading = asyncio.Lock()
        self._examiner = Examiner(parts.examine, parts.clock)
        self._saver = SnapshotSaver(parts.store, parts.clock)
        seconds = parts.interval_seconds
        self.router = Router(fleet, parts.store, parts.clock, interval_seconds=seconds)
        self.muter = Muter(parts.store, parts.clock)
        self.history = HistoryRecorder(parts.store, parts.clock, interval_seconds=seconds)
        self._thinner = Thinner(parts.store, parts.clock, parts.history)
        self._schedule = Schedule(interval_seconds=parts.interval_seconds)
        self.freezer = Freezer(parts.store, parts.clock, lambda: self.fleet)
        self.rehearsals = Rehearsals(parts.store)
        self._guards = Guards(
            outside=parts.outside,
            freezer=self.freezer,
            fleet=lambda: self.fleet,
            interval_seconds=parts.interval_seconds,
            clock=parts.clock,
        )
        tools = Tools(
            store=parts.store,
            executor=parts.executor,
            elector_of=parts.elector_of,
            clusters=self._loops,
            instance=parts.instance,
            holder=parts.holder,
            clock=parts.clock,
            totals=self._totals,
            pace=parts.pace,
            guards=self._guards,
            admin_of=parts.admin_of,
            wave_secret_dir=parts.wave_secret_dir,
        )
        self._waves = Waves(tools, playbooks=parts.playbooks, interval_seconds=seconds)

    async def start(self) -> None:
        """Restore what was known, take waves up again, and begin to collect at once."""
        await self.router.load()
        await self.muter.load()
        await self.freezer.load()
        await self.history.load([config.name for config in self.fleet.clusters])
        known = await self._stored_snapshots()
        for config in self.fleet.clusters:
            await self._add_at_start(config, known.get(config.name))
        await self._waves.load()
        self._schedule.start()
        self._thinner.start()
        log.info("daemon_started", clusters=len(self._loops))

    async def _add_at_start(self, config: ClusterConfig, known: ClusterSnapshot | None) -> None:
        try:
            source = self._parts.source_of(config, known)
        except Exception as error:  # noqa: BLE001  # One cluster's secret must not keep the others.
            log.error("source_not_built", cluster=config.name, detail=str(error))
            source = LateSource(partial(self._parts.source_of, config, known))
        loop = self._add(config, source)
        if known is not None:
            await self._restore(loop, known)

    async def _stored_snapshots(self) -> dict[str, ClusterSnapshot]:
        """The last values of every cluster, as old as they are now."""
        now = self._clock.wall()
        try:
            return await self._parts.store.call(lambda store: _snapshots(store, now))
        except StoreError as error:
            log.error("last_values_unreadable", detail=str(error))
            return {}

    def _add(self, config: ClusterConfig, source: ClusterSource) -> ClusterLoop:
        loop = ClusterLoop(
            config,
            source,
            deadline_seconds=self._parts.deadline_seconds,
            clock=self._clock,
            totals=self._totals,
            listener=self._published,
            standing=self.router.findings,
            mutes=self.muter.of,
        )
        self._loops[config.name] = loop
        self._schedule.add(config.name, loop.sweep)
        return loop

    async def _restore(self, loop: ClusterLoop, known: ClusterSnapshot) -> None:
        try:
            await loop.restore(known)
        except Exception:  # What was known is a courtesy; the first collection says more.
            log.exception("last_values_not_restored", cluster=loop.config.name)

    def _drop(self, name: str) -> ClusterLoop:
        self._schedule.remove(name)
        return self._loops.pop(name)

    def _published(self, cluster: str, published: Published) -> None:
        self._waves.published(cluster, published)
        self._saver.offer(published.snapshot, published.history, published.report)
        self.router.read(cluster, published)
        self.history.read(cluster, published, self.router.fleet.routing(cluster))
        self.muter.judged(cluster, published.report)

    async def stop(self) -> bool:
        """Nothing new is taken, what is half-way is brought back; false when time ran out."""
        log.info("daemon_stopping")
        is_clean = await self._waves.drain(self._parts.shutdown_timeout_seconds)
        await self._schedule.stop()
        for name, loop in tuple(self._loops.items()):
            await self._closed(name, loop.close())
        await self._closed("examinations", self._examiner.aclose())
        await self._closed("last values", self._saver.close())
        await self._closed("routing", self.router.close())
        await self._closed("thinning", self._thinner.close())
        await self._closed("history", self.history.close())
        await self._closed("mutes", self.muter.close())
        await self._closed("freezes", self.freezer.close())
        await self._closed("guards", self._guards.close())
        await self._closed("executor", self._parts.executor.aclose())
        await asyncio.to_thread(self._parts.store.close)
        log.info("daemon_stopped", clean=is_clean)
        return is_clean

    async def _closed(self, what: str, closing: Awaitable[None]) -> None:
        """Close one part; whatever it says, the others are closed as well."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await closing
        except Exception as error:  # noqa: BLE001  # The state file must still be closed.
            log.warning("part_not_closed", part=what, detail=f"{type(error).__name__}: {error}")

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
        # HTTP answers before the loops are made: a cluster of the fleet is never unknown.
        return {
            config.name: loop.view
            if (loop := self._loops.get(config.name)) is not None
            else ClusterView(config=config)
            for config in self.fleet.clusters
        }

    async def examine(self, config: ClusterConfig) -> Mapping[str, Any]:
        """What healthd may and may not see of a cluster, looked at now."""
        return await self._examiner.of(config)

    def mutes(self) -> Sequence[Mute]:
        """Every mute that counts."""
        return self.muter.all()

    async def mute(self, request: Mapping[str, Any], *, by: str) -> Mute:
        """Silence a check of one cluster for a while."""
        name = str(request["cluster"])
        loop = self._loops.get(name)
        if loop is None:
            known = ", ".join(self._loops)
            raise OrderRefused(Refusal.UNKNOWN, f"there is no cluster {name}; there are: {known}")
        return await self.muter.add(request, loop.view, by=by)

    async def unmute(self, mute: str, *, by: str, reason: str) -> Mute:
        """Lift a mute."""
        return await self.muter.lift(mute, by=by, reason=reason)

    def waves(self) -> Sequence[WaveView]:
        """Waves that run or ended not long ago."""
        return self._waves.views()

    def wave(self, wave: str) -> WaveView | None:
        """One wave."""
        return self._waves.view(wave)

    async def journal(self, wave: str) -> Sequence[JournalEntry]:
        """The story of a wave."""
        return await self._waves.journal(wave)

    @property
    def fleet_waves(self) -> FleetWaves:
        """Waves over several stages or clusters."""
        return self._waves.fleet

    async def start_wave(self, request: Mapping[str, Any], *, by: str) -> WaveView | FleetView:
        """Accept a wave."""
        return await self._waves.start(request, by=by)

    async def order(
        self,
        wave: str,
        verb: str,
        *,
        by: str,
        reason: str,
        node: int | None = None,
        override: OverrideAsked | None = None,
    ) -> WaveView:
        """Have an order carried out."""
        return await self._waves.order(
            wave, verb, by=by, reason=reason, node=node, override=override
        )

    async def plan_wave(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The plan of a wave file."""
        return await self._waves.plan(request)

    async def measured(self, cluster: str) -> MeasuredRestarts | None:
        """How long restarts took in the last waves on a cluster."""
        return await measured_on(self._parts.store, cluster)

    async def pause_all(self, *, by: str, reason: str) -> Sequence[WaveView | FleetView]:
        """Pause every wave that has not ended."""
        return await self._waves.pause_all(by=by, reason=reason)

    async def audit(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """The newest audit records."""
        try:
            records = await self._parts.store.call(lambda store: store.audit_records(limit=limit))
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"the audit log cannot be read: {error}") from error
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
        async with self._reloading:
            try:
                result = await asyncio.to_thread(self._parts.reload, self.fleet)
                message = "; ".join(str(each) for each in result.problems) or self._broken(result)
                sources = {} if message else self._new_sources(result)
            except Exception as error:
                log.exception("fleet_reload_broke", by=by)
                message = f"{type(error).__name__}: {error}"
            if message:
                self.last_reload = (False, self._clock.wall(), message)
                log.error("fleet_reload_refused", by=by, detail=message)
                return False, message
            await self._apply(result, sources)
            self.last_reload = (True, self._clock.wall(), "")
            log.info(
                "fleet_reloaded",
                by=by,
                added=result.added,
                removed=result.removed,
                changed=result.changed,
            )
            await self._record_reload(by)
            # Playbooks are files beside it, and read again with it.
            await self._waves.look_again()
            await self._parts.reloaded()
            return True, f"{len(result.fleet.clusters)} clusters"

    def _broken(self, result: ReloadResult) -> str:
        """The waves that stand against a new fleet file, in words."""
        return "; ".join(
            f"wave {wave} is under way on {name}, which the new file changes; end it first"
            for name in (*result.removed, *result.changed)
            if (wave := self._waves.busy_with(name)) is not None
        )

    def _new_sources(self, result: ReloadResult) -> dict[str, ClusterSource]:
        """The sources of new and changed clusters; all of them, before anything is touched."""
        sources: dict[str, ClusterSource] = {}
        for config in result.fleet.clusters:
            if config.name in result.added or config.name in result.changed:
                loop = self._loops.get(config.name)
                known = None if loop is None else loop.known()
                sources[config.name] = self._parts.source_of(config, known)
        return sources

    async def _apply(self, result: ReloadResult, sources: Mapping[str, ClusterSource]) -> None:
        """Put the new fleet in place in one turn of the loop; only then wait for old parts."""
        configs = {config.name: config for config in result.fleet.clusters}
        old = {name: self._drop(name) for name in (*result.removed, *result.changed)}
        new = {name: self._add(configs[name], source) for name, source in sources.items()}
        self.fleet = result.fleet
        self.router.reload(result.fleet)
        self.muter.forget(lambda name: name in configs)
        for name in result.changed:
            new[name].inherit(old[name])
        for name, loop in old.items():
            await self._closed(name, loop.close())
            if name in result.removed:
                self._totals.forget(name)
                self.history.forget(name)
                await self._saver.forget(name)

    async def _record_reload(self, by: str) -> None:
        record = AuditRecord(at=self._clock.wall(), who=by, what="fleet_reload", why="", target="")
        try:
            await self._parts.store.call(lambda store: store.audit(record))
        except StoreError as error:
            log.warning("audit_not_written", detail=str(error))


def _snapshots(store: Store, now: float) -> dict[str, ClusterSnapshot]:
    """What the store keeps of every cluster; runs on the store's own thread."""
    known: dict[str, ClusterSnapshot] = {}
    for each in store.load_snapshots():
        try:
            snapshot = parse_snapshot(each.body)
        except ValueError as error:
            log.error("last_values_unreadable", cluster=each.cluster, detail=str(error))
            continue
        known[each.cluster] = aged(snapshot, max(0.0, now - each.at))
    return known
