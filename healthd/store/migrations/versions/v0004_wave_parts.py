"""Parts of a wave's state in rows of their own, so that a write holds only what has changed."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"


def upgrade() -> None:
    """Add the table; a wave that is stored whole is split by its next write."""
    op.create_table(
        "wave_parts",
        sa.Column("wave_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("wave_id", "name", name="pk_wave_parts"),
        sa.ForeignKeyConstraint(["wave_id"], ["waves.id"], name="fk_wave_parts_wave_id"),
        sqlite_with_rowid=False,
    )
