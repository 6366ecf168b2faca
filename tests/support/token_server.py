"""A small OIDC provider: a token endpoint for client credentials, and the keys that sign.

Real Kafka brokers read ``jwks_url`` and check the tokens; what the endpoint answers can be changed
while it runs (``answer``), to see what becomes of a refusal, of rubbish and of silence.
"""

from __future__ import annotations

import base64
import functools
import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus

from joserfc import jwt
from joserfc.jwk import RSAKey

Answer = tuple[int, bytes]
"""HTTP status and body."""
ISSUER = "https://login.test"
AUDIENCE = "kafka"


class TokenServer:
    """Serves on a free loopback port while the ``with`` block lasts.

    Args:
        clients: Client id to secret.
        lifetime_seconds: Of the tokens that it gives.
        context: Serve over TLS with this context.
    """

    def __init__(
        self,
        clients: dict[str, str],
        *,
        lifetime_seconds: float = 300.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.clients = clients
        self.lifetime_seconds = lifetime_seconds
        self.answer: Callable[[], Answer] | None = None
        """When set, what the token endpoint answers instead of a token."""
        self.requests: list[dict[str, str]] = []
        """The form of every token request, with ``client`` for who asked."""
        self.given: list[str] = []
        """Every token that it gave."""
        self._key = _key()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "http"
        if context is not None:
            self._scheme = "https"
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def base_url(self) -> str:
        """Where it serves."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self.base_url}/token"

    @property
    def jwks_url(self) -> str:
        """The public keys, as a broker reads them."""
        return f"{self.base_url}/keys"

    def token(self, subject: str, *, lifetime_seconds: float | None = None) -> str:
        """A signed token for a subject."""
        lifetime = self.lifetime_seconds if lifetime_seconds is None else lifetime_seconds
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": "kafka",
            "iat": now,
            "exp": int(now + lifetime),
            "jti": str(len(self.given)),
        }
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": "test"}, claims, self._key)

    def close(self) -> None:
        """Nobody serves any more; may be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def keys(self) -> dict[str, Any]:
        """The JSON Web Key Set."""
        key = {**self._key.as_dict(private=False), "use": "sig", "alg": "RS256"}
        return {"keys": [key]}

    def give(self, authorization: str, form: dict[str, str]) -> Answer:
        """What the token endpoint answers."""
        client, _, secret = (
            base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        )
        client, secret = unquote_plus(client), unquote_plus(secret)
        self.requests.append({**form, "client": client})
        if self.answer is not None:
            return self.answer()
        if self.clients.get(client) != secret:
            return 401, b'{"error": "invalid_client"}'
        if form.get("grant_type") != "client_credentials":
            return 400, b'{"error": "unsupported_grant_type"}'
        token = self.token(client)
        self.given.append(token)
        body = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(self.lifetime_seconds),
        }
        return 200, json.dumps(body).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send((200, json.dumps(owner.keys()).encode()))

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                form = {key: values[0] for key, values in parse_qs(text).items()}
                self._send(owner.give(self.headers.get("Authorization", "Basic "), form))

            def _send(self, answer: Answer) -> None:
                status, body = answer
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing goes to the test's stderr."""

        return Handler


@functools.cache
def _key() -> RSAKey:
    # One for all servers of a process: making it takes a quarter of a second.
    return RSAKey.generate_key(2048, parameters={"kid": "test"})
