"""The ledger's in-memory twin."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from healthd.store.ledger import LedgerEvent, LedgerWrite, dumped
from healthd.store.records import AuditRecord


class MemoryLedger:
    """A `Ledger` that lives as long as its object."""

    def __init__(
        self,
        lock: AbstractContextManager[Any],
        may_write: Callable[[], None],
        audit: list[AuditRecord],
    ) -> None:
        self._lock = lock
        self._may_write = may_write
        self._audit = audit
        self._documents: dict[tuple[str, str], str] = {}
        self._events: list[LedgerEvent] = []
        self._written = 0

    def write(self, write: LedgerWrite) -> None:
        """Write documents, events and audit records together."""
        with self._lock:
            self._may_write()
            texts = {
                name: None if body is None else dumped(body)
                for name, body in write.documents.items()
            }
            events = [replace(event, body=json.loads(dumped(event.body))) for event in write.events]
            for name, text in texts.items():
                if text is None:
                    self._documents.pop((write.kind, name), None)
                else:
                    self._documents[write.kind, name] = text
            for event in events:
                self._written += 1
                self._events.append(replace(event, seq=self._written))
            self._audit.extend(write.audit)

    def documents(self, kind: str) -> dict[str, dict[str, Any]]:
        """Every document of a kind."""
        with self._lock:
            return {
                name: json.loads(text)
                for (each, name), text in sorted(self._documents.items())
                if each == kind
            }

    def events(
        self,
        *,
        kind: str | None = None,
        subject: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 1000,
    ) -> tuple[LedgerEvent, ...]:
        """The newest events first."""
        with self._lock:
            found = [
                event
                for event in reversed(self._events)
                if (kind is None or event.kind == kind)
                and (subject is None or event.subject == subject)
                and (since is None or event.at >= since)
                and (until is None or event.at < until)
            ]
        return tuple(found[:limit])

    def forget_events(self, *, before: float) -> int:
        """Drop old events."""
        with self._lock:
            self._may_write()
            kept = [event for event in self._events if event.at >= before]
            dropped = len(self._events) - len(kept)
            self._events = kept
            return dropped
