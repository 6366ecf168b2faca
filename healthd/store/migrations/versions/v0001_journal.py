"""Waves, their journal and effects, leases, audit records and last snapshots."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None


def upgrade() -> None:
    """Make the first schema."""
    _make_waves()
    _make_journal()
    op.create_table(
        "leases",
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("wave_id", sa.Text, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("released", sa.Boolean(create_constraint=False), nullable=False),
        sa.PrimaryKeyConstraint("cluster", name="pk_leases"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "snapshots",
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("cluster", name="pk_snapshots"),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_meta"),
    )


def _make_waves() -> None:
    op.create_table(
        "waves",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_waves"),
    )


def _make_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("wave_id", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("effect_id", sa.Text, nullable=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_journal"),
        sa.ForeignKeyConstraint(["wave_id"], ["waves.id"], name="fk_journal_wave_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_journal_wave_id", "journal", ["wave_id", "seq"])
    op.create_table(
        "effects",
        sa.Column("wave_id", sa.Text, nullable=False),
        sa.Column("effect_id", sa.Text, nullable=False),
        sa.Column("intent_seq", sa.Integer, nullable=False),
        sa.Column("intended_at", sa.Float, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("finished_at", sa.Float, nullable=True),
        sa.Column("outcome", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("wave_id", "effect_id", name="pk_effects"),
        sa.ForeignKeyConstraint(["wave_id"], ["waves.id"], name="fk_effects_wave_id"),
        sa.ForeignKeyConstraint(["intent_seq"], ["journal.seq"], name="fk_effects_intent_seq"),
    )
    op.create_index(
        "ix_effects_open",
        "effects",
        ["wave_id", "intent_seq"],
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
