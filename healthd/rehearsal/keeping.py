"""The state of a rehearsed daemon: the real journal and store, in memory and without waiting."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from healthd.engine.clock import Clock
from healthd.engine.journal import StoreThread, WaveJournal
from healthd.engine.pace import Pace
from healthd.store.memory import MemoryStore
from healthd.store.protocol import Store
from healthd.store.records import Fence, LeaseHeld, WaveRecord
from healthd.waves.codec import encode_state
from healthd.waves.effects import Step
from healthd.waves.events import Event
from healthd.waves.state import WaveState
from healthd.waves.stored import read_stored

T = TypeVar("T")

INSTANCE = "rehearsed"
HOLDER = "healthd, rehearsed"
THIEF = "another healthd"


class InlineStore(StoreThread):
    """The store without a thread: what is asked of it is done when the call returns."""

    def __init__(self, store: Store) -> None:
        # No thread pool: nothing in virtual time may wait for a real thread.
        self.store = store

    async def call(self, work: Callable[[Store], T]) -> T:
        """The result of some work on the store."""
        return work(self.store)

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing.

    Raises:
        RuntimeError: it did wait.
    """
    try:
        work.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    work.close()
    raise RuntimeError("a coroutine of a rehearsal waited for something real")


class Keeping:
    """What is on disk of one wave, the lease of its cluster, and the way to both."""

    def __init__(self, state: WaveState, *, clock: Clock) -> None:
        self.store = MemoryStore()
        self.clock = clock
        self.writes = 0
        self.after_write: Callable[[int], None] = lambda _write: None
        """Called with the number of every write, right after it is on disk."""
        self._wave, self._cluster = state.wave, state.cluster
        self._pace = Pace()
        self._inline = InlineStore(self.store)
        self._journal: WaveJournal | None = None
        self._stolen: Fence | None = None
        now = clock.wall()
        self.store.create_wave(
            WaveRecord(
                id=state.wave,
                cluster=state.cluster,
                name=state.wave,
                reason=state.reason,
                requested_by=state.requested_by,
                created_at=now,
                updated_at=now,
                status=state.status.value,
                state=json.dumps(encode_state(state)),
            )
        )

    def take_up(self) -> WaveState | LeaseHeld:
        """Lease the cluster and read the wave, or learn who has it."""
        lease = self.store.acquire(
            self._cluster,
            wave_id=self._wave,
            instance=INSTANCE,
            holder=HOLDER,
            now=self.clock.wall(),
            ttl_seconds=self._pace.lease_seconds,
        )
        if isinstance(lease, LeaseHeld):
            return lease
        record = self.store.wave(self._wave)
        assert record is not None, "it was created with this object"
        self._journal = WaveJournal(
            self._inline,
            self._wave,
            version=record.version,
            fence=lease.fence,
            clock=self.clock,
        )
        at_once(self._journal.load())
        return read_stored(record.state, record.parts)

    def write(self, event: Event, step: Step) -> None:
        """Write one step; it is on disk when this returns.

        Raises:
            StoreError: nothing was written.
        """
        assert self._journal is not None, "a wave is taken up before it is written"
        at_once(self._journal.write(event, step))
        self.writes += 1
        self.after_write(self.writes)

    def renew(self) -> None:
        """Prolong the lease.

        Raises:
            FencedOut: it is somebody else's.
        """
        assert self._journal is not None, "as above"
        fence = self._journal.fence
        assert fence is not None, "a driven wave has a lease"
        self.store.renew(fence, now=self.clock.wall(), ttl_seconds=self._pace.lease_seconds)

    def is_intended(self, effect_id: str) -> bool:
        """Whether the intent of an effect is on disk."""
        return effect_id in self.store.effects_intended(self._wave)

    def steal(self) -> None:
        """Let somebody else take the lease, and keep it."""
        for lease in self.store.leases():
            self.store.release(lease.fence)
        taken = self.store.acquire(
            self._cluster,
            wave_id="another wave",
            instance="somebody else",
            holder=THIEF,
            now=self.clock.wall(),
            ttl_seconds=float("inf"),
        )
        self._stolen = None if isinstance(taken, LeaseHeld) else taken.fence

    def give_back(self) -> None:
        """Let somebody else release the lease."""
        if self._stolen is not None:
            self.store.release(self._stolen)
            self._stolen = None
