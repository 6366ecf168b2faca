"""When each cluster is collected: at once, then every interval, with jitter."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

JITTER = 0.1
"""Share of the interval by which a collection is shifted, so that clusters do not march in step."""


class Schedule:
    """The collections of all clusters on one scheduler; a job never runs twice at a time."""

    def __init__(self, *, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={
                "coalesce": True,
                "max_instances": 1,
                "misfire_grace_time": max(1, int(interval_seconds)),
            },
        )

    @property
    def is_running(self) -> bool:
        """Whether collections are being started."""
        return bool(self._scheduler.running)

    def start(self) -> None:
        """Begin; every cluster that was added is collected at once."""
        self._scheduler.start()

    def add(self, name: str, sweep: Callable[[], Awaitable[None]]) -> None:
        """Collect a cluster from now on."""
        trigger = IntervalTrigger(
            seconds=self._interval_seconds, jitter=self._interval_seconds * JITTER, timezone=UTC
        )
        self._scheduler.add_job(
            sweep, trigger, id=name, name=f"collect {name}", next_run_time=datetime.now(UTC)
        )

    def remove(self, name: str) -> None:
        """Collect a cluster no longer."""
        self._scheduler.remove_job(name)

    async def stop(self) -> None:
        """Start nothing any more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
