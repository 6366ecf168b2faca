"""The tables, for SQLite today and PostgreSQL later; migrations/ brings a file to this form."""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

WAVES: Final = Table(
    "waves",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("cluster", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("status", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
)

WAVE_PARTS: Final = Table(
    "wave_parts",
    METADATA,
    Column("wave_id", Text, ForeignKey("waves.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("body", Text, nullable=False),
    sqlite_with_rowid=False,
)

JOURNAL: Final = Table(
    "journal",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("wave_id", Text, ForeignKey("waves.id"), nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("effect_id", Text, nullable=True),
    Column("body", Text, nullable=False),
    Index("ix_journal_wave_id", "wave_id", "seq"),
    # AUTOINCREMENT: a line's number is never given out again, whatever is deleted.
    sqlite_autoincrement=True,
)

EFFECTS: Final = Table(
    "effects",
    METADATA,
    Column("wave_id", Text, ForeignKey("waves.id"), primary_key=True),
    Column("effect_id", Text, primary_key=True),
    Column("intent_seq", Integer, ForeignKey("journal.seq"), nullable=False),
    Column("intended_at", Float, nullable=False),
    Column("body", Text, nullable=False),
    Column("finished_at", Float, nullable=True),
    Column("outcome", Text, nullable=True),
)
Index(
    "ix_effects_open",
    EFFECTS.c.wave_id,
    EFFECTS.c.intent_seq,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)

LEASES: Final = Table(
    "leases",
    METADATA,
    # The row outlives the lease, so that its token is never given out again.
    Column("cluster", Text, primary_key=True),
    Column("token", Integer, nullable=False),
    Column("instance", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("wave_id", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("released", Boolean(create_constraint=False), nullable=False),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("why", Text, nullable=False),
    sqlite_autoincrement=True,
)

SNAPSHOTS: Final = Table(
    "snapshots",
    METADATA,
    Column("cluster", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

DOCUMENTS: Final = Table(
    "documents",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("body", Text, nullable=False),
)

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_events_subject", "subject", "at"),
    sqlite_autoincrement=True,
)

META: Final = Table(
    "meta",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
