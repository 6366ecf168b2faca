"""SQL of a journal's step on one connection; every statement is made once and not at each write."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, text, update

from healthd.store import problems
from healthd.store.records import EntryKind, FinishedEffect, JournalEntry, JournalStep
from healthd.store.schema import EFFECTS, JOURNAL, WAVE_PARTS, WAVES

_VERSION: Final = select(WAVES.c.version).where(WAVES.c.id == bindparam("wave"))
_PUT_WAVE: Final = (
    update(WAVES)
    .where(WAVES.c.id == bindparam("wave"))
    .values(
        version=bindparam("to_version"),
        status=bindparam("to_status"),
        state=bindparam("to_state"),
        updated_at=bindparam("to_updated_at"),
    )
)
_PUT_PART: Final = text(
    "INSERT INTO wave_parts (wave_id, name, body) VALUES (:wave_id, :name, :body) "
    "ON CONFLICT (wave_id, name) DO UPDATE SET body = excluded.body"
)
_DROP_PARTS: Final = delete(WAVE_PARTS).where(WAVE_PARTS.c.wave_id == bindparam("wave"))
_ADD_LINE: Final = insert(JOURNAL)
_ADD_EFFECT: Final = insert(EFFECTS)
_FINISHED_AT: Final = select(EFFECTS.c.finished_at).where(
    EFFECTS.c.wave_id == bindparam("wave"), EFFECTS.c.effect_id == bindparam("effect")
)
_FINISH: Final = (
    update(EFFECTS)
    .where(EFFECTS.c.wave_id == bindparam("wave"), EFFECTS.c.effect_id == bindparam("effect"))
    .values(finished_at=bindparam("at"), outcome=bindparam("text"))
)


def read_version(connection: Connection, wave_id: str) -> int | None:
    """The wave's version, without its state; None when there is no such wave."""
    return connection.execute(_VERSION, {"wave": wave_id}).scalar_one_or_none()


def update_wave(connection: Connection, step: JournalStep, version: int) -> None:
    """Make the wave's row, and its parts, say what a step leads to."""
    _write_parts(connection, step.wave_id, step.parts)
    connection.execute(
        _PUT_WAVE,
        {
            "wave": step.wave_id,
            "to_version": version,
            "to_status": step.status,
            "to_state": step.state,
            "to_updated_at": step.at,
        },
    )


def _write_parts(connection: Connection, wave_id: str, parts: Mapping[str, str] | None) -> None:
    """Put these parts in the place of those of the same names; None drops all there are."""
    if parts is None:
        connection.execute(_DROP_PARTS, {"wave": wave_id})
    elif parts:
        connection.execute(
            _PUT_PART,
            [{"wave_id": wave_id, "name": name, "body": body} for name, body in parts.items()],
        )


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
        intent = {
            "wave_id": wave_id,
            "effect_id": entry.effect_id,
            "intent_seq": seq,
            "intended_at": at,
            "body": entry.body,
        }
        connection.execute(_ADD_EFFECT, intent)


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
    end = {"wave": wave_id, "effect": finished.effect_id, "at": at, "text": finished.outcome}
    connection.execute(_FINISH, end)
    _add_line(
        connection,
        wave_id,
        at,
        kind=EntryKind.OUTCOME,
        body=finished.outcome,
        effect_id=finished.effect_id,
    )
    return True


def _effect(connection: Connection, wave_id: str, effect_id: str) -> Row[Any] | None:
    found = connection.execute(_FINISHED_AT, {"wave": wave_id, "effect": effect_id})
    return found.one_or_none()


def _add_line(
    connection: Connection,
    wave_id: str,
    at: float,
    *,
    kind: EntryKind,
    body: str,
    effect_id: str | None,
) -> int:
    line = {"wave_id": wave_id, "at": at, "kind": kind, "body": body, "effect_id": effect_id}
    key = connection.execute(_ADD_LINE, line).inserted_primary_key
    assert key is not None, "the journal's number is given by the database"
    return int(key[0])
