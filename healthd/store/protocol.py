"""The durable state behind a small Protocol; `sqlite` and `memory` keep the same promises."""

from typing import Protocol

from healthd.store.ledger import Ledger
from healthd.store.records import (
    AuditRecord,
    Fence,
    JournalRow,
    JournalStep,
    Lease,
    LeaseHeld,
    OpenEffect,
    StoredSnapshot,
    WaveRecord,
)
from healthd.store.timeline import Timeline


class Store(Protocol):
    """Waves, their journal, leases, audit records and last snapshots, kept over restarts.

    Every method blocks and is meant for a worker thread; all may be called from any thread.
    Every write is one transaction that is on disk when the method returns. Every method may
    raise `StoreFull`, `StoreLocked`, `StoreDamaged` or `StoreUnusable`; a write that raised
    has changed nothing. Times are arguments, never read from a clock.

    Persist, act, persist: `append` the state with the effects that it intends, carry them out,
    then `append` (or `finish_effect`) what came of them. After a crash `effects_open` names what
    may or may not have been done.
    """

    @property
    def ledger(self) -> Ledger:
        """Documents and events."""
        ...

    @property
    def timeline(self) -> Timeline:
        """How every cluster was over time."""
        ...

    def create_wave(self, record: WaveRecord, *, audit: tuple[AuditRecord, ...] = ()) -> None:
        """Store a new wave at version 1.

        Raises:
            AlreadyRecorded: The id is taken.
        """
        ...

    def wave(self, wave_id: str) -> WaveRecord | None:
        """The wave as last stored, or None."""
        ...

    def waves(self, *, active_only: bool = False) -> tuple[WaveRecord, ...]:
        """All waves, or those that have not ended, in the order they were created."""
        ...

    def effects_intended(self, wave_id: str) -> frozenset[str]:
        """The id of every effect that the wave has ever intended, finished or not."""
        ...

    def append(self, step: JournalStep) -> int:
        """Write one step and answer the wave's new version.

        With a full disk the reserve is given up so that this write still succeeds.

        Raises:
            NotRecorded: No such wave, or `finished` names an effect that was never intended.
            VersionConflict: The wave is not at `expected_version`.
            FencedOut: The fence's token is no longer the cluster's, or its lease is another's.
            AlreadyRecorded: The wave has had an effect of that id before.
        """
        ...

    def journal(self, wave_id: str, *, after_seq: int = 0) -> tuple[JournalRow, ...]:
        """The wave's journal in the order it was written, from after the given line."""
        ...

    def effects_open(self, wave_id: str) -> tuple[OpenEffect, ...]:
        """The wave's effects that were intended and not finished, oldest first."""
        ...

    def finish_effect(
        self, wave_id: str, effect_id: str, *, outcome: str, at: float, fence: Fence
    ) -> bool:
        """Record how an effect ended; false when that was known already (the first one stays).

        The wave's state and version are not touched.

        Raises:
            NotRecorded: The effect was never intended.
            FencedOut: The fence's token is no longer the cluster's.
        """
        ...

    def acquire(
        self,
        cluster: str,
        *,
        wave_id: str,
        instance: str,
        holder: str,
        now: float,
        ttl_seconds: float,
    ) -> Lease | LeaseHeld:
        """Take the cluster's lease with a new, higher token, or learn who has it.

        It is given when it is free or has expired, and at once when this instance asks again
        for the same wave (a restarted daemon; its former token is fenced out). A second wave
        never gets a lease that is alive, not even in the same daemon.
        """
        ...

    def renew(self, fence: Fence, *, now: float, ttl_seconds: float) -> Lease:
        """Prolong the lease; also after it has expired, as long as nobody took it.

        Raises:
            FencedOut: It was released, or has gone to somebody else.
        """
        ...

    def release(self, fence: Fence) -> bool:
        """Give the lease back; false when it was not this fence's any more."""
        ...

    def leases(self) -> tuple[Lease, ...]:
        """The leases that were not released (they may have expired), by cluster name."""
        ...

    def audit(self, record: AuditRecord) -> None:
        """Add a record; records are never changed or removed."""
        ...

    def audit_records(self, *, limit: int = 100) -> tuple[AuditRecord, ...]:
        """The newest records first."""
        ...

    def save_snapshot(self, snapshot: StoredSnapshot) -> None:
        """Keep the snapshot as the cluster's last one, unless a newer one is kept."""
        ...

    def load_snapshots(self) -> tuple[StoredSnapshot, ...]:
        """The last snapshot of every cluster that has one, by cluster name."""
        ...

    def forget_snapshot(self, cluster: str) -> None:
        """Drop the last snapshot of a cluster that has left the fleet."""
        ...

    def reserve_space(self, size_bytes: int) -> None:
        """Keep that much space for the writes that must not fail once a broker is stopped.

        Raises:
            StoreFull: There is not that much.
        """
        ...

    def space_ok(self) -> bool:
        """Whether the whole reserve is there; asked before every stop.

        A reserve that was given up is taken again first, when there is space again.
        """
        ...

    def restored_at(self) -> float | None:
        """When the state was last restored from a backup, or None.

        A wave that is active and was last changed before that may describe a world that has
        moved on: it is paused for a person.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; the store is not used afterwards."""
        ...
