"""The store's in-memory twin: the same promises but the disk, for tests and rehearsals."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import RLock
from typing import Final

from healthd.store import leasing, problems
from healthd.store.errors import StoreError
from healthd.store.ledger_memory import MemoryLedger
from healthd.store.records import (
    AuditRecord,
    EntryKind,
    Fence,
    FinishedEffect,
    JournalEntry,
    JournalRow,
    JournalStep,
    Lease,
    LeaseHeld,
    OpenEffect,
    StoredSnapshot,
    WaveRecord,
)
from healthd.store.timeline_memory import MemoryTimeline


@dataclass(slots=True)
class _Effect:
    intent: OpenEffect
    is_finished: bool = False


class MemoryStore:
    """A `Store` that lives as long as its object.

    A test makes trouble with `fail_writes_with`: every write then raises that error.
    """

    def __init__(self) -> None:
        self.fail_writes_with: StoreError | None = None
        self._lock = RLock()
        self._waves: dict[str, WaveRecord] = {}
        self._journal: list[JournalRow] = []
        self._effects: dict[tuple[str, str], _Effect] = {}
        self._leases: dict[str, Lease] = {}
        self._tokens: dict[str, int] = {}
        self._audit: list[AuditRecord] = []
        self._snapshots: dict[str, StoredSnapshot] = {}
        self.ledger: Final = MemoryLedger(self._lock, self._may_write, self._audit)
        self.timeline: Final = MemoryTimeline(self._lock, self._may_write)

    def create_wave(self, record: WaveRecord, *, audit: tuple[AuditRecord, ...] = ()) -> None:
        """Store a new wave."""
        with self._lock:
            self._may_write()
            if record.id in self._waves:
                raise problems.wave_exists(record.id)
            self._waves[record.id] = replace(record, version=1, parts={})
            self._audit.extend(audit)

    def wave(self, wave_id: str) -> WaveRecord | None:
        """The wave, or None."""
        return self._waves.get(wave_id)

    def waves(self, *, active_only: bool = False) -> tuple[WaveRecord, ...]:
        """All waves, or the active ones."""
        with self._lock:
            kept = [w for w in self._waves.values() if not (active_only and w.has_ended)]
        return tuple(sorted(kept, key=lambda wave: (wave.created_at, wave.id)))

    def effects_intended(self, wave_id: str) -> frozenset[str]:
        """The effects that the wave has ever intended."""
        with self._lock:
            return frozenset(effect for wave, effect in self._effects if wave == wave_id)

    def append(self, step: JournalStep) -> int:
        """Write one step, or nothing of it."""
        with self._lock:
            self._may_write()
            wave = self._waves.get(step.wave_id)
            if wave is None:
                raise problems.no_wave(step.wave_id)
            if wave.version != step.expected_version:
                raise problems.version_conflict(
                    step.wave_id, expected=step.expected_version, found=wave.version
                )
            if step.fence is not None:
                leasing.require(
                    step.fence, self._leases.get(step.fence.cluster), wave_id=step.wave_id
                )
            self._check_effects(step)
            for finished in step.finished:
                self._finish(step.wave_id, finished, step.at)
            for entry in step.entries:
                self._write_entry(step.wave_id, entry, step.at)
            self._audit.extend(step.audit)
            if step.releases_lease and step.fence is not None:
                del self._leases[step.fence.cluster]
            written = replace(
                wave,
                version=wave.version + 1,
                status=step.status,
                state=step.state,
                parts={} if step.parts is None else {**wave.parts, **step.parts},
                updated_at=step.at,
            )
            self._waves[wave.id] = written
            return written.version

    def journal(self, wave_id: str, *, after_seq: int = 0) -> tuple[JournalRow, ...]:
        """The wave's journal."""
        with self._lock:
            return tuple(r for r in self._journal if r.wave_id == wave_id and r.seq > after_seq)

    def effects_open(self, wave_id: str) -> tuple[OpenEffect, ...]:
        """Effects intended and not finished."""
        with self._lock:
            return tuple(
                effect.intent
                for effect in self._effects.values()
                if effect.intent.wave_id == wave_id and not effect.is_finished
            )

    def finish_effect(
        self, wave_id: str, effect_id: str, *, outcome: str, at: float, fence: Fence
    ) -> bool:
        """Record how an effect ended."""
        with self._lock:
            self._may_write()
            leasing.require(fence, self._leases.get(fence.cluster), wave_id=wave_id)
            if (wave_id, effect_id) not in self._effects:
                raise problems.no_effect(wave_id, effect_id)
            return self._finish(wave_id, FinishedEffect(effect_id=effect_id, outcome=outcome), at)

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
        """Take the lease, or learn who has it."""
        request = Lease(
            cluster=cluster,
            token=0,
            instance=instance,
            holder=holder,
            wave_id=wave_id,
            since=now,
            expires_at=now + ttl_seconds,
        )
        with self._lock:
            self._may_write()
            answer = leasing.decide(
                self._leases.get(cluster),
                last_token=self._tokens.get(cluster, 0),
                request=request,
                now=now,
            )
            if isinstance(answer, Lease):
                self._leases[cluster] = replace(answer, took_over=None)
                self._tokens[cluster] = answer.token
            return answer

    def renew(self, fence: Fence, *, now: float, ttl_seconds: float) -> Lease:
        """Prolong the lease."""
        with self._lock:
            self._may_write()
            lease = leasing.require(fence, self._leases.get(fence.cluster))
            lease = replace(lease, expires_at=now + ttl_seconds)
            self._leases[fence.cluster] = lease
            return lease

    def release(self, fence: Fence) -> bool:
        """Give the lease back."""
        with self._lock:
            self._may_write()
            lease = self._leases.get(fence.cluster)
            if lease is None or lease.token != fence.token:
                return False
            del self._leases[fence.cluster]
            return True

    def leases(self) -> tuple[Lease, ...]:
        """The leases that were not released."""
        with self._lock:
            return tuple(self._leases[cluster] for cluster in sorted(self._leases))

    def audit(self, record: AuditRecord) -> None:
        """Add a record."""
        with self._lock:
            self._may_write()
            self._audit.append(record)

    def audit_records(self, *, limit: int = 100) -> tuple[AuditRecord, ...]:
        """The newest records first."""
        with self._lock:
            return tuple(self._audit[::-1][:limit])

    def save_snapshot(self, snapshot: StoredSnapshot) -> None:
        """Keep the cluster's last snapshot."""
        with self._lock:
            self._may_write()
            kept = self._snapshots.get(snapshot.cluster)
            if kept is None or kept.at <= snapshot.at:
                self._snapshots[snapshot.cluster] = snapshot

    def load_snapshots(self) -> tuple[StoredSnapshot, ...]:
        """The last snapshots."""
        with self._lock:
            return tuple(self._snapshots[cluster] for cluster in sorted(self._snapshots))

    def forget_snapshot(self, cluster: str) -> None:
        """Drop a cluster's last snapshot."""
        with self._lock:
            self._may_write()
            self._snapshots.pop(cluster, None)

    def reserve_space(self, size_bytes: int) -> None:  # noqa: ARG002 - memory keeps no file.
        """Nothing to keep; refused like any write when the store is made to fail."""
        self._may_write()

    def space_ok(self) -> bool:
        """Whether writes succeed."""
        return self.fail_writes_with is None

    def restored_at(self) -> float | None:
        """Never: there is nothing to restore from."""
        return None

    def close(self) -> None:
        """Nothing to let go of."""

    def _may_write(self) -> None:
        if self.fail_writes_with is not None:
            raise self.fail_writes_with

    def _check_effects(self, step: JournalStep) -> None:
        intended: set[str] = set()
        for effect_id in _effect_ids(step.entries):
            if effect_id in intended or (step.wave_id, effect_id) in self._effects:
                raise problems.effect_exists(step.wave_id, effect_id)
            intended.add(effect_id)
        for finished in step.finished:
            if (step.wave_id, finished.effect_id) not in self._effects:
                raise problems.no_effect(step.wave_id, finished.effect_id)

    def _write_entry(self, wave_id: str, entry: JournalEntry, at: float) -> None:
        self._line(wave_id, at, entry.kind, entry.body, entry.effect_id)
        if entry.effect_id is not None:
            intent = OpenEffect(
                wave_id=wave_id, effect_id=entry.effect_id, intended_at=at, body=entry.body
            )
            self._effects[(wave_id, entry.effect_id)] = _Effect(intent)

    def _finish(self, wave_id: str, finished: FinishedEffect, at: float) -> bool:
        effect = self._effects[(wave_id, finished.effect_id)]
        if effect.is_finished:
            return False
        effect.is_finished = True
        self._line(wave_id, at, EntryKind.OUTCOME, finished.outcome, finished.effect_id)
        return True

    def _line(
        self, wave_id: str, at: float, kind: EntryKind, body: str, effect_id: str | None
    ) -> None:
        seq = len(self._journal) + 1
        self._journal.append(
            JournalRow(seq=seq, wave_id=wave_id, at=at, kind=kind, body=body, effect_id=effect_id)
        )


def _effect_ids(entries: Iterable[JournalEntry]) -> Iterable[str]:
    return (entry.effect_id for entry in entries if entry.effect_id is not None)
