"""Connections to the SQLite file: durable settings, one kind of transaction, errors by name."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from healthd.store.errors import (
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreUnusable,
)

_LOW_SPACE_BYTES: Final = 256 * 1024
"""Below this an I/O error is taken for a full disk: SQLite reports a shared-memory file that
cannot grow (32 KiB steps) as an I/O error."""


def open_engine(database: Path, *, busy_timeout_seconds: float) -> Engine:
    """An engine whose commits are on disk and whose waits for other processes are bounded."""
    engine = create_engine(
        URL.create("sqlite", database=str(database)),
        connect_args={"timeout": busy_timeout_seconds, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions of its own: it would begin them as readers, and
        # a reader that turns writer fails at once instead of waiting.
        connection.isolation_level = None
        cursor = connection.cursor()
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            # FULL: a commit that was answered survives a power cut, not only a crash.
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")
        finally:
            cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("healthd_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def open_reader(database: Path, *, busy_timeout_seconds: float) -> Engine:
    """An engine that never changes the file, for looking at a state that a daemon may be using."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            read_only_uri(database),
            uri=True,
            timeout=busy_timeout_seconds,
            isolation_level=None,
        )

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def read_only_uri(database: Path) -> str:
    """The file's name in SQLite's URI form, opened for reading only."""
    return f"{database.absolute().as_uri()}?mode=ro"


@contextmanager
def transaction(engine: Engine, database: Path, *, writes: bool) -> Iterator[Connection]:
    """A connection inside one transaction that is committed at the end, or rolled back.

    Raises:
        StoreError: SQLite's own trouble, by name.
    """
    try:
        with (
            engine.connect() as connection,
            connection.execution_options(healthd_writes=writes).begin(),
        ):
            yield connection
    except DBAPIError as error:
        raise translate(error.orig, database) from error


def translate(error: BaseException | None, database: Path) -> StoreError:
    """SQLite's error as one that says what to do."""
    where = str(database)
    # The low byte is the family of an extended code.
    code = getattr(error, "sqlite_errorcode", -1) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_nearly_full(database)):
        return StoreFull(
            "the disk is full",
            where=where,
            todo="free space on that file system; no broker is stopped until then",
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreLocked(
            "the state file is locked by another process",
            where=where,
            todo=f"see who has it open (fuser {where}) and close it; healthd tries again",
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return damaged(database, str(error))
    return StoreUnusable(
        f"the state file cannot be used: {error}",
        where=where,
        todo="check that healthd's user may write to the file and its folder",
    )


def damaged(database: Path, detail: str) -> StoreDamaged:
    """The error for a file that is not what healthd wrote."""
    return StoreDamaged(
        f"the state file is damaged: {detail}",
        where=str(database),
        todo="keep a copy of it and use healthd state restore with a backup",
    )


def quick_check(connection: Connection, database: Path) -> None:
    """Raise `StoreDamaged` when SQLite finds the file's structure broken."""
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise damaged(database, "; ".join(found))


def _is_nearly_full(database: Path) -> bool:
    try:
        found = os.statvfs(database.parent)
    except OSError as error:
        return error.errno == errno.ENOSPC
    return found.f_bavail * found.f_frsize < _LOW_SPACE_BYTES
