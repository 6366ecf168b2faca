from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.demo import disks, guardian
from healthd.demo.guarded import Command, GuardedProcesses

# A program, a child of it that left its session as daemons do, and one that ignores every
# polite signal. Their working folder tells them apart from everything else on the machine.
DAEMON = "cd {folder}; setsid -f sleep 1000; trap '' TERM HUP INT; while :; do sleep 1; done"

OWNER = """
import sys, time
from pathlib import Path
from healthd.demo.guarded import Command, GuardedProcesses

folder = Path(sys.argv[1])
command = Command(argv=["sh", "-c", sys.argv[2]], log=folder / "log")
GuardedProcesses([command], folder, remove_folder=True)
print("ready", flush=True)
time.sleep(1000)
"""


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def command_in(folder: Path) -> Command:
    return Command(argv=["sh", "-c", DAEMON.format(folder=folder)], log=folder / "log")


def test_closing_ends_daemons_and_processes_that_ignore_signals(tmp_path: Path) -> None:
    guarded = GuardedProcesses([command_in(tmp_path)], tmp_path, remove_folder=False)
    # The shell, the sleep of its loop, the daemon, and the guardian by its argument.
    assert wait_for(lambda: len(guardian.processes_of(tmp_path)) >= 4)

    guarded.close()

    assert guardian.processes_of(tmp_path) == set()
    assert (tmp_path / "log").exists(), "a folder of the caller's stays"


@pytest.mark.parametrize("ending", ["closed", "guardian-killed"])
def test_disks_are_unmounted_however_it_ends(tmp_path: Path, ending: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not disks.mount(disk, size_mib=4):
        pytest.skip("no disk can be mounted here")
    # Its working folder is on the disk: a plain umount would be refused while it runs.
    guarded = GuardedProcesses(
        [command_in(disk)], tmp_path, remove_folder=False, mounts=[disk, tmp_path / "never"]
    )
    try:
        assert wait_for(lambda: len(guardian.processes_of(disk)) >= 3)
        if ending == "guardian-killed":
            os.kill(guarded.process_id, signal.SIGKILL)
    finally:
        guarded.close()
    assert not disk.is_mount()
    assert guardian.processes_of(tmp_path) == set()


def test_a_disk_is_filled_as_far_as_is_asked_and_emptied_again(tmp_path: Path) -> None:
    if not disks.mount(tmp_path, size_mib=16):
        pytest.skip("no disk can be mounted here")
    try:
        for ratio in (0.5, 0.9, 0.25):
            disks.fill(tmp_path, ratio)
            assert disks.used_ratio(tmp_path) == pytest.approx(ratio, abs=0.01)
        disks.empty(tmp_path)
        disks.empty(tmp_path)
        assert disks.used_ratio(tmp_path) < 0.01
    finally:
        guardian.unmount_all([str(tmp_path)])
    assert not tmp_path.is_mount()


def test_closing_twice_is_allowed(tmp_path: Path) -> None:
    guarded = GuardedProcesses([command_in(tmp_path)], tmp_path, remove_folder=False)
    guarded.close()
    guarded.close()
    assert guardian.processes_of(tmp_path) == set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_a_signal_ends_the_owner(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    script = DAEMON.format(folder=folder)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), str(folder), script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        started = wait_for(lambda: len(guardian.processes_of(folder)) >= 4)
        owner.send_signal(number)
        try:
            owner.wait(10)
        finally:
            # Leaving the block waits for it, however long.
            owner.kill()

    assert started
    assert wait_for(lambda: not guardian.processes_of(folder)), "a process is left behind"
    assert wait_for(lambda: not folder.exists()), "the temporary folder is left behind"


def test_ctrl_c_in_the_terminal_does_not_reach_the_guardian(tmp_path: Path) -> None:
    guarded = GuardedProcesses([command_in(tmp_path)], tmp_path, remove_folder=False)
    try:
        assert os.getsid(guarded.process_id) != os.getsid(0)
    finally:
        guarded.close()


def test_closing_ends_everything_even_when_the_guardian_was_killed(tmp_path: Path) -> None:
    guarded = GuardedProcesses([command_in(tmp_path)], tmp_path, remove_folder=False)
    assert wait_for(lambda: len(guardian.processes_of(tmp_path)) >= 4)
    os.kill(guarded.process_id, signal.SIGKILL)

    guarded.close()

    assert wait_for(lambda: not guardian.processes_of(tmp_path))
