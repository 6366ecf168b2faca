"""Collecting one real cluster: all sources side by side, each with its own limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from healthd.collect.assemble import assemble
from healthd.collect.configs import ConfigReader, ConfigsRound
from healthd.collect.judge import judge
from healthd.collect.knocking import knocks_of
from healthd.collect.metadata_reader import MetadataReader
from healthd.collect.observation import (
    Address,
    FailureReason,
    MetadataSeen,
    Observations,
    Origin,
    SectionSeen,
    Source,
    SourceFailure,
)
from healthd.collect.outlook import Outlook
from healthd.collect.page import PageReader, Pages
from healthd.collect.principal import principal_of
from healthd.collect.prometheus_pages import PrometheusReaders, pages_of
from healthd.collect.protocol import Collected
from healthd.collect.quorum import QuorumReader, QuorumRound
from healthd.collect.reachability import Reach, judged, reach_of
from healthd.collect.releases import ReleaseReader
from healthd.collect.side import FURTHER_SOURCES, SideContext, SideSource
from healthd.collect.side_reads import SideReads, SideRound
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget
from healthd.collect.wire import WireClient
from healthd.collect.zookeeper import EnsembleReader, ensemble_of
from healthd.config.addresses import join_address
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup

CONFIGS_INTERVAL_SECONDS: Final = 150.0
"""All topic configs are read again so often; they are fresh for 20 intervals."""

_ROOM_FOR_RELEASES: Final = 1.5
"""Attempts that must still fit into a round before brokers are asked for their release."""

ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class _Round:
    """One collection while it is under way."""

    began: float
    until: float
    durations: dict[str, float] = field(default_factory=dict)
    failures: list[SourceFailure] = field(default_factory=list)


class ClusterCollector:
    """A `ClusterSource` over Kafka's protocol and the nodes' exporter pages.

    It owns two threads, one for each blocking client, and never more: work that outlives its
    limit keeps its thread, and until it ends that source says BUSY.
    """

    def __init__(
        self,
        target: ClusterTarget,
        *,
        configs_interval_seconds: float = CONFIGS_INTERVAL_SECONDS,
        known: ClusterSnapshot | None = None,
        sides: Iterable[SideSource] = (),
        settle: bool = False,
        outlook: Outlook | None = None,
        prometheus: PrometheusReaders | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect to nothing yet.

        Args:
            target: The cluster.
            configs_interval_seconds: All topic configs are read again so often.
            known: The last snapshot before a restart, as old as it is now.
            sides: Further sources; they are closed with this one.
            settle: Wait in every round for all further sources.
            outlook: Who else this process reaches; shared by all clusters of a daemon.
            prometheus: The Prometheus servers in use; shared in the same way.
            monotonic: Seconds on a clock that never jumps.
        """
        self._target = target
        self._configs_interval = configs_interval_seconds
        self._clock = monotonic
        now = monotonic()
        sides = tuple(sides)
        self._last = _remembered(known, now, read=frozenset(side.source for side in sides))
        self._metadata = MetadataReader(target)
        self._wire = WireClient(target)
        self._quorum = QuorumReader(
            self._wire, target.attempt_seconds, partial(principal_of, target.access)
        )
        self._ensemble = ensemble_of(target)
        self._configs = ConfigReader(self._wire, monotonic)
        self._releases = ReleaseReader(self._wire, monotonic)
        self._pages: PageReader = pages_of(target, prometheus or PrometheusReaders(), monotonic)
        self._sides = SideReads(sides, clock=monotonic, settle=settle)
        self._outlook = Outlook() if outlook is None else outlook
        self._snapshot = known
        self._metadata_thread = _thread("metadata", target.name)
        self._wire_thread = _thread("wire", target.name)
        self._in_flight: dict[str, asyncio.Future[Any]] = {}
        self._addresses: dict[int, tuple[str, int]] = {}
        self._cluster_id: str | None = None
        self._is_closed = False

    async def collect(self, *, read_configs: bool = False) -> Collected:
        """See `ClusterSource.collect`."""
        began = self._clock()
        this = _Round(began=began, until=began + self._target.budget_seconds)
        self._sides.begin(self._side_context())
        metadata, quorum, pages = await asyncio.gather(
            self._read_metadata(this), self._read_quorum(this), self._read_pages(this)
        )
        observed = self._observations(metadata, quorum, pages)
        if metadata is not None:
            self._remember_addresses(metadata)
        trusted = judge(observed, self._last).metadata
        if trusted is None and metadata is not None:
            self._metadata.turn_away(metadata.answered_by)
        if trusted is None:
            observed = await self._knocked(observed, this)
            configs = None
        else:
            configs = await self._read_configs(trusted, this, every=read_configs)
            observed = await self._with_releases(observed, trusted, this)
        sides = await self._sides.take(this.until)
        observed = self._with_configs(self._with_sides(observed, sides, this), configs, this)
        done = assemble(
            self._target,
            self._last,
            observed,
            began=began,
            now=Moment(monotonic=self._clock(), wall=datetime.now(UTC)),
        )
        self._last, self._snapshot = done.last, done.snapshot
        if trusted is not None:
            self._forget_addresses(done.snapshot)
            self._note_answer(trusted)
        return Collected(
            snapshot=done.snapshot,
            durations=dict(this.durations),
            failures=done.failures,
            cluster_id=self._cluster_id,
            addresses=dict(self._addresses),
        )

    async def aclose(self) -> None:
        """See `ClusterSource.aclose`."""
        if self._is_closed:
            return
        self._is_closed = True
        self._outlook.forget(self._target.name)
        await self._sides.aclose()
        if self._ensemble is not None:
            await self._ensemble.aclose()
        await self._pages.close()
        # On their own threads, after whatever still hangs there; nobody waits for that.
        self._metadata_thread.submit(self._metadata.close)
        self._wire_thread.submit(self._wire.close)
        self._metadata_thread.shutdown(wait=False)
        self._wire_thread.shutdown(wait=False)

    async def _read_metadata(self, this: _Round) -> MetadataSeen | None:
        known = self._last.topics
        result = await self._on_thread(
            Source.METADATA, self._metadata_thread, lambda: self._metadata.read(known), this
        )
        if isinstance(result, SourceFailure):
            this.failures.append(result)
            return None
        this.failures.extend(self._metadata.failures)
        return result

    async def _read_quorum(self, this: _Round) -> QuorumRound:
        if self._ensemble is not None:
            return await self._read_ensemble(self._ensemble, this)
        result = await self._on_thread(Source.QUORUM, self._wire_thread, self._quorum.read, this)
        if result is None:
            return QuorumRound()
        this.failures.extend(result.failures)
        return result

    async def _read_ensemble(self, ensemble: EnsembleReader, this: _Round) -> QuorumRound:
        seen = await _timed(Source.ZOOKEEPER, ensemble.read(), this, self._clock)
        this.failures.extend(seen.failures)
        told: QuorumRound | None = None
        if seen.controller is not None:
            ask = partial(self._quorum.read_brokers, seen.controller)
            told = await self._on_thread(Source.QUORUM, self._wire_thread, ask, this)
        told = told or QuorumRound()
        this.failures.extend(told.failures)
        section = SectionSeen(body=seen.section, at=this.began)
        return replace(told, quorum=seen.quorum, sections={Source.ZOOKEEPER.value: section})

    async def _read_pages(self, this: _Round) -> Pages | None:
        if not self._target.has_metrics:
            return None
        pages = await _timed(Source.METRICS, self._pages.read(), this, self._clock)
        this.failures.extend(pages.failures)
        return pages

    async def _read_configs(
        self, metadata: MetadataSeen, this: _Round, *, every: bool
    ) -> ConfigsRound | None:
        """Configs of new topics, of all when they are due; None when nothing is to be read."""
        seen_at = self._last.seen_at.get(EvidenceGroup.CONFIGS)
        if seen_at is None or this.began - seen_at >= self._configs_interval:
            every = True
        names = [
            topic.name for topic in metadata.topics if every or topic.min_insync_replicas is None
        ]
        if not names and not every:
            return None
        if not names:
            # No topics at all: everything that there is to know is known.
            return ConfigsRound(min_insync_replicas={}, complete=True)
        # Unknown ones first: what does not fit into this round is read in the next.
        by_name = {topic.name: topic for topic in metadata.topics}
        names.sort(key=lambda name: by_name[name].min_insync_replicas is not None)
        limit = max(0.0, this.until - self._clock() - self._target.attempt_seconds)
        alive = sorted(metadata.brokers)
        result = await self._on_thread(
            Source.CONFIGS, self._wire_thread, lambda: self._configs.read(names, alive, limit), this
        )
        if result is None or every:
            return result
        return ConfigsRound(
            min_insync_replicas=result.min_insync_replicas,
            complete=False,
            failures=result.failures,
        )

    async def _with_releases(
        self, observed: Observations, metadata: MetadataSeen, this: _Round
    ) -> Observations:
        """The observations with the release of each broker whose page does not say."""
        pages = observed.pages
        due = self._releases.due(pages, metadata.brokers)
        # It is never worth a late snapshot: what is not known yet is asked for in the next round.
        has_time = this.until - self._clock() > _ROOM_FOR_RELEASES * self._target.attempt_seconds
        hanging = self._in_flight.get("wire")
        if due and has_time and (hanging is None or hanging.done()):
            await self._on_thread(
                Source.METRICS, self._wire_thread, lambda: self._releases.read(due, pages), this
            )
        return replace(observed, releases=self._releases.known)

    async def _knocked(self, observed: Observations, this: _Round) -> Observations:
        """The observations with what every known listener does, for metadata tells nothing now."""
        knocks = await knocks_of(
            self._target,
            self._addresses,
            pages_up=observed.pages_up,
            # Nobody else is disturbed while anybody of this cluster still answers.
            outlook=None if observed.any_answered else self._outlook,
            timeout_seconds=max(0.1, min(self._target.attempt_seconds, this.until - self._clock())),
        )
        reach = reach_of(knocks)
        if not observed.any_answered:
            this.failures = judged(this.failures, reach)
        return replace(
            observed,
            listeners=knocks.brokers,
            all_refused=reach is Reach.REFUSED,
            all_gone=reach is Reach.GONE,
            any_answered=observed.any_answered or reach is Reach.ANSWERED,
        )

    def _observations(
        self, metadata: MetadataSeen | None, quorum: QuorumRound, pages: Pages | None
    ) -> Observations:
        return Observations(
            metadata=metadata,
            quorum=quorum.quorum,
            quorum_silent=quorum.silent,
            quorum_configured=quorum.configured,
            reassigning=quorum.reassigning,
            cluster_nodes=quorum.nodes,
            pages={} if pages is None else pages.seen,
            pages_up={} if pages is None else pages.up,
            sections=quorum.sections,
            describes_every_topic=quorum.describes_every_topic,
            any_answered=quorum.any_answered or metadata is not None,
        )

    @property
    def listeners(self) -> dict[int, str]:
        """Where each known broker says that clients find it, dead ones included."""
        return {
            node: join_address(host, port) for node, (host, port) in sorted(self._addresses.items())
        }

    def _side_context(self) -> SideContext:
        brokers = {
            node: Address(host=host, port=port)
            for node, (host, port) in self._addresses.items()
            if node in self._last.listed
        }
        return SideContext(
            brokers=brokers,
            snapshot=self._snapshot,
            now=self._clock(),
            wall=datetime.now(UTC),
        )

    @staticmethod
    def _with_sides(observed: Observations, sides: SideRound, this: _Round) -> Observations:
        this.failures.extend(sides.failures)
        this.durations.update(sides.durations)
        return replace(
            observed,
            log_dirs=sides.log_dirs,
            probe=sides.probe,
            sections={**observed.sections, **sides.sections},
        )

    def _with_configs(
        self, observed: Observations, configs: ConfigsRound | None, this: _Round
    ) -> Observations:
        if configs is not None:
            this.failures.extend(configs.failures)
        return replace(
            observed,
            min_insync_replicas=None if configs is None else configs.min_insync_replicas,
            configs_complete=configs is not None and configs.complete,
            failures=tuple(this.failures),
        )

    def _remember_addresses(self, metadata: MetadataSeen) -> None:
        self._cluster_id = metadata.cluster_id or self._cluster_id
        # The dead ones are kept: they are among those that must refuse.
        for node, address in metadata.brokers.items():
            self._addresses[node] = (address.host, address.port)

    def _forget_addresses(self, snapshot: ClusterSnapshot) -> None:
        # One that was taken away for good must not keep the cluster from being unreachable.
        expected = snapshot.brokers_by_id
        self._addresses = {
            node: address for node, address in self._addresses.items() if node in expected
        }

    def _note_answer(self, metadata: MetadataSeen) -> None:
        address = self._addresses.get(metadata.answered_by)
        if address is not None:
            self._outlook.note(self._target.name, address)

    async def _on_thread(
        self,
        source: Source,
        thread: Executor,
        work: Callable[[], ResultT],
        this: _Round,
    ) -> ResultT | None:
        """The result of blocking work; None with a failure when it takes too long."""
        key = "metadata" if thread is self._metadata_thread else "wire"
        hanging = self._in_flight.get(key)
        if hanging is not None and not hanging.done():
            this.failures.append(_late(source, FailureReason.BUSY, "still hangs in an old request"))
            return None
        future = asyncio.get_running_loop().run_in_executor(thread, work)
        self._in_flight[key] = future
        began = self._clock()
        # Not awaited itself: a collection that is cancelled must not take the thread's future away.
        await asyncio.wait({future}, timeout=max(0.0, this.until - began))
        this.durations[source.value] = self._clock() - began
        if future.done():
            return future.result()
        this.failures.append(_late(source, FailureReason.TIMEOUT, "gave nothing in time"))
        return None


def _remembered(
    known: ClusterSnapshot | None, now: float, *, read: frozenset[Source]
) -> LastValues:
    """What is kept of before a restart: not what a source said that nobody reads any more."""
    if known is None:
        return LastValues()
    last = LastValues.from_snapshot(known, 0.0, now)
    gone = {source.value for source in FURTHER_SOURCES - read}
    return replace(
        last, sections={name: last.sections[name] for name in last.sections if name not in gone}
    )


async def _timed(
    source: Source, work: Awaitable[ResultT], this: _Round, clock: Callable[[], float]
) -> ResultT:
    began = clock()
    try:
        return await work
    finally:
        this.durations[source.value] = clock() - began


def _late(source: Source, reason: FailureReason, what: str) -> SourceFailure:
    return SourceFailure(
        source=source, origin=Origin.OURS, reason=reason, detail=f"Reading {source.value} {what}."
    )


def _thread(kind: str, cluster: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"healthd-{kind}-{cluster}")
