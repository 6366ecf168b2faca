"""A state file that cannot be used as it is: refused by name, or got along with."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from healthd.demo.daemon import DaemonProcess
from healthd.demo.service import DemoTimeoutError, wait_until


@pytest.fixture
def daemon(lonely_fleet_file: Path, tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that has run once, and made its state file."""
    with DaemonProcess(lonely_fleet_file, tmp_path, interval_seconds=1) as daemon:
        daemon.start()
        assert daemon.stop() == 0
        yield daemon


def database_of(daemon: DaemonProcess) -> Path:
    return daemon.state_dir / "healthd.db"


def change(daemon: DaemonProcess, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(database_of(daemon))) as connection, connection:
        connection.execute(sql, values)


def refused(daemon: DaemonProcess) -> str:
    """What the daemon says that does not start, and that the file is as it was."""
    before = hashlib.sha256(database_of(daemon).read_bytes()).digest()
    told = daemon.log_file.stat().st_size
    with pytest.raises(DemoTimeoutError, match="ended with code 1"):
        daemon.start()
    assert hashlib.sha256(database_of(daemon).read_bytes()).digest() == before
    said = daemon.log_file.read_bytes()[told:].decode()
    assert "Traceback" not in said
    return said


def test_a_state_of_a_newer_healthd_is_refused_with_what_to_do(daemon: DaemonProcess) -> None:
    change(daemon, "UPDATE alembic_version SET version_num = '0099'")
    said = refused(daemon)
    assert "the state file has schema 99, this healthd knows schemas up to" in said
    assert "start the newer healthd again" in said
    assert str(database_of(daemon)) in said


def test_a_damaged_state_is_refused_with_what_to_do(daemon: DaemonProcess) -> None:
    database_of(daemon).write_bytes(b"not a database at all" * 1000)
    said = refused(daemon)
    assert "the state file is damaged" in said
    assert "healthd state restore" in said


def test_a_wave_of_a_newer_healthd_blocks_its_own_cluster_and_nothing_else(
    daemon: DaemonProcess,
) -> None:
    change(
        daemon,
        "INSERT INTO waves VALUES ('w1', 'payments', 'w1', 'CHG', 'ada', 1, 1, 'running', 3, ?)",
        json.dumps({"nodes": 1, "fromTheFuture": True}),
    )
    daemon.start()
    wait_until(lambda: "wave_unreadable" in daemon.last_log_lines(), "it tells", 30)
    assert daemon.get("/-/healthy")
    with closing(sqlite3.connect(database_of(daemon))) as connection:
        assert connection.execute("SELECT version FROM waves").fetchone() == (3,)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, to be filled."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=40m", "healthd-test", str(disk)]
    try:
        made = subprocess.run(words, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount program here")
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_daemon_starts_on_a_full_disk_and_says_so(
    lonely_fleet_file: Path, full_disk: Path
) -> None:
    with DaemonProcess(lonely_fleet_file, full_disk, interval_seconds=1) as daemon:
        daemon.start()
        assert daemon.stop() == 0
        (full_disk / "filler").write_bytes(bytes(1 << 10))
        with (full_disk / "filler").open("ab", buffering=0) as filler:
            for size in (1 << 20, 1 << 14):
                try:
                    while filler.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue
        daemon.start()
        assert daemon.get("/-/healthy")
        log = daemon.log_file.read_text("utf-8", "replace")
        assert "space_not_reserved" in log
        assert "no broker is stopped until then" in log
