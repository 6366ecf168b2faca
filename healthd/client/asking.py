"""One question to one healthd over HTTP, with the standard library only."""

import contextlib
import http.client
import json
import os
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from healthd.client.route import ResolveError, Route, parse_route

MAX_ANSWER_BYTES: Final = 1_000_000
_SHOWN: Final = 300
"""So much of a server's words is repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Where the bearer token is read anew for each question, so that it may be replaced."""

    file: Path | None = None
    variable: str | None = None

    def read(self) -> str | None:
        """The token; None when none is configured.

        Raises:
            ResolveError: It is configured and not there.
        """
        if self.file is not None:
            try:
                token = self.file.read_text("utf-8").partition("\n")[0].strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ResolveError(f"the token file {self.file} cannot be read: {error}") from None
            where = f"the token file {self.file}"
        elif self.variable is not None:
            token = os.environ.get(self.variable, "").strip()
            where = f"the variable {self.variable}"
        else:
            return None
        if not token or not token.isascii() or not token.isprintable():
            raise ResolveError(f"{where} holds no token")
        return token


class Asker:
    """Asks one healthd; keeps its connection between two questions.

    Used by one thread; only `interrupt` may be called by others.

    Args:
        url: `http://host:port` or `https://...`, a path before the API's is kept.
        profile: The profile's name.
        token: Where the bearer token is.
        context: For https.
        timeout_seconds: How long connecting, and an answer beyond its wait, may take.

    Raises:
        ValueError: The URL is none.
    """

    def __init__(
        self,
        url: str,
        profile: str,
        *,
        token: Token,
        context: ssl.SSLContext | None,
        timeout_seconds: float,
    ) -> None:
        self.url = url
        found = urllib.parse.urlsplit(url)
        if "@" in found.netloc:
            # Not repeated: there may be a password in it.
            raise ValueError("the URL of healthd must not hold a name or a password")
        if found.scheme not in {"http", "https"} or not found.hostname:
            raise ValueError(f"{url}: must be http://host:port or https://host:port")
        self._host, self._port = found.hostname, found.port
        self._is_tls = found.scheme == "https"
        self._path = f"{found.path.rstrip('/')}/api/v1/routes/{urllib.parse.quote(profile, '')}"
        self._profile = profile
        self._token = token
        self._context = context
        self._timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None
        self._is_over = False

    def ask(self, etag: str, wait_seconds: float) -> Route | None:
        """The route when it is not that of the tag; None when it still is, after the wait.

        Raises:
            ResolveError: There is no usable answer.
        """
        path, headers = self._path, {"Accept": "application/json"}
        if etag:
            # healthd waits only for whoever has the current answer; all others get it at once.
            query = urllib.parse.urlencode({"wait": f"{wait_seconds:.3f}s", "since": etag})
            path = f"{path}?{query}"
        token = self._token.read()
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            status, tag, body = self._exchange(path, headers, wait_seconds if etag else 0.0)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise ResolveError(f"{self.url} does not answer: {reason}") from error
        return self._understood(status, tag, body)

    def close(self) -> None:
        """End the connection; the next question makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def interrupt(self) -> None:
        """End a question that waits in another thread, and refuse all that follow."""
        self._is_over = True
        connection = self._connection
        found = None if connection is None else connection.sock
        if found is not None:
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def _exchange(
        self, path: str, headers: Mapping[str, str], wait_seconds: float
    ) -> tuple[int, str, bytes]:
        connection = self._connected()
        if connection.sock is not None:
            connection.sock.settimeout(self._timeout_seconds + wait_seconds)
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        body = answer.read(MAX_ANSWER_BYTES + 1)
        if len(body) > MAX_ANSWER_BYTES:
            raise http.client.HTTPException(f"more than {MAX_ANSWER_BYTES} bytes")
        tag = (answer.getheader("ETag") or "").strip().removeprefix("W/").strip('"')
        return answer.status, tag, body

    def _connected(self) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is not None and connection.sock is not None:
            return connection
        if self._is_tls:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_seconds, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(
                self._host, self._port, timeout=self._timeout_seconds
            )
        connection.connect()
        self._connection = connection
        if self._is_over:
            raise http.client.HTTPException("closed")
        return connection

    def _understood(self, status: int, tag: str, body: bytes) -> Route | None:
        if status == http.HTTPStatus.NOT_MODIFIED:
            return None
        if status == http.HTTPStatus.OK:
            try:
                route = parse_route(body, tag)
            except ResolveError as error:
                raise ResolveError(f"{self.url}: {error}") from None
            if route.profile != self._profile:
                raise ResolveError(
                    f"{self.url} answered {route.profile} when asked for {self._profile}"
                )
            return route
        if status == http.HTTPStatus.UNAUTHORIZED:
            raise ResolveError(
                f"{self.url} wants a token (401): give token_file or token_variable, "
                "or let the daemon's reads be open"
            )
        raise ResolveError(f"{self.url} answered {status}: {_words(body)}")


def _words(body: bytes) -> str:
    """What a problem document tells, or the beginning of whatever else it is."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        detail = body.decode("utf-8", "replace")
    return " ".join(str(detail).split())[:_SHOWN] or "nothing"
