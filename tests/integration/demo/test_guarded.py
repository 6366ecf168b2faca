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

from healthd.demo import guardian
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
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def command_in(folder: Path) -> Command:
    return Command(argv=["sh", "-c", DAEMON.format(folder=folder)], log=folder / "log")


def test_closing_ends_daemons_and_processes_that_ignore_signals(tmp_path: Path) -> None:
    guarded = GuardedProcesses([command_in(tmp_path)], tmp_path, remove_folder=False)
    # The shell, the sleep of its loop, the daemon, and the guardian by its argument.
    assert wait_for(lambda: len(guardian.processes_of(tmp_path)) >= 4)

    guarded.close()

    assert guardian.processes_of(tmp_path) == set()
    assert (tmp_path / "log").exists(), "a folder of the caller's stays"


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
        owner.wait(10)

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
