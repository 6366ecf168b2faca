"""What waves were rehearsed before they were started: kept with them, on disk."""

from collections.abc import Mapping
from typing import Any, Final

from healthd.engine.journal import StoreThread
from healthd.store.ledger import LedgerWrite

KIND: Final = "rehearsal"


class Rehearsals:
    """The rehearsals of waves, by the id of the wave."""

    def __init__(self, store: StoreThread) -> None:
        self._store = store

    async def keep(self, wave: str, found: Mapping[str, Any]) -> None:
        """Attach what came of a rehearsal to the wave that was started after it.

        Raises:
            StoreError: it could not be written.
        """
        write = LedgerWrite(kind=KIND, documents={wave: dict(found)})
        await self._store.call(lambda store: store.ledger.write(write))

    async def of(self, wave: str) -> Mapping[str, Any] | None:
        """What was attached to a wave; None when it was started without a rehearsal."""
        found = await self._store.call(lambda store: store.ledger.documents(KIND))
        return found.get(wave)
