"""Recording how every cluster is, behind everything that matters more, and answering what was.

What is told to the recorder costs a comparison; rows are written together, one write at a time, so
that the step of a wave never waits behind more than one of them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final, TypeVar

import structlog

from healthd.engine.clock import Clock
from healthd.engine.collecting import Published
from healthd.engine.journal import StoreThread
from healthd.engine.recording import Run
from healthd.engine.tasks import Background
from healthd.health.changes import Changes, Happened, changes
from healthd.health.timeline import HistoryFound, HistoryRow, as_kept, collapsed
from healthd.routing.verdict import Routing
from healthd.store.errors import StoreError
from healthd.store.protocol import Store

log = structlog.get_logger(__name__)

T = TypeVar("T")

WRITE_SECONDS: Final = 30.0
"""How often what ended is written."""
RUNNING_SECONDS: Final = 60.0
"""How often what still runs is written when nothing ended: so much of it a crash may cost."""
LONGEST_SECONDS: Final = 3600.0
"""A row in which nothing changes ends after so long, so that no crash costs more of the past."""
ROWS_KEPT: Final = 50_000
"""Rows that wait for a store that does not write: two hours of 102 clusters that change all the
time, some 25 MB. Older ones are lost, and counted."""
ROWS_AT_ONCE: Final = 2_000
"""Rows of one transaction: some 20 ms, when there is much to catch up with."""
EVENTS_READ: Final = 2_000
MOST_ROWS: Final = 1_000_000
MOMENT_SECONDS: Final = 0.001
GAP_SWEEPS: Final = 4
SHORTEST_GAP_SECONDS: Final = 60.0
"""Looks that are farther apart than this, and than four sweeps, have a gap between them."""


class HistoryRecorder:
    """Records every judged snapshot, and answers how clusters were."""

    def __init__(self, store: StoreThread, clock: Clock, *, interval_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._gap_seconds = max(SHORTEST_GAP_SECONDS, GAP_SWEEPS * interval_seconds)
        self._runs: dict[str, Run] = {}
        self._kept: dict[str, HistoryRow] = {}
        self._waiting: deque[HistoryRow] = deque()
        self._writing: list[HistoryRow] = []
        self._tasks = Background("history_not_written")
        self._is_busy = False
        self._is_behind = False
        self._written_at = clock.monotonic()
        self._asked_at = clock.monotonic()
        self.lost_rows = 0

    async def load(self, fleet: Collection[str]) -> None:
        """Take up the rows that were running before a restart.

        Args:
            fleet: The clusters that there still are; the rows of others have ended.
        """
        try:
            running = await self._store.call(lambda store: store.timeline.running())
        except StoreError as error:
            log.error("history_unreadable", detail=str(error))
            return
        self._kept = {row.cluster: row for row in running if row.cluster in fleet}
        for row in running:
            if row.cluster not in fleet:
                self._add(row)

    def read(self, cluster: str, published: Published, routing: Routing) -> None:
        """Take one judged snapshot into account."""
        run = self._runs.get(cluster)
        if run is None and not published.is_news:
            # What was known before a restart is shown again; that is not having looked.
            return
        now = self._clock.wall()
        if run is None:
            run = self._begin(cluster, published, routing, now)
        elif now - run.until > self._gap_seconds or now < run.until - 1.0:
            # Nobody looked for a while, or the clock was set back: nothing joins the two.
            self._break_off(run)
            self._runs[cluster] = Run(cluster, published.report, routing, now)
        elif not run.goes_on(published.report, routing) or now - run.at >= LONGEST_SECONDS:
            now = max(now, run.until)
            # Two looks within one millisecond: the later one counts.
            if now - run.at >= MOMENT_SECONDS:
                self._add(run.row(now))
            self._runs[cluster] = Run(cluster, published.report, routing, now)
        else:
            run.see(published.report, now)
        self._write_soon()

    def _begin(self, cluster: str, published: Published, routing: Routing, now: float) -> Run:
        """The first run of a cluster in this life of the daemon; it may go on with a former one."""
        run = self._runs[cluster] = Run(cluster, published.report, routing, now)
        before = self._kept.pop(cluster, None)
        if before is None:
            return run
        is_near = 0.0 <= now - before.until <= self._gap_seconds
        if is_near and now - before.at < LONGEST_SECONDS and run.continues(before):
            return run
        self._add(replace(before, until=now) if is_near else before)
        return run

    def forget(self, cluster: str) -> None:
        """End what runs of a cluster that has left the fleet; its history stays."""
        run, kept = self._runs.pop(cluster, None), self._kept.pop(cluster, None)
        if run is not None:
            self._break_off(run)
        if kept is not None:
            self._add(kept)

    async def settled(self) -> None:
        """Wait for the write that is under way."""
        await self._tasks.join()

    async def close(self) -> None:
        """Write what is not on disk yet."""
        await self._tasks.join()
        await self._write()
        if self._waiting:
            log.warning("history_lost", rows=len(self._waiting))

    def _break_off(self, run: Run) -> None:
        # One look lasts a moment, so that there is something to be found of it.
        self._add(run.row(max(run.until, run.at + MOMENT_SECONDS)))

    def _add(self, row: HistoryRow) -> None:
        self._waiting.append(row)
        while len(self._waiting) > ROWS_KEPT:
            self._waiting.popleft()
            self.lost_rows += 1

    def _write_soon(self) -> None:
        now = self._clock.monotonic()
        patience = WRITE_SECONDS if self._waiting else RUNNING_SECONDS
        if self._is_busy or now - self._asked_at < WRITE_SECONDS:
            return
        if now - self._written_at >= patience:
            self._asked_at = now
            self._tasks.spawn(self._write(), name="write history")

    async def _write(self) -> None:
        """Write all that waits and what runs; trouble is logged, and tried again later."""
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while True:
                rows = [self._waiting.popleft() for _ in range(self._next_batch())]
                self._writing = rows
                running = [*self._kept.values(), *(run.row() for run in self._runs.values())]
                if not await self._is_written(rows, running) or not self._waiting:
                    return
        finally:
            self._writing = []
            self._is_busy = False

    def _next_batch(self) -> int:
        return min(len(self._waiting), ROWS_AT_ONCE)

    async def _is_written(self, rows: list[HistoryRow], running: list[HistoryRow]) -> bool:
        try:
            await self._store.call(lambda store: store.timeline.write(rows, running))
        except StoreError as error:
            if not self._is_behind:
                log.warning("history_not_written", rows=len(rows), detail=str(error))
            self._is_behind = True
            self._put_back(rows)
            return False
        if self._is_behind:
            log.info("history_written_again")
        self._is_behind = False
        self._written_at = self._clock.monotonic()
        return True

    def _put_back(self, rows: list[HistoryRow]) -> None:
        """In front of what came meanwhile; what is too much is lost from the front."""
        room = ROWS_KEPT - len(self._waiting)
        self.lost_rows += max(0, len(rows) - room)
        self._waiting.extendleft(reversed(rows[max(0, len(rows) - room) :]))

    # What was.

    async def clusters(self) -> frozenset[str]:
        """Every cluster of which something is recorded.

        Raises:
            StoreError: the history cannot be read.
        """
        known = await self._asked(lambda store: store.timeline.clusters())
        return frozenset(known) | {row.cluster for row in self._unwritten()}

    async def rows(
        self, cluster: str, *, since: float, until: float, limit: int, is_outline: bool = False
    ) -> HistoryFound:
        """How a cluster was from `since` to `until`: the newest `limit` rows.

        Args:
            cluster: Its name; nothing is found of one that was never recorded.
            since: Unix seconds.
            until: Unix seconds.
            limit: So many rows at most.
            is_outline: Rows that touch and tell the same are one.

        Raises:
            StoreError: the history cannot be read.
        """
        return await self._found(
            self._unwritten(cluster),
            cluster,
            since=since,
            until=until,
            limit=limit,
            is_outline=is_outline,
        )

    async def _found(
        self,
        unwritten: list[HistoryRow],
        cluster: str,
        *,
        since: float,
        until: float,
        limit: int,
        is_outline: bool,
    ) -> HistoryFound:
        """What is in the store, and what is not there yet; what goes on meanwhile is not seen."""

        def work(store: Store) -> tuple[HistoryRow, ...]:
            if is_outline:
                return store.timeline.outline(cluster, since=since, until=until)
            return store.timeline.rows(cluster, since=since, until=until, limit=limit + 1)

        own = {row.at: row for row in unwritten if row.at < until and row.until > since}
        stored = await self._asked(work)
        found = sorted(({row.at: row for row in stored} | own).values(), key=lambda row: row.at)
        if is_outline:
            found = [*found[:1], *collapsed(found[1:])]
        return HistoryFound(rows=tuple(found[-limit:]), is_truncated=len(found) > limit)

    async def changes(self, cluster: str, *, since: float, until: float) -> Changes:
        """What changed in a cluster between two moments.

        Raises:
            StoreError: the history cannot be read.
        """
        # To the millisecond, as the rows are: less than that is no time in which nobody looked.
        until = round(min(until, max(since, self._clock.wall())), 3)
        since = round(since, 3)
        found = await self._found(
            self._unwritten(cluster, moment=until),
            cluster,
            since=since,
            until=until,
            limit=MOST_ROWS,
            is_outline=True,
        )
        events = await self._asked(
            lambda store: store.ledger.events(
                subject=cluster, since=since, until=until, limit=EVENTS_READ
            )
        )
        happened = [Happened(at=each.at, kind=each.kind, body=each.body) for each in events]
        # In a thread: months of a cluster that never rests are thousands of rows.
        return await asyncio.to_thread(
            changes,
            cluster,
            found.rows,
            happened,
            since=since,
            until=until,
        )

    async def at(self, moment: float) -> Mapping[str, HistoryRow]:
        """The last row of every cluster that began at or before a moment.

        Raises:
            StoreError: the history cannot be read.
        """
        own = [row for row in self._unwritten(moment=moment) if row.at <= moment]
        stored = await self._asked(lambda store: store.timeline.at(moment))
        rows = sorted((*stored, *own), key=lambda row: row.at)
        return {row.cluster: row for row in rows}

    def _row(self, run: Run, moment: float | None) -> HistoryRow:
        """What runs, by now; what was seen in the last sweep goes on until the next is missed."""
        if moment is not None and 0.0 < moment - run.until <= self._gap_seconds:
            return run.row(moment)
        return run.row()

    def _unwritten(
        self, cluster: str | None = None, *, moment: float | None = None
    ) -> list[HistoryRow]:
        """What is not in the store, or is there as something that still runs.

        To the millisecond, as the store has the others: two that touch there touch here.
        """
        return [
            as_kept(row)
            for row in (
                *self._writing,
                *self._waiting,
                *self._kept.values(),
                *(self._row(run, moment) for run in self._runs.values()),
            )
            if cluster is None or row.cluster == cluster
        ]

    async def _asked(self, work: Callable[[Store], T]) -> T:
        # Not on the store's own thread: whoever looks back must not keep a wave waiting.
        return await asyncio.to_thread(work, self._store.store)
