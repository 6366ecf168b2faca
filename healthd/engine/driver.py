"""The driver of one wave: events in, one at a time, through reducer and journal, effects out.

Persist, act, persist: a command is carried out only after the step that wants it is on disk. The
one exception is a start whose intent was written with its stop: it must not fail with the disk.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from healthd.engine.acting import Actor
from healthd.engine.carrying import Carrier, Looked
from healthd.engine.clock import Clock
from healthd.engine.collecting import Published
from healthd.engine.deadman import DeadMan, LastLook, Moment
from healthd.engine.guards import WaveGuards
from healthd.engine.halfway import is_halfway, may_go_unwritten, phase_seconds
from healthd.engine.journal import StoreThread, WaveJournal
from healthd.engine.pace import Pace
from healthd.engine.tasks import Background
from healthd.engine.totals import Totals
from healthd.model.reason import Reason
from healthd.store.errors import FencedOut, StoreError, VersionConflict
from healthd.store.records import AuditRecord
from healthd.waves import events
from healthd.waves.effects import Step
from healthd.waves.naming import object_of
from healthd.waves.orders import refusal_of
from healthd.waves.overrides import told
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, WaveState, WaveStatus

log = structlog.get_logger(__name__)


class NotTaken(Exception):  # noqa: N818  # It says what became of an order; it is no defect.
    """An order that came too late: the wave has changed, ended, or is not driven any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    event: events.Ordered
    answer: asyncio.Future[WaveState]

    def fails(self, error: Exception) -> None:
        """Tell whoever waits; nobody does when the client has gone away."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def succeeds(self, state: WaveState) -> None:
        """As `fails`."""
        if not self.answer.done():
            self.answer.set_result(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broken:
    """The clock of the wave has stopped; without it no deadline is kept."""

    error: BaseException


class WaveDriver:
    """Drives one wave until it has ended, the lease is lost, or the daemon stops."""

    def __init__(
        self,
        state: WaveState,
        *,
        actor: Actor,
        journal: WaveJournal,
        store: StoreThread,
        clock: Clock,
        totals: Totals,
        on_change: Callable[[WaveState], None],
        pace: Pace,
        guards: WaveGuards | None = None,
        standing: Callable[[], tuple[Reason, ...]] = tuple,
    ) -> None:
        self.state = state
        self.lease_lost: str | None = None
        """Why the lease is gone; the driver does nothing more then."""
        self._loop = actor.loop
        self._journal = journal
        self._store = store
        self._clock = clock
        self._totals = totals
        self._on_change = on_change
        self._pace = pace
        self._guards = guards
        self._standing = standing
        self._base = state.clock
        self._began = self._renewed = self._written = clock.monotonic()
        self._write_again_at = 0.0
        self._queue: asyncio.Queue[events.Event | Looked | _Order | _Broken] = asyncio.Queue()
        self._deadman = DeadMan(state.wave, clock)
        self._tasks = Background("lease_renewal_broke", wave=state.wave)
        self._carrier = Carrier(
            state.wave,
            actor=actor,
            store=store,
            now=lambda: self.now,
            clock=clock,
            tell=self._queue.put_nowait,
            state=lambda: self.state,
            guards=guards,
            standing=standing,
        )
        self._is_tick_waiting = False
        self._is_running = False
        self._is_drain_wanted = False

    @property
    def now(self) -> float:
        """The wave clock: it stood still while no daemon ran."""
        return self._base + (self._clock.monotonic() - self._began)

    @property
    def is_drained(self) -> bool:
        """Whether going away now leaves no node stopped, and none will be stopped any more."""
        return self.state.is_draining and not is_halfway(self.state)

    async def run(self, first: events.Event) -> None:
        """Handle events until the wave has ended, and that is on disk; cancel it to stop."""
        self._queue.put_nowait(first)
        self._is_running = True
        if self._is_drain_wanted:
            self.drain()
        ticker = asyncio.create_task(self._tick())
        ticker.add_done_callback(self._ticker_ended)
        try:
            while self.lease_lost is None and not self.is_through:
                await self._take(await self._queue.get())
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            await self._tasks.cancel()
            await self._carrier.cancel()
            self._set_away(frozenset())
            self._refuse_waiting()

    @property
    def is_through(self) -> bool:
        """Whether the wave has ended, and that is on disk; its lease was given back with that."""
        return self.state.status.has_ended and not self._journal.is_behind

    def publish(self, published: Published) -> None:
        """A new snapshot of the cluster; called by its loop."""
        report = published.report
        self._queue.put_nowait(
            events.SnapshotSeen(
                at=self.now,
                snapshot=published.snapshot,
                previous=published.previous,
                collected_since=self._base + (published.began - self._began),
                index=report.health_index if report.is_metadata_seen else None,
                holds=self._deadman.snapshot_came(published.snapshot),
            )
        )

    def _see_nothing(self) -> None:
        """No snapshot comes any more: the wave is told what there was, as old as it is."""
        known = self._loop.known()
        if known is None:
            return
        holds = self._deadman.snapshot_came(known)
        self._queue.put_nowait(
            events.SnapshotSeen(
                at=self.now, snapshot=known, previous=None, collected_since=self.now, holds=holds
            )
        )

    def see(self, pins: events.PinsSeen) -> None:
        """What there is now of what the wave was accepted with."""
        self._queue.put_nowait(replace(pins, at=self.now))

    async def order(
        self,
        verb: events.Verb,
        *,
        by: str,
        reason: str,
        node: int | None,
        override: events.OverrideAsked | None = None,
    ) -> WaveState:
        """Have an order carried out and written.

        Raises:
            NotTaken: the wave does not take it; nothing was done.
            StoreError: it could not be written; nothing was done.
        """
        answer: asyncio.Future[WaveState] = asyncio.get_running_loop().create_future()
        event = events.Ordered(
            at=self.now, verb=verb, by=by, reason=reason, node=node, override=override
        )
        self._queue.put_nowait(_Order(event=event, answer=answer))
        return await answer

    def drain(self) -> None:
        """Take nothing new; what is half-way is brought back."""
        self._is_drain_wanted = True
        if self._is_running:  # Otherwise it comes right after the first event.
            self._queue.put_nowait(events.Draining(at=self.now))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._pace.tick_seconds)
            if not self._is_tick_waiting:  # A slow disk must not leave a thousand of them.
                self._is_tick_waiting = True
                self._queue.put_nowait(events.Ticked(at=self.now))
            if self._deadman.is_overdue():
                self._see_nothing()
            self._count_closed_gate()
            if self._clock.monotonic() - self._renewed >= self._pace.renew_seconds:
                self._renewed = self._clock.monotonic()
                self._tasks.spawn(self._renew(), name="renew lease")

    def _ticker_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._queue.put_nowait(_Broken(error=error))

    async def _take(self, item: events.Event | Looked | _Order | _Broken) -> None:
        if isinstance(item, _Broken):
            raise item.error
        if isinstance(item, _Order):
            await self._take_order(item)
            return
        look: LastLook | None = None
        if isinstance(item, Looked):
            look, item = item.look, self._still_valid(item)
        if isinstance(item, events.Ticked):
            self._is_tick_waiting = False
            self._totals.loop_ticks[f"wave:{self.state.wave}"] = self._clock.wall()
        if self.lease_lost is None:
            with suppress(StoreError):  # Written down, paused and logged where it happened.
                await self._handle(item, (), look)

    def _still_valid(self, looked: Looked) -> events.Confirmed:
        """The answer of a last look; with a reason to hold when the daemon stood still since."""
        old = looked.look.too_old(Moment.of(self._clock))
        if old is None or looked.event.snapshot is None:
            return looked.event
        log.warning("daemon_stalled", wave=self.state.wave, detail=old)
        reason = self._deadman.reason(old)
        return replace(looked.event, holds=(*looked.event.holds, reason))

    async def _take_order(self, order: _Order) -> None:
        # Much may have happened since whoever gave it looked at the wave.
        refused = refusal_of(self.state, order.event)
        if self.lease_lost is not None:
            refused = f"the lease was lost: {self.lease_lost}"
        if refused is not None:
            order.fails(NotTaken(refused))
            return
        try:
            await self._handle(
                order.event, (audit_of(order.event, self.state, self._clock.wall()),)
            )
        except StoreError as error:
            order.fails(error)
        except BaseException:
            order.fails(NotTaken("healthd broke while it was carried out; see its log"))
            raise
        else:
            order.succeeds(self.state)

    async def _handle(
        self,
        event: events.Event,
        audit: tuple[AuditRecord, ...],
        look: LastLook | None = None,
    ) -> None:
        if not isinstance(event, events.SnapshotSeen):
            # Events wait in a queue while others are written; the clock never goes back.
            event = replace(event, at=max(event.at, self.state.clock))
        if isinstance(event, events.SnapshotSeen):
            outside = self._standing()
            if self._guards is not None:
                outside += await self._guards.holds(self.state, event.snapshot)
            event = replace(event, holds=(*event.holds, *outside))
        event = replace(event, wall=self._clock.wall())
        step = await self._reduced(event)
        if audit or self._is_to_be_written(event, step):
            try:
                await self._journal.write(event, step, audit=audit)
            except (FencedOut, VersionConflict) as error:
                self._lose_lease(error)
                raise
            except StoreError as error:
                self._could_not_write(step, error, is_order=bool(audit))
                raise
            self._written = self._clock.monotonic()
        self._accept(step, look)

    async def _reduced(self, event: events.Event) -> Step:
        if isinstance(event, events.SnapshotSeen | events.Confirmed):
            # A gate over 100,000 partitions takes a while that /metrics need not wait.
            return await asyncio.to_thread(reduce, self.state, event)
        return reduce(self.state, event)

    def _is_to_be_written(self, event: events.Event, step: Step) -> bool:
        if step.must_be_written or isinstance(event, events.CommandEnded):
            return True
        now = self._clock.monotonic()
        if self._journal.is_behind:
            return now >= self._write_again_at
        return now - self._written >= self._pace.checkpoint_seconds

    def _lose_lease(self, error: StoreError) -> None:
        self.lease_lost = str(error)
        log.error("wave_lease_lost", wave=self.state.wave, detail=str(error))

    def _could_not_write(self, step: Step, error: StoreError, *, is_order: bool) -> None:
        """Pause in memory; nothing new is begun, and whatever is stopped is still started."""
        log.error("journal_write_failed", wave=self.state.wave, detail=str(error))
        self._write_again_at = self._clock.monotonic() + self._pace.write_again_seconds
        if is_order or not may_go_unwritten(self.state, step):
            self._journal.forget_last()
        else:
            self._accept(step)
        if not self.state.status.has_ended:
            failed = reduce(self.state, events.StoreFailed(at=self.now, detail=str(error)))
            self._journal.keep(failed)
            self._accept(failed)

    def _accept(self, step: Step, look: LastLook | None = None) -> None:
        before, self.state = self.state, step.state
        self._count(before, step.state)
        for note in step.notes:
            log.info(
                note.event,
                wave=self.state.wave,
                kafka_cluster=self.state.cluster,
                broker=note.node,
                detail=note.detail,
            )
        self._set_away(self.state.away)
        self._on_change(self.state)
        if self._guards is not None:
            self._guards.moved(self.state)
        for effect in step.effects:
            self._carrier.carry_out(effect, look)

    def _set_away(self, nodes: frozenset[int]) -> None:
        is_of_brokers = self.state.playbook.target is PlaybookTarget.BROKER
        if is_of_brokers and not self.state.is_dry_run:  # Whose brokers are where they were.
            self._loop.set_away(nodes)

    async def _renew(self) -> None:
        fence = self._journal.fence
        if fence is None:
            return
        now = self._clock.wall()
        try:
            await self._store.call(
                lambda store: store.renew(fence, now=now, ttl_seconds=self._pace.lease_seconds)
            )
        except FencedOut as error:
            if self.is_through:
                return
            self._lose_lease(error)
            # Wakes the driver, which does nothing more.
            self._queue.put_nowait(events.Ticked(at=self.now))
        except StoreError as error:
            log.warning("lease_renewal_failed", wave=self.state.wave, detail=str(error))

    def _count_closed_gate(self) -> None:
        if self.state.status is WaveStatus.HOLDING:
            for code in {hold.reason.code.value for hold in self.state.holds}:
                self._totals.gate_closed_seconds[code] += self._pace.tick_seconds

    def _count(self, before: WaveState, after: WaveState) -> None:
        both = () if before.nodes is after.nodes else zip(before.nodes, after.nodes, strict=True)
        for old, new in both:
            if old is new:
                continue
            if new.status is NodeStatus.DONE and old.status is not NodeStatus.DONE:
                for phase, seconds in phase_seconds(new.history):
                    self._totals.add_restart(phase, seconds)

    def _refuse_waiting(self) -> None:
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if isinstance(item, _Order):
                item.fails(
                    NotTaken(
                        f"the wave has ended: {self.state.status.value}"
                        if self.state.status.has_ended
                        else "this daemon does not drive the wave any more"
                    )
                )


def audit_of(event: events.Ordered, state: WaveState, at: float) -> AuditRecord:
    """What the audit log keeps of an order."""
    whom = "" if event.node is None else f"/{object_of(state, event.node)}"
    target = f"wave:{state.wave}{whom}"
    return AuditRecord(
        at=at, who=event.by, what=f"wave_{event.verb.value}", why=told(event), target=target
    )
