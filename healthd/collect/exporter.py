"""Exporter pages over HTTP: what each node says of itself, or why it does not."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from healthd.collect import dialect_healthd
from healthd.collect.observation import (
    BrokerSignals,
    FailureReason,
    Origin,
    PageSeen,
    Source,
    SourceFailure,
)
from healthd.collect.scan import PageError, Scanner

MAX_PAGE_BYTES: Final = 8 * 1024 * 1024
"""A catch-all page of a broker with 500 partitions is 1.7 MB; ours is 20 kB. More is no page."""

PAGES_AT_ONCE: Final = 32
"""Pages of one cluster that are read at the same time."""

_SCANNER: Final = Scanner(dialect_healthd.FAMILIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What one round of scraping gave."""

    seen: Mapping[int, PageSeen]
    failures: tuple[SourceFailure, ...]


class _PageProblem(Exception):  # noqa: N818  # A value on its way to becoming a SourceFailure.
    def __init__(self, reason: FailureReason, detail: str, origin: Origin = Origin.THEIRS) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.origin = reason, detail, origin


class ExporterPages:
    """Reads the pages of one cluster's nodes, with one HTTP session for its life."""

    def __init__(
        self,
        urls: Mapping[int, str],
        *,
        timeout_seconds: float,
        clock: Callable[[], float],
        max_bytes: int = MAX_PAGE_BYTES,
    ) -> None:
        """Read nothing yet.

        Args:
            urls: The page of each node, by node id.
            timeout_seconds: Limit for one whole page.
            clock: Monotonic seconds.
            max_bytes: Pages larger than this are given up.
        """
        self._urls = dict(urls)
        self._timeout = timeout_seconds
        self._clock = clock
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(PAGES_AT_ONCE)

    async def read(self) -> Pages:
        """The pages that could be read, and a failure for each that could not. Never raises."""
        results = await asyncio.gather(*(self._one(node) for node in self._urls))
        seen: dict[int, PageSeen] = {}
        failures: list[SourceFailure] = []
        for node, result in zip(self._urls, results, strict=True):
            if isinstance(result, PageSeen):
                seen[node] = result
            else:
                failures.append(result)
        return Pages(seen=seen, failures=tuple(failures))

    async def close(self) -> None:
        """Close the session; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _one(self, node: int) -> PageSeen | SourceFailure:
        url = self._urls[node]
        try:
            async with self._slots, asyncio.timeout(self._timeout):
                page = await self._fetch(url)
            return PageSeen(signals=page_signals(page), at=self._clock())
        except _PageProblem as problem:
            reason, detail, origin = problem.reason, problem.detail, problem.origin
        except TimeoutError:
            reason, origin = FailureReason.TIMEOUT, Origin.THEIRS
            detail = f"gave no page within {self._timeout:g} s"
        except aiohttp.ClientError as error:
            reason, origin, detail = _client_problem(error)
        return SourceFailure(
            source=Source.METRICS,
            origin=origin,
            reason=reason,
            node=node,
            detail=f"The exporter of node {node} at {url} {detail}.",
        )

    async def _fetch(self, url: str) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Accept": "text/plain;version=0.0.4"},
                connector=aiohttp.TCPConnector(limit=PAGES_AT_ONCE, limit_per_host=4),
                auto_decompress=True,
            )
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:  # noqa: PLR2004  # HTTP's word for "here it is".
                raise _PageProblem(
                    FailureReason.HTTP_STATUS, f"answered with HTTP status {response.status}"
                )
            if response.content_type == "text/html":
                raise _PageProblem(
                    FailureReason.NOT_METRICS, "answered with an HTML page: check port and path"
                )
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > self._max_bytes:
                    raise _PageProblem(
                        FailureReason.TOO_LARGE,
                        f"gave more than {self._max_bytes} bytes: "
                        "use an include-listed rule file such as config/jmx/kafka.yml",
                    )
                chunks.append(chunk)
            return b"".join(chunks)


def page_signals(page: bytes) -> BrokerSignals:
    """What one page says of its node.

    Raises:
        _PageProblem: it says nothing that may be believed.
    """
    try:
        samples = _SCANNER.scan(page)
    except PageError as error:
        raise _PageProblem(FailureReason.NOT_METRICS, f"gave a page that {error}") from None
    if samples.get((dialect_healthd.SCRAPE_ERROR, ()), 0.0) != 0:
        raise _PageProblem(
            FailureReason.SCRAPE_ERROR, "says jmx_scrape_error: its values are unknown"
        )
    if not any(name in dialect_healthd.KAFKA_FAMILIES for name, _ in samples):
        raise _PageProblem(
            FailureReason.NO_KAFKA_METRICS,
            "gave a page without Kafka's metrics: still starting, or another rule file",
        )
    return dialect_healthd.signals_of(samples)


def _client_problem(error: aiohttp.ClientError) -> tuple[FailureReason, Origin, str]:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return FailureReason.DNS, Origin.OURS, "has a name that cannot be resolved here"
    cause = getattr(error, "os_error", None)
    if isinstance(cause, ConnectionRefusedError):
        return FailureReason.REFUSED, Origin.THEIRS, "refused the connection"
    if isinstance(cause, socket.gaierror):
        return FailureReason.DNS, Origin.OURS, "has a name that cannot be resolved here"
    if isinstance(error, aiohttp.ClientSSLError):
        return FailureReason.TLS, Origin.THEIRS, "could not agree on TLS"
    if isinstance(error, aiohttp.ClientOSError):
        return FailureReason.NETWORK, Origin.THEIRS, f"broke the connection ({error.strerror})"
    return FailureReason.PROTOCOL, Origin.THEIRS, f"spoke no proper HTTP ({type(error).__name__})"
