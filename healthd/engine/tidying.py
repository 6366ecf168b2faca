"""Python's search for garbage, kept away from what a daemon holds for long.

A full search looks at every object that there is, and nothing else runs meanwhile: 0.2 s with a
hundred clusters, every ten seconds, seen in every answer to HTTP that was under way. Nearly all of
those objects are the last values of clusters, which stay. They are set aside; what is made after
that is searched as ever. Set aside or not, an object that nobody refers to is freed at once.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

from healthd.engine.tasks import Background

TIDY_SECONDS: Final = 900.0
"""So often everything is searched after all: what was set aside may have become garbage."""

READY_SECONDS: Final = 1.0
"""How often it is asked whether everything that stays is there."""


def tidy() -> None:
    """Search everything once, and set aside what is left."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Tidier:
    """Tidies once every cluster was looked at, and seldom after that."""

    def __init__(
        self,
        is_ready: Callable[[], bool],
        *,
        work: Callable[[], None] = tidy,
        seconds: float = TIDY_SECONDS,
        ready_seconds: float = READY_SECONDS,
    ) -> None:
        self._is_ready = is_ready
        self._work = work
        self._seconds = seconds
        self._ready_seconds = ready_seconds
        self._tasks = Background("tidying_broke")

    def start(self) -> None:
        """Begin."""
        self._tasks.spawn(self._keep_tidy(), name="tidy")

    async def close(self) -> None:
        """End."""
        await self._tasks.cancel()

    async def _keep_tidy(self) -> None:
        while not self._is_ready():  # noqa: ASYNC110  # What it waits for is a look at many parts.
            await asyncio.sleep(self._ready_seconds)
        while True:
            self._work()
            await asyncio.sleep(self._seconds)
