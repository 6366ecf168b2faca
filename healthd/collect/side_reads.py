"""Reading further sources in the background, so that none of them delays a snapshot."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog

from healthd.collect.observation import (
    FailureReason,
    LogDirsSeen,
    Origin,
    ProbeSeen,
    SectionSeen,
    SourceFailure,
)
from healthd.collect.side import SideContext, SideSeen, SideSource

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRound:
    """What further sources gave since the last round."""

    sections: Mapping[str, SectionSeen] = field(default_factory=dict)
    probe: ProbeSeen | None = None
    log_dirs: Mapping[int, LogDirsSeen] = field(default_factory=dict)
    failures: tuple[SourceFailure, ...] = ()
    """Of each source's last read, whenever that was."""
    durations: Mapping[str, float] = field(default_factory=dict)
    """Seconds of the reads that ended since the last round, by source."""


@dataclass(slots=True)
class _Reading:
    """One source between its reads."""

    source: SideSource
    task: asyncio.Task[SideSeen] | None = None
    began: float = float("-inf")
    ended: float = 0.0
    has_told: bool = False
    failures: tuple[SourceFailure, ...] = ()


@dataclass(slots=True)
class _Ready:
    """What has been read and not yet been taken."""

    sections: dict[str, SectionSeen] = field(default_factory=dict)
    log_dirs: dict[int, LogDirsSeen] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    probe: ProbeSeen | None = None


class SideReads:
    """The further sources of one cluster: at most one read of each in flight."""

    def __init__(
        self, sources: Iterable[SideSource], *, clock: Callable[[], float], settle: bool = False
    ) -> None:
        """Read nothing yet.

        Args:
            sources: At most one of each kind.
            clock: Monotonic seconds.
            settle: Wait for every read that was begun, instead of taking it in a later round.
        """
        self._all = [_Reading(source=source) for source in sources]
        self._clock = clock
        self._settle = settle
        self._ready = _Ready()

    def begin(self, context: SideContext) -> None:
        """Start the reads that are due.

        A read that has ended since the last round makes room for the next at once: one that is
        slower than a round would be read in every second round otherwise, and stale in between.
        """
        self._set_aside_finished()
        for one in self._all:
            if one.task is None and self._is_due(one):
                one.began = self._clock()
                one.task = asyncio.create_task(_read(one.source, context))
                one.task.add_done_callback(partial(self._note_end, one))

    async def take(self, until: float) -> SideRound:
        """What is finished; a source that has never told anything is waited for.

        Args:
            until: Monotonic seconds at which waiting ends.
        """
        awaited = {
            one.task
            for one in self._all
            if one.task is not None and (self._settle or not one.has_told)
        }
        limit = max(0.0, until - self._clock())
        if awaited and (self._settle or limit > 0):
            await asyncio.wait(awaited, timeout=None if self._settle else limit)
        self._set_aside_finished()
        ready, self._ready = self._ready, _Ready()
        return SideRound(
            sections=ready.sections,
            probe=ready.probe,
            log_dirs=ready.log_dirs,
            failures=tuple(failure for one in self._all for failure in one.failures),
            durations=ready.durations,
        )

    def _note_end(self, one: _Reading, _task: object) -> None:
        one.ended = self._clock()

    def _set_aside_finished(self) -> None:
        for one in self._all:
            if one.task is None or not one.task.done():
                continue
            seen, one.task, one.has_told = one.task.result(), None, True
            one.failures = seen.failures
            name = one.source.source.value
            self._ready.durations[name] = max(0.0, one.ended - one.began)
            if seen.section is not None:
                self._ready.sections[name] = SectionSeen(body=seen.section, at=one.began)
            if seen.probe is not None:
                self._ready.probe = ProbeSeen(probe=seen.probe, at=one.began)
            self._ready.log_dirs.update(seen.log_dirs or {})

    async def aclose(self) -> None:
        """Abandon what is in flight and let go of every source; may be called twice."""
        tasks = [one.task for one in self._all if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in self._all:
            one.task = None
            await one.source.aclose()

    def _is_due(self, one: _Reading) -> bool:
        every = one.source.interval_seconds
        return every is None or self._clock() - one.began >= every


async def _read(source: SideSource, context: SideContext) -> SideSeen:
    reason, detail = FailureReason.TIMEOUT, f"gave nothing in {source.timeout_seconds:g} s"
    try:
        async with asyncio.timeout(source.timeout_seconds):
            return await source.read(context)
    except TimeoutError:
        pass
    except Exception as error:  # The supervised edge of one source.
        log.exception("source_broke", source=source.source.value)
        reason, detail = FailureReason.PROTOCOL, f"broke: {type(error).__name__}"
    return SideSeen(
        failures=(
            SourceFailure(
                source=source.source,
                origin=Origin.OURS,
                reason=reason,
                detail=f"Reading {source.source.value} {detail}.",
            ),
        )
    )
