"""The tables of the timeline: narrow, because there are millions of rows.

Times are milliseconds and numbers thousandths, which SQLite keeps in two to six bytes each.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text, UniqueConstraint

from healthd.store.schema import METADATA


def _columns() -> tuple[Column[Any], ...]:
    return (
        # By cluster and time: a question is about one cluster and a stretch of time.
        Column("cluster", Integer, primary_key=True, autoincrement=False),
        Column("at", BigInteger, primary_key=True, autoincrement=False),
        Column("span", BigInteger, nullable=False),
        Column("health_index", Integer, nullable=True),
        Column("lowest", Integer, nullable=True),
        Column("lowest_after", BigInteger, nullable=False),
        Column("lower", Integer, nullable=True),
        Column("upper", Integer, nullable=True),
        Column("completeness", Integer, nullable=False),
        Column("story", Integer, nullable=False),
        Column("counts", Text, nullable=False),
    )


WORDS: Final = Table(
    "timeline_words",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("word", Text, nullable=False),
    UniqueConstraint("word", name="uq_timeline_words_word"),
)
"""Names of clusters and stories, which recur in millions of rows, by number."""

TIMELINE: Final = Table("timeline", METADATA, *_columns(), sqlite_with_rowid=False)
RUNNING: Final = Table("timeline_running", METADATA, *_columns(), sqlite_with_rowid=False)

MARKS: Final = Table(
    "timeline_marks",
    METADATA,
    Column("cluster", Integer, primary_key=True, autoincrement=False),
    Column("grain", Integer, primary_key=True, autoincrement=False),
    Column("until", BigInteger, nullable=False),
)
