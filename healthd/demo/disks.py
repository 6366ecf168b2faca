"""A disk of its own for each broker of the demo fleet, so that one can be filled up.

Without them all brokers share the machine's disk, and how full that is would decide what the index
of the fleet is. They are in memory, of a known size, and only root can make them; without root the
brokers use plain folders.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SIZE_MIB = 512
"""Five of these are never full: the demo's topics need some 20 MB for each broker."""
SOURCE = "healthd-demo"
"""What mount and df call it."""
BALLAST = "ballast"


def mount(folder: Path, size_mib: int = SIZE_MIB) -> bool:
    """A disk of that size is mounted on the folder; false where that is not possible."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    options = f"size={size_mib}m,mode=0755"
    command = ["mount", "-t", "tmpfs", "-o", options, SOURCE, str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def used_ratio(folder: Path) -> float:
    """How full the disk is, as a broker on it would say."""
    usage = os.statvfs(folder)
    return 1 - usage.f_bavail / usage.f_blocks


def fill(folder: Path, ratio: float) -> None:
    """The disk is as full as that, by a file of ours; what the broker writes comes on top."""
    empty(folder)
    usage = os.statvfs(folder)
    wanted = round((ratio - used_ratio(folder)) * usage.f_blocks * usage.f_frsize)
    with (folder / BALLAST).open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, max(1, wanted))


def empty(folder: Path) -> None:
    """Our file is gone; nothing happens when there is none."""
    (folder / BALLAST).unlink(missing_ok=True)
