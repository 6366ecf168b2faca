"""Whether this process reaches anybody at all: other clusters, and the fleet file's canaries.

One for the whole process. What counts is an answer now: one of half a minute ago says nothing about
a network that went away since.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from healthd.collect.reach import accepts, split_address

ASKED_AT_ONCE: Final = 8
"""So many other clusters, those that answered last, are knocked at; one is enough."""


class Outlook:
    """Knows where others answered, and asks them again when one cluster falls silent."""

    def __init__(self, canaries: Callable[[], Iterable[str]] = tuple) -> None:
        """Know of nobody yet.

        Args:
            canaries: `host:port` that answer when our network is well; asked for each time, for
                the fleet file may be read again.
        """
        self.canaries = canaries
        self._answered: dict[str, tuple[str, int]] = {}

    def note(self, cluster: str, address: tuple[str, int]) -> None:
        """Remember where a cluster has just answered; the latest are asked first."""
        self._answered.pop(cluster, None)
        self._answered[cluster] = address

    def forget(self, cluster: str) -> None:
        """A cluster that is not looked at any more is not asked either."""
        self._answered.pop(cluster, None)

    async def others_answer(self, cluster: str, *, timeout_seconds: float) -> bool:
        """Whether another cluster or a canary accepts a connection now."""
        others = [address for name, address in self._answered.items() if name != cluster]
        wanted = [*map(split_address, self.canaries()), *reversed(others[-ASKED_AT_ONCE:])]
        asked = [
            asyncio.ensure_future(accepts(host, port, timeout_seconds=timeout_seconds))
            for host, port in dict.fromkeys(wanted)
        ]
        try:
            for first in asyncio.as_completed(asked):
                if await first:
                    return True
            return False
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
