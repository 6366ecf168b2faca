"""JSON over HTTP from services beside Kafka: bounded, no redirects, every failure told apart."""

import asyncio
import json
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp

from healthd.collect.observation import FailureReason, Origin
from healthd.collect.rest_access import LateAccess, RestAccess
from healthd.collect.secret_threads import in_secret_thread
from healthd.collect.side import SideContext
from healthd.config.problems import ConfigError
from healthd.model.words import EvidenceGroup

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""The states of 10,000 tasks, some with their traces, are less."""
AT_ONCE: Final = 8
"""Requests of one client under way at one time."""
FIRST_LINE_CHARACTERS: Final = 300
_FRESH_INTERVALS: Final = 2.0

_OK: Final = 200
_REDIRECT: Final = range(300, 400)
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = frozenset({404, 405, 410})

_ASSIGNED: Final = re.compile(
    r"((?:password|passwd|passphrase|secret|token|credential|api[_.-]?key)[\w.-]*\s*[=:]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&]+)",
    re.IGNORECASE,
)
_USER_INFO: Final = re.compile(r"(//)[^/\s@]+@")


class RestError(Exception):
    """A request that was not answered well: why, and whose fault that is. Holds no secret."""

    def __init__(
        self,
        reason: FailureReason,
        detail: str,
        origin: Origin = Origin.THEIRS,
        *,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.origin = reason, detail, origin
        self.status = status
        """HTTP's, where that is what went wrong."""


class RestClient:
    """One HTTP session for the life of a source, made at the first request."""

    def __init__(
        self,
        access: RestAccess | Callable[[], RestAccess] | None = None,
        *,
        timeout_seconds: float,
        max_bytes: int = MAX_ANSWER_BYTES,
        runs_program: bool = False,
    ) -> None:
        """Ask nothing, read nothing.

        Args:
            access: How to connect, or what reads that; it is then read on a thread before the first
                request, and again after a service has refused our credentials.
            timeout_seconds: For one request, from its connection to its last byte.
            max_bytes: Of one answer.
            runs_program: Whether a program is run to read `access`.
        """
        self._access = LateAccess(access or RestAccess(), runs_program=runs_program)
        self._timeout = timeout_seconds
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None

    async def json(self, url: str) -> Any:
        """The JSON at a URL.

        Raises:
            RestError: there is none that may be believed.
        """
        return _parsed(await self.body(url, accept="application/json"))

    async def send(self, method: str, url: str, document: Any = None) -> Any:
        """What a service answers to a change: its JSON, or None when it says nothing.

        Args:
            method: `POST` or `DELETE`.
            url: Where to.
            document: What is sent, as JSON; None: nothing.

        Raises:
            RestError: it was refused, or nobody knows whether it was carried out.
        """
        body = await self._bounded(url, "application/json", method=method, document=document)
        return _parsed(body) if body else None

    async def body(self, url: str, *, accept: str) -> bytes:
        """The answer as it is; its size and time are limited.

        Raises:
            RestError: there is none, or it is no plain 200.
        """
        return await self._bounded(url, accept)

    async def _bounded(
        self, url: str, accept: str, *, method: str = "GET", document: Any = None
    ) -> bytes:
        access = await self._known()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._fetch(access, url, accept, method, document)
        except RestError as error:
            if error.reason is FailureReason.AUTHENTICATION:
                self._access.forget(access)
            raise
        except TimeoutError:
            raise RestError(
                FailureReason.TIMEOUT, f"gave no answer within {self._timeout:g} s"
            ) from None
        except aiohttp.ClientError as error:
            raise _client_error(error) from None
        except OSError as error:
            self._access.forget(access)
            raise RestError(
                FailureReason.TLS,
                f"cannot be asked: a certificate or key file is of no use ({error.strerror})",
                Origin.OURS,
            ) from None

    async def aclose(self) -> None:
        """Close the session; may be called twice."""
        self._access.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _known(self) -> RestAccess:
        """How to connect; no request's time is spent on reading that."""
        try:
            return await self._access.known()
        except ConfigError as error:
            raise RestError(
                FailureReason.AUTHENTICATION, f"cannot be asked: {error}", Origin.OURS
            ) from None

    async def _fetch(
        self, access: RestAccess, url: str, accept: str, method: str, document: Any
    ) -> bytes:
        session = await self._opened(access)
        headers = {"Accept": accept, **access.headers()}
        async with session.request(
            method, url, allow_redirects=False, headers=headers, json=document
        ) as response:
            if response.status != _OK:
                raise _status_error(response.status)
            if response.content_type == "text/html":
                raise RestError(
                    FailureReason.PROTOCOL,
                    "answered with an HTML page: check port and path",
                    Origin.OURS,
                )
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > self._max_bytes:
                    raise RestError(
                        FailureReason.TOO_LARGE, f"gave more than {self._max_bytes} bytes"
                    )
                chunks.append(chunk)
            return b"".join(chunks)

    async def _opened(self, access: RestAccess) -> aiohttp.ClientSession:
        tls: ssl.SSLContext | bool = True
        if self._session is None and access.uses_tls:
            tls = await in_secret_thread(access.tls, runs_program=False)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=AT_ONCE, ssl=tls),
                # No cookie of one service goes to another, and no environment decides our way.
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RestError(
            FailureReason.PROTOCOL, "answered with something that is no JSON, or half of it"
        ) from None


def whose(error: RestError, context: SideContext) -> Origin:
    """Whose fault a failure is: a time-out is theirs while Kafka itself answers us.

    One slow way alone proves nothing; beside fresh metadata of the same cluster our own network is
    the less likely reason.
    """
    if error.reason is not FailureReason.TIMEOUT:
        return error.origin
    snapshot = context.snapshot
    age = None if snapshot is None else snapshot.age(EvidenceGroup.METADATA)
    if snapshot is None or age is None or age > _FRESH_INTERVALS * snapshot.interval_seconds:
        return Origin.OURS
    return Origin.THEIRS


def first_line(text: object) -> str:
    """The first line of a trace, bounded, without what looks like a secret."""
    if not isinstance(text, str):
        return ""
    line = text[: 4 * FIRST_LINE_CHARACTERS].strip().partition("\n")[0][:FIRST_LINE_CHARACTERS]
    line = _USER_INFO.sub(r"\1[redacted]@", _ASSIGNED.sub(r"\1[redacted]", line))
    return line[:FIRST_LINE_CHARACTERS]


def names_of(urls: Sequence[str]) -> dict[str, str]:
    """A short name for each URL: `host:port[/path]`."""
    return {url: url.partition("://")[2] for url in urls}


def _status_error(status: int) -> RestError:
    if status == _UNAUTHORIZED:
        return RestError(
            FailureReason.AUTHENTICATION,
            "refused our credentials (HTTP 401): check username and password",
            Origin.OURS,
        )
    if status == _FORBIDDEN:
        return RestError(
            FailureReason.AUTHORIZATION,
            "does not allow us to read it (HTTP 403): grant healthd's user to read",
            Origin.OURS,
        )
    if status in _REDIRECT:
        return RestError(
            FailureReason.HTTP_STATUS,
            f"redirects (HTTP {status}), which is not followed: configure the address itself",
            Origin.OURS,
        )
    if status in _NOT_FOUND:
        return RestError(
            FailureReason.HTTP_STATUS,
            f"has nothing there (HTTP {status}): check port and path",
            Origin.OURS,
            status=status,
        )
    return RestError(FailureReason.HTTP_STATUS, f"answered with HTTP status {status}")


def _client_error(error: aiohttp.ClientError) -> RestError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return RestError(FailureReason.DNS, "has a name that cannot be resolved here", Origin.OURS)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or "not trusted"
        expired = "expired" in reason
        return RestError(
            FailureReason.TLS,
            f"has a certificate that does not hold ({reason})"
            + ("" if expired else ": check caFile and the host name"),
            Origin.THEIRS if expired else Origin.OURS,
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return RestError(FailureReason.TLS, "could not agree on TLS with us", Origin.OURS)
    cause = getattr(error, "os_error", None)
    if isinstance(cause, ConnectionRefusedError):
        return RestError(FailureReason.REFUSED, "refused the connection")
    if isinstance(cause, socket.gaierror):
        return RestError(FailureReason.DNS, "has a name that cannot be resolved here", Origin.OURS)
    if isinstance(error, aiohttp.ClientOSError):
        return RestError(FailureReason.NETWORK, f"broke the connection ({error.strerror})")
    return RestError(FailureReason.PROTOCOL, f"spoke no proper HTTP ({type(error).__name__})")
