"""Where secrets are read: a file may lie on a slow disk, and a program may take its time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

THREADS: Final = 8
"""Programs that hang keep no more threads than these, and none that others wait for."""
_RUNNERS: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="healthd-programs")
_READERS: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="healthd-secrets")


async def in_secret_thread(work: Callable[[], T], *, runs_program: bool) -> T:
    """What the work gives; it runs beside the event loop, and to its end whoever gives up.

    Args:
        work: Reads secrets, or what goes with them.
        runs_program: Whether a program may be run for it. Such work waits for such work alone:
            where a vault hangs, a hundred clusters without one are none the worse.
    """
    pool = _RUNNERS if runs_program else _READERS
    return await asyncio.get_running_loop().run_in_executor(pool, work)
