"""The state file brought to this program's schema; a newer one is refused, an older one kept."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine

from healthd.store.connection import damaged, quick_check, read_only_uri, transaction
from healthd.store.errors import SchemaTooNew
from healthd.store.files import create_private, sync_folder

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_SCRIPTS: Final = "versions/v[0-9][0-9][0-9][0-9]_*.py"
EMPTY: Final = 0
"""The schema number of a file without any table."""


def newest_schema() -> int:
    """The number of the schema that this program writes."""
    # By the names of the files: alembic, which knows it as well, takes 12 MB for the daemon's life.
    return max(int(script.name[1:5]) for script in _MIGRATIONS.glob(_SCRIPTS))


def schema_number(connection: Connection, database: Path) -> int:
    """The number of the schema that the file has; `EMPTY` for a new file.

    Raises:
        StoreDamaged: The file has tables, but not healthd's.
    """
    tables = {
        str(row[0])
        for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if not tables:
        return EMPTY
    if "alembic_version" not in tables:
        raise damaged(database, "it is a database, but not healthd's")
    found = [str(row[0]) for row in connection.exec_driver_sql("SELECT * FROM alembic_version")]
    if len(found) != 1 or not found[0].isdecimal():
        raise damaged(database, f"its schema version reads {found}")
    return int(found[0])


def refuse_newer(number: int, database: Path) -> None:
    """Raise `SchemaTooNew` when this program does not know the schema."""
    newest = newest_schema()
    if number > newest:
        raise SchemaTooNew(
            f"the state file has schema {number}, this healthd knows schemas up to {newest}",
            where=str(database),
            todo="start the newer healthd again, or restore the backup that it kept",
        )


def migrate(engine: Engine, database: Path) -> None:
    """Check the file and bring it to the newest schema, in one transaction.

    Before an older file is changed a copy is kept beside it (`healthd.db.v1.bak`).

    Raises:
        StoreDamaged: The file is not sound, or is not healthd's.
        SchemaTooNew: A newer healthd wrote it.
    """
    with transaction(engine, database, writes=False) as connection:
        quick_check(connection, database)
        number = schema_number(connection, database)
    refuse_newer(number, database)
    if number == newest_schema():
        return
    if number != EMPTY:
        copy_database(database, kept_copy(database, number))
    with transaction(engine, database, writes=True) as connection:
        _upgrade(connection)


def kept_copy(database: Path, number: int) -> Path:
    """Where the file as it was before an upgrade is kept."""
    return database.with_name(f"{database.name}.v{number}.bak")


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that may be in use into one self-contained, private file."""
    temporary = target.with_name(f"{target.name}.part")
    temporary.unlink(missing_ok=True)
    create_private(temporary)
    try:
        with (
            closing(sqlite3.connect(read_only_uri(source), uri=True)) as read,
            closing(sqlite3.connect(temporary)) as written,
        ):
            read.backup(written)
            # A write-ahead file beside a backup would be one that is forgotten when it is moved.
            written.execute("PRAGMA journal_mode = DELETE")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(target)
    sync_folder(target.parent)


def _upgrade(connection: Connection) -> None:
    # Imported once in the life of a schema, and not at each start for the life of the daemon.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
