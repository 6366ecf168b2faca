"""The driver of one wave: events in, one at a time, through reducer and journal, effects out.

Persist, act, persist: a command is carried out only after the step that wants it is on disk. The
one exception is a start whose intent was written with its stop: it must not fail with the disk.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from healthd.engine.acting import Actor
from healthd.engine.clock import Clock
from healthd.engine.collecting import Published
from healthd.engine.journal import StoreThread, WaveJournal
from healthd.engine.totals import Totals
from healthd.health.counterfactual import index_without
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.store.errors import FencedOut, StoreError, VersionConflict
from healthd.store.records import AuditRecord
from healthd.waves import effects, events
from healthd.waves.effects import Step
from healthd.waves.reducer import reduce
from healthd.waves.state import BETWEEN_STOP_AND_START, NodeStatus, WaveState, WaveStatus

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
_PHASES = ("stopping", "stopped", "starting", "recovering", "soaking")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    event: events.Ordered
    answer: asyncio.Future[WaveState]


class WaveDriver:
    """Drives one wave until it has ended, or until the daemon stops."""

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
    ) -> None:
        self.state = state
        self._actor = actor
        self._journal = journal
        self._store = store
        self._clock = clock
        self._totals = totals
        self._on_change = on_change
        self._base = state.clock
        self._began = clock.monotonic()
        self._queue: asyncio.Queue[events.Event | _Order] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._observing: set[int] = set()
        self._lease_lost: str | None = None
        self._renewed = clock.monotonic()
        self._closed_since: float | None = None

    @property
    def now(self) -> float:
        """The wave clock: it stood still while no daemon ran."""
        return self._base + (self._clock.monotonic() - self._began)

    @property
    def is_between_stop_and_start(self) -> bool:
        """Whether going away now could leave a node stopped."""
        return bool(self.state.having(BETWEEN_STOP_AND_START))

    async def run(self, first: events.Event) -> None:
        """Handle events until the wave has ended; cancel it to stop driving."""
        self._queue.put_nowait(first)
        ticker = asyncio.create_task(self._tick())
        try:
            while not self.state.status.has_ended and self._lease_lost is None:
                await self._take(await self._queue.get())
        finally:
            ticker.cancel()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(ticker, *self._tasks, return_exceptions=True)
            self._refuse_waiting()

    def publish(self, published: Published) -> None:
        """A new snapshot of the cluster; called by its loop."""
        holds = () if self._lease_lost is None else (self._lease_reason(),)
        collected_since = self._base + (published.began - self._began)
        report = published.report
        self._queue.put_nowait(
            events.SnapshotSeen(
                at=self.now,
                snapshot=published.snapshot,
                previous=published.previous,
                collected_since=collected_since,
                index=report.health_index if report.is_metadata_seen else None,
                holds=holds,
            )
        )
        away = self.state.in_flight
        self._actor.loop.show_index_without_wave(
            index_without(published.snapshot, away) if away else None
        )

    async def order(
        self, verb: events.Verb, *, by: str, reason: str, node: int | None
    ) -> WaveState:
        """Have an order carried out and written; the caller has asked `refusal_of` first.

        Raises:
            StoreError: it could not be written.
        """
        answer: asyncio.Future[WaveState] = asyncio.get_running_loop().create_future()
        event = events.Ordered(at=self.now, verb=verb, by=by, reason=reason, node=node)
        self._queue.put_nowait(_Order(event=event, answer=answer))
        return await answer

    def drain(self) -> None:
        """Take nothing new; what is half-way is brought back."""
        self._queue.put_nowait(events.Draining(at=self.now))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._totals.loop_ticks[f"wave:{self.state.wave}"] = self._clock.wall()
            self._queue.put_nowait(events.Ticked(at=self.now))
            self._count_closed_gate()
            if self._clock.monotonic() - self._renewed >= RENEW_SECONDS:
                self._renewed = self._clock.monotonic()
                self._spawn(self._renew())

    async def _take(self, item: events.Event | _Order) -> None:
        if isinstance(item, _Order):
            audit = (_audit(item.event, self.state, self._clock.wall()),)
            try:
                await self._handle(item.event, audit)
            except StoreError as error:
                item.answer.set_exception(error)
            else:
                item.answer.set_result(self.state)
            return
        with suppress(StoreError):  # Written down, paused and logged where it happened.
            await self._handle(item, ())

    async def _handle(self, event: events.Event, audit: tuple[AuditRecord, ...]) -> None:
        if not isinstance(event, events.SnapshotSeen):
            # Events wait in a queue while others are written; the clock never goes back.
            event = replace(event, at=max(event.at, self.state.clock))
        step = reduce(self.state, event)
        must_write = step.must_be_written or bool(audit)
        if must_write or isinstance(event, events.CommandEnded):
            try:
                await self._journal.write(event, step, audit=audit)
            except (FencedOut, VersionConflict) as error:
                self._lease_lost = str(error)
                log.exception("wave_lease_lost", wave=self.state.wave, detail=str(error))
                raise
            except StoreError as error:
                self._could_not_write(step, error)
                raise
        self._accept(step)

    def _could_not_write(self, step: Step, error: StoreError) -> None:
        """Pause in memory; nothing new is stopped, and whatever is stopped is still started."""
        log.error("journal_write_failed", wave=self.state.wave, detail=str(error))
        stops = any(isinstance(effect, effects.StopService) for effect in step.effects)
        if stops:
            self._journal.drop(step)
        else:
            self._accept(step)
        failed = reduce(self.state, events.StoreFailed(at=self.now, detail=str(error)))
        self._accept(failed)

    def _accept(self, step: Step) -> None:
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
        self._on_change(self.state)
        for effect in step.effects:
            self._carry_out(effect)

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Command():
                self._spawn(self._command(effect))
            case effects.Observe():
                if effect.node not in self._observing:
                    self._observing.add(effect.node)
                    self._spawn(self._observe(effect.node))
            case effects.Confirm():
                self._spawn(self._confirm(effect.node))
            case effects.FetchLogs():
                self._spawn(self._logs(effect.node))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("wave_effect_broke", wave=self.state.wave, exc_info=task.exception())

    async def _command(self, command: effects.Command) -> None:
        try:
            outcome, detail = await self._actor.command(command)
        except Exception as error:  # noqa: BLE001  # Whatever broke, its end must be observed.
            outcome, detail = events.Outcome.UNKNOWN, f"{type(error).__name__}: {error}"
        self._queue.put_nowait(
            events.CommandEnded(
                at=self.now,
                node=command.node,
                effect_id=command.effect_id,
                outcome=outcome,
                detail=detail,
            )
        )

    async def _observe(self, node: int) -> None:
        try:
            host = await self._actor.observe(node)
        finally:
            self._observing.discard(node)
        self._queue.put_nowait(events.Observed(at=self.now, node=node, host=host))

    async def _confirm(self, node: int) -> None:
        snapshot, host = await self._actor.confirm(node)
        holds = []
        if not await self._store.call(lambda store: store.space_ok()):
            detail = "there is no space for the records of a stop and its start"
            holds.append(
                Reason(
                    code=ReasonCode.STORE_UNSAFE,
                    object=f"wave:{self.state.wave}",
                    detail=detail,
                )
            )
        self._queue.put_nowait(
            events.Confirmed(
                at=self.now, node=node, snapshot=snapshot, host=host, holds=tuple(holds)
            )
        )

    async def _logs(self, node: int) -> None:
        text = await self._actor.logs(node)
        self._queue.put_nowait(events.LogsSeen(at=self.now, node=node, text=text))

    async def _renew(self) -> None:
        fence = self._journal.fence
        if fence is None:
            return
        now = self._clock.wall()
        try:
            await self._store.call(
                lambda store: store.renew(fence, now=now, ttl_seconds=LEASE_SECONDS)
            )
        except FencedOut as error:
            self._lease_lost = str(error)
            log.exception("wave_lease_lost", wave=self.state.wave, detail=str(error))
        except StoreError as error:
            log.warning("lease_renewal_failed", wave=self.state.wave, detail=str(error))

    def _lease_reason(self) -> Reason:
        return Reason(
            code=ReasonCode.LEASE_LOST,
            object=f"cluster:{self.state.cluster}",
            detail=self._lease_lost or "the lease is gone",
        )

    def _count_closed_gate(self) -> None:
        if self.state.status is WaveStatus.HOLDING:
            for code in {hold.reason.code.value for hold in self.state.holds}:
                self._totals.gate_closed_seconds[code] += TICK_SECONDS

    def _count(self, before: WaveState, after: WaveState) -> None:
        for old, new in zip(before.nodes, after.nodes, strict=True):
            if new.status is NodeStatus.DONE and old.status is not NodeStatus.DONE:
                for phase, seconds in phase_seconds(new.history):
                    self._totals.add_restart(phase, seconds)
        if after.status.has_ended and not before.status.has_ended:
            self._totals.deployments[after.status.value] += 1

    def _refuse_waiting(self) -> None:
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if isinstance(item, _Order) and not item.answer.done():
                item.answer.set_result(self.state)


def phase_seconds(history: tuple[tuple[str, float], ...]) -> list[tuple[str, float]]:
    """How long each phase of a node's restart took, from the times it entered them."""
    return [
        (status, until - at)
        for (status, at), (_, until) in itertools.pairwise(history)
        if status in _PHASES
    ]


def _audit(event: events.Ordered, state: WaveState, at: float) -> AuditRecord:
    target = f"wave:{state.wave}" + ("" if event.node is None else f"/broker:{event.node}")
    return AuditRecord(
        at=at, who=event.by, what=f"wave_{event.verb.value}", why=event.reason, target=target
    )
