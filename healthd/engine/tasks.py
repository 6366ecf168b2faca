"""Tasks that nobody awaits: one that breaks is logged at once, never silent."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Background:
    """The tasks of one owner; they are kept alive, watched, and ended together."""

    def __init__(self, event: str, **ids: str) -> None:
        """Watch tasks.

        Args:
            event: what is logged of one that breaks.
            ids: what it belongs to, for the log.
        """
        self._event = event
        self._ids = ids
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run some work beside everything else."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error(self._event, task=task.get_name(), exc_info=task.exception(), **self._ids)

    async def cancel(self) -> None:
        """End all of them and wait until they have."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def join(self) -> None:
        """Wait until all of them have come to their own end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
