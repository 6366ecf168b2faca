"""When each cluster is collected: at once, then every interval, with jitter."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from healthd.engine.tasks import Background

log = structlog.get_logger(__name__)

JITTER = 0.1
"""Share of the interval by which a collection is shifted, so that clusters do not march in step."""


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
        trigger = IntervalTrigger(
            seconds=self._interval_seconds, jitter=self._interval_seconds * JITTER, timezone=UTC
        )
        self._scheduler.add_job(
            sweep, trigger, id=name, name=f"collect {name}", next_run_time=self._wall()
        )

    def remove(self, name: str) -> None:
        """Collect a cluster no longer."""
        self._scheduler.remove_job(name)

    async def stop(self) -> None:
        """Start nothing any more; collections that are under way are cancelled."""
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
