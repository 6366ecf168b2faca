"""When each cluster is collected: at once, then every interval, spread and with jitter."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from healthd.engine.tasks import Background

log = structlog.get_logger(__name__)

JITTER = 0.1
"""Share of the interval by which a collection is shifted, so that clusters do not march in step."""


SPREAD = 0.6
"""Share of the interval by which the second collection may come early: clusters that were all
collected at the start are spread over that time from then on, and /metrics need not wait for the
whole fleet at once."""

GOLDEN_RATIO = (5**0.5 - 1) / 2
"""Its multiples, taken modulo 1, lie evenly however many there are."""


class _Spread(IntervalTrigger):  # type: ignore[misc]  # The library ships no types.
    """An interval of which the first is shorter by so many seconds."""

    def __init__(self, *, first: datetime, early_seconds: float, **interval: Any) -> None:
        super().__init__(**interval)
        self._first = first
        self._early = timedelta(seconds=early_seconds)

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """See the base class; may be asked several times for the same."""
        due: datetime | None = super().get_next_fire_time(previous_fire_time, now)
        is_second = due is not None and previous_fire_time == self._first
        return due - self._early if due is not None and is_second else due


class Schedule:
    """The collections of all clusters on one scheduler.

    APScheduler plans by the wall clock. When that is set back, nothing would be due until it has
    caught up again; a watch on the monotonic clock of the event loop makes up for it.
    """

    def __init__(
        self,
        *,
        interval_seconds: float,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._interval_seconds = interval_seconds
        self._wall = wall
        self._watch = Background("schedule_watch_broke")
        self._added = 0
        self._is_stopping = False
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={
                "coalesce": True,
                # A second one only counts that the first still runs, and ends.
                "max_instances": 2,
                # However late the event loop is, a collection is better than none.
                "misfire_grace_time": None,
            },
        )

    @property
    def is_running(self) -> bool:
        """Whether collections are being started."""
        return bool(self._scheduler.running)

    def start(self) -> None:
        """Begin; every cluster that was added is collected at once."""
        self._scheduler.start()
        self._watch.spawn(self._keep_watch(), name="watch the schedule")

    def add(self, name: str, sweep: Callable[[], Awaitable[None]]) -> None:
        """Collect a cluster from now on."""
        first = self._wall()
        self._added += 1
        trigger = _Spread(
            first=first,
            early_seconds=self._interval_seconds * SPREAD * (self._added * GOLDEN_RATIO % 1),
            seconds=self._interval_seconds,
            jitter=self._interval_seconds * JITTER,
            timezone=UTC,
        )
        self._scheduler.add_job(
            self._unless_stopped,
            trigger,
            args=(sweep,),
            id=name,
            name=f"collect {name}",
            next_run_time=first,
        )

    def remove(self, name: str) -> None:
        """Collect a cluster no longer."""
        self._scheduler.remove_job(name)

    async def _unless_stopped(self, sweep: Callable[[], Awaitable[None]]) -> None:
        try:
            await sweep()
        except asyncio.CancelledError:
            # A stop that is in order is no error; the scheduler would log it as a job that broke.
            if not self._is_stopping:
                raise

    async def stop(self) -> None:
        """Start nothing any more; collections that are under way are cancelled."""
        self._is_stopping = True
        await self._watch.cancel()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # The scheduler ends in the loop's next turn.

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            self.catch_up()

    def catch_up(self) -> None:
        """Collect now what the schedule would put off for more than two intervals."""
        now = self._wall()
        latest = now + timedelta(seconds=2 * self._interval_seconds)
        for job in self._scheduler.get_jobs():
            if job.next_run_time is not None and job.next_run_time > latest:
                log.warning("clock_set_back", cluster=job.id, planned=str(job.next_run_time))
                job.modify(next_run_time=now)
