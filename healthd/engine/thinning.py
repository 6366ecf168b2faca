"""Making the history of long ago fewer rows, in the background and a little at a time."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from healthd.engine.clock import Clock
from healthd.engine.journal import StoreThread
from healthd.engine.tasks import Background
from healthd.health.timeline import HistoryRow, thinned
from healthd.store.errors import StoreError
from healthd.store.protocol import Store

log = structlog.get_logger(__name__)

DAY: Final = 86_400.0
FINE_GRAIN: Final = 300
COARSE_GRAIN: Final = 3600
PASS_SECONDS: Final = 3600.0
"""Between two passes; a day of the busiest fleet is 500 steps."""
REST_SECONDS: Final = 0.5
"""Between two steps, so that nobody who writes waits for more than one."""
ROWS_A_STEP: Final = 2_000
"""Some 20 ms of the store's time."""
CLOCK_DRIFT_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLimits:
    """How long history is kept, in days."""

    raw_days: float = 7.0
    """As it was recorded."""
    fine_days: float = 90.0
    """In buckets of five minutes; behind that in buckets of an hour."""
    days: float = 400.0
    """At all."""


class Thinner:
    """Thins and forgets, one step at a time."""

    def __init__(self, store: StoreThread, clock: Clock, limits: HistoryLimits) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._offset = clock.wall() - clock.monotonic()
        self._trusted_from = clock.monotonic()
        self._tasks = Background("history_not_thinned")

    def start(self) -> None:
        """Begin an hour from now: a daemon that restarts all the time has other troubles."""
        self._tasks.spawn(self._run(), name="thin history")

    async def close(self) -> None:
        """Do no further step."""
        await self._tasks.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PASS_SECONDS)
            try:
                await self.thin()
            except StoreError as error:
                log.warning("history_not_thinned", detail=str(error))

    async def thin(self) -> None:
        """Thin and forget what is due by now.

        Raises:
            StoreError: the store does not read or write; what was done so far stays.
        """
        now = self._clock.wall()
        if not self._is_trusted(now):
            return
        limits = self._limits
        for cluster in await self._store.call(lambda store: store.timeline.clusters()):
            await self._forget(cluster, now - limits.days * DAY)
            await self._thin(cluster, FINE_GRAIN, now - limits.raw_days * DAY)
            await self._thin(cluster, COARSE_GRAIN, now - limits.fine_days * DAY)
        await self._store.call(
            lambda store: store.ledger.forget_events(before=now - limits.days * DAY)
        )

    def _is_trusted(self, now: float) -> bool:
        """Whether the clock has not been set of late: one that is a year ahead forgets a year."""
        steady = self._clock.monotonic()
        if abs(now - steady - self._offset) > CLOCK_DRIFT_SECONDS:
            log.warning("history_not_thinned", detail="the clock was set; waiting for a day")
            self._offset = now - steady
            self._trusted_from = steady + DAY
        return steady >= self._trusted_from

    async def _thin(self, cluster: str, grain: int, limit: float) -> None:
        """Thin what began before the limit and was not thinned yet."""
        until = limit // grain * grain
        marks = await asyncio.to_thread(self._store.store.timeline.marks)
        since = marks.get((cluster, grain), 0.0)
        while since < until:
            done = await self._step(cluster, grain, since, until)
            if done is None:
                return
            since = done
            await asyncio.sleep(REST_SECONDS)

    async def _step(self, cluster: str, grain: int, since: float, until: float) -> float | None:
        """Thin some rows, whole buckets only; up to where it is done now, None without rows."""
        timeline = self._store.store.timeline

        def read() -> tuple[HistoryRow, ...]:
            return timeline.began(cluster, since=since, until=until, limit=ROWS_A_STEP)

        rows = await asyncio.to_thread(read)
        if not rows:
            return None
        done = until
        if len(rows) == ROWS_A_STEP:
            # The last bucket may go on; one that alone is more than a step is thinned in parts.
            last = rows[-1].at // grain * grain
            done = last if last > since else rows[-1].at
        rows = tuple(row for row in rows if row.at < done)
        fewer = await asyncio.to_thread(lambda: thinned(rows, seconds=grain))

        def write(store: Store) -> None:
            if len(fewer) < len(rows):
                store.timeline.replace(cluster, since=since, until=done, rows=fewer)
            store.timeline.mark(cluster, grain=grain, until=done)

        await self._store.call(write)
        return done

    async def _forget(self, cluster: str, before: float) -> None:
        while True:
            many = await self._store.call(
                lambda store: store.timeline.forget(cluster, before=before, limit=ROWS_A_STEP)
            )
            if many < ROWS_A_STEP:
                return
            await asyncio.sleep(REST_SECONDS)
