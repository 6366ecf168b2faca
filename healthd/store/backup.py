"""`healthd state`: a copy of the state that can be trusted, put back, and looked over."""

import contextlib
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import delete, insert, select

from healthd.store import rows
from healthd.store.connection import (
    damaged,
    open_engine,
    open_reader,
    quick_check,
    transaction,
    translate,
)
from healthd.store.errors import SchemaTooNew, StoreDamaged, StoreUnusable
from healthd.store.files import StateFiles, prepare_folder, sync_folder
from healthd.store.lock import DaemonLock, LockHolder, current_holder
from healthd.store.migrate import (
    EMPTY,
    copy_database,
    migrate,
    newest_schema,
    refuse_newer,
    schema_number,
)
from healthd.store.records import ENDED_STATUSES, AuditRecord
from healthd.store.schema import EFFECTS, LEASES, META, WAVES
from healthd.store.sqlite import RESTORED_AT

_BUSY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReport:
    """What a look at the state has found; `problems` empty means sound."""

    file: Path
    schema: int | None
    newest_schema: int
    held_by: LockHolder | None
    waves: int = 0
    active_waves: tuple[str, ...] = ()
    open_effects: tuple[str, ...] = ()
    leases: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def backup(folder: Path, target: Path) -> None:
    """Write one self-contained, private file with the state as it is now; a daemon may run.

    Raises:
        StoreUnusable: There is no state, or the target is there already or cannot be written.
        StoreDamaged: The state is not sound; no backup is made of it.
        SchemaTooNew: A newer healthd wrote the state.
    """
    files = _existing(folder)
    if target.exists():
        raise StoreUnusable(
            "the backup's file is there already",
            where=str(target),
            todo="name a new file; a backup never replaces another",
        )
    _check_sound(files.database)
    try:
        copy_database(files.database, target)
    except sqlite3.Error as error:
        raise translate(error, target) from error
    except OSError as error:
        raise StoreUnusable(
            f"the backup cannot be written: {error.strerror}",
            where=str(target),
            todo="name a file in a folder that you may write to, with space on its disk",
        ) from error


def restore(folder: Path, source: Path, *, who: str, now: float) -> Path | None:
    """Put a backup in the state's place and answer where the former state is kept, if any.

    The backup is checked and migrated in a copy first; the exchange is one rename. Waves that
    were active in the backup are for a person to look at: see `Store.restored_at`.

    Raises:
        StateHeld: A daemon runs on this state (exit code 6).
        StoreDamaged: The backup is not sound; the state is untouched.
        SchemaTooNew: A newer healthd wrote the backup; the state is untouched.
        StoreUnusable: A file cannot be read or written.
    """
    if not source.is_file():
        raise StoreUnusable("there is no such backup", where=str(source), todo="name the file")
    _check_sound(source)
    files = prepare_folder(folder)
    with DaemonLock(files) as lock:
        lock.acquire(now=now)
        try:
            return _exchange(files, source, who=who, now=now)
        except sqlite3.Error as error:
            raise translate(error, files.database) from error
        except OSError as error:
            raise StoreUnusable(
                f"the backup cannot be put in place: {error}",
                where=str(files.database),
                todo="the former state is in the folder still; free space and try again",
            ) from error


def check(folder: Path) -> StateReport:
    """What the state holds and what is wrong with it; nothing is changed, a daemon may run.

    Raises:
        StoreUnusable: There is no state in the folder, or it cannot be read.
    """
    files = _existing(folder)
    report = StateReport(
        file=files.database,
        schema=None,
        newest_schema=newest_schema(),
        held_by=current_holder(files),
    )
    try:
        schema = _check_sound(files.database)
        report = replace(report, schema=schema)
        # An older schema is brought up to date at the daemon's next start, not by looking at it.
        return report if schema < report.newest_schema else _look(files, report)
    except (StoreDamaged, SchemaTooNew) as error:
        return replace(report, problems=(str(error),))


def _existing(folder: Path) -> StateFiles:
    files = StateFiles(folder)
    if not files.database.is_file():
        raise StoreUnusable(
            "there is no state",
            where=str(files.database),
            todo="name the daemon's state folder with --state-dir",
        )
    return files


def _check_sound(database: Path) -> int:
    """The schema's number, once the file's structure is sound and its schema one we know."""
    engine = open_reader(database, busy_timeout_seconds=_BUSY_SECONDS)
    with transaction(engine, database, writes=False) as connection:
        quick_check(connection, database)
        number = schema_number(connection, database)
    if number == EMPTY:
        raise damaged(database, "it is empty")
    refuse_newer(number, database)
    return number


def _exchange(files: StateFiles, source: Path, *, who: str, now: float) -> Path | None:
    incoming = files.folder / "healthd.db.incoming"
    copy_database(source, incoming)
    _make_ready(incoming, source, who=who, now=now)
    kept = None
    if files.database.exists():
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        kept = files.folder / f"healthd.db.before-restore-{stamp}"
        _keep_former(files, kept)
    incoming.replace(files.database)
    sync_folder(files.folder)
    return kept


def _make_ready(incoming: Path, source: Path, *, who: str, now: float) -> None:
    """Migrate the copy, note the restore in it, and fold its write-ahead log in."""
    engine = open_engine(incoming, busy_timeout_seconds=_BUSY_SECONDS)
    try:
        migrate(engine, incoming)
        with transaction(engine, incoming, writes=True) as connection:
            connection.execute(delete(META).where(META.c.key == RESTORED_AT))
            connection.execute(insert(META).values(key=RESTORED_AT, value=repr(now)))
            rows.add_audit(
                connection,
                AuditRecord(
                    at=now,
                    who=who,
                    what="state.restore",
                    target=str(source),
                    why="restored from a backup",
                ),
            )
    finally:
        engine.dispose()
    for old in incoming.parent.glob(f"{incoming.name}.v*.bak"):
        old.unlink()
    _fold_log(incoming)


def _keep_former(files: StateFiles, kept: Path) -> None:
    """Keep the former state under another name; its own name never stands for nothing.

    Without a file of that name a daemon would start from nothing, and forget a broker that is
    down. A write-ahead log that stayed behind would be played into the new file.
    """
    with contextlib.suppress(sqlite3.Error):
        # A damaged file cannot be folded; then its log is kept beside it as it is.
        _fold_log(files.database)
    for side in files.side_files:
        if side.exists():
            side.replace(kept.with_name(side.name.replace(files.database.name, kept.name)))
    kept.unlink(missing_ok=True)
    os.link(files.database, kept)


def _fold_log(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _look(files: StateFiles, report: StateReport) -> StateReport:
    engine = open_reader(files.database, busy_timeout_seconds=_BUSY_SECONDS)
    with transaction(engine, files.database, writes=False) as connection:
        waves = {
            str(row.id): str(row.status)
            for row in connection.execute(
                select(WAVES.c.id, WAVES.c.status).order_by(WAVES.c.created_at, WAVES.c.id)
            )
        }
        effects = [
            (str(row.wave_id), str(row.effect_id))
            for row in connection.execute(
                select(EFFECTS.c.wave_id, EFFECTS.c.effect_id)
                .where(EFFECTS.c.finished_at.is_(None))
                .order_by(EFFECTS.c.intent_seq)
            )
        ]
        leases = [
            rows.lease_of(row)
            for row in connection.execute(
                select(LEASES).where(LEASES.c.released.is_(False)).order_by(LEASES.c.cluster)
            ).mappings()
        ]
        broken = list(connection.exec_driver_sql("PRAGMA foreign_key_check"))
    problems = [f"table {row[0]} has a line that refers to nothing" for row in broken[:3]]
    problems += [
        f"wave {wave} has ended, but its effect {effect} was never finished"
        for wave, effect in effects
        if waves.get(wave) in ENDED_STATUSES
    ]
    problems += [
        f"the lease of cluster {lease.cluster} belongs to wave {lease.wave_id}, which "
        + ("has ended" if lease.wave_id in waves else "is not there")
        for lease in leases
        if waves.get(lease.wave_id, "failed") in ENDED_STATUSES
    ]
    return replace(
        report,
        waves=len(waves),
        active_waves=tuple(one for one in waves if waves[one] not in ENDED_STATUSES),
        open_effects=tuple(f"{wave}/{effect}" for wave, effect in effects),
        leases=tuple(f"{one.cluster}: {one.holder} for wave {one.wave_id}" for one in leases),
        problems=tuple(problems),
    )
