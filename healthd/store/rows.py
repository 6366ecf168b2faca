"""SQL of the store on one connection: each function is part of somebody's transaction."""

from typing import Any

from sqlalchemy import Connection, Row, RowMapping, insert, select, update

from healthd.store import problems
from healthd.store.records import (
    AuditRecord,
    EntryKind,
    FinishedEffect,
    JournalEntry,
    JournalRow,
    Lease,
    OpenEffect,
    WaveRecord,
)
from healthd.store.schema import AUDIT, EFFECTS, JOURNAL, LEASES, WAVES


def read_wave(connection: Connection, wave_id: str) -> WaveRecord | None:
    """The wave, or None."""
    found = connection.execute(select(WAVES).where(WAVES.c.id == wave_id)).mappings()
    row = found.one_or_none()
    return None if row is None else wave_of(row)


def wave_of(row: RowMapping) -> WaveRecord:
    """A row of the table as its record."""
    return WaveRecord(**row)


def add_entry(connection: Connection, wave_id: str, at: float, entry: JournalEntry) -> None:
    """Write a line, and for an effect its open intent.

    Raises:
        AlreadyRecorded: The wave has had an effect of that id before.
    """
    if entry.effect_id is not None and _effect(connection, wave_id, entry.effect_id) is not None:
        raise problems.effect_exists(wave_id, entry.effect_id)
    seq = _add_line(
        connection, wave_id, at, kind=entry.kind, body=entry.body, effect_id=entry.effect_id
    )
    if entry.effect_id is not None:
        connection.execute(
            insert(EFFECTS).values(
                wave_id=wave_id,
                effect_id=entry.effect_id,
                intent_seq=seq,
                intended_at=at,
                body=entry.body,
            )
        )


def finish(connection: Connection, wave_id: str, at: float, finished: FinishedEffect) -> bool:
    """Close an effect; false when it was closed before (the first outcome stays).

    Raises:
        NotRecorded: The effect was never intended.
    """
    effect = _effect(connection, wave_id, finished.effect_id)
    if effect is None:
        raise problems.no_effect(wave_id, finished.effect_id)
    if effect.finished_at is not None:
        return False
    connection.execute(
        update(EFFECTS)
        .where(EFFECTS.c.wave_id == wave_id, EFFECTS.c.effect_id == finished.effect_id)
        .values(finished_at=at, outcome=finished.outcome)
    )
    _add_line(
        connection,
        wave_id,
        at,
        kind=EntryKind.OUTCOME,
        body=finished.outcome,
        effect_id=finished.effect_id,
    )
    return True


def read_journal(
    connection: Connection, wave_id: str, *, after_seq: int = 0
) -> tuple[JournalRow, ...]:
    """The wave's lines after the given one."""
    query = (
        select(JOURNAL)
        .where(JOURNAL.c.wave_id == wave_id, JOURNAL.c.seq > after_seq)
        .order_by(JOURNAL.c.seq)
    )
    return tuple(
        JournalRow(
            seq=row.seq,
            wave_id=row.wave_id,
            at=row.at,
            kind=EntryKind(row.kind),
            body=row.body,
            effect_id=row.effect_id,
        )
        for row in connection.execute(query)
    )


def read_open_effects(connection: Connection, wave_id: str) -> tuple[OpenEffect, ...]:
    """The wave's open effects, oldest first."""
    query = (
        select(EFFECTS.c.wave_id, EFFECTS.c.effect_id, EFFECTS.c.intended_at, EFFECTS.c.body)
        .where(EFFECTS.c.wave_id == wave_id, EFFECTS.c.finished_at.is_(None))
        .order_by(EFFECTS.c.intent_seq)
    )
    return tuple(OpenEffect(**row) for row in connection.execute(query).mappings())


def read_lease(connection: Connection, cluster: str) -> tuple[Lease | None, int]:
    """The cluster's lease unless it was released, and the highest token given so far."""
    found = connection.execute(select(LEASES).where(LEASES.c.cluster == cluster)).mappings()
    row = found.one_or_none()
    if row is None:
        return None, 0
    return (None if row["released"] else lease_of(row)), row["token"]


def lease_of(row: RowMapping) -> Lease:
    """A row of the table as its lease."""
    values = dict(row)
    del values["released"]
    return Lease(**values)


def write_lease(connection: Connection, lease: Lease, *, is_new: bool) -> None:
    """Make the cluster's row say that the lease is held."""
    values = {
        "token": lease.token,
        "instance": lease.instance,
        "holder": lease.holder,
        "wave_id": lease.wave_id,
        "since": lease.since,
        "expires_at": lease.expires_at,
        "released": False,
    }
    if is_new:
        connection.execute(insert(LEASES).values(cluster=lease.cluster, **values))
    else:
        connection.execute(update(LEASES).where(LEASES.c.cluster == lease.cluster).values(**values))


def release_lease(connection: Connection, cluster: str, token: int) -> bool:
    """Mark the lease as free; false when the token is not the current one."""
    done = connection.execute(
        update(LEASES)
        .where(LEASES.c.cluster == cluster, LEASES.c.token == token, LEASES.c.released.is_(False))
        .values(released=True)
    )
    return done.rowcount == 1


def add_audit(connection: Connection, record: AuditRecord) -> None:
    """Add an audit record."""
    connection.execute(
        insert(AUDIT).values(
            at=record.at, who=record.who, what=record.what, target=record.target, why=record.why
        )
    )


def _effect(connection: Connection, wave_id: str, effect_id: str) -> Row[Any] | None:
    query = select(EFFECTS).where(EFFECTS.c.wave_id == wave_id, EFFECTS.c.effect_id == effect_id)
    return connection.execute(query).one_or_none()


def _add_line(
    connection: Connection,
    wave_id: str,
    at: float,
    *,
    kind: EntryKind,
    body: str,
    effect_id: str | None,
) -> int:
    done = connection.execute(
        insert(JOURNAL).values(wave_id=wave_id, at=at, kind=kind, body=body, effect_id=effect_id)
    )
    key = done.inserted_primary_key
    assert key is not None, "the journal's number is given by the database"
    return int(key[0])
