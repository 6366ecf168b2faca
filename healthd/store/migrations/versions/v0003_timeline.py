"""The history of clusters: rows in which nothing changed, and the words that recur in them."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"


def _columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("cluster", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("span", sa.BigInteger, nullable=False),
        sa.Column("health_index", sa.Integer, nullable=True),
        sa.Column("lowest", sa.Integer, nullable=True),
        sa.Column("lowest_after", sa.BigInteger, nullable=False),
        sa.Column("lower", sa.Integer, nullable=True),
        sa.Column("upper", sa.Integer, nullable=True),
        sa.Column("completeness", sa.Integer, nullable=False),
        sa.Column("story", sa.Integer, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
    )


def upgrade() -> None:
    """Add the tables of the timeline."""
    op.create_table(
        "timeline_words",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("word", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_timeline_words"),
        sa.UniqueConstraint("word", name="uq_timeline_words_word"),
    )
    for name in ("timeline", "timeline_running"):
        op.create_table(
            name,
            *_columns(),
            sa.PrimaryKeyConstraint("cluster", "at", name=f"pk_{name}"),
            sqlite_with_rowid=False,
        )
    op.create_table(
        "timeline_marks",
        sa.Column("cluster", sa.Integer, nullable=False),
        sa.Column("grain", sa.Integer, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "grain", name="pk_timeline_marks"),
    )
