"""The section `mirrors`: how far each MirrorMaker 2 flow into a cluster is behind."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from healthd.collect.connect_rest import ConnectRest
from healthd.collect.connect_words import ConnectorSeen
from healthd.collect.dialect_mirror import SCANNER, FlowPage, flow_page
from healthd.collect.heartbeats import (
    HeartbeatFlow,
    HeartbeatLook,
    HeartbeatReader,
    HeartbeatSeen,
    HeartbeatUnread,
)
from healthd.collect.mirror_flows import (
    FlowEvidence,
    FlowMemory,
    connectors_of_flow,
    flow_json,
    flow_name,
    judge_flow,
    memory_of,
)
from healthd.collect.mirror_records import RecordCounter
from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.collect.rest import RestClient, RestError, whose
from healthd.collect.scan import PageError, Sample
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.target import ClusterTarget
from healthd.config.source_connect import ConnectConfig
from healthd.config.source_mirrors import MirrorConfig

MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
"""MirrorMaker's page grows with the partitions that it mirrors."""


class MirrorSource:
    """A `SideSource` over heartbeats on the target, Connect's REST API and workers' pages."""

    source = Source.MIRRORS
    interval_seconds: float | None = None

    def __init__(
        self,
        mirrors: Sequence[MirrorConfig],
        connects: Sequence[ConnectConfig],
        target: ClusterTarget,
    ) -> None:
        """Connect to nothing yet; one thread, for heartbeats.

        Raises:
            ConfigError: a secret cannot be read.
        """
        limit = target.attempt_seconds
        used = {mirror.connect for mirror in mirrors}
        self._mirrors = tuple(mirrors)
        self._connects = {
            one.name: ConnectRest(one, timeout_seconds=limit)
            for one in connects
            if one.name in used
        }
        # Where the fleet file names all connectors, no configuration is ever asked for.
        self._by_alias = {mirror.connect for mirror in mirrors if not mirror.connectors}
        self._pages = RestClient(timeout_seconds=limit, max_bytes=MAX_PAGE_BYTES)
        self._heartbeats = HeartbeatReader(target)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"healthd-mirrors-{target.name}")
        self._hanging: asyncio.Future[Any] | None = None
        self._records = {
            flow_name(mirror): RecordCounter(mirror, timeout_seconds=limit)
            for mirror in mirrors
            if mirror.origin is not None and mirror.connect is not None
        }
        self._memory: dict[str, FlowMemory] | None = None
        # Heartbeats: metadata, then end offsets and records, one topic after the other;
        # then offsets from Connect and from the source.
        self.timeout_seconds = (6 + 2 * len(mirrors)) * limit + 2

    async def read(self, context: SideContext) -> SideSeen:
        """See `SideSource.read`."""
        if self._memory is None:
            self._memory = _remembered(context)
        failures: list[SourceFailure] = []
        heartbeats, connectors, pages = await asyncio.gather(
            self._read_heartbeats(), self._read_connectors(), self._read_pages()
        )
        flows: list[dict[str, Any]] = []
        counts: list[Coroutine[Any, Any, dict[str, Any]]] = []
        for mirror in self._mirrors:
            name = flow_name(mirror)
            heartbeat = heartbeats.get((mirror.heartbeats_topic, mirror.source))
            evidence = FlowEvidence(
                now=context.wall.timestamp(),
                is_heartbeat_read=isinstance(heartbeat, HeartbeatSeen),
                heartbeat=heartbeat.seconds if isinstance(heartbeat, HeartbeatSeen) else None,
                pages=_pages_of(mirror, pages),
                connectors=_connectors_of(mirror, connectors),
            )
            state = judge_flow(mirror, evidence, self._memory.get(name, FlowMemory()))
            self._memory[name] = state.memory
            failures.extend(_failures(mirror, heartbeat, connectors, pages, context))
            flows.append(flow_json(mirror, state))
            counts.append(self._behind(mirror, evidence, context))
        counted = await asyncio.gather(*counts)
        section = {"flows": [{**flow, **count} for flow, count in zip(flows, counted, strict=True)]}
        return SideSeen(section=section, failures=tuple(dict.fromkeys(failures)))

    async def aclose(self) -> None:
        """See `SideSource.aclose`."""
        await self._pages.aclose()
        for connect in self._connects.values():
            await connect.aclose()
        for counter in self._records.values():
            counter.close()
        # On its own thread, after whatever still hangs there; nobody waits for that.
        try:
            self._thread.submit(self._heartbeats.close)
        except RuntimeError:
            return  # It was closed before.
        self._thread.shutdown(wait=False)

    async def _read_heartbeats(self) -> Mapping[HeartbeatFlow, HeartbeatLook]:
        flows = [(mirror.heartbeats_topic, mirror.source) for mirror in self._mirrors]
        if self._hanging is not None and not self._hanging.done():
            busy = HeartbeatUnread(
                reason=FailureReason.BUSY,
                origin=Origin.OURS,
                detail="an old request still hangs",
            )
            return dict.fromkeys(flows, busy)
        self._hanging = asyncio.get_running_loop().run_in_executor(
            self._thread, self._heartbeats.read, flows
        )
        # Shielded: a read that is cancelled must not take the thread's future away.
        return await asyncio.shield(self._hanging)

    async def _read_connectors(self) -> Mapping[str, tuple[ConnectorSeen, ...] | None]:
        seen = await asyncio.gather(
            *(
                connect.read(with_aliases=name in self._by_alias)
                for name, connect in self._connects.items()
            )
        )
        return {name: one.connectors for name, one in zip(self._connects, seen, strict=True)}

    async def _read_pages(self) -> Mapping[str, Mapping[Sample, float] | RestError]:
        urls = sorted({url for mirror in self._mirrors for url in mirror.exporters})
        pages = await asyncio.gather(*map(self._read_page, urls))
        return dict(zip(urls, pages, strict=True))

    async def _read_page(self, url: str) -> Mapping[Sample, float] | RestError:
        try:
            return SCANNER.scan(await self._pages.body(url, accept="text/plain;version=0.0.4"))
        except RestError as error:
            return error
        except PageError as error:
            return RestError(FailureReason.NOT_METRICS, f"gave a page that {error}")

    async def _behind(
        self, mirror: MirrorConfig, evidence: FlowEvidence, context: SideContext
    ) -> dict[str, Any]:
        counter = self._records.get(flow_name(mirror))
        if counter is None or mirror.connect is None or not evidence.connectors:
            return {"behindRecords": None, "behindRecordsAgeSeconds": None}
        names = [one.name for one in evidence.connectors]
        return await counter.read(self._connects[mirror.connect], names, context.now)


def _remembered(context: SideContext) -> dict[str, FlowMemory]:
    """What the last snapshot, perhaps of before a restart, says of each flow."""
    section = None if context.snapshot is None else (context.snapshot.extra or {}).get("mirrors")
    flows = section.get("flows") if section is not None else None
    found = flows if isinstance(flows, list | tuple) else ()
    return {str(flow.get("flow")): memory_of(flow) for flow in found if isinstance(flow, dict)}


def _pages_of(
    mirror: MirrorConfig, pages: Mapping[str, Mapping[Sample, float] | RestError]
) -> list[FlowPage]:
    found = (pages[url] for url in mirror.exporters)
    return [
        flow_page(page, source=mirror.source, target=mirror.target)
        for page in found
        if not isinstance(page, RestError)
    ]


def _connectors_of(
    mirror: MirrorConfig, seen: Mapping[str, tuple[ConnectorSeen, ...] | None]
) -> list[ConnectorSeen] | None:
    connectors = None if mirror.connect is None else seen[mirror.connect]
    return None if connectors is None else connectors_of_flow(mirror, connectors)


def _failures(
    mirror: MirrorConfig,
    heartbeat: HeartbeatLook | None,
    connectors: Mapping[str, tuple[ConnectorSeen, ...] | None],
    pages: Mapping[str, Mapping[Sample, float] | RestError],
    context: SideContext,
) -> list[SourceFailure]:
    found: list[SourceFailure] = []

    def add(reason: FailureReason, origin: Origin, detail: str) -> None:
        found.append(
            SourceFailure(source=Source.MIRRORS, origin=origin, reason=reason, detail=detail)
        )

    if isinstance(heartbeat, HeartbeatUnread):
        topic = mirror.heartbeats_topic
        add(
            heartbeat.reason,
            heartbeat.origin,
            f"The heartbeats in {topic} cannot be read: {heartbeat.detail}.",
        )
    if mirror.connect is not None and connectors[mirror.connect] is None:
        add(
            FailureReason.NETWORK,
            Origin.OURS,
            f"The connectors of {flow_name(mirror)} are not known: "
            f"see the Connect cluster {mirror.connect}.",
        )
    for url in mirror.exporters:
        page = pages[url]
        if isinstance(page, RestError):
            add(page.reason, whose(page, context), f"The page {url} {page.detail}.")
    return found
