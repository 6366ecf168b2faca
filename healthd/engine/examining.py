"""Examinations of clusters for whoever asks: one of each cluster at a time, and few at all."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from healthd.config.fleet import ClusterConfig
from healthd.config.problems import ConfigError
from healthd.engine.clock import Clock
from healthd.engine.view import OrderRefused, Refusal

AT_ONCE: Final = 2
"""Examinations that run together: each connects anew to a whole cluster."""
KEPT_SECONDS: Final = 10.0
"""Whoever asks again within so long gets the same answer: asking cannot be used to do harm."""

Examine = Callable[[ClusterConfig], Awaitable[Mapping[str, Any]]]
"""Looks at one cluster now, and gives what `healthd doctor -o json` prints."""


class Examiner:
    """Shares examinations between those who ask at the same time."""

    def __init__(self, examine: Examine, clock: Clock) -> None:
        self._examine = examine
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._running: dict[str, asyncio.Task[Mapping[str, Any]]] = {}
        self._done: dict[str, tuple[float, ClusterConfig, Mapping[str, Any]]] = {}

    async def of(self, config: ClusterConfig) -> Mapping[str, Any]:
        """What an examination finds that began not long ago.

        Raises:
            OrderRefused: a secret of the cluster cannot be read.
        """
        kept = self._done.get(config.name)
        if kept is not None:
            at, examined, found = kept
            if examined == config and self._clock.monotonic() - at < KEPT_SECONDS:
                return found
        task = self._running.get(config.name)
        if task is None:
            task = asyncio.create_task(self._one(config))
            self._running[config.name] = task
            task.add_done_callback(partial(self._ended, config.name))
        # Shielded: others may wait for it when the one who asked first goes away.
        return await asyncio.shield(task)

    def _ended(self, name: str, task: asyncio.Task[Mapping[str, Any]]) -> None:
        self._running.pop(name, None)
        if not task.cancelled():
            # Those who asked may all have gone away: then nobody else looks at it.
            task.exception()

    async def aclose(self) -> None:
        """Abandon what is under way."""
        tasks = tuple(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, config: ClusterConfig) -> Mapping[str, Any]:
        try:
            async with self._slots:
                found = await self._examine(config)
        except ConfigError as error:
            raise OrderRefused(Refusal.INVALID, str(error)) from error
        self._done[config.name] = (self._clock.monotonic(), config, found)
        return found


async def not_offered(config: ClusterConfig) -> Mapping[str, Any]:
    """What a daemon without examinations says; never returns."""
    raise OrderRefused(Refusal.CONFLICT, f"{config.name} cannot be examined here")


async def nothing_more() -> None:
    """What a reload does beyond the fleet file and its waves: nothing."""
