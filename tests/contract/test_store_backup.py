"""`healthd state backup|restore|check`, as a person uses them."""

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from healthd.cli.state import state
from healthd.store.files import StateFiles
from healthd.store.lock import DaemonLock
from healthd.store.migrate import newest_schema
from healthd.store.records import EntryKind, JournalEntry, JournalStep, Lease, WaveRecord
from healthd.store.sqlite import SqliteStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state with one wave that has an open effect."""
    made = tmp_path / "state"
    store = SqliteStore.open(made)
    store.create_wave(wave("w1"))
    lease = store.acquire(
        "payments", wave_id="w1", instance="i1", holder="alice", now=1.0, ttl_seconds=30.0
    )
    assert isinstance(lease, Lease)
    store.append(
        JournalStep(
            wave_id="w1",
            expected_version=1,
            at=2.0,
            status="running",
            state="{}",
            entries=(JournalEntry(kind=EntryKind.EFFECT, body="{}", effect_id="start-3"),),
            fence=lease.fence,
        )
    )
    store.close()
    return made


def wave(wave_id: str) -> WaveRecord:
    return WaveRecord(
        id=wave_id,
        cluster="payments",
        name="june",
        reason="CHG-1",
        requested_by="alice",
        created_at=1.0,
        updated_at=1.0,
        status="running",
        state="{}",
    )


def call(folder: Path, *words: str | Path) -> Result:
    return CliRunner().invoke(state, [*map(str, words), "--state-dir", str(folder)])


def report(folder: Path) -> dict[str, Any]:
    result = call(folder, "check", "-o", "json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (3 if found["problems"] else 0)
    return found


def test_a_sound_state_is_told_with_what_is_open_in_it(folder: Path) -> None:
    assert report(folder) == {
        "file": str(folder / "healthd.db"),
        "schema": newest_schema(),
        "newestSchema": newest_schema(),
        "heldBy": None,
        "waves": 1,
        "activeWaves": ["w1"],
        "openEffects": ["w1/start-3"],
        "leases": ["payments: alice for wave w1"],
        "problems": [],
    }
    assert "sound" in call(folder, "check").stdout


def test_a_check_names_the_running_daemon(folder: Path) -> None:
    with DaemonLock(StateFiles(folder)) as lock:
        holder = lock.acquire(now=0.0)
        assert report(folder)["heldBy"] == str(holder)
    assert report(folder)["heldBy"] is None


def test_a_check_changes_nothing(folder: Path) -> None:
    before = (folder / "healthd.db").read_bytes()
    report(folder)
    assert (folder / "healthd.db").read_bytes() == before


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "healthd.db")) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE waves SET status = 'succeeded'", "effect start-3 was never finished"),
        ("UPDATE waves SET status = 'failed'", "w1, which has ended"),
        ("UPDATE leases SET wave_id = 'gone'", "gone, which is not there"),
        ("UPDATE journal SET wave_id = 'gone'", "refers to nothing"),
        ("UPDATE alembic_version SET version_num = '0099'", "schema 99"),
        ("UPDATE alembic_version SET version_num = 'x'", "schema version reads"),
    ],
)
def test_what_does_not_fit_together_is_a_problem(
    folder: Path, statement: str, problem: str
) -> None:
    change(folder, statement)
    assert any(problem in one for one in report(folder)["problems"])


def test_a_damaged_state_is_a_problem(folder: Path) -> None:
    (folder / "healthd.db").write_bytes(b"nothing of the kind" * 300)
    assert any("damaged" in one for one in report(folder)["problems"])


def test_a_folder_without_state_is_unreadable_input(tmp_path: Path) -> None:
    result = call(tmp_path, "check")
    assert result.exit_code == 2
    assert "--state-dir" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_backup_of_a_running_daemon_is_restored_as_it_was(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    running = SqliteStore.open(folder)
    with DaemonLock(StateFiles(folder)) as lock:
        lock.acquire(now=0.0)
        assert call(folder, "backup", copy).exit_code == 0
    running.create_wave(wave("w2"))
    running.close()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert list(tmp_path.glob("copy.db*")) == [copy]

    result = call(folder, "restore", copy)
    assert result.exit_code == 0, result.stderr
    restored = SqliteStore.open(folder)
    assert [one.id for one in restored.waves()] == ["w1"]
    assert [one.effect_id for one in restored.effects_open("w1")] == ["start-3"]
    assert restored.restored_at() is not None
    (audit,) = restored.audit_records()
    assert (audit.what, audit.target) == ("state.restore", str(copy))
    restored.close()


def test_the_former_state_is_kept_by_a_restore(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    call(folder, "backup", copy)
    later = SqliteStore.open(folder)
    later.create_wave(wave("w2"))
    later.close()
    result = call(folder, "restore", copy, "-o", "json")
    former = Path(json.loads(result.stdout)["former"])
    with closing(sqlite3.connect(former)) as connection:
        assert connection.execute("SELECT id FROM waves ORDER BY id").fetchall() == [
            ("w1",),
            ("w2",),
        ]


def test_a_damaged_state_can_be_replaced_by_a_backup(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    call(folder, "backup", copy)
    (folder / "healthd.db").write_bytes(b"nothing of the kind" * 300)
    (folder / "healthd.db-wal").write_bytes(b"a log of something else")
    assert call(folder, "restore", copy).exit_code == 0
    assert report(folder)["problems"] == []


def test_a_restore_into_an_empty_folder_moves_the_state_to_a_new_host(
    folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    call(folder, "backup", copy)
    assert call(tmp_path / "new", "restore", copy).exit_code == 0
    assert report(tmp_path / "new")["activeWaves"] == ["w1"]
    assert stat.S_IMODE((tmp_path / "new" / "healthd.db").stat().st_mode) == 0o600


def test_nothing_is_restored_under_a_running_daemon(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    call(folder, "backup", copy)
    before = (folder / "healthd.db").read_bytes()
    with DaemonLock(StateFiles(folder)) as lock:
        holder = lock.acquire(now=0.0)
        result = call(folder, "restore", copy)
    assert result.exit_code == 6
    assert str(holder) in result.stderr
    assert (folder / "healthd.db").read_bytes() == before


@pytest.mark.parametrize("damage", ["not a database", "newer", "missing", "empty"])
def test_a_backup_that_is_not_sound_leaves_the_state_as_it_is(
    folder: Path, tmp_path: Path, damage: str
) -> None:
    copy = tmp_path / "copy.db"
    if damage == "newer":
        call(folder, "backup", copy)
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = '0099'")
    elif damage != "missing":
        copy.write_bytes(b"x" * 5000 if damage == "not a database" else b"")
    before = (folder / "healthd.db").read_bytes()
    result = call(folder, "restore", copy)
    assert result.exit_code == 2
    assert str(copy) in result.stderr
    assert (folder / "healthd.db").read_bytes() == before


def test_a_backup_never_replaces_another(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("an older one")
    result = call(folder, "backup", copy)
    assert result.exit_code == 2
    assert copy.read_text() == "an older one"


def test_no_backup_is_made_of_a_damaged_state(folder: Path, tmp_path: Path) -> None:
    (folder / "healthd.db").write_bytes(b"nothing of the kind" * 300)
    copy = tmp_path / "copy.db"
    assert call(folder, "backup", copy).exit_code == 2
    assert not copy.exists()


def test_a_backup_to_a_place_that_is_not_there_says_so(folder: Path, tmp_path: Path) -> None:
    result = call(folder, "backup", tmp_path / "none" / "copy.db")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
