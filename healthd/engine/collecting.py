"""Collecting and judging one cluster: one loop each, so that a slow one delays nobody."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import structlog

from healthd.collect.protocol import ClusterSource, Collected
from healthd.config.fleet import ClusterConfig
from healthd.engine.aging import aged
from healthd.engine.clock import Clock
from healthd.engine.judging import Judge, Judged
from healthd.engine.totals import Totals
from healthd.engine.view import ClusterView
from healthd.health.checks import Finding
from healthd.health.history import NO_HISTORY, History
from healthd.health.history_json import taken_out
from healthd.health.index import HealthReport
from healthd.health.mutes import Mute
from healthd.model.snapshot import ClusterSnapshot

log = structlog.get_logger(__name__)

_JUDGES = ThreadPoolExecutor(max_workers=1, thread_name_prefix="healthd-judge")
"""One for all clusters: judging only computes, so that several threads would not be done sooner,
and would take the interpreter from whoever answers HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One judged snapshot, for whoever decides on it."""

    snapshot: ClusterSnapshot
    previous: ClusterSnapshot | None
    report: HealthReport
    history: History
    """What the snapshots so far leave for the next one."""
    began: float
    """Monotonic time at which the collection began."""
    is_news: bool = True
    """Something was collected; else these are old values, as old as they are now."""


Listener = Callable[[str, Published], None]


def no_mutes(cluster: str) -> Sequence[Mute]:
    """Nothing is muted."""
    del cluster
    return ()


def no_findings(cluster: str) -> Iterable[Finding]:
    """Nobody has anything to say of a cluster."""
    del cluster
    return ()


class ClusterLoop:
    """The collections of one cluster, at most one in flight, and what was published last."""

    def __init__(
        self,
        config: ClusterConfig,
        source: ClusterSource,
        *,
        deadline_seconds: float,
        clock: Clock,
        totals: Totals,
        listener: Listener,
        standing: Callable[[str], Iterable[Finding]] = no_findings,
        mutes: Callable[[str], Sequence[Mute]] = no_mutes,
    ) -> None:
        self.config = config
        self.source = source
        self.view = ClusterView(config=config)
        self.has_been_looked_at = False
        self._deadline_seconds = deadline_seconds
        self._clock = clock
        self._totals = totals
        self._listener = listener
        self._standing = standing
        self._mutes = mutes
        self._lock = asyncio.Lock()
        self._limit: asyncio.Timeout | None = None
        self._is_sweeping = False
        self._is_closed = False
        self._away: frozenset[int] = frozenset()
        self._history: History = NO_HISTORY
        self._judge_of = Judge(config)
        self._judged_at: float | None = None
        self.cluster_id: str | None = None
        """What the brokers call their cluster."""
        self.addresses: Mapping[int, tuple[str, int]] = {}
        """Where each known broker says that clients find it."""

    async def sweep(self) -> None:
        """One scheduled collection; trouble is counted and published, never raised."""
        if self._is_sweeping:
            # It was due, so it counts as an attempt: failures are a share of those.
            self._totals.count_collection(self.config.name, "cluster")
            self._totals.count_failure(self.config.name, "cluster", "ours", "overrun")
            return
        self._is_sweeping = True
        try:
            # While a wave takes its last look before a stop, that collection is the news.
            if not self._lock.locked():
                await self.collect_now()
        finally:
            self._is_sweeping = False

    async def collect_now(self, *, read_configs: bool = False) -> ClusterSnapshot | None:
        """A collection that begins now, after the one in flight; None when it gave nothing."""
        async with self._lock:
            if self._has_closed():
                return None
            began = self._clock.monotonic()
            self._totals.loop_ticks[f"collect:{self.config.name}"] = self._clock.wall()
            collected = await self._collect(read_configs=read_configs)
            if self._has_closed():
                return None
            is_judged = collected is not None and await self._judge(collected, began)
            if not is_judged:
                await self._publish_aged(began)
            self.has_been_looked_at = True
            return collected.snapshot if collected is not None and is_judged else None

    async def close(self) -> None:
        """Abandon the collection in flight and let go of the source; nothing is published after."""
        self._is_closed = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())
        async with self._lock:
            await self.source.aclose()

    def _has_closed(self) -> bool:
        # Asked again after every wait: somebody else may have closed it meanwhile.
        return self._is_closed

    async def _collect(self, *, read_configs: bool) -> Collected | None:
        name = self.config.name
        self._totals.count_collection(name, "cluster")
        try:
            async with asyncio.timeout(self._deadline_seconds) as self._limit:
                return await self.source.collect(read_configs=read_configs)
        except TimeoutError:
            reason, detail = "deadline", f"not done after {self._deadline_seconds:g} s"
        except Exception as error:  # The supervised edge of one cluster.
            log.exception("collection_broke", cluster=name)
            reason, detail = "internal", f"{type(error).__name__}: {error}"
        finally:
            self._limit = None
        if not self._has_closed():
            self._fail(reason, detail)
        return None

    def _fail(self, reason: str, detail: str) -> None:
        name = self.config.name
        self._totals.count_failure(name, "cluster", "ours", reason)
        log.warning("collection_abandoned", cluster=name, reason=reason, detail=detail)
        self.view = replace(
            self.view,
            failures=({"source": "cluster", "origin": "ours", "reason": reason, "detail": detail},),
        )

    def known(self) -> ClusterSnapshot | None:
        """The last values, as old as they are now."""
        snapshot = self.view.snapshot
        if snapshot is None or self._judged_at is None:
            return None
        return aged(snapshot, self._clock.monotonic() - self._judged_at)

    def inherit(self, other: "ClusterLoop") -> None:
        """Show what another loop knew of the same cluster, until this one has looked itself."""
        self.view = replace(other.view, config=self.config)
        self.has_been_looked_at = other.has_been_looked_at
        self.cluster_id, self.addresses = other.cluster_id, other.addresses
        self._history = other._history  # noqa: SLF001  # One of its own kind.
        self._judged_at = other._judged_at  # noqa: SLF001  # As above.

    async def restore(self, snapshot: ClusterSnapshot) -> None:
        """Publish what was known before the daemon's restart, as old as it is."""
        began = self._clock.monotonic()
        snapshot, self._history = taken_out(snapshot)
        judged = await _judged(partial(self._judge_of.judge, snapshot, self._history, self._away))
        self._publish(snapshot, judged, began, {}, is_news=False)

    def set_away(self, away: frozenset[int]) -> None:
        """Say which brokers a wave has in flight: the index without them is published, too."""
        if self._away and not away:
            report = self.view.report
            own = None if report is None else report.health_index
            self.view = replace(self.view, index_without_wave=own)
        self._away = away

    async def _publish_aged(self, began: float) -> None:
        """Without news the last values grow older, for the index and for every gate."""
        older = self.known()
        if older is None:
            return
        try:
            judged = await _judged(
                partial(
                    self._judge_of.judge,
                    older,
                    self._history,
                    self._away,
                    standing=tuple(self._standing(self.config.name)),
                    mutes=self._mutes(self.config.name),
                    is_news=False,
                )
            )
        except Exception:
            log.exception("judging_broke", cluster=self.config.name)
            return
        self._publish(older, judged, began, {}, is_news=False)

    async def _judge(self, collected: Collected, began: float) -> bool:
        """Judge and publish; false when that broke, which is counted like a lost collection."""
        self._count(collected)
        try:
            # In a thread: 100,000 partitions take tens of milliseconds that /metrics need not wait.
            judged = await _judged(
                partial(
                    self._judge_of.judge,
                    collected.snapshot,
                    self._history,
                    self._away,
                    collected.failures,
                    standing=tuple(self._standing(self.config.name)),
                    mutes=self._mutes(self.config.name),
                )
            )
        except Exception as error:
            log.exception("judging_broke", cluster=self.config.name)
            self._fail("internal", f"{type(error).__name__}: {error}")
            return False
        self._publish(collected.snapshot, judged, began, dict(collected.durations))
        return True

    def _count(self, collected: Collected) -> None:
        name = self.config.name
        self.cluster_id, self.addresses = collected.cluster_id, collected.addresses
        for source in collected.durations:
            self._totals.count_collection(name, source)
        for failure in collected.failures:
            self._totals.count_failure(
                name, failure.source.value, failure.origin.value, failure.reason.value
            )
        self.view = replace(
            self.view,
            failures=tuple(
                {key: str(value) for key, value in failure.as_json().items()}
                for failure in collected.failures
            ),
        )

    def _publish(
        self,
        snapshot: ClusterSnapshot,
        judged: Judged,
        began: float,
        durations: dict[str, float],
        *,
        is_news: bool = True,
    ) -> None:
        if self._has_closed():
            return
        previous = self.view.snapshot
        now, wall = self._clock.monotonic(), self._clock.wall()
        self._judged_at, self._history = now, judged.history
        self.view = replace(
            self.view,
            snapshot=snapshot,
            report=judged.report,
            index_without_wave=judged.index_without_wave,
            tolerated_racks=judged.tolerated_racks,
            losses=judged.losses,
            tenants=judged.tenants,
            since=judged.history.since,
            seen_at={
                group.value: wall - age
                for group, age in snapshot.effective_ages.items()
                if age < float("inf")
            },
            durations=durations,
        )
        try:
            self._listener(
                self.config.name,
                Published(
                    snapshot=snapshot,
                    previous=previous,
                    report=judged.report,
                    history=judged.history,
                    began=began,
                    is_news=is_news,
                ),
            )
        except Exception:
            log.exception("listener_broke", cluster=self.config.name)


async def _judged(work: Callable[[], Judged]) -> Judged:
    return await asyncio.get_running_loop().run_in_executor(_JUDGES, work)
