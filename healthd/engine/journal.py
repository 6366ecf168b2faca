"""A wave's way to the disk: every step is written before anything of it is carried out."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from healthd.engine.clock import Clock
from healthd.store.protocol import Store
from healthd.store.records import (
    AuditRecord,
    EntryKind,
    Fence,
    FinishedEffect,
    JournalEntry,
    JournalRow,
    JournalStep,
)
from healthd.waves.effects import Command, Note, Step, StopService
from healthd.waves.events import CommandEnded, Event
from healthd.waves.state import WaveState
from healthd.waves.stored import StateParts

T = TypeVar("T")


class StoreThread:
    """The store on a thread of its own: one writer, and the event loop never waits for a disk."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def call(self, work: Callable[[Store], T]) -> T:
        """The result of some work on the store."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, work, self.store)

    def close(self) -> None:
        """Finish what was asked for, then close the store."""
        self._pool.submit(self.store.close)
        self._pool.shutdown(wait=True)


class WaveJournal:
    """The journal of one wave, as its driver writes it.

    What could not be written is kept and goes with the next write, in its order.
    """

    def __init__(
        self,
        store: StoreThread,
        wave: str,
        *,
        version: int,
        fence: Fence | None,
        clock: Clock,
    ) -> None:
        self._store = store
        self._wave = wave
        self._version = version
        self._clock = clock
        self.fence = fence
        self._intended: set[str] = set()
        self._open: set[str] = set()
        self._waiting: list[JournalEntry] = []
        self._finished: list[FinishedEffect] = []
        self._parts = StateParts()
        self._is_behind = False
        # How much of both is from before the last write: what that added can be forgotten.
        self._before_last = (0, 0)

    @property
    def is_behind(self) -> bool:
        """Whether the disk lacks something that has happened."""
        return self._is_behind

    async def load(self) -> None:
        """Learn which effects were intended before."""
        intended = await self._store.call(lambda store: store.effects_intended(self._wave))
        self._intended = set(intended)
        effects = await self._store.call(lambda store: store.effects_open(self._wave))
        self._open = {effect.effect_id for effect in effects}

    async def write(self, event: Event, step: Step, *, audit: tuple[AuditRecord, ...] = ()) -> None:
        """Write one step; it is on disk when this returns.

        Raises:
            StoreError: nothing was written; the entries are kept for the next write, unless the
                step is forgotten.
        """
        self._before_last = (len(self._waiting), len(self._finished))
        entries = [_note_entry(note, step.state.clock) for note in step.notes]
        entries += self._effect_entries(step.commands)
        finished = self._finishes(event, step.state)
        await self._append(step.state, entries, finished, audit)

    def forget_last(self) -> None:
        """The step of the write that failed is not carried out: nothing of it happened."""
        entries, finished = self._before_last
        del self._waiting[entries:]
        del self._finished[finished:]

    def keep(self, step: Step) -> None:
        """Keep the notes of a step that happened while nothing could be written."""
        self._waiting += [_note_entry(note, step.state.clock) for note in step.notes]
        self._is_behind = True

    async def _append(
        self,
        state: WaveState,
        entries: list[JournalEntry],
        finished: list[FinishedEffect],
        audit: tuple[AuditRecord, ...],
    ) -> None:
        self._waiting += entries
        self._finished += finished
        fence = self.fence
        if fence is None and any(entry.kind is EntryKind.EFFECT for entry in self._waiting):
            raise RuntimeError(f"wave {self._wave} wants to act without a lease")
        # An intent that is written late is finished by the write after this one.
        late = {entry.effect_id for entry in self._waiting if entry.effect_id}
        is_last = state.status.has_ended and not late
        stored = self._parts.changed_in(state)
        written = JournalStep(
            wave_id=self._wave,
            expected_version=self._version,
            at=self._clock.wall(),
            status=state.status.value,
            state=stored.head,
            parts=stored.parts,
            entries=tuple(self._waiting),
            finished=tuple(self._finished),
            fence=fence,
            audit=audit,
            releases_lease=is_last and fence is not None,
        )
        self._is_behind = True
        self._version = await self._store.call(lambda store: store.append(written))
        self._parts.written(state)
        self._is_behind = state.status.has_ended and not is_last
        for entry in self._waiting:
            if entry.effect_id:
                self._intended.add(entry.effect_id)
                self._open.add(entry.effect_id)
        self._open -= {effect.effect_id for effect in self._finished}
        self._waiting, self._finished = [], []

    def _effect_entries(self, commands: tuple[Command, ...]) -> list[JournalEntry]:
        entries: list[JournalEntry] = []
        for command in commands:
            entries += self._intent(command.effect_id, type(command).__name__, command)
            if isinstance(command, StopService):
                # The start is on disk before the stop happens, whatever happens then.
                entries += self._intent(command.start_effect_id, "StartService", command)
        return entries

    def _intent(self, effect_id: str, kind: str, command: Command) -> list[JournalEntry]:
        waiting = any(entry.effect_id == effect_id for entry in self._waiting)
        if effect_id in self._intended or waiting:
            return []
        body = {"effect": kind, "node": command.node, "timeoutSeconds": command.timeout_seconds}
        return [JournalEntry(kind=EntryKind.EFFECT, body=_dumps(body), effect_id=effect_id)]

    def _finishes(self, event: Event, state: WaveState) -> list[FinishedEffect]:
        finished: list[FinishedEffect] = []
        if isinstance(event, CommandEnded) and event.effect_id in self._open:
            body = {"outcome": event.outcome.value, "detail": event.detail}
            finished.append(FinishedEffect(effect_id=event.effect_id, outcome=_dumps(body)))
        if state.status.has_ended:
            done = {effect.effect_id for effect in (*self._finished, *finished)}
            finished += [
                FinishedEffect(effect_id=effect_id, outcome=_dumps({"outcome": "not needed"}))
                for effect_id in sorted(self._open - done)
            ]
        return finished


def _note_entry(note: Note, clock: float) -> JournalEntry:
    body: dict[str, Any] = {"event": note.event, "clock": round(clock, 3)}
    if note.node is not None:
        body["node"] = note.node
    if note.detail:
        body["detail"] = note.detail
    if note.data:
        body["data"] = note.data
    return JournalEntry(kind=EntryKind.EVENT, body=_dumps(body))


def note_of(row: JournalRow) -> dict[str, Any] | None:
    """The note that a row of the journal tells; None for rows of another kind."""
    if row.kind is not EntryKind.EVENT:
        return None
    body = json.loads(row.body)
    return body if isinstance(body, dict) else None


def _dumps(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
