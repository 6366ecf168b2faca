"""SQL of the store on one connection: each function is part of somebody's transaction."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, Select, bindparam, insert, select, update

from healthd.store.records import (
    AuditRecord,
    EntryKind,
    JournalRow,
    Lease,
    OpenEffect,
    WaveRecord,
)
from healthd.store.schema import AUDIT, EFFECTS, JOURNAL, LEASES, WAVE_PARTS, WAVES

_LEASE: Final = select(LEASES).where(LEASES.c.cluster == bindparam("of"))


def read_wave(connection: Connection, wave_id: str) -> WaveRecord | None:
    """The wave, or None."""
    found = connection.execute(select(WAVES).where(WAVES.c.id == wave_id)).mappings()
    row = found.one_or_none()
    if row is None:
        return None
    return WaveRecord(**row, parts=_parts(connection, [wave_id]).get(wave_id, {}))


def read_waves(connection: Connection, query: Select[Any]) -> tuple[WaveRecord, ...]:
    """The waves that a query over their table finds, in its order."""
    found = connection.execute(query).mappings().all()
    parts = _parts(connection, [row["id"] for row in found])
    return tuple(WaveRecord(**row, parts=parts.get(row["id"], {})) for row in found)


def _parts(connection: Connection, waves: Sequence[str]) -> dict[str, dict[str, str]]:
    """The parts of waves; most have none."""
    found: dict[str, dict[str, str]] = {}
    for wave in waves:
        query = select(WAVE_PARTS.c.name, WAVE_PARTS.c.body).where(WAVE_PARTS.c.wave_id == wave)
        parts = {row.name: row.body for row in connection.execute(query)}
        if parts:
            found[wave] = parts
    return found


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
    row = connection.execute(_LEASE, {"of": cluster}).mappings().one_or_none()
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
