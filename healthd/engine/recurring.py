"""Waves that recur: started at their times under the name ``schedule``, never two of the same.

APScheduler keeps the calendar, with the time zone's own rules for daylight saving. A time that
passed while no daemon ran, or for longer than the grace, is left out: a wave of last night is not
begun in the morning.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from healthd.config.problems import Problem
from healthd.config.wave_files import RecurringWave
from healthd.engine.journal import StoreThread
from healthd.engine.view import Daemon, FleetView, OrderRefused, WaveView
from healthd.model.render import render_time
from healthd.store.errors import StoreError
from healthd.store.records import AuditRecord
from healthd.waves.cron import Recurrence

log = structlog.get_logger(__name__)

WHO: Final = "schedule"
"""Who starts a recurring wave, in the audit log and in its report."""
GRACE_SECONDS: Final = 300
"""So late a start may come (the event loop was busy); after that it waits for the next time."""

Read = Callable[[], tuple[tuple[RecurringWave, ...], list[Problem]]]
Start = Callable[[Mapping[str, Any]], Awaitable[WaveView | FleetView]]
Running = Callable[[], Sequence[str]]
"""The ids of all waves that have not ended."""


def trigger_of(recurrence: Recurrence) -> CronTrigger:
    """The calendar of a recurrence; days of the week go by name, for APScheduler counts others."""
    return CronTrigger(
        minute=recurrence.minute,
        hour=recurrence.hour,
        day=recurrence.day,
        month=recurrence.month,
        day_of_week=recurrence.day_of_week,
        timezone=ZoneInfo(recurrence.timezone),
    )


def next_run(recurrence: Recurrence, after: datetime) -> datetime | None:
    """The first time after a moment; None when it never comes (31 February)."""
    found: datetime | None = trigger_of(recurrence).get_next_fire_time(after, after)
    return found


class Recurring:
    """The recurring waves of one daemon."""

    def __init__(
        self,
        read: Read,
        *,
        start: Start,
        running: Running,
        store: StoreThread,
        wall: Callable[[], float],
    ) -> None:
        self._read = read
        self._start = start
        self._running = running
        self._store = store
        self._wall = wall
        self._waves: dict[str, RecurringWave] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._problems: list[Problem] = []
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={
                "coalesce": True,
                "max_instances": 1,
                "misfire_grace_time": GRACE_SECONDS,
            },
        )

    async def begin(self) -> None:
        """Read the files, and start waves at their times from now on."""
        await self.load()
        self._scheduler.start()

    def close(self) -> None:
        """Start nothing any more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def load(self) -> None:
        """Read the files again. With a mistake in any of them, what was good before stays."""
        waves, self._problems = await asyncio.to_thread(self._read)
        for problem in self._problems:
            log.error("wave_file_refused", detail=str(problem))
        if self._problems and self._waves:
            return
        self._waves = {wave.name: wave for wave in waves}
        self._scheduler.remove_all_jobs()
        for wave in waves:
            if next_run(wave.recurrence, self._now()) is None:
                log.error("wave_never_due", wave=wave.name, cron=wave.recurrence.cron)
                continue
            trigger = trigger_of(wave.recurrence)
            self._scheduler.add_job(self.fire, trigger, args=[wave.name], id=wave.name)

    def planned(self) -> list[dict[str, Any]]:
        """Every recurring wave: when it is due next, and what came of the last time."""
        now = self._now()
        return [
            {
                "name": wave.name,
                "file": wave.file,
                "cron": wave.recurrence.cron,
                "timezone": wave.recurrence.timezone,
                "nextRun": None
                if (due := next_run(wave.recurrence, now)) is None
                else render_time(due.astimezone(UTC)),
                "last": self._last.get(wave.name),
            }
            for wave in self._waves.values()
        ]

    async def fire(self, name: str) -> None:
        """Start one now, unless the last of it still runs; whatever comes of it is on record."""
        wave = self._waves.get(name)
        if wave is None:
            return
        before = [each for each in self._running() if is_run_of(name, each)]
        if before:
            await self._refused(wave, f"{before[0]} has not ended")
            return
        try:
            view = await self._start(wave.document)
        except OrderRefused as error:
            await self._refused(wave, str(error))
            return
        self._last[name] = {
            "at": render_time(self._now()),
            "wave": view.state.wave,
            "refused": None,
        }
        log.info("recurring_wave_started", name=name, wave=view.state.wave)

    async def _refused(self, wave: RecurringWave, why: str) -> None:
        self._last[wave.name] = {"at": render_time(self._now()), "wave": None, "refused": why}
        log.warning("recurring_wave_not_started", name=wave.name, detail=why)
        record = AuditRecord(
            at=self._wall(), who=WHO, what="wave_not_started", why=why, target=wave.file
        )
        try:
            await self._store.call(lambda store: store.audit(record))
        except StoreError as error:
            log.warning("audit_not_written", detail=str(error))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)


def is_run_of(name: str, wave: str) -> bool:
    """Whether a wave's id is that of a run of the recurring wave of that name."""
    return re.fullmatch(re.escape(name) + r"-\d{8}-\d{6}-[0-9a-f]{4}", wave) is not None


def running_waves(daemon: Daemon) -> list[str]:
    """The ids of a daemon's waves that have not ended."""
    views: list[WaveView | FleetView] = [*daemon.waves(), *daemon.fleet_waves.views()]
    return [view.state.wave for view in views if not view.state.status.has_ended]
