"""Keeping one wave over a fleet driven: it looks, decides, writes, and only then acts.

It looks again and again instead of waiting to be told: what a crash or a lost write has taken away
is seen at the next look, and a child has the same id whenever it is asked for.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import structlog

from healthd.engine.fleet_looking import Onlooker
from healthd.engine.keeping import Tools
from healthd.engine.tasks import Background
from healthd.engine.view import OrderRefused, Refusal, WaveView
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.store.errors import StoreError, VersionConflict
from healthd.store.records import AuditRecord, EntryKind, JournalEntry, JournalStep, WaveRecord
from healthd.waves.effects import Note
from healthd.waves.events import Event, Verb
from healthd.waves.fleet_codec import decode_fleet, encode_fleet
from healthd.waves.fleet_events import (
    FleetDraining,
    FleetStep,
    OrderChild,
    StartChild,
    StartRefused,
)
from healthd.waves.fleet_holding import holds_of_children
from healthd.waves.fleet_reducer import reduce_fleet
from healthd.waves.fleet_state import FleetState, Member, StageRun

log = structlog.get_logger(__name__)

_CODES = {Refusal.LEASED: ReasonCode.LEASE_HELD, Refusal.STORE: ReasonCode.STORE_UNSAFE}
"""What stands in a child's way, by why it was refused; anything else is about what it names."""


class Children(Protocol):
    """The daemon's waves on single clusters, as the parent needs them."""

    @property
    def is_draining(self) -> bool:
        """Whether the daemon is stopping."""

    def view(self, wave: str) -> WaveView | None:
        """One of them."""

    def holder_of(self, lease: str) -> str | None:
        """The wave that has a lease."""

    def unended(self) -> Sequence[str]:
        """The ids of those that have not ended, readable or not."""

    async def discard(self, wave: str, *, by: str, reason: str) -> None:
        """Give up one whose state cannot be read."""

    async def make(self, member: Member, parent: FleetState, stage: StageRun) -> None:
        """Make a child and let it begin; nothing happens when it is there already.

        Raises:
            OrderRefused: it could not be made; nothing was done.
        """

    async def order(
        self, wave: str, verb: str, *, by: str, reason: str, node: int | None
    ) -> WaveView:
        """Give one of them an order."""


class FleetKeeper:
    """Drives one wave over a fleet until it has ended."""

    def __init__(
        self,
        state: FleetState,
        record: WaveRecord,
        tools: Tools,
        children: Children,
        *,
        onlooker: Onlooker,
        show: Callable[["FleetKeeper"], None],
    ) -> None:
        self.state = state
        self.record = record
        self.trouble: str | None = None
        """Why nothing goes on, other than by a decision."""
        self._tools = tools
        self._children = children
        self._onlooker = onlooker
        self._show = show
        self._version = record.version
        self._base = state.clock
        self._began = tools.clock.monotonic()
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tasks = Background("child_order_broke", wave=state.wave)
        self._ordered: set[str] = set()

    @property
    def now(self) -> float:
        """The wave clock: it stood still while no daemon ran."""
        return self._base + (self._tools.clock.monotonic() - self._began)

    def holds_of_children(self) -> tuple[Reason, ...]:
        """What the parent has against every node of every child."""
        return holds_of_children(self.state)

    async def run(self, first: Event) -> None:
        """Drive the wave until it has ended; trouble is logged, shown, and tried again."""
        pace = self._tools.pace
        waiting: Event | None = first
        while not self.state.status.has_ended:
            seconds = pace.tick_seconds
            try:
                if waiting is not None:
                    await self.handle(waiting)
                    waiting = None
                await self._look()
                self._has_trouble(None)
            except VersionConflict as error:
                self._has_trouble(f"somebody else has changed it: {error}")
                seconds = pace.again_seconds
                await self._read_again()
            except StoreError as error:
                self._has_trouble(str(error))
                seconds = pace.write_again_seconds
            except Exception as error:
                log.exception("fleet_wave_broke", wave=self.state.wave)
                self._has_trouble(f"healthd broke: {type(error).__name__}: {error}")
                seconds = pace.again_seconds
            await self._wait(seconds)
        await self._tasks.join()

    async def _wait(self, seconds: float) -> None:
        if self.state.status.has_ended:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    async def close(self) -> None:
        """Let go of the orders that are under way."""
        await self._tasks.cancel()

    def _has_trouble(self, detail: str | None) -> None:
        if detail == self.trouble:
            return
        self.trouble = detail
        if detail is not None:
            log.warning("fleet_wave_not_driven", wave=self.state.wave, detail=detail)
        self._show(self)

    async def _read_again(self) -> None:
        """Take what somebody else has written as what is so."""
        try:
            record = await self._tools.store.call(lambda store: store.wave(self.state.wave))
            if record is not None:
                self.state = decode_fleet(json.loads(record.state))
                self._version, self._base = record.version, self.state.clock
                self._began = self._tools.clock.monotonic()
        except (StoreError, ValueError) as error:
            self._has_trouble(str(error))

    async def drain(self) -> None:
        """Begin no child any more."""
        try:
            await self.handle(FleetDraining(at=self.now))
        except StoreError as error:
            # Nothing is begun all the same: the daemon takes no new wave.
            log.warning("fleet_wave_not_written", wave=self.state.wave, detail=str(error))

    async def _look(self) -> None:
        event = await self._onlooker.look(self.state, self._children, at=self.now)
        await self.handle(event)

    async def handle(self, event: Event, *, audit: tuple[AuditRecord, ...] = ()) -> None:
        """Decide, write what has to be written, and only then act.

        Raises:
            StoreError: it could not be written; nothing was done.
        """
        async with self._lock:
            event = replace(
                event, at=max(event.at, self.state.clock), wall=self._tools.clock.wall()
            )
            step = reduce_fleet(self.state, event)
            if step.must_be_written or audit:
                await self._write(step, audit)
            self.state = step.state
            for note in step.notes:
                log.info(note.event, wave=self.state.wave, detail=note.detail)
            self._show(self)
            await self._act(step)
        if audit:
            self._wake.set()

    async def _write(self, step: FleetStep, audit: tuple[AuditRecord, ...]) -> None:
        written = JournalStep(
            wave_id=step.state.wave,
            expected_version=self._version,
            at=self._tools.clock.wall(),
            status=step.state.status.value,
            state=dumped(step.state),
            entries=tuple(_entry(note, step.state.clock) for note in step.notes),
            audit=audit,
        )
        self._version = await self._tools.store.call(lambda store: store.append(written))

    async def _act(self, step: FleetStep) -> None:
        for effect in step.effects:
            if isinstance(effect, StartChild):
                await self._make(effect.member)
            else:
                self._order(effect)

    async def _make(self, member: Member) -> None:
        try:
            await self._children.make(member, self.state, self.state.stages[member.stage])
        except OrderRefused as error:
            code = _CODES.get(error.refusal, ReasonCode.IDENTITY)
            reason = Reason(code=code, object=f"cluster:{member.cluster}", detail=str(error))
            if not self._children.is_draining:
                self._onlooker.remember(reason, member.cluster)
            refused = StartRefused(at=self.state.clock, child=member.child, reason=reason)
            self.state = reduce_fleet(self.state, refused).state

    def _order(self, effect: OrderChild) -> None:
        """Hand an order on, in the background: a child may wait for a slow disk or host."""
        key = f"{effect.verb} {effect.child}"
        if key not in self._ordered:
            self._ordered.add(key)
            self._tasks.spawn(self._hand_on(effect, key), name=key)

    async def _hand_on(self, effect: OrderChild, key: str) -> None:
        try:
            await self._children.order(
                effect.child, effect.verb.value, by=effect.by, reason=effect.reason, node=None
            )
        except OrderRefused as error:
            # A look comes by itself; to look at once would ask a child that refuses without end.
            log.info("child_order_refused", wave=effect.child, detail=str(error))
        else:
            self._wake.set()
        finally:
            self._ordered.discard(key)

    async def order_node(self, child: str, verb: Verb, *, by: str, reason: str, node: int) -> None:
        """Retry or skip of a broker, which is its child's to do.

        Raises:
            OrderRefused: the child refuses it.
        """
        await self._children.order(child, verb.value, by=by, reason=reason, node=node)
        self._wake.set()


def dumped(state: FleetState) -> str:
    """The state as it is stored."""
    return json.dumps(encode_fleet(state), separators=(",", ":"), ensure_ascii=False)


def _entry(note: Note, clock: float) -> JournalEntry:
    body: Mapping[str, Any] = {
        "event": note.event,
        "clock": round(clock, 3),
        "detail": note.detail,
        "data": note.data,
    }
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return JournalEntry(kind=EntryKind.EVENT, body=text)
