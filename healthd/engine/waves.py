"""All waves of the daemon: accepting them, taking them up again, orders, and their stories."""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from healthd.config.fleet import ClusterConfig
from healthd.engine.acting import Actor, NoHost, target_of
from healthd.engine.clock import Clock
from healthd.engine.collecting import ClusterLoop, Published
from healthd.engine.driver import LEASE_SECONDS, WaveDriver
from healthd.engine.journal import StoreThread, WaveJournal, note_of
from healthd.engine.totals import Totals
from healthd.engine.view import JournalEntry, OrderRefused, Refusal, WaveView
from healthd.execute.leaders import LeaderElector
from healthd.execute.protocol import Executor
from healthd.store.errors import StoreError
from healthd.store.records import AuditRecord, Fence, LeaseHeld, WaveRecord
from healthd.waves.codec import StateUnreadable, decode_state, encode_state
from healthd.waves.events import Began, Event, Ordered, Resumed, Verb
from healthd.waves.orders import refusal_of
from healthd.waves.playbook import Playbook
from healthd.waves.policy import unmeetable
from healthd.waves.spec import WaveSpec, parse_wave
from healthd.waves.state import NodeRun, Pause, WaveState, WaveStatus

log = structlog.get_logger(__name__)

SHOWN_AFTER_END_SECONDS = 24 * 3600
TAKE_UP_AGAIN_SECONDS = 10.0
"""How often a wave whose cluster somebody else has leased asks again."""

Playbooks = Callable[[str], Playbook]
"""Finds a playbook by name; raises OrderRefused when there is none, or it is not valid."""

ElectorFactory = Callable[[ClusterConfig], LeaderElector]


class Waves:
    """The waves of one daemon."""

    def __init__(
        self,
        *,
        store: StoreThread,
        executor: Executor,
        elector_of: ElectorFactory,
        clusters: Mapping[str, ClusterLoop],
        playbooks: Playbooks,
        instance: str,
        holder: str,
        interval_seconds: float,
        clock: Clock,
        totals: Totals,
    ) -> None:
        self._store = store
        self._interval_seconds = interval_seconds
        self._executor = executor
        self._elector_of = elector_of
        self._clusters = clusters
        self._playbooks = playbooks
        self._instance = instance
        self._holder = holder
        self._clock = clock
        self._totals = totals
        self._views: dict[str, WaveView] = {}
        self._drivers: dict[str, WaveDriver] = {}
        self._fences: dict[str, Fence] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()
        self.is_draining = False

    def views(self) -> Sequence[WaveView]:
        """Waves that run, and those that ended not long ago, newest first."""
        oldest = self._clock.wall() - SHOWN_AFTER_END_SECONDS
        shown = [
            view
            for view in self._views.values()
            if not view.state.status.has_ended or view.updated_at.timestamp() > oldest
        ]
        return sorted(shown, key=lambda view: view.created_at, reverse=True)

    def view(self, wave: str) -> WaveView | None:
        """One wave, however old."""
        return self._views.get(wave)

    def active_on(self, cluster: str) -> WaveView | None:
        """The wave that has not ended on a cluster."""
        for view in self._views.values():
            if view.state.cluster == cluster and not view.state.status.has_ended:
                return view
        return None

    def published(self, cluster: str, published: Published) -> None:
        """Hand a snapshot to the waves on its cluster."""
        for driver in self._drivers.values():
            if driver.state.cluster == cluster:
                driver.publish(published)

    async def load(self) -> None:
        """Read every wave; those that have not ended are taken up again."""
        restored_at = await self._store.call(lambda store: store.restored_at())
        for record in await self._store.call(lambda store: store.waves()):
            try:
                state = decode_state(json.loads(record.state))
            except (StateUnreadable, ValueError) as error:
                log.error("wave_unreadable", wave=record.id, detail=str(error))
                continue
            if not record.has_ended and restored_at and record.updated_at < restored_at:
                state = _paused_after_restore(state)
            self._show(state, record)
            if not record.has_ended:
                self._tasks[record.id] = asyncio.create_task(self._take_up(state, record))

    async def _take_up(self, state: WaveState, record: WaveRecord) -> None:
        """Lease the cluster again, look at what was in flight, and go on."""
        while True:
            loop = self._clusters.get(state.cluster)
            if loop is None:
                log.error("wave_without_cluster", wave=state.wave, kafka_cluster=state.cluster)
                return
            try:
                lease = await self._acquire(state.cluster, state.wave)
            except StoreError as error:
                log.error("lease_not_acquired", wave=state.wave, detail=str(error))
            else:
                if not isinstance(lease, LeaseHeld):
                    break
                log.warning("wave_waits_for_lease", wave=state.wave, holder=lease.holder)
            await asyncio.sleep(TAKE_UP_AGAIN_SECONDS)
        await self._drive(state, record, lease, loop, Resumed(at=state.clock))

    async def _acquire(self, cluster: str, wave: str) -> Fence | LeaseHeld:
        now = self._clock.wall()
        lease = await self._store.call(
            lambda store: store.acquire(
                cluster,
                wave_id=wave,
                instance=self._instance,
                holder=self._holder,
                now=now,
                ttl_seconds=LEASE_SECONDS,
            )
        )
        return lease if isinstance(lease, LeaseHeld) else lease.fence

    async def _drive(
        self, state: WaveState, record: WaveRecord, fence: Fence, loop: ClusterLoop, first: Event
    ) -> None:
        journal = WaveJournal(
            self._store, state.wave, version=record.version, fence=fence, clock=self._clock
        )
        await journal.load()
        elector = self._elector_of(loop.config)
        driver = WaveDriver(
            state,
            actor=Actor(loop=loop, executor=self._executor, elector=elector),
            journal=journal,
            store=self._store,
            clock=self._clock,
            totals=self._totals,
            on_change=lambda changed: self._show(changed, record),
        )
        self._drivers[state.wave] = driver
        self._fences[state.wave] = fence
        try:
            await driver.run(first)
        finally:
            self._drivers.pop(state.wave, None)
            elector.close()
            loop.show_index_without_wave(None)

    def _show(self, state: WaveState, record: WaveRecord) -> None:
        before = self._views.get(state.wave)
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        ended = before is None and state.status.has_ended
        self._views[state.wave] = WaveView(
            state=state,
            created_at=datetime.fromtimestamp(record.created_at, UTC),
            updated_at=datetime.fromtimestamp(record.updated_at, UTC) if ended else now,
        )

    async def start(self, request: Mapping[str, Any], *, by: str) -> WaveView:
        """Accept a wave: everything about it is checked before the cluster is leased."""
        spec = parse_wave(request)
        if not isinstance(spec, WaveSpec):
            problems = [{"path": each.path, "message": each.message} for each in spec]
            first = problems[0]
            message = f"the wave is not valid: {first['path']}: {first['message']}"
            raise OrderRefused(Refusal.INVALID, message, problems=problems)
        if not spec.reason:
            raise OrderRefused(Refusal.INVALID, "a wave needs a reason: say why it is done")
        loop = self._clusters.get(spec.stage.cluster)
        if loop is None:
            known = ", ".join(sorted(self._clusters)) or "none"
            raise OrderRefused(
                Refusal.INVALID,
                f"there is no cluster {spec.stage.cluster} in the fleet file, which has {known}",
            )
        state = self._planned(spec, loop, by)
        await self._lease_and_begin(state, loop, by)
        view = self._views.get(state.wave)
        if view is None:
            raise OrderRefused(Refusal.STORE, f"wave {state.wave} was not stored")
        return view

    def _planned(self, spec: WaveSpec, loop: ClusterLoop, by: str) -> WaveState:
        config = loop.config
        nodes = _nodes(spec, loop)
        _require_hosts(config, nodes)
        if self.is_draining:
            raise OrderRefused(Refusal.CONFLICT, "the daemon is stopping; nothing new is started")
        policy = spec.policy_over(config.wave_policy)
        never = unmeetable(policy, self._interval_seconds)
        if never:
            problems = [{"path": each.path, "message": each.message} for each in never]
            message = f"the policy can never be met: {never[0].path}: {never[0].message}"
            raise OrderRefused(Refusal.INVALID, message, problems=problems)
        started = datetime.fromtimestamp(self._clock.wall(), UTC)
        return WaveState(
            wave=f"{spec.name}-{started:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
            cluster=config.name,
            reason=spec.reason or "",
            requested_by=by,
            playbook=self._playbooks(spec.playbook),
            policy=policy,
            nodes=tuple(NodeRun(node=node, history=(("pending", 0.0),)) for node in nodes),
            concurrency=spec.stage.concurrency,
        )

    async def _lease_and_begin(self, state: WaveState, loop: ClusterLoop, by: str) -> None:
        cluster = state.cluster
        active = self.active_on(cluster)
        if active is not None or cluster in self._starting:
            raise _leased(cluster, self._holder, active)
        self._starting.add(cluster)
        now = self._clock.wall()
        record = WaveRecord(
            id=state.wave,
            cluster=cluster,
            name=state.wave,
            reason=state.reason,
            requested_by=by,
            created_at=now,
            updated_at=now,
            status=WaveStatus.PLANNED.value,
            state=json.dumps(encode_state(state)),
        )
        audit = AuditRecord(
            at=now, who=by, what="wave_start", why=state.reason, target=f"wave:{state.wave}"
        )
        try:
            fence = await self._acquire(cluster, state.wave)
            if isinstance(fence, LeaseHeld):
                since = datetime.fromtimestamp(fence.since, UTC)
                raise _held(cluster, fence.holder, since, fence.wave_id)
            try:
                await self._store.call(lambda store: store.create_wave(record, audit=(audit,)))
            except StoreError:
                await self._store.call(lambda store: store.release(fence))
                raise
            self._show(state, record)
            self._tasks[state.wave] = asyncio.create_task(
                self._drive(state, record, fence, loop, Began(at=0.0))
            )
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"nothing was started: {error}") from error
        finally:
            self._starting.discard(cluster)

    async def order(
        self, wave: str, verb: str, *, by: str, reason: str, node: int | None
    ) -> WaveView:
        """Have a person's order carried out."""
        view = self._views.get(wave)
        if view is None:
            raise OrderRefused(Refusal.UNKNOWN, f"there is no wave {wave}")
        try:
            known = Verb(verb)
        except ValueError:
            verbs = ", ".join(Verb)
            raise OrderRefused(Refusal.INVALID, f"there is no order {verb}, only {verbs}") from None
        if not reason.strip():
            raise OrderRefused(Refusal.INVALID, f"{verb} needs a reason: say why")
        wanted = Ordered(at=view.state.clock, verb=known, by=by, reason=reason, node=node)
        refused = refusal_of(view.state, wanted)
        if refused is not None:
            raise OrderRefused(Refusal.CONFLICT, f"wave {wave}: {refused}")
        driver = self._drivers.get(wave)
        if driver is None:
            raise OrderRefused(
                Refusal.CONFLICT,
                f"wave {wave} is not driven by this daemon now: it waits for the lease of "
                f"{view.state.cluster}",
            )
        try:
            await driver.order(known, by=by, reason=reason, node=node)
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"{verb} could not be written: {error}") from error
        return self._views[wave]

    async def journal(self, wave: str) -> Sequence[JournalEntry]:
        """The story of a wave."""
        rows = await self._store.call(lambda store: store.journal(wave))
        return [
            JournalEntry(
                at=datetime.fromtimestamp(row.at, UTC),
                event=str(note["event"]),
                node=note.get("node"),
                detail=str(note.get("detail", "")),
            )
            for row in rows
            if (note := note_of(row)) is not None
        ]

    async def drain(self, timeout_seconds: float) -> bool:
        """Bring what is half-way back, then let go of every wave; false when time ran out."""
        self.is_draining = True
        for driver in self._drivers.values():
            driver.drain()
        deadline = self._clock.monotonic() + timeout_seconds
        # Give every driver a turn first: a stop that was decided before the drain still counts.
        await asyncio.sleep(0.2)
        while self._busy() and self._clock.monotonic() < deadline:  # noqa: ASYNC110  # Many drivers change, each on its own.
            await asyncio.sleep(0.2)
        is_clean = not self._busy()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._release()
        return is_clean

    def _busy(self) -> list[str]:
        return [wave for wave, each in self._drivers.items() if each.is_between_stop_and_start]

    async def _release(self) -> None:
        for wave, fence in self._fences.items():
            view = self._views.get(wave)
            if view is None or view.state.status.has_ended:
                continue
            try:
                await self._store.call(lambda store, fence=fence: store.release(fence))  # type: ignore[misc]  # bound at once
            except StoreError as error:
                log.warning("lease_not_released", wave=wave, detail=str(error))


def _nodes(spec: WaveSpec, loop: ClusterLoop) -> tuple[int, ...]:
    """The nodes that a wave names, or all that are configured or seen."""
    snapshot = loop.view.snapshot
    seen = set() if snapshot is None else set(snapshot.brokers_by_id)
    configured = {host.broker for host in loop.config.hosts}
    if spec.stage.brokers is None:
        return tuple(sorted(seen | configured))
    unknown = sorted(set(spec.stage.brokers) - seen - configured)
    if unknown:
        known = ", ".join(map(str, sorted(seen | configured))) or "none that is known yet"
        named = ", ".join(map(str, unknown))
        raise OrderRefused(
            Refusal.INVALID, f"cluster {loop.config.name} has no broker {named}; it has {known}"
        )
    return tuple(sorted(set(spec.stage.brokers)))


def _require_hosts(config: ClusterConfig, nodes: Sequence[int]) -> None:
    if config.service is None:
        raise OrderRefused(
            Refusal.INVALID, f"cluster {config.name} has no service commands in the fleet file"
        )
    for node in nodes:
        try:
            target_of(config, node)
        except NoHost as error:
            raise OrderRefused(Refusal.INVALID, str(error)) from error
    if not nodes:
        raise OrderRefused(Refusal.INVALID, "the wave names no broker")


def _leased(cluster: str, holder: str, active: WaveView | None) -> OrderRefused:
    if active is None:
        return OrderRefused(Refusal.LEASED, f"another wave is being started on {cluster}")
    return _held(cluster, holder, active.created_at, active.state.wave)


def _held(cluster: str, holder: str, since: datetime, wave: str) -> OrderRefused:
    text = since.isoformat(timespec="seconds").replace("+00:00", "Z")
    return OrderRefused(
        Refusal.LEASED,
        f"cluster {cluster} is leased: {holder} has it since {text} for wave {wave}",
        holder=holder,
        since=text,
        wave=wave,
    )


def _paused_after_restore(state: WaveState) -> WaveState:
    reason = "the state was restored from a backup; look at the brokers before it goes on"
    pause = Pause(by="healthd", reason=reason, since=state.clock)
    return replace(state, pauses=(*state.pauses, pause))
