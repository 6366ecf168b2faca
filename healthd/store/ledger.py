"""Small things that outlive the daemon: documents by name, and events in the order they happened.

Documents hold what is so now (routing states, overrides, mutes), events what came to pass
(transitions). One write of both is one transaction.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from healthd.store.records import AuditRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """Something that happened."""

    at: float
    """Unix seconds."""
    kind: str
    """What kind of thing, such as ``verdict``."""
    subject: str
    """What it happened to, mostly a cluster's name."""
    body: Mapping[str, Any]
    """JSON."""
    seq: int = 0
    """Its number, given when it is written; grows and is never used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerWrite:
    """One transaction: all of it is written, or nothing."""

    kind: str
    """Of the documents."""
    documents: Mapping[str, Mapping[str, Any] | None]
    """By name; None removes one."""
    events: tuple[LedgerEvent, ...] = ()
    audit: tuple[AuditRecord, ...] = ()


class Ledger(Protocol):
    """Documents and events, kept over restarts. It raises what the `Store` raises."""

    def write(self, write: LedgerWrite) -> None:
        """Write one transaction; it is on disk when this returns."""
        ...

    def documents(self, kind: str) -> dict[str, dict[str, Any]]:
        """Every document of a kind, by name."""
        ...

    def events(
        self,
        *,
        kind: str | None = None,
        subject: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 1000,
    ) -> tuple[LedgerEvent, ...]:
        """The newest events first; `since` is included, `until` is not."""
        ...

    def forget_events(self, *, before: float) -> int:
        """Drop events that are older than that, and say how many they were."""
        ...


def dumped(body: Mapping[str, Any]) -> str:
    """The JSON of a body as it is kept."""
    return json.dumps(body, separators=(",", ":"), sort_keys=True, allow_nan=False)
