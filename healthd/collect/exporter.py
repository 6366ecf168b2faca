"""Exporter pages over HTTP: what each node says of itself, or why it does not."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp

from healthd.collect.observation import FailureReason, Origin, PageSeen, Source, SourceFailure
from healthd.collect.page import FAMILIES, PageProblem, Pages, not_finite, signals_of_page
from healthd.collect.page_body import ACCEPTED_ENCODING, pieces
from healthd.collect.resolving import PageResolver
from healthd.collect.scan import ContradictionError, CutOffError, PageError, Sample, Scanner
from healthd.collect.target import MAX_PAGE_BYTES

PAGES_AT_ONCE: Final = 256
"""Pages of one cluster that are read at the same time: one that hangs keeps its place."""

_ROUND_LIMITS: Final = 2
"""A whole round takes at most so many limits of one page, however many hang."""

_NAME_SHARE: Final = 0.7
"""Of the time for a page: a name that takes longer is told as our own trouble."""

_NOTHING_THERE: Final = frozenset(
    {FailureReason.TIMEOUT, FailureReason.REFUSED, FailureReason.NETWORK}
)

_SCANNER: Final = Scanner(FAMILIES)


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
            max_bytes: Pages larger than this are cut off.
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
        up: dict[int, bool] = {}
        for node, (page, failure) in zip(self._urls, results, strict=True):
            if page is not None:
                seen[node] = page
            if failure is not None:
                failures.append(failure)
            if failure is None or failure.reason is not FailureReason.DNS:
                up[node] = failure is None or failure.reason not in _NOTHING_THERE
        return Pages(seen=seen, failures=tuple(failures), up=up)

    async def close(self) -> None:
        """Close the session; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _one(self, node: int) -> tuple[PageSeen | None, SourceFailure | None]:
        url = self._urls[node]
        try:
            async with (
                asyncio.timeout(_ROUND_LIMITS * self._timeout),
                self._slots,
                asyncio.timeout(self._timeout),
            ):
                samples, at = await self._samples(url)
            page = PageSeen(signals=signals_of_page(samples), at=at)
        except PageProblem as problem:
            return None, _failure(node, url, problem)
        except TimeoutError:
            detail = f"gave no whole page within {self._timeout:g} s"
            return None, _failure(node, url, PageProblem(FailureReason.TIMEOUT, detail))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return None, _failure(node, url, client_problem(error))
        odd = not_finite(samples)
        if odd is None:
            return page, None
        return page, _failure(node, url, PageProblem(FailureReason.NOT_FINITE, odd))

    async def _samples(self, url: str) -> tuple[dict[Sample, float], float]:
        if self._session is None:
            self._session = page_session(
                {"Accept": "text/plain;version=0.0.4"},
                connections=PAGES_AT_ONCE,
                timeout_seconds=self._timeout,
            )
        async with self._session.get(url, allow_redirects=False) as response:
            # An exporter has read all values by now; how long the page takes to arrive must not get
            # into the rate that is made of two of them.
            at = self._clock()
            check_status(response)
            if response.content_type == "text/html":
                raise PageProblem(
                    FailureReason.NOT_METRICS, "answered with an HTML page: check port and path"
                )
            scan = _SCANNER.begin()
            try:
                async for piece in pieces(response, self._max_bytes):
                    scan.feed(piece)
                return scan.finish(), at
            except CutOffError as error:
                raise PageProblem(FailureReason.INCOMPLETE, f"gave a page that {error}") from None
            except ContradictionError as error:
                raise PageProblem(FailureReason.CONTRADICTION, str(error)) from None
            except PageError as error:
                raise PageProblem(FailureReason.NOT_METRICS, f"gave a page that {error}") from None


def page_session(
    headers: Mapping[str, str],
    *,
    connections: int,
    timeout_seconds: float,
    tls: ssl.SSLContext | None = None,
) -> aiohttp.ClientSession:
    """A session that keeps no cookies, follows no proxy and leaves bodies packed."""
    return aiohttp.ClientSession(
        headers={"Accept-Encoding": ACCEPTED_ENCODING, **headers},
        connector=aiohttp.TCPConnector(
            limit=connections,
            limit_per_host=4,
            resolver=PageResolver(timeout_seconds=_NAME_SHARE * timeout_seconds),
            ssl=True if tls is None else tls,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def check_status(response: aiohttp.ClientResponse) -> None:
    """Nothing, when the answer is what was asked for.

    Raises:
        PageProblem: it is a refusal, or points elsewhere; redirects are not followed, for nobody
            configured where they lead to.
    """
    if response.status in range(300, 400):
        raise PageProblem(
            FailureReason.REDIRECT,
            f"answered with a redirect ({response.status}), which is not followed: "
            "configure the address that it leads to",
        )
    if response.status != 200:  # noqa: PLR2004  # HTTP's word for "here it is".
        raise PageProblem(FailureReason.HTTP_STATUS, f"answered with HTTP status {response.status}")


def _failure(node: int, url: str, problem: PageProblem) -> SourceFailure:
    return SourceFailure(
        source=Source.METRICS,
        origin=problem.origin,
        reason=problem.reason,
        node=node,
        detail=f"The exporter of node {node} at {url} {problem.detail}.",
    )


def client_problem(error: Exception) -> PageProblem:
    """What an HTTP client's error says, in our words."""
    if isinstance(error, aiohttp.ClientError):
        return PageProblem(*_client_problem(error))
    return PageProblem(FailureReason.NETWORK, f"cannot be asked ({type(error).__name__})")


def _client_problem(error: aiohttp.ClientError) -> tuple[FailureReason, str, Origin]:
    theirs = Origin.THEIRS
    cause = getattr(error, "os_error", None)
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(cause, socket.gaierror):
        return FailureReason.DNS, "has a name that cannot be resolved here", Origin.OURS
    if isinstance(cause, ConnectionRefusedError):
        return FailureReason.REFUSED, "refused the connection", theirs
    if isinstance(error, aiohttp.ClientSSLError):
        return FailureReason.TLS, "could not agree on TLS", theirs
    if isinstance(error, aiohttp.ClientOSError):
        return FailureReason.NETWORK, f"broke the connection ({error.strerror})", theirs
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return FailureReason.NETWORK, "closed the connection without an answer", theirs
    return FailureReason.PROTOCOL, f"spoke no proper HTTP ({type(error).__name__})", theirs
