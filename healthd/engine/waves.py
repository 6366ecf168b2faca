"""All waves of the daemon: accepting them, taking them up again, orders, and their stories."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from healthd.config.fleet import ClusterConfig
from healthd.engine.accepting import Playbooks, asked_of, loop_of, planned, spec_of
from healthd.engine.collecting import Published
from healthd.engine.deploying import remembered
from healthd.engine.driver import NotTaken
from healthd.engine.gallery import SHOWN_AFTER_END_SECONDS, Gallery
from healthd.engine.journal import note_of
from healthd.engine.keeping import Held, Tools, WaveKeeper
from healthd.engine.orphans import release_orphans
from healthd.engine.pinning import seen_now
from healthd.engine.plans import require_current, taken_out
from healthd.engine.tasks import Background
from healthd.engine.view import JournalEntry, OrderRefused, Refusal, WaveView
from healthd.store.errors import StoreError, VersionConflict
from healthd.store.protocol import Store
from healthd.store.records import AuditRecord, LeaseHeld, WaveRecord
from healthd.waves.codec import StateUnreadable
from healthd.waves.dora import Deployment
from healthd.waves.events import Began, Ordered, OverrideAsked, PinsSeen, Verb
from healthd.waves.fleet_state import FleetState, Member, StageRun
from healthd.waves.orders import refusal_of
from healthd.waves.state import WaveState, WaveStatus
from healthd.waves.stored import read_stored, whole

log = structlog.get_logger(__name__)

DRAIN_LOOK_SECONDS = 0.1
"""How often a daemon that stops looks whether every broker is back."""


@dataclass(slots=True)
class _Stored:
    """The waves of the store: what is at hand, what is only kept, and what nobody understands."""

    readable: list[tuple[WaveState, WaveRecord]] = field(default_factory=list)
    old: list[WaveRecord] = field(default_factory=list)
    unreadable: list[tuple[WaveRecord, str]] = field(default_factory=list)
    deployed: list[Deployment | None] = field(default_factory=list)
    """What those that have ended were as deployments."""


class Waves:
    """The waves of one daemon."""

    def __init__(self, tools: Tools, *, playbooks: Playbooks, interval_seconds: float) -> None:
        self.is_draining = False
        self._tools = tools
        self._playbooks = playbooks
        self._interval_seconds = interval_seconds
        self._gallery = Gallery()
        self._keepers: dict[str, WaveKeeper] = {}
        self._starting: dict[str, tuple[str, float]] = {}
        self._unreadable: dict[str, tuple[str, str]] = {}
        self._tasks = Background("wave_task_broke")

    def views(self) -> Sequence[WaveView]:
        """Waves that run, and those that ended not long ago, newest first."""
        return self._gallery.recent(self._tools.clock.wall())

    def view(self, wave: str) -> WaveView | None:
        """One wave, however old."""
        return self._gallery.view(wave)

    def active(self) -> Sequence[WaveView]:
        """Waves that have not ended."""
        return list(self._gallery.active())

    def active_on(self, cluster: str) -> WaveView | None:
        """The wave that has not ended on a cluster."""
        return next((each for each in self.active() if each.state.cluster == cluster), None)

    def busy_with(self, cluster: str) -> str | None:
        """The wave that a cluster is busy with: running, being started, or not understood."""
        active = self.active_on(cluster)
        if active is not None:
            return active.state.wave
        found = self._starting.get(cluster) or self._unreadable.get(cluster)
        return None if found is None else found[0]

    def published(self, cluster: str, published: Published) -> None:
        """Hand a snapshot to the waves on its cluster."""
        for keeper in self._keepers.values():
            if keeper.cluster == cluster:
                keeper.publish(published)

    async def load(self) -> None:
        """Read the waves; those that have not ended are taken up again."""
        oldest = self._tools.clock.wall() - SHOWN_AFTER_END_SECONDS
        instance = self._tools.instance
        await self._tools.store.call(lambda store: release_orphans(store, instance))
        stored = await self._tools.store.call(lambda store: _read_waves(store, oldest))
        for deployment in stored.deployed:
            self._tools.totals.add_deployment(deployment)
        for record in stored.old:
            self._gallery.add_old(record)
        for record, detail in stored.unreadable:
            log.error("wave_unreadable", wave=record.id, detail=detail)
            if not record.has_ended:
                self._unreadable[record.cluster] = (record.id, detail)
        for state, record in stored.readable:
            self._show(state, record, at=record.updated_at)
            if not record.has_ended:
                self._keep(WaveKeeper(state, record, self._tools, self._show, self._look))

    def _keep(self, keeper: WaveKeeper, begun: Held | None = None) -> None:
        self._keepers[keeper.wave] = keeper
        if begun is not None:  # To be given back, should the daemon stop before its first turn.
            keeper.fence = begun.fence
        if self.is_draining:
            keeper.drain()
        task = self._tasks.spawn(keeper.run(begun), name=f"wave {keeper.wave}")
        task.add_done_callback(lambda _: self._keepers.pop(keeper.wave, None))

    async def _look(self, state: WaveState, config: ClusterConfig) -> PinsSeen:
        return await seen_now(state, config, self._playbooks)

    async def look_again(self) -> None:
        """Look at the playbooks and the fleet file of all waves: a difference pauses a wave."""
        for keeper in tuple(self._keepers.values()):
            await keeper.look_again()

    def _show(self, state: WaveState, record: WaveRecord, *, at: float | None = None) -> None:
        now = self._tools.clock.wall() if at is None else at
        self._gallery.show(
            WaveView(
                state=state,
                created_at=datetime.fromtimestamp(record.created_at, UTC),
                updated_at=datetime.fromtimestamp(now, UTC),
            )
        )

    async def start(self, request: Mapping[str, Any], *, by: str) -> WaveView:
        """Accept a wave: everything about it is checked before the cluster is leased."""
        if self.is_draining:
            raise OrderRefused(Refusal.CONFLICT, "the daemon is stopping; nothing new is started")
        request, filed = taken_out(request)
        spec = spec_of(request)
        loop = loop_of(spec, self._tools.clusters)
        if filed is not None:
            await asyncio.to_thread(require_current, filed, asked_of(spec, loop), loop.view)
        # Playbooks are files; the event loop waits for no disk.
        playbook = await asyncio.to_thread(self._playbooks, spec.playbook)
        now = self._tools.clock.wall()
        state = planned(
            spec, loop, playbook, by=by, now=now, interval_seconds=self._interval_seconds
        )
        self._require_free(state.cluster)
        self._starting[state.cluster] = (state.wave, now)
        try:
            held = await self._leased(state, now)
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"nothing was started: {error}") from error
        finally:
            del self._starting[state.cluster]
        self._show(state, held.record)
        self._keep(WaveKeeper(state, held.record, self._tools, self._show, self._look), held)
        return self._gallery_view(state.wave)

    def _require_free(self, cluster: str) -> None:
        holder = self._tools.holder
        active = self.active_on(cluster)
        if active is not None:
            raise _held(cluster, holder, active.created_at, active.state.wave)
        if cluster in self._starting:
            wave, since = self._starting[cluster]
            raise _held(cluster, holder, datetime.fromtimestamp(since, UTC), wave)
        if cluster in self._unreadable:
            wave, detail = self._unreadable[cluster]
            raise OrderRefused(
                Refusal.CONFLICT,
                f"wave {wave} on cluster {cluster} has not ended, and its state cannot be read "
                f"({detail}): nobody knows what it has under way. Run the healthd that wrote it, "
                "or restore a backup with 'healthd state restore'",
            )

    async def _leased(self, state: WaveState, now: float) -> Held:
        """The wave with its cluster leased and its record on disk."""
        record = WaveRecord(
            id=state.wave,
            cluster=state.cluster,
            name=state.wave,
            reason=state.reason,
            requested_by=state.requested_by,
            created_at=now,
            updated_at=now,
            status=WaveStatus.PLANNED.value,
            state=whole(state),
        )
        audit = AuditRecord(
            at=now,
            who=state.requested_by,
            what="wave_start",
            why=state.reason,
            target=f"wave:{state.wave}",
        )
        fence = await self._tools.acquire(state.cluster, state.wave)
        if isinstance(fence, LeaseHeld):
            since = datetime.fromtimestamp(fence.since, UTC)
            raise _held(state.cluster, fence.holder, since, fence.wave_id)
        try:
            await self._tools.store.call(lambda store: store.create_wave(record, audit=(audit,)))
        except StoreError:
            await self._tools.store.call(lambda store: store.release(fence))
            raise
        return Held(state=state, record=record, fence=fence, first=Began(at=0.0))

    async def order(
        self,
        wave: str,
        verb: str,
        *,
        by: str,
        reason: str,
        node: int | None,
        override: OverrideAsked | None = None,
    ) -> WaveView:
        """Have a person's order carried out."""
        view = self._gallery.view(wave)
        if view is None:
            raise self._unknown(wave)
        try:
            known = Verb(verb)
        except ValueError:
            verbs = ", ".join(Verb)
            raise OrderRefused(Refusal.INVALID, f"there is no order {verb}, only {verbs}") from None
        if not reason.strip():
            raise OrderRefused(Refusal.INVALID, f"{verb} needs a reason: say why")
        wanted = Ordered(
            at=view.state.clock, verb=known, by=by, reason=reason, node=node, override=override
        )
        refused = refusal_of(view.state, wanted)
        if refused is not None:
            raise OrderRefused(Refusal.CONFLICT, f"wave {wave}: {refused}")
        try:
            await self._carry_out(wave, wanted)
        except NotTaken as error:
            raise OrderRefused(Refusal.CONFLICT, f"wave {wave}: {error}") from error
        except VersionConflict as error:
            raise OrderRefused(
                Refusal.CONFLICT, f"wave {wave} has just been changed by somebody else: {error}"
            ) from error
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"{verb} could not be written: {error}") from error
        return self._gallery_view(wave)

    async def _carry_out(self, wave: str, order: Ordered) -> None:
        keeper = self._keepers.get(wave)
        if keeper is None:
            raise NotTaken("this daemon does not drive it any more")
        # Right after a start its driver is still being built.
        await keeper.settled.wait()
        if keeper.driver is not None:
            await keeper.driver.order(
                order.verb,
                by=order.by,
                reason=order.reason,
                node=order.node,
                override=order.override,
            )
        elif order.verb is Verb.PAUSE:
            await keeper.pause(by=order.by, reason=order.reason)
        else:
            raise NotTaken("this daemon does not drive it now, see what it waits for; only a pause")

    def _unknown(self, wave: str) -> OrderRefused:
        for found, detail in self._unreadable.values():
            if found == wave:
                return OrderRefused(
                    Refusal.CONFLICT, f"the state of wave {wave} cannot be read: {detail}"
                )
        return OrderRefused(Refusal.UNKNOWN, f"there is no wave {wave}")

    def _gallery_view(self, wave: str) -> WaveView:
        view = self._gallery.view(wave)
        if view is None:
            raise LookupError(f"wave {wave} is shown nowhere")
        return view

    async def pause_all(self, *, by: str, reason: str) -> Sequence[WaveView]:
        """Pause every wave that can be; only then tell of those that could not."""
        paused: list[WaveView] = []
        refused: list[str] = []
        worst = Refusal.CONFLICT
        for view in self.active():
            wave = view.state.wave
            try:
                paused.append(await self.order(wave, "pause", by=by, reason=reason, node=None))
            except OrderRefused as error:
                now = self._gallery.view(wave)
                if now is not None and now.state.status.has_ended:
                    continue  # It ended by itself meanwhile.
                refused.append(str(error))
                worst = error.refusal
        if refused:
            done = ", ".join(view.state.wave for view in paused) or "none"
            raise OrderRefused(worst, f"not paused: {'; '.join(refused)}. Paused: {done}")
        return paused

    async def journal(self, wave: str) -> Sequence[JournalEntry]:
        """The story of a wave."""
        try:
            rows = await self._tools.store.call(lambda store: store.journal(wave))
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"the journal cannot be read: {error}") from error
        return [
            JournalEntry(
                at=datetime.fromtimestamp(row.at, UTC),
                event=str(note["event"]),
                node=note.get("node"),
                detail=str(note.get("detail", "")),
                clock=float(note.get("clock", 0.0)),
                data=note.get("data", {}),
            )
            for row in rows
            if (note := note_of(row)) is not None
        ]

    async def drain(self, timeout_seconds: float) -> bool:
        """Bring what is half-way back, then let go of every wave; false when time ran out."""
        self.is_draining = True
        for keeper in self._keepers.values():
            keeper.drain()
        clock = self._tools.clock
        deadline = clock.monotonic() + timeout_seconds
        while self._is_busy() and clock.monotonic() < deadline:  # noqa: ASYNC110  # Many change, each on its own.
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        is_clean = not self._is_busy()
        keepers = tuple(self._keepers.values())
        await self._tasks.cancel()
        for keeper in keepers:
            await self._release(keeper)
        return is_clean

    def _is_busy(self) -> bool:
        return bool(self._starting) or any(each.is_busy for each in self._keepers.values())

    async def _release(self, keeper: WaveKeeper) -> None:
        fence = keeper.fence
        if fence is None:
            return
        try:
            await self._tools.store.call(lambda store: store.release(fence))
        except StoreError as error:
            log.warning("lease_not_released", wave=keeper.wave, detail=str(error))


def _read_waves(store: Store, oldest: float) -> _Stored:
    """The waves of the store; runs on the store's own thread."""
    found = _Stored()
    for record in store.waves():
        found.deployed.append(remembered(record))
        if record.has_ended and record.updated_at <= oldest:
            found.old.append(record)
            continue
        try:
            found.readable.append((read_stored(record.state, record.parts), record))
        except StateUnreadable as error:
            found.unreadable.append((record, str(error)))
    return found


def _held(cluster: str, holder: str, since: datetime, wave: str) -> OrderRefused:
    text = since.isoformat(timespec="seconds").replace("+00:00", "Z")
    return OrderRefused(
        Refusal.LEASED,
        f"cluster {cluster} is leased: {holder} has it since {text} for wave {wave}",
        holder=holder,
        since=text,
        wave=wave,
    )
