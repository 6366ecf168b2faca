"""Starts the servers of a fleet and ends every one of them when the fleet's owner is gone.

Run as ``python guardian.py SPEC.json`` in a session of its own, with a pipe from the owner as
stdin. When the pipe closes (the owner asked for the end, was interrupted or was killed with -9), it
kills all its descendants, unmounts the fleet's disks and removes the fleet's folder. It is the
subreaper of the servers, so daemons that leave their parent still belong to it. Standard library
only: it starts in 50 ms.

It kills with SIGKILL at once. A broker without a quorum hangs in controlled shutdown for minutes,
a frozen one does not hear SIGTERM at all, and the data is thrown away anyhow.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h."""
ENDING_SECONDS = 30
"""SIGKILL works at once, except on a process that waits for a disk."""


def descendants_of(pid: int) -> set[int]:
    """Every process below ``pid`` now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent_of(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found


def processes_of(folder: Path) -> set[int]:
    """Every process that works in ``folder`` or has it in its command line, but this one.

    This finds a fleet's servers when nobody knows their process ids any more.
    """
    prefix = str(folder)
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes()
            # A zombie has no command line and nothing left to end.
            if arguments and (f"{prefix}/".encode() in arguments or _works_in(entry, prefix)):
                found.add(int(entry.name))
    return found


def end_all(find: set[int]) -> None:
    """Every process of the set has been sent SIGKILL; those that are gone already do not matter."""
    for pid in find:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def unmount_all(folders: Iterable[str]) -> None:
    """None of the folders is a mount point; those that are none already do not matter."""
    for folder in folders:
        if os.path.ismount(folder):
            # Lazily: somebody may look into it just now, and nothing may stay mounted.
            subprocess.run(["umount", "--lazy", folder], check=False)


def _works_in(entry: Path, prefix: str) -> bool:
    return f"{(entry / 'cwd').readlink()}/".startswith(f"{prefix}/")


def _parent_of(entry: Path) -> int | None:
    try:
        stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The program's name is in parentheses and may hold anything, parentheses too.
    return int(stat.rpartition(")")[2].split()[1])


def _become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass


def _start(argv: list[str], log: str) -> None:
    with Path(log).open("ab") as output:
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _wait_for_the_owner(owner: int) -> None:
    # The second condition is for a pipe that some forked child of the owner still holds open.
    while os.getppid() == owner:
        readable, _, _ = select.select([sys.stdin], [], [], 1.0)
        if readable and not os.read(sys.stdin.fileno(), 1):
            return
        _reap()


def _end_descendants() -> None:
    deadline = time.monotonic() + ENDING_SECONDS
    while (left := descendants_of(os.getpid())) and time.monotonic() < deadline:
        end_all(left)
        _reap()
        time.sleep(0.02)


def _leave(_number: int, _frame: object) -> None:
    sys.exit(0)


def main(spec_file: str) -> None:
    """Guards until the owner is gone."""
    owner = os.getppid()
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    signal.signal(signal.SIGTERM, _leave)
    # Ctrl-C is for the owner, who closes the pipe when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _become_subreaper()
    try:
        for command in spec["commands"]:
            _start(command["argv"], command["log"])
        # The owner may be gone already; the loop below will see it.
        with contextlib.suppress(BrokenPipeError):
            print("ready", flush=True)
        _wait_for_the_owner(owner)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end_descendants()
        unmount_all(spec["mounts"])
        if spec["remove"]:
            shutil.rmtree(spec["remove"], ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
