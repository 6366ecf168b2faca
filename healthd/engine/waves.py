"""All waves of the daemon: accepting them, taking them up again, orders, and their stories."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from healthd.config.fleet import ClusterConfig
from healthd.engine import dry_running
from healthd.engine.accepting import (
    Playbooks,
    planned,
    spec_of,
    wave_id,
)
from healthd.engine.collecting import Published
from healthd.engine.discarding import discard
from healthd.engine.driver import NotTaken
from healthd.engine.fleet_accepting import child_of
from healthd.engine.fleet_plans import plan_of_wave, require_plan
from healthd.engine.fleet_waves import FleetWaves
from healthd.engine.foreseeing import foreseen
from healthd.engine.gallery import SHOWN_AFTER_END_SECONDS, Gallery
from healthd.engine.holders import Holders
from healthd.engine.keeping import Held, Tools, WaveKeeper
from healthd.engine.orphans import release_orphans
from healthd.engine.pinning import seen_now
from healthd.engine.plans import taken_out
from healthd.engine.reading import held_by, read_waves, story_of
from healthd.engine.selecting import only_loop, parts_of, require_unscheduled
from healthd.engine.tasks import Background
from healthd.engine.variables import require_all_variables, require_secrets_allowed
from healthd.engine.view import FleetView, JournalEntry, OrderRefused, Refusal, WaveView
from healthd.store.errors import StoreError, VersionConflict
from healthd.store.records import AuditRecord, LeaseHeld, WaveRecord
from healthd.waves.events import Began, Ordered, OverrideAsked, PinsSeen, Verb
from healthd.waves.fleet_state import FleetState, Member, StageRun
from healthd.waves.orders import refusal_of
from healthd.waves.state import WaveState, WaveStatus
from healthd.waves.stored import whole

log = structlog.get_logger(__name__)

DRAIN_LOOK_SECONDS = 0.1
"""How often a daemon that stops looks whether every broker is back."""


class Waves:
    """The waves of one daemon."""

    def __init__(self, tools: Tools, *, playbooks: Playbooks, interval_seconds: float) -> None:
        self.is_draining = False
        self.fleet = FleetWaves(tools, self, interval_seconds=interval_seconds)
        self._tools = replace(tools, standing=self.fleet.standing)
        self._playbooks = playbooks
        self._gallery = Gallery()
        self._keepers: dict[str, WaveKeeper] = {}
        self._holders = Holders(self._gallery, tools.holder)
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

    def holder_of(self, lease: str) -> str | None:
        """The wave that has a lease: running, being started, or not understood."""
        return self._holders.holder_of(lease)

    def busy_with(self, cluster: str) -> str | None:
        """The wave that a cluster is busy with; a dry run counts, too: it looks at the cluster."""
        leases = (dry_running.lease_on(cluster, is_dry_run=is_dry) for is_dry in (False, True))
        return next((wave for lease in leases if (wave := self.holder_of(lease))), None)

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
        stored = await self._tools.store.call(lambda store: read_waves(store, oldest))
        for deployment in stored.deployed:
            self._tools.totals.add_deployment(deployment)
        for record in stored.old:
            self._gallery.add_old(record)
        for record, detail in stored.unreadable:
            log.error("wave_unreadable", wave=record.id, detail=detail)
            if not record.has_ended:
                self._holders.add_unreadable(record, detail)
        for state, record in stored.readable:
            self._show(state, record, at=record.updated_at)
            if not record.has_ended:
                self._keep(WaveKeeper(state, record, self._tools, self._show, self._look))
        await self.fleet.load(stored.fleets)

    async def make(self, member: Member, parent: FleetState, stage: StageRun) -> None:
        """Make a child of a wave over a fleet; nothing happens when it is there already.

        Raises:
            OrderRefused: it could not be made; nothing was done.
        """
        if self._gallery.view(member.child) is not None:
            return
        if self.is_draining:
            raise OrderRefused(Refusal.CONFLICT, "the daemon is stopping; nothing new is started")
        state = child_of(parent, member, stage, self._tools.clusters.get(member.cluster))
        await self._begin(state, self._tools.clock.wall())

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
        keeper = self._keepers.get(state.wave)
        self._gallery.show(
            WaveView(
                state=state,
                created_at=datetime.fromtimestamp(record.created_at, UTC),
                updated_at=datetime.fromtimestamp(now, UTC),
                printed={} if keeper is None else keeper.printed,
            )
        )

    async def start(self, request: Mapping[str, Any], *, by: str) -> WaveView | FleetView:
        """Accept a wave: everything about it is checked before the cluster is leased."""
        if self.is_draining:
            raise OrderRefused(Refusal.CONFLICT, "the daemon is stopping; nothing new is started")
        request, is_dry_run = dry_running.taken_out(request)
        request, filed = taken_out(request)
        spec = spec_of(request)
        require_unscheduled(spec)
        loop = only_loop(spec, self._tools.clusters)
        # Playbooks are files; the event loop waits for no disk.
        playbook = await asyncio.to_thread(self._playbooks, spec.playbook_reference)
        clusters = self._tools.clusters
        if filed is not None:
            await asyncio.to_thread(require_plan, filed, spec, playbook, clusters)
        parts = parts_of(spec, clusters, target=playbook.target)
        await asyncio.to_thread(require_secrets_allowed, spec, self._tools.wave_secret_dir)
        await asyncio.to_thread(require_all_variables, spec, parts, playbook)
        now = self._tools.clock.wall()
        wave = dry_running.id_of(wave_id(spec.name, now), is_dry_run=is_dry_run)
        if loop is None:
            return await self.fleet.start(wave, spec, parts, playbook, by=by, is_dry_run=is_dry_run)
        state = planned(spec, parts[0], playbook, wave=wave, by=by)
        return await self._begin(dry_running.of_kind(state, is_dry_run=is_dry_run), now)

    async def plan(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The plan of the wave that a `kind: Wave` document describes."""
        return await plan_of_wave(request, self._tools, self._playbooks)

    async def _begin(self, state: WaveState, now: float) -> WaveView:
        """Lease the cluster, write the wave, and let it be driven."""
        dry_running.require_one_kind(state)
        lease = dry_running.lease_of(state)
        self._holders.require_free(lease)
        self._holders.starting[lease] = (state.wave, now)
        try:
            loop = self._tools.clusters[state.cluster]
            state = await foreseen(state, loop, self._tools.store)
            held = await self._leased(state, now)
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"nothing was started: {error}") from error
        finally:
            del self._holders.starting[lease]
        self._show(state, held.record)
        self._keep(WaveKeeper(state, held.record, self._tools, self._show, self._look), held)
        return self._gallery_view(state.wave)

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
            what="wave_dry_run" if state.is_dry_run else "wave_start",
            why=state.reason,
            target=f"wave:{state.wave}",
        )
        fence = await self._tools.acquire(dry_running.lease_of(state), state.wave)
        if isinstance(fence, LeaseHeld):
            since = datetime.fromtimestamp(fence.since, UTC)
            raise held_by(state.cluster, fence.holder, since, fence.wave_id)
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

    def unended(self) -> Sequence[str]:
        """The ids of those that have not ended, readable or not."""
        return [*(view.state.wave for view in self.active()), *self._holders.unreadable]

    async def discard(self, wave: str, *, by: str, reason: str) -> None:
        """Give up a wave whose state cannot be read, once no broker of it can be stopped."""
        if wave not in self._holders.unreadable:
            if self._gallery.view(wave) is None:
                raise self._unknown(wave)
            message = f"the state of wave {wave} can be read: abort it instead"
            raise OrderRefused(Refusal.CONFLICT, message)
        record = await self._tools.store.call(lambda store: store.wave(wave))
        if record is not None:
            await discard(record, self._tools, by=by, reason=reason)
        self._holders.forget_unreadable(wave)

    def _unknown(self, wave: str) -> OrderRefused:
        detail = self._holders.unreadable.get(wave)
        if detail is not None:
            message = f"the state of wave {wave} cannot be read: {detail}"
            return OrderRefused(Refusal.CONFLICT, message)
        return OrderRefused(Refusal.UNKNOWN, f"there is no wave {wave}")

    def _gallery_view(self, wave: str) -> WaveView:
        view = self._gallery.view(wave)
        if view is None:
            raise LookupError(f"wave {wave} is shown nowhere")
        return view

    async def pause_all(self, *, by: str, reason: str) -> Sequence[WaveView | FleetView]:
        """Pause every wave that can be; only then tell of those that could not."""
        paused: list[WaveView | FleetView] = []
        refused: list[str] = []
        worst = Refusal.CONFLICT
        # A paused wave over a fleet holds all its children.
        alone = [
            view.state.wave
            for view in self.active()
            if self.fleet.parent_of(view.state.wave) is None
        ]
        for wave in (*(view.state.wave for view in self.fleet.active()), *alone):
            try:
                paused.append(await self._pause(wave, by=by, reason=reason))
            except OrderRefused as error:
                now = self.fleet.view(wave) or self._gallery.view(wave)
                if now is not None and now.state.status.has_ended:
                    continue  # It ended by itself meanwhile.
                refused.append(str(error))
                worst = error.refusal
        if refused:
            done = ", ".join(view.state.wave for view in paused) or "none"
            raise OrderRefused(worst, f"not paused: {'; '.join(refused)}. Paused: {done}")
        return paused

    async def _pause(self, wave: str, *, by: str, reason: str) -> WaveView | FleetView:
        if self.fleet.view(wave) is not None:
            return await self.fleet.order(wave, "pause", by=by, reason=reason)
        return await self.order(wave, "pause", by=by, reason=reason, node=None)

    async def journal(self, wave: str) -> Sequence[JournalEntry]:
        """The story of a wave."""
        try:
            rows = await self._tools.store.call(lambda store: store.journal(wave))
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"the journal cannot be read: {error}") from error
        return story_of(rows)

    async def drain(self, timeout_seconds: float) -> bool:
        """Bring what is half-way back, then let go of every wave; false when time ran out."""
        self.is_draining = True
        for keeper in self._keepers.values():
            keeper.drain()
        await self.fleet.drain()
        clock = self._tools.clock
        deadline = clock.monotonic() + timeout_seconds
        while self._is_busy() and clock.monotonic() < deadline:  # noqa: ASYNC110  # Many change, each on its own.
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        is_clean = not self._is_busy()
        keepers = tuple(self._keepers.values())
        await self.fleet.close()
        await self._tasks.cancel()
        for keeper in keepers:
            await self._release(keeper)
        return is_clean

    def _is_busy(self) -> bool:
        return bool(self._holders.starting) or any(each.is_busy for each in self._keepers.values())

    async def _release(self, keeper: WaveKeeper) -> None:
        fence = keeper.fence
        if fence is None:
            return
        try:
            await self._tools.store.call(lambda store: store.release(fence))
        except StoreError as error:
            log.warning("lease_not_released", wave=keeper.wave, detail=str(error))
