"""What the SQLite store promises beyond the Protocol: disk, permissions, schemas, trouble."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from healthd.store import migrate
from healthd.store.errors import (
    SchemaTooNew,
    StoreDamaged,
    StoreFull,
    StoreLocked,
    StoreUnusable,
)
from healthd.store.records import (
    EntryKind,
    JournalEntry,
    JournalStep,
    Lease,
    StoredSnapshot,
    WaveRecord,
)
from healthd.store.schema import METADATA
from healthd.store.sqlite import SqliteStore

WAVE = WaveRecord(
    id="w1",
    cluster="payments",
    name="june",
    reason="CHG-1",
    requested_by="alice",
    created_at=100.0,
    updated_at=100.0,
    status="running",
    state="{}",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def lease_of(store: SqliteStore) -> Lease:
    answer = store.acquire(
        "payments", wave_id="w1", instance="i1", holder="alice", now=1.0, ttl_seconds=30.0
    )
    assert isinstance(answer, Lease)
    return answer


def intent(lease: Lease, version: int, *, state: str = "{}") -> JournalStep:
    return JournalStep(
        wave_id="w1",
        expected_version=version,
        at=101.0,
        status="running",
        state=state,
        entries=(JournalEntry(kind=EntryKind.EFFECT, body="{}", effect_id=f"e{version}"),),
        fence=lease.fence,
    )


def test_everything_is_there_after_a_restart(folder: Path) -> None:
    store = SqliteStore.open(folder)
    store.create_wave(WAVE)
    lease = lease_of(store)
    store.append(intent(lease, 1))
    store.save_snapshot(StoredSnapshot(cluster="payments", at=1.0, body="{}"))
    store.close()
    again = SqliteStore.open(folder)
    assert [wave.id for wave in again.waves(active_only=True)] == ["w1"]
    assert [effect.effect_id for effect in again.effects_open("w1")] == ["e1"]
    assert again.leases() == (lease,)
    assert len(again.load_snapshots()) == 1
    again.close()


def test_an_intent_survives_the_kill_of_its_process(folder: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import importlib.util
spec = importlib.util.spec_from_file_location("case", sys.argv[3])
case = importlib.util.module_from_spec(spec)
spec.loader.exec_module(case)
store = case.SqliteStore.open(Path(sys.argv[1]))
store.create_wave(case.WAVE)
store.append(case.intent(case.lease_of(store), 1))
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(root), __file__],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    store = SqliteStore.open(folder)
    assert [effect.effect_id for effect in store.effects_open("w1")] == ["e1"]
    store.close()


def test_commits_are_synchronous_and_logged_ahead(folder: Path) -> None:
    store = SqliteStore.open(folder)
    with store._engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
    }
    store.close()


def test_folder_and_files_are_for_their_owner_alone(folder: Path) -> None:
    store = SqliteStore.open(folder)
    store.create_wave(WAVE)
    store.reserve_space(65_536)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "healthd.db-wal" in modes
    store.close()


def test_an_empty_folder_that_others_may_read_is_tightened(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    SqliteStore.open(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_with_other_peoples_files_keeps_its_mode(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "something").touch()
    SqliteStore.open(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "healthd.db").stat().st_mode) == 0o600


def test_a_folder_whose_name_looks_like_an_address_is_only_a_name(tmp_path: Path) -> None:
    odd = tmp_path / "a?b#c%20 d"
    SqliteStore.open(odd).close()
    assert (odd / "healthd.db").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable, match="file/state"):
        SqliteStore.open(tmp_path / "file" / "state")


def test_the_migrations_end_at_the_schema_of_the_code(folder: Path) -> None:
    SqliteStore.open(folder).close()
    engine = create_engine(f"sqlite:///{folder / 'healthd.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_a_schema_newer_than_the_program_is_refused_and_untouched(folder: Path) -> None:
    SqliteStore.open(folder).close()
    database = folder / "healthd.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    before = database.read_bytes()
    with pytest.raises(SchemaTooNew, match="schema 99, this healthd knows schemas up to"):
        SqliteStore.open(folder)
    assert database.read_bytes() == before


def test_before_an_upgrade_a_copy_of_the_file_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = SqliteStore.open(folder)
    store.create_wave(WAVE)
    store.close()
    newer = tmp_path / "migrations"
    shutil.copytree(migrate._MIGRATIONS, newer)
    number = migrate.newest_schema()
    add_migration(newer, "op.execute('CREATE TABLE added (id INTEGER)')")
    monkeypatch.setattr(migrate, "_MIGRATIONS", newer)
    upgraded = SqliteStore.open(folder)
    assert upgraded.wave("w1") == WAVE
    upgraded.close()
    assert tables(folder / "healthd.db") - tables(folder / f"healthd.db.v{number}.bak") == {"added"}
    assert stat.S_IMODE((folder / f"healthd.db.v{number}.bak").stat().st_mode) == 0o600


def test_a_wave_of_a_schema_without_parts_is_read_and_split_by_its_next_write(
    folder: Path,
) -> None:
    store = SqliteStore.open(folder)
    store.create_wave(replace(WAVE, state='{"whole": 1}'))
    store.close()
    with closing(sqlite3.connect(folder / "healthd.db")) as connection, connection:
        connection.execute("DROP TABLE wave_parts")
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    upgraded = SqliteStore.open(folder)
    found = upgraded.wave("w1")
    assert found is not None
    assert (found.state, found.parts) == ('{"whole": 1}', {})
    lease = lease_of(upgraded)
    upgraded.append(replace(intent(lease, 1, state="{}"), parts={"node:0": "{}"}))
    found = upgraded.wave("w1")
    assert found is not None
    assert (found.state, found.parts) == ("{}", {"node:0": "{}"})
    upgraded.close()
    assert (folder / "healthd.db.v3.bak").exists()


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    SqliteStore.open(folder).close()
    newer = tmp_path / "migrations"
    shutil.copytree(migrate._MIGRATIONS, newer)
    add_migration(
        newer, "op.execute('CREATE TABLE added (id INTEGER)'); raise RuntimeError('half-way')"
    )
    before = tables(folder / "healthd.db")
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_MIGRATIONS", newer)
        with pytest.raises(RuntimeError, match="half-way"):
            SqliteStore.open(folder)
    assert tables(folder / "healthd.db") == before
    SqliteStore.open(folder).close()


def test_the_newest_schema_is_the_last_that_the_migrations_lead_to() -> None:
    head = ScriptDirectory(str(migrate._MIGRATIONS)).get_current_head()
    assert head is not None
    assert int(head) == migrate.newest_schema()


def test_a_state_of_todays_schema_is_opened_without_what_migrations_need(folder: Path) -> None:
    SqliteStore.open(folder).close()
    code = (
        "import pathlib, sys; from healthd.store.sqlite import SqliteStore; "
        "SqliteStore.open(pathlib.Path(sys.argv[1])).close(); "
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


def add_migration(folder: Path, work: str) -> None:
    """A schema newer than the newest one that ships."""
    newest = migrate.newest_schema()
    (folder / "versions" / f"v{newest + 1:04}_next.py").write_text(
        f"from alembic import op\nrevision = '{newest + 1:04}'\n"
        f"down_revision = '{newest:04}'\ndef upgrade():\n    {work}\n"
    )


def tables(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {str(row[0]) for row in found}


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"\0" * 5000])
def test_a_file_that_is_no_database_is_refused_and_untouched(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "healthd.db").write_bytes(content)
    with pytest.raises(StoreDamaged, match="healthd state restore"):
        SqliteStore.open(folder)
    assert (folder / "healthd.db").read_bytes() == content


def test_somebody_elses_database_is_refused(folder: Path) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "healthd.db")) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(StoreDamaged, match="not healthd's"):
        SqliteStore.open(folder)


def test_a_damaged_page_is_found_at_the_start(folder: Path) -> None:
    store = SqliteStore.open(folder)
    store.create_wave(WAVE)
    store.close()
    database = folder / "healthd.db"
    content = bytearray(database.read_bytes())
    content[4096:-4096] = os.urandom(len(content) - 8192)
    database.write_bytes(content)
    with pytest.raises(StoreDamaged):
        SqliteStore.open(folder)


def test_a_file_that_another_process_holds_is_an_error_after_the_time_out(folder: Path) -> None:
    store = SqliteStore.open(folder, busy_timeout_seconds=0.05)
    store.create_wave(WAVE)
    lease = lease_of(store)
    with closing(sqlite3.connect(folder / "healthd.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match="another process"):
            store.append(intent(lease, 1))
        assert store.wave("w1") == WAVE
        other.execute("ROLLBACK")
    assert store.append(intent(lease, 1)) == 2
    store.close()


def test_a_disk_that_is_full_without_a_reserve_is_an_error(folder: Path) -> None:
    store = SqliteStore.open(folder)
    store.create_wave(WAVE)
    lease = lease_of(store)
    store.close()
    # A limit on pages is SQLite's own way to be full.
    limited = SqliteStore.open(folder)
    with limited._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull, match="disk is full"):
        limited.append(intent(lease, 1, state="x" * 100_000))
    assert limited.wave("w1") == WAVE
    assert limited.effects_open("w1") == ()
    limited.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB of its own."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    if subprocess.run(["which", "mount"], check=False, capture_output=True).returncode:
        pytest.skip("there is no mount program here")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "healthd-test", str(mounted)],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield mounted
    # Lazily: a test that failed may have left a file open, and a mount must not stay behind.
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
    return filler


def test_on_a_full_disk_what_was_intended_is_still_written_from_the_reserve(
    small_disk: Path,
) -> None:
    store = SqliteStore.open(small_disk / "state")
    store.create_wave(WAVE)
    lease = lease_of(store)
    store.reserve_space(4 << 20)
    assert store.space_ok()
    filler = fill(small_disk)
    assert store.space_ok()
    version = 1
    for _ in range(40):
        # About what a wave over five brokers writes between a stop and the broker's return.
        version = store.append(intent(lease, version, state="s" * 20_000))
    assert len(store.effects_open("w1")) == 40
    assert not store.space_ok()
    with pytest.raises(StoreFull):
        store.reserve_space(4 << 20)
    filler.unlink()
    assert store.space_ok()
    store.close()
    again = SqliteStore.open(small_disk / "state")
    assert len(again.effects_open("w1")) == 40
    again.close()


def test_on_a_full_disk_a_state_is_opened_with_what_the_reserve_gives_up(small_disk: Path) -> None:
    store = SqliteStore.open(small_disk / "state")
    store.create_wave(WAVE)
    store.reserve_space(2 << 20)
    store.close()
    fill(small_disk)
    again = SqliteStore.open(small_disk / "state")
    assert again.wave("w1") == WAVE
    again.close()


def test_on_a_full_disk_without_a_reserve_a_state_that_cannot_be_opened_says_why(
    small_disk: Path,
) -> None:
    SqliteStore.open(small_disk / "state").close()
    fill(small_disk)
    with pytest.raises(StoreFull, match="free space on that file system"):
        SqliteStore.open(small_disk / "state")


def test_on_a_full_disk_new_waves_and_snapshots_leave_the_reserve_alone(
    small_disk: Path,
) -> None:
    store = SqliteStore.open(small_disk / "state")
    store.reserve_space(2 << 20)
    fill(small_disk)
    with pytest.raises(StoreFull):
        store.create_wave(
            WaveRecord(
                id="w1",
                cluster="payments",
                name="june",
                reason="CHG-1",
                requested_by="alice",
                created_at=1.0,
                updated_at=1.0,
                status="running",
                state="x" * 200_000,
            )
        )
    body = os.urandom(200_000).hex()
    with pytest.raises(StoreFull):
        store.save_snapshot(StoredSnapshot(cluster="payments", at=1.0, body=body))
    assert store.space_ok()
    store.close()


def test_a_reserve_that_the_disk_has_not_got_is_refused_and_given_back(small_disk: Path) -> None:
    store = SqliteStore.open(small_disk / "state")
    with pytest.raises(StoreFull, match="no broker is stopped"):
        store.reserve_space(64 << 20)
    assert not store.space_ok()
    assert (small_disk / "state" / "healthd.reserve").stat().st_blocks == 0
    store.close()
