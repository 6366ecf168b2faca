"""What keeps the secrets in the daemon's memory, and its files, from other people's eyes."""

import ctypes
import os
import resource
from typing import Final

UMASK: Final = 0o077
_PR_SET_DUMPABLE: Final = 4


def harden() -> None:
    """New files are for their owner alone, and a crash leaves no memory on a disk.

    The limit alone is not enough: where the system pipes core dumps into a program
    (systemd-coredump, apport) the kernel asks only whether the process may be dumped. That also
    keeps other processes of the same user from reading its memory; root still may.
    """
    os.umask(UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # Linux has it.
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
