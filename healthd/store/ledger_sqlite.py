"""The ledger in the state file."""

import json
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, delete, insert, select

from healthd.store import rows
from healthd.store.ledger import LedgerEvent, LedgerWrite, dumped
from healthd.store.schema import DOCUMENTS, EVENTS

T = TypeVar("T")


class Access(Protocol):
    """How a part of the store reads and writes: `SqliteStore`'s own ways."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """The result of reading in one transaction."""
        ...

    def write(self, work: Callable[[Connection], T], *, may_use_reserve: bool = True) -> T:
        """The result of one transaction that is on disk when this returns."""
        ...


class SqliteLedger:
    """A `Ledger` in the state file."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def write(self, write: LedgerWrite) -> None:
        """Write documents, events and audit records together."""

        def work(connection: Connection) -> None:
            for name, body in write.documents.items():
                connection.execute(
                    delete(DOCUMENTS).where(
                        DOCUMENTS.c.kind == write.kind, DOCUMENTS.c.name == name
                    )
                )
                if body is not None:
                    connection.execute(
                        insert(DOCUMENTS).values(kind=write.kind, name=name, body=dumped(body))
                    )
            if write.events:
                connection.execute(
                    insert(EVENTS),
                    [
                        {
                            "at": event.at,
                            "kind": event.kind,
                            "subject": event.subject,
                            "body": dumped(event.body),
                        }
                        for event in write.events
                    ],
                )
            for record in write.audit:
                rows.add_audit(connection, record)

        # The reserve is for brokers that are stopped; nothing here starts one.
        self._access.write(work, may_use_reserve=False)

    def documents(self, kind: str) -> dict[str, dict[str, Any]]:
        """Every document of a kind."""
        query = select(DOCUMENTS.c.name, DOCUMENTS.c.body).where(DOCUMENTS.c.kind == kind)
        return self._access.read(
            lambda connection: {
                row.name: json.loads(row.body)
                for row in connection.execute(query.order_by(DOCUMENTS.c.name))
            }
        )

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
        query = select(EVENTS).order_by(EVENTS.c.seq.desc()).limit(limit)
        if kind is not None:
            query = query.where(EVENTS.c.kind == kind)
        if subject is not None:
            query = query.where(EVENTS.c.subject == subject)
        if since is not None:
            query = query.where(EVENTS.c.at >= since)
        if until is not None:
            query = query.where(EVENTS.c.at < until)
        return self._access.read(
            lambda connection: tuple(
                LedgerEvent(
                    at=row.at,
                    kind=row.kind,
                    subject=row.subject,
                    body=json.loads(row.body),
                    seq=row.seq,
                )
                for row in connection.execute(query)
            )
        )

    def forget_events(self, *, before: float) -> int:
        """Drop old events."""

        def work(connection: Connection) -> int:
            return connection.execute(delete(EVENTS).where(EVENTS.c.at < before)).rowcount

        return self._access.write(work, may_use_reserve=False)
