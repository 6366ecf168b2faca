"""A cluster's pages as a Prometheus server scraped them: whose they are, how old, and why not."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from healthd.collect.dialect_signals import has_kafka
from healthd.collect.exporter import ExporterPages
from healthd.collect.observation import FailureReason, Origin, PageSeen, Source, SourceFailure
from healthd.collect.page import (
    PageProblem,
    PageReader,
    Pages,
    not_finite,
    signals_of_page,
)
from healthd.collect.prometheus import Fetched, Member, PrometheusReader
from healthd.collect.promql import UP, Target
from healthd.collect.target import ClusterTarget
from healthd.config.source_prometheus import PrometheusServer, PrometheusUse
from healthd.waves.spec import MAX_ID

REUSE_INTERVALS: Final = 0.5
"""Clusters are collected at nearly the same time: one round serves all that ask within this. Longer
would make values older for whoever asks last."""

FRESH_INTERVALS: Final = 2.0
"""`up` tells of the present so long (health-index.md section 4)."""


class PrometheusReaders:
    """The servers that are in use: one reader for each, however many clusters it scrapes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask nobody yet."""
        self._clock = clock
        self._readers: dict[PrometheusServer, PrometheusReader] = {}

    def pages_of(self, target: ClusterTarget, use: PrometheusUse) -> "PrometheusPages":
        """The pages of one cluster, to be closed after use."""
        reader = self._readers.get(use.server)
        if reader is None:
            reader = PrometheusReader(
                server=use.server,
                reuse_seconds=REUSE_INTERVALS * target.interval_seconds,
                clock=self._clock,
            )
            self._readers[use.server] = reader
        return PrometheusPages(target, use, reader, self, clock=self._clock)

    async def let_go(self, reader: PrometheusReader, member: Member) -> None:
        """A cluster is closed; with the last one its server's reader is, too."""
        if reader.leave(member):
            self._readers.pop(reader.server, None)
            await reader.close()


def pages_of(
    target: ClusterTarget, readers: PrometheusReaders, clock: Callable[[], float]
) -> PageReader:
    """Where a cluster's pages are read: at its exporters, or from a Prometheus server."""
    if target.prometheus is not None:
        return readers.pages_of(target, target.prometheus)
    return ExporterPages(
        target.exporter_urls,
        timeout_seconds=target.attempt_seconds,
        clock=clock,
        max_bytes=target.max_page_bytes,
    )


class PrometheusPages:
    """A `PageReader` over one cluster's targets of a Prometheus server."""

    def __init__(
        self,
        target: ClusterTarget,
        use: PrometheusUse,
        reader: PrometheusReader,
        readers: PrometheusReaders,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Take the cluster in at its server; see `PrometheusReaders.pages_of`."""
        self._use = use
        self._reader = reader
        self._readers = readers
        self._clock = clock
        self._timeout = target.attempt_seconds
        self._fresh_seconds = FRESH_INTERVALS * target.interval_seconds
        self._instances = {
            node.instance: node.id for node in target.nodes.values() if node.instance is not None
        }
        self._expected = frozenset(
            target.nodes if use.node_label is not None else self._instances.values()
        )
        self._member = Member(
            name=target.name,
            use=use,
            instances=None if use.node_label is not None else tuple(self._instances),
        )
        self._whole: dict[int, frozenset[str]] = {}
        """The families of each node's last page that nothing was missing of."""
        self._seen_at: dict[int, float] = {}
        reader.join(self._member)

    async def read(self) -> Pages:
        """See `PageReader.read`."""
        try:
            async with asyncio.timeout(self._timeout):
                fetched = await self._reader.round_for(self._member)
        except TimeoutError:
            detail = self._reader.late(self._timeout)
            return Pages(
                failures=(self._failure(PageProblem(FailureReason.TIMEOUT, detail, Origin.OURS)),)
            )
        return self._judged(fetched)

    async def close(self) -> None:
        """See `PageReader.close`."""
        await self._readers.let_go(self._reader, self._member)

    def _judged(self, fetched: Fetched) -> Pages:
        failures = [*self._of_queries(fetched)]
        by_node = self._by_node(fetched)
        seen: dict[int, PageSeen] = {}
        # Without `up` nothing is known of any target, and that was told.
        is_known = all(signal != UP for signal, _ in fetched.failed)
        for node in sorted(self._expected | by_node.keys()) if is_known else ():
            try:
                page, odd = self._page(node, by_node.get(node, []), fetched)
            except PageProblem as problem:
                failures.append(self._failure(problem, node))
                continue
            if odd is not None:
                failures.append(self._failure(PageProblem(FailureReason.NOT_FINITE, odd), node))
            if page is not None and page.at > self._seen_at.get(node, float("-inf")):
                self._seen_at[node] = page.at
                seen[node] = page
        return Pages(
            seen=seen,
            failures=tuple(failures),
            up={
                node: any(target.is_up for target in fresh)
                for node, targets in by_node.items()
                if (fresh := [one for one in targets if self._is_fresh(one, fetched)])
            },
        )

    def _is_fresh(self, target: Target, fetched: Fetched) -> bool:
        return fetched.evaluated_at - target.at <= self._fresh_seconds

    def _by_node(self, fetched: Fetched) -> dict[int, list[Target]]:
        found: dict[int, list[Target]] = {}
        for target in fetched.targets:
            node = self._node(target.labels)
            if node is not None:
                found.setdefault(node, []).append(target)
        return found

    def _node(self, labels: Mapping[str, str]) -> int | None:
        if not self._use.matchers.items() <= labels.items():
            return None
        if self._use.node_label is None:
            return self._instances.get(labels.get("instance", ""))
        text = labels.get(self._use.node_label, "")
        is_id = text.isascii() and text.isdecimal() and int(text[:20]) <= MAX_ID
        return int(text) if is_id else None

    def _page(
        self, node: int, targets: list[Target], fetched: Fetched
    ) -> tuple[PageSeen | None, str | None]:
        """The node's page, and what is odd about it; None when another failure says why not.

        Raises:
            PageProblem: what is wrong with it.
        """
        told = bool(fetched.failed or fetched.warned)
        if not targets:
            if fetched.warned:
                return None, None
            raise self._not_scraped(node)
        up = [target for target in targets if target.is_up]
        if not up:
            raise PageProblem(
                FailureReason.TARGET_DOWN, f"could not scrape {_names(targets)}: up is 0"
            )
        # A node's host may be scraped for other things under the same label.
        of_kafka = [target for target in up if has_kafka(target.samples)]
        if len(of_kafka) > 1:
            raise PageProblem(
                FailureReason.AMBIGUOUS,
                f"has more than one target for it ({_names(of_kafka)}): add a matcher",
                Origin.OURS,
            )
        if told and not (of_kafka and self._is_whole(node, of_kafka[0], fetched)):
            return None, None
        if not of_kafka and len(up) < len(targets):
            down = [target for target in targets if not target.is_up]
            raise PageProblem(
                FailureReason.TARGET_DOWN, f"could not scrape {_names(down)}: up is 0"
            )
        target = (of_kafka or up)[0]
        signals = signals_of_page(target.samples)
        if not told:
            self._whole[node] = _families(target)
        at = fetched.offset + min(target.oldest, fetched.evaluated_at)
        return PageSeen(signals=signals, at=at), not_finite(target.samples)

    def _is_whole(self, node: int, target: Target, fetched: Fetched) -> bool:
        """Whether nothing is missing that was there before, though the answer may be a part."""
        return not fetched.failed and self._whole.get(node, frozenset()) <= _families(target)

    def _not_scraped(self, node: int) -> PageProblem:
        instance = next((name for name, id_ in self._instances.items() if id_ == node), None)
        where = f"{self._use.node_label}={node}" if instance is None else f"instance={instance}"
        return PageProblem(
            FailureReason.NO_DATA,
            f"has no up with {where}: it does not scrape it, or labels it otherwise",
            Origin.OURS,
        )

    def _of_queries(self, fetched: Fetched) -> Iterator[SourceFailure]:
        """One failure for all queries that failed in the same way."""
        failed: dict[tuple[FailureReason, str], list[str]] = {}
        for signal, problem in fetched.failed:
            failed.setdefault((problem.reason, problem.detail), []).append(signal)
        for signal, warning in fetched.warned:
            detail = f"answered with a warning: {warning}; what is missing is unknown"
            failed.setdefault((FailureReason.PARTIAL, detail), []).append(signal)
        for (reason, detail), signals in failed.items():
            asked = f"{detail} (asked for {', '.join(signals)})"
            yield self._failure(PageProblem(reason, asked, Origin.OURS))

    def _failure(self, problem: PageProblem, node: int | None = None) -> SourceFailure:
        server = f"Prometheus {self._use.server.name} at {self._use.server.url}"
        about = "" if node is None else f"Node {node}: "
        return SourceFailure(
            source=Source.METRICS,
            origin=problem.origin,
            reason=problem.reason,
            node=node,
            detail=f"{about}{server} {problem.detail}.",
        )


def _families(target: Target) -> frozenset[str]:
    return frozenset(name for name, _ in target.samples)


def _names(targets: list[Target]) -> str:
    return ", ".join(target.name for target in targets[:3])
