"""The timeline's in-memory twin."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from healthd.health.timeline import HistoryRow, as_kept, collapsed


class MemoryTimeline:
    """A `Timeline` that lives as long as its object."""

    def __init__(self, lock: AbstractContextManager[Any], may_write: Callable[[], None]) -> None:
        self._lock = lock
        self._may_write = may_write
        self._rows: dict[str, dict[float, HistoryRow]] = {}
        self._running: tuple[HistoryRow, ...] = ()
        self._marks: dict[tuple[str, int], float] = {}

    def write(self, rows: Sequence[HistoryRow], running: Sequence[HistoryRow]) -> None:
        """Add ended rows, replace running ones."""
        with self._lock:
            self._may_write()
            self._add(rows)
            kept = {row.cluster: as_kept(row) for row in running}
            self._running = tuple(kept[cluster] for cluster in sorted(kept))

    def running(self) -> tuple[HistoryRow, ...]:
        """The rows that were running."""
        return self._running

    def clusters(self) -> tuple[str, ...]:
        """Every cluster that has rows."""
        with self._lock:
            return tuple(sorted(cluster for cluster, rows in self._rows.items() if rows))

    def rows(
        self, cluster: str, *, since: float, until: float, limit: int
    ) -> tuple[HistoryRow, ...]:
        """The newest rows that touch a time."""
        return tuple(row for row in self._sorted(cluster) if row.at < until and row.until > since)[
            -limit:
        ]

    def outline(self, cluster: str, *, since: float, until: float) -> tuple[HistoryRow, ...]:
        """The rows that touch a time, those that tell the same as one."""
        found = [row for row in self._sorted(cluster) if row.at < until and row.until > since]
        return (*found[:1], *collapsed(found[1:]))

    def at(self, moment: float) -> tuple[HistoryRow, ...]:
        """The last row of every cluster that had begun."""
        found = []
        for cluster in self.clusters():
            begun = [row for row in self._sorted(cluster) if row.at <= moment]
            found += begun[-1:]
        return tuple(found)

    def began(
        self, cluster: str, *, since: float, until: float, limit: int
    ) -> tuple[HistoryRow, ...]:
        """The oldest rows that began in a time."""
        found = [row for row in self._sorted(cluster) if since <= row.at < until]
        return tuple(found[:limit])

    def replace(
        self, cluster: str, *, since: float, until: float, rows: Sequence[HistoryRow]
    ) -> None:
        """Put rows in the place of others."""
        with self._lock:
            self._may_write()
            own = self._rows.get(cluster, {})
            self._rows[cluster] = {at: row for at, row in own.items() if not since <= at < until}
            self._add(rows)

    def marks(self) -> Mapping[tuple[str, int], float]:
        """Until when rows are thinned."""
        with self._lock:
            return dict(self._marks)

    def mark(self, cluster: str, *, grain: int, until: float) -> None:
        """Remember until when rows are thinned."""
        with self._lock:
            self._may_write()
            self._marks[cluster, grain] = until

    def forget(self, cluster: str, *, before: float, limit: int) -> int:
        """Drop the oldest rows."""
        with self._lock:
            self._may_write()
            old = [row.at for row in self._sorted(cluster) if row.at < before][:limit]
            for at in old:
                del self._rows[cluster][at]
            return len(old)

    def _add(self, rows: Sequence[HistoryRow]) -> None:
        for row in rows:
            kept = as_kept(row)
            self._rows.setdefault(kept.cluster, {})[kept.at] = kept

    def _sorted(self, cluster: str) -> list[HistoryRow]:
        with self._lock:
            own = self._rows.get(cluster, {})
            return [own[at] for at in sorted(own)]
