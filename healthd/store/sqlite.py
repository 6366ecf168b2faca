"""The store in one SQLite file: write-ahead log, one writer, every commit on disk."""

import zlib
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final, Self, TypeVar

from sqlalchemy import Connection, Engine, delete, insert, select, update

from healthd.store import leasing, problems, rows, steps
from healthd.store.connection import open_engine, transaction
from healthd.store.errors import StoreFull, StoreLocked, StoreUnusable
from healthd.store.files import StateFiles, create_private, prepare_folder
from healthd.store.ledger_sqlite import SqliteLedger
from healthd.store.migrate import migrate
from healthd.store.records import (
    ENDED_STATUSES,
    AuditRecord,
    Fence,
    FinishedEffect,
    JournalRow,
    JournalStep,
    Lease,
    LeaseHeld,
    OpenEffect,
    StoredSnapshot,
    WaveRecord,
)
from healthd.store.schema import AUDIT, EFFECTS, LEASES, META, SNAPSHOTS, WAVES
from healthd.store.space import Reserve
from healthd.store.timeline_sqlite import SqliteTimeline

T = TypeVar("T")

RESERVE_BYTES: Final = 16 * 1024 * 1024
"""Room for some hundred journal steps: one writes its state and lines (tens of KiB) to the
write-ahead log, which is folded into the file every 4 MiB."""

RESTORED_AT: Final = "restored_at"


class SqliteStore:
    """A `Store` in the state folder; the caller holds the folder's `DaemonLock`.

    Raises from any method, beside what the Protocol names: `StoreFull`, `StoreLocked` after
    `busy_timeout_seconds`, `StoreDamaged`, `StoreUnusable`.
    """

    def __init__(self, engine: Engine, files: StateFiles, *, busy_timeout_seconds: float) -> None:
        self._engine = engine
        self._database = files.database
        self._reserve = Reserve(files.reserve)
        self._busy_timeout_seconds = busy_timeout_seconds
        # Threads of this process queue here, where the wait is fair; SQLite's own busy handler
        # polls and can starve one of them.
        self._writer = Lock()
        self.ledger: Final = SqliteLedger(self)
        self.timeline: Final = SqliteTimeline(self)

    @classmethod
    def open(cls, folder: Path, *, busy_timeout_seconds: float = 5.0) -> Self:
        """The store of a state folder, made or migrated as needed.

        Raises:
            StoreDamaged: The file is not sound, or is not healthd's.
            SchemaTooNew: A newer healthd wrote it; nothing was changed.
        """
        files = prepare_folder(folder)
        try:
            create_private(files.database)
        except OSError as error:
            raise StoreUnusable(
                f"the state file cannot be opened: {error.strerror}",
                where=str(files.database),
                todo="let healthd's user write to the state folder",
            ) from error
        try:
            engine = _opened(files.database, busy_timeout_seconds)
        except StoreFull:
            # SQLite needs some room beside the file before it can even be read.
            if not Reserve(files.reserve).give_up():
                raise
            engine = _opened(files.database, busy_timeout_seconds)
        return cls(engine, files, busy_timeout_seconds=busy_timeout_seconds)

    def create_wave(self, record: WaveRecord, *, audit: tuple[AuditRecord, ...] = ()) -> None:
        """Store a new wave; a full disk refuses it, the reserve is for waves that run."""

        def work(connection: Connection) -> None:
            if rows.read_wave(connection, record.id) is not None:
                raise problems.wave_exists(record.id)
            connection.execute(
                insert(WAVES).values(
                    id=record.id,
                    cluster=record.cluster,
                    name=record.name,
                    reason=record.reason,
                    requested_by=record.requested_by,
                    created_at=record.created_at,
                    updated_at=record.updated_at,
                    status=record.status,
                    state=record.state,
                    version=1,
                )
            )
            for entry in audit:
                rows.add_audit(connection, entry)

        self.write(work, may_use_reserve=False)

    def wave(self, wave_id: str) -> WaveRecord | None:
        """The wave, or None."""
        return self.read(lambda connection: rows.read_wave(connection, wave_id))

    def waves(self, *, active_only: bool = False) -> tuple[WaveRecord, ...]:
        """All waves, or the active ones."""
        query = select(WAVES).order_by(WAVES.c.created_at, WAVES.c.id)
        if active_only:
            query = query.where(WAVES.c.status.not_in(ENDED_STATUSES))
        return self.read(lambda connection: rows.read_waves(connection, query))

    def effects_intended(self, wave_id: str) -> frozenset[str]:
        """The effects that the wave has ever intended."""
        query = select(EFFECTS.c.effect_id).where(EFFECTS.c.wave_id == wave_id)
        return self.read(lambda connection: frozenset(connection.execute(query).scalars()))

    def append(self, step: JournalStep) -> int:
        """Write one step, or nothing of it."""

        def work(connection: Connection) -> int:
            version = steps.read_version(connection, step.wave_id)
            if version is None:
                raise problems.no_wave(step.wave_id)
            if version != step.expected_version:
                raise problems.version_conflict(
                    step.wave_id, expected=step.expected_version, found=version
                )
            if step.fence is not None:
                current, _ = rows.read_lease(connection, step.fence.cluster)
                leasing.require(step.fence, current, wave_id=step.wave_id)
            for finished in step.finished:
                steps.finish(connection, step.wave_id, step.at, finished)
            for entry in step.entries:
                steps.add_entry(connection, step.wave_id, step.at, entry)
            for record in step.audit:
                rows.add_audit(connection, record)
            if step.releases_lease and step.fence is not None:
                rows.release_lease(connection, step.fence.cluster, step.fence.token)
            steps.update_wave(connection, step, version + 1)
            return version + 1

        return self.write(work)

    def journal(self, wave_id: str, *, after_seq: int = 0) -> tuple[JournalRow, ...]:
        """The wave's journal."""
        return self.read(
            lambda connection: rows.read_journal(connection, wave_id, after_seq=after_seq)
        )

    def effects_open(self, wave_id: str) -> tuple[OpenEffect, ...]:
        """Effects intended and not finished."""
        return self.read(lambda connection: rows.read_open_effects(connection, wave_id))

    def finish_effect(
        self, wave_id: str, effect_id: str, *, outcome: str, at: float, fence: Fence
    ) -> bool:
        """Record how an effect ended."""

        def work(connection: Connection) -> bool:
            current, _ = rows.read_lease(connection, fence.cluster)
            leasing.require(fence, current, wave_id=wave_id)
            finished = FinishedEffect(effect_id=effect_id, outcome=outcome)
            return steps.finish(connection, wave_id, at, finished)

        return self.write(work)

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

        def work(connection: Connection) -> Lease | LeaseHeld:
            current, last_token = rows.read_lease(connection, cluster)
            answer = leasing.decide(current, last_token=last_token, request=request, now=now)
            if isinstance(answer, Lease):
                rows.write_lease(connection, answer, is_new=last_token == 0)
            return answer

        # A restarted daemon needs its lease back to start the broker that it had stopped.
        return self.write(work)

    def renew(self, fence: Fence, *, now: float, ttl_seconds: float) -> Lease:
        """Prolong the lease."""

        def work(connection: Connection) -> Lease:
            current, _ = rows.read_lease(connection, fence.cluster)
            leasing.require(fence, current)
            connection.execute(
                update(LEASES)
                .where(LEASES.c.cluster == fence.cluster)
                .values(expires_at=now + ttl_seconds)
            )
            renewed, _ = rows.read_lease(connection, fence.cluster)
            assert renewed is not None, "the lease was held in this transaction"
            return renewed

        return self.write(work)

    def release(self, fence: Fence) -> bool:
        """Give the lease back."""
        return self.write(
            lambda connection: rows.release_lease(connection, fence.cluster, fence.token)
        )

    def leases(self) -> tuple[Lease, ...]:
        """The leases that were not released."""
        query = select(LEASES).where(LEASES.c.released.is_(False)).order_by(LEASES.c.cluster)
        return self.read(
            lambda connection: tuple(
                rows.lease_of(row) for row in connection.execute(query).mappings()
            )
        )

    def audit(self, record: AuditRecord) -> None:
        """Add a record."""
        self.write(lambda connection: rows.add_audit(connection, record))

    def audit_records(self, *, limit: int = 100) -> tuple[AuditRecord, ...]:
        """The newest records first."""
        query = (
            select(AUDIT.c.at, AUDIT.c.who, AUDIT.c.what, AUDIT.c.target, AUDIT.c.why)
            .order_by(AUDIT.c.seq.desc())
            .limit(limit)
        )
        return self.read(
            lambda connection: tuple(
                AuditRecord(**row) for row in connection.execute(query).mappings()
            )
        )

    def save_snapshot(self, snapshot: StoredSnapshot) -> None:
        """Keep the cluster's last snapshot, compressed (about a tenth)."""
        body = zlib.compress(snapshot.body.encode(), level=3)

        def work(connection: Connection) -> None:
            kept = connection.execute(
                select(SNAPSHOTS.c.at).where(SNAPSHOTS.c.cluster == snapshot.cluster)
            ).scalar_one_or_none()
            if kept is not None and kept > snapshot.at:
                return
            connection.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.cluster == snapshot.cluster))
            connection.execute(
                insert(SNAPSHOTS).values(cluster=snapshot.cluster, at=snapshot.at, body=body)
            )

        self.write(work, may_use_reserve=False)

    def load_snapshots(self) -> tuple[StoredSnapshot, ...]:
        """The last snapshots."""
        query = select(SNAPSHOTS).order_by(SNAPSHOTS.c.cluster)
        return self.read(
            lambda connection: tuple(
                StoredSnapshot(
                    cluster=row.cluster, at=row.at, body=zlib.decompress(row.body).decode()
                )
                for row in connection.execute(query)
            )
        )

    def forget_snapshot(self, cluster: str) -> None:
        """Drop a cluster's last snapshot."""

        def work(connection: Connection) -> None:
            connection.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.cluster == cluster))

        self.write(work, may_use_reserve=False)

    def reserve_space(self, size_bytes: int = RESERVE_BYTES) -> None:
        """Keep that much space allocated."""
        self._reserve.take(size_bytes)

    def space_ok(self) -> bool:
        """Whether the whole reserve is there, taken again if it can be."""
        return self._reserve.is_whole()

    def restored_at(self) -> float | None:
        """When the state was last restored from a backup."""
        query = select(META.c.value).where(META.c.key == RESTORED_AT)
        value = self.read(lambda connection: connection.execute(query).scalar_one_or_none())
        return None if value is None else float(value)

    def close(self) -> None:
        """Close all connections; the last one folds the write-ahead log into the file."""
        self._engine.dispose()

    def read(self, work: Callable[[Connection], T]) -> T:
        """The result of reading in one transaction; for the store's own parts."""
        with transaction(self._engine, self._database, writes=False) as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T], *, may_use_reserve: bool = True) -> T:
        """The result of one transaction on disk; for the store's own parts."""
        if not self._writer.acquire(timeout=self._busy_timeout_seconds):
            raise StoreLocked(
                "another write has held the state file for too long",
                where=str(self._database),
                todo="look for a slow disk; healthd tries again",
            )
        try:
            try:
                return self._transact(work)
            except StoreFull:
                if not (may_use_reserve and self._reserve.give_up()):
                    raise
                return self._transact(work)
        finally:
            self._writer.release()

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with transaction(self._engine, self._database, writes=True) as connection:
            return work(connection)


def _opened(database: Path, busy_timeout_seconds: float) -> Engine:
    """An engine on the file, which is checked and brought to today's schema."""
    engine = open_engine(database, busy_timeout_seconds=busy_timeout_seconds)
    try:
        migrate(engine, database)
    except BaseException:
        engine.dispose()
        raise
    return engine
