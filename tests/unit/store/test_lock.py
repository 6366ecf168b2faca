"""One daemon per state folder, and the second is told who the first one is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from healthd.store.errors import StateHeld, StoreUnusable
from healthd.store.files import StateFiles, instance_id
from healthd.store.lock import DaemonLock, current_holder


def test_the_second_daemon_is_told_who_holds_the_state_and_since_when(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    with DaemonLock(files) as first:
        first.acquire(now=0.0)
        with (
            DaemonLock(files) as second,
            pytest.raises(StateHeld, match=rf"process {os.getpid()} on .* since 1970-01-01T"),
        ):
            second.acquire(now=1.0)
    with DaemonLock(files) as third:
        assert third.acquire(now=2.0).since == "1970-01-01T00:00:02+00:00"


def test_a_killed_daemon_leaves_nothing_locked(tmp_path: Path) -> None:
    script = (
        "import sys, os, signal; from pathlib import Path\n"
        "from healthd.store.files import StateFiles\n"
        "from healthd.store.lock import DaemonLock\n"
        "DaemonLock(StateFiles(Path(sys.argv[1]))).acquire(now=0.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9
    files = StateFiles(tmp_path)
    assert files.lock.read_text() != ""
    assert current_holder(files) is None
    with DaemonLock(files) as lock:
        assert lock.acquire(now=1.0).pid == os.getpid()


def test_who_holds_the_lock_can_be_asked_without_taking_it(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    assert current_holder(files) is None
    lock = DaemonLock(files)
    held = lock.acquire(now=0.0)
    assert current_holder(files) == held
    lock.release()
    lock.release()
    assert current_holder(files) is None


def test_a_holder_whose_text_is_gone_still_holds(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    with DaemonLock(files) as first:
        first.acquire(now=0.0)
        files.lock.write_text("")
        with DaemonLock(files) as second, pytest.raises(StateHeld, match="is starting"):
            second.acquire(now=1.0)
        assert str(current_holder(files)) == "process 0 on unknown since unknown"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="none"):
        DaemonLock(StateFiles(tmp_path / "none")).acquire(now=0.0)


def test_a_folder_keeps_its_instance_id_and_no_two_share_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first = instance_id(StateFiles(tmp_path / "a"))
    assert instance_id(StateFiles(tmp_path / "a")) == first
    assert instance_id(StateFiles(tmp_path / "b")) != first


def test_an_instance_id_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    files.instance.touch()
    assert len(instance_id(files)) == 32
