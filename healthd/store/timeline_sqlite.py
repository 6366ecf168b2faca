"""The timeline in the state file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, Row, Select, Table, delete, func, insert, select

from healthd.health.timeline import HistoryRow, Story, floored
from healthd.store.ledger_sqlite import Access
from healthd.store.timeline import parse_story, story_text
from healthd.store.timeline_schema import MARKS, RUNNING, TIMELINE, WORDS

_MILLI: Final = 1000
_READ: Final = (
    "at", "span", "health_index", "lowest", "lowest_after", "lower", "upper", "completeness",
    "story", "counts",
)  # fmt: skip
_AT, _SPAN, _INDEX, _LOWEST, _AFTER, _LOWER, _UPPER, _COMPLETENESS, _STORY, _COUNTS = range(
    len(_READ)
)


class SqliteTimeline:
    """A `Timeline` in the state file."""

    def __init__(self, access: Access) -> None:
        self._access = access
        # A word never gets another number, so what was read once holds.
        self._numbers: dict[str, int] = {}
        self._stories: dict[int, Story] = {}

    def write(self, rows: Sequence[HistoryRow], running: Sequence[HistoryRow]) -> None:
        """Add ended rows, replace running ones."""

        def work(connection: Connection) -> dict[str, int]:
            numbers = self._numbered(connection, _words((*rows, *running)))
            _insert(connection, TIMELINE, rows, numbers)
            connection.execute(delete(RUNNING))
            _insert(connection, RUNNING, running, numbers)
            return numbers

        # The reserve is for brokers that are stopped; nothing here starts one.
        self._numbers = self._access.write(work, may_use_reserve=False)

    def running(self) -> tuple[HistoryRow, ...]:
        """The rows that were running."""
        query = (
            select(WORDS.c.word, *(RUNNING.c[name] for name in _READ))
            .join(WORDS, WORDS.c.id == RUNNING.c.cluster)
            .order_by(WORDS.c.word)
        )
        return self._access.read(lambda connection: self._named(connection, query))

    def clusters(self) -> tuple[str, ...]:
        """Every cluster that has rows."""
        has_rows = select(TIMELINE.c.at).where(TIMELINE.c.cluster == WORDS.c.id).exists()
        query = select(WORDS.c.word).where(has_rows).order_by(WORDS.c.word)
        return self._access.read(
            lambda connection: tuple(connection.execute(query).scalars().all())
        )

    def rows(
        self, cluster: str, *, since: float, until: float, limit: int
    ) -> tuple[HistoryRow, ...]:
        """The newest rows that touch a time."""

        def work(connection: Connection) -> tuple[HistoryRow, ...]:
            query = _touching(connection, cluster, since, until)
            newest = query.order_by(TIMELINE.c.at.desc()).limit(limit)
            found = self._read(connection, cluster, connection.execute(newest))
            return tuple(reversed(list(found)))

        return self._access.read(work)

    def outline(self, cluster: str, *, since: float, until: float) -> tuple[HistoryRow, ...]:
        """The rows that touch a time, those that tell the same as one."""

        def work(connection: Connection) -> tuple[HistoryRow, ...]:
            query = _touching(connection, cluster, since, until).order_by(TIMELINE.c.at)
            return tuple(self._outlined(connection, cluster, connection.execute(query)))

        return self._access.read(work)

    def at(self, moment: float) -> tuple[HistoryRow, ...]:
        """The last row of every cluster that had begun."""
        inner = TIMELINE.alias()
        last = (
            select(func.max(inner.c.at))
            .where(inner.c.cluster == WORDS.c.id, inner.c.at <= _millis(moment))
            .scalar_subquery()
        )
        query = (
            select(WORDS.c.word, *(TIMELINE.c[name] for name in _READ))
            .join(TIMELINE, TIMELINE.c.cluster == WORDS.c.id)
            .where(TIMELINE.c.at == last)
            .order_by(WORDS.c.word)
        )
        return self._access.read(lambda connection: self._named(connection, query))

    def began(
        self, cluster: str, *, since: float, until: float, limit: int
    ) -> tuple[HistoryRow, ...]:
        """The oldest rows that began in a time."""

        def work(connection: Connection) -> tuple[HistoryRow, ...]:
            query = (
                _of(cluster)
                .where(TIMELINE.c.at >= _millis(since), TIMELINE.c.at < _millis(until))
                .order_by(TIMELINE.c.at)
                .limit(limit)
            )
            return tuple(self._read(connection, cluster, connection.execute(query)))

        return self._access.read(work)

    def replace(
        self, cluster: str, *, since: float, until: float, rows: Sequence[HistoryRow]
    ) -> None:
        """Put rows in the place of others."""

        def work(connection: Connection) -> dict[str, int]:
            numbers = self._numbered(connection, {cluster, *_words(rows)})
            connection.execute(
                delete(TIMELINE).where(
                    TIMELINE.c.cluster == numbers[cluster],
                    TIMELINE.c.at >= _millis(since),
                    TIMELINE.c.at < _millis(until),
                )
            )
            _insert(connection, TIMELINE, rows, numbers)
            return numbers

        self._numbers = self._access.write(work, may_use_reserve=False)

    def marks(self) -> Mapping[tuple[str, int], float]:
        """Until when rows are thinned."""
        query = select(WORDS.c.word, MARKS.c.grain, MARKS.c.until).join(
            WORDS, WORDS.c.id == MARKS.c.cluster
        )
        return self._access.read(
            lambda connection: {
                (row.word, row.grain): row.until / _MILLI for row in connection.execute(query)
            }
        )

    def mark(self, cluster: str, *, grain: int, until: float) -> None:
        """Remember until when rows are thinned."""

        def work(connection: Connection) -> dict[str, int]:
            numbers = self._numbered(connection, {cluster})
            connection.execute(
                insert(MARKS).prefix_with("OR REPLACE", dialect="sqlite"),
                {"cluster": numbers[cluster], "grain": grain, "until": _millis(until)},
            )
            return numbers

        self._numbers = self._access.write(work, may_use_reserve=False)

    def forget(self, cluster: str, *, before: float, limit: int) -> int:
        """Drop the oldest rows."""

        def work(connection: Connection) -> int:
            number = _number(cluster)
            oldest = (
                select(TIMELINE.c.at)
                .where(TIMELINE.c.cluster == number, TIMELINE.c.at < _millis(before))
                .order_by(TIMELINE.c.at)
                .limit(limit)
            )
            times = connection.execute(oldest).scalars().all()
            if times:
                connection.execute(
                    delete(TIMELINE).where(TIMELINE.c.cluster == number, TIMELINE.c.at <= times[-1])
                )
            return len(times)

        return self._access.write(work, may_use_reserve=False)

    def _numbered(self, connection: Connection, words: set[str]) -> dict[str, int]:
        """The numbers of the words, given now to those that are new.

        They are remembered when the transaction is on disk, and not before.
        """
        new = sorted(words - self._numbers.keys())
        if not new:
            return self._numbers
        connection.execute(
            insert(WORDS).prefix_with("OR IGNORE", dialect="sqlite"),
            [{"word": word} for word in new],
        )
        found = connection.execute(select(WORDS.c.word, WORDS.c.id).where(WORDS.c.word.in_(new)))
        return self._numbers | {row.word: row.id for row in found}

    def _story(self, connection: Connection, number: int) -> Story:
        story = self._stories.get(number)
        if story is None:
            word = connection.execute(select(WORDS.c.word).where(WORDS.c.id == number)).scalar_one()
            story = self._stories[number] = parse_story(word)
        return story

    def _named(self, connection: Connection, query: Select[Any]) -> tuple[HistoryRow, ...]:
        found = connection.execute(query).all()
        return tuple(self._row(connection, cluster, row) for cluster, *row in found)

    def _read(
        self, connection: Connection, cluster: str, found: Iterable[Row[Any]]
    ) -> Iterator[HistoryRow]:
        for row in found:
            yield self._row(connection, cluster, row)

    def _row(self, connection: Connection, cluster: str, row: Sequence[Any]) -> HistoryRow:
        at, span, index, lowest, after, lower, upper, completeness, story, counts = row
        return HistoryRow(
            cluster=cluster,
            at=at / _MILLI,
            until=(at + span) / _MILLI,
            index=_number_of(index),
            lowest=_number_of(lowest),
            lowest_at=(at + after) / _MILLI,
            lower=_number_of(lower),
            upper=_number_of(upper),
            completeness=completeness / _MILLI,
            story=self._story(connection, story),
            counts=tuple(map(int, counts.split(","))) if counts else (),
        )

    def _outlined(
        self, connection: Connection, cluster: str, found: CursorResult[Any]
    ) -> Iterator[HistoryRow]:
        """The rows, merged while they are still bare: there are tens of thousands in a month."""
        # The driver's own tuples: SQLAlchemy's rows cost as much again, and all of it is numbers.
        rows = found.cursor.fetchall()
        if not rows:
            return
        yield self._row(connection, cluster, rows[0])
        for row in _runs(rows[1:]):
            yield self._row(connection, cluster, row)


def _runs(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Each run of rows that touch and tell the same as one, as `collapsed` does it.

    This is the innermost loop of a question about months: what a row says is looked at, and nothing
    is made of it.
    """
    if not rows:
        return
    begun, last = list(rows[0]), rows[0]
    story, ended, counts = begun[_STORY], begun[_AT], {begun[_COUNTS]}
    for row in rows:
        at, span, _, lowest, after, _, _, completeness, told, text = row
        if told != story or at > ended:
            yield _ended(begun, last, counts)
            begun, story, counts = list(row), told, {text}
        else:
            if lowest is not None and (begun[_LOWEST] is None or lowest < begun[_LOWEST]):
                begun[_LOWEST], begun[_AFTER] = lowest, at + after - begun[_AT]
            if completeness < begun[_COMPLETENESS]:  # noqa: PLR1730  # min() costs three times that.
                begun[_COMPLETENESS] = completeness
            counts.add(text)
        last, ended = row, at + span
    yield _ended(begun, last, counts)


def _ended(begun: list[Any], last: Sequence[Any], counts: set[str]) -> list[Any]:
    """The row that ends as the last one, with the highest of all counts."""
    begun[_SPAN] = last[_AT] + last[_SPAN] - begun[_AT]
    for place in (_INDEX, _LOWER, _UPPER):
        begun[place] = last[place]
    if len(counts) > 1:
        columns = zip(*(text.split(",") for text in counts), strict=True)
        begun[_COUNTS] = ",".join(max(column, key=int) for column in columns)
    return begun


def _of(cluster: str) -> Select[Any]:
    return select(*(TIMELINE.c[name] for name in _READ)).where(
        TIMELINE.c.cluster == _number(cluster)
    )


def _number(cluster: str) -> Any:
    return select(WORDS.c.id).where(WORDS.c.word == cluster).scalar_subquery()


def _touching(connection: Connection, cluster: str, since: float, until: float) -> Select[Any]:
    """The rows that touch a time: those that began in it, and the one that was running before."""
    before = select(func.max(TIMELINE.c.at)).where(
        TIMELINE.c.cluster == _number(cluster), TIMELINE.c.at <= _millis(since)
    )
    running = connection.execute(before).scalar_one()
    return _of(cluster).where(
        TIMELINE.c.at >= (_millis(since) if running is None else running),
        TIMELINE.c.at < _millis(until),
        TIMELINE.c.at + TIMELINE.c.span > _millis(since),
    )


def _words(rows: Iterable[HistoryRow]) -> set[str]:
    return {word for row in rows for word in (row.cluster, story_text(row.story))}


def _insert(
    connection: Connection, table: Table, rows: Sequence[HistoryRow], numbers: Mapping[str, int]
) -> None:
    if rows:
        connection.execute(
            insert(table).prefix_with("OR REPLACE", dialect="sqlite"),
            [_values(row, numbers) for row in rows],
        )


def _values(row: HistoryRow, numbers: Mapping[str, int]) -> dict[str, Any]:
    at = _millis(row.at)
    return {
        "cluster": numbers[row.cluster],
        "at": at,
        "span": _millis(row.until) - at,
        "health_index": _thousandths(row.index),
        "lowest": _thousandths(row.lowest),
        "lowest_after": _millis(row.lowest_at) - at,
        "lower": _thousandths(row.lower),
        "upper": _thousandths(row.upper),
        "completeness": _thousandths(row.completeness),
        "story": numbers[story_text(row.story)],
        "counts": ",".join(map(str, row.counts)),
    }


def _millis(seconds: float) -> int:
    return round(seconds * _MILLI)


def _thousandths(number: float | None) -> int | None:
    return None if number is None else round(floored(number) * _MILLI)


def _number_of(thousandths: int | None) -> float | None:
    return None if thousandths is None else thousandths / _MILLI
