"""A healthd of one profile, as clients see it, in a thread of this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest


class StandInHealthd(ThreadingHTTPServer):
    """Answers `/api/v1/routes/P` as healthd does, long polling included."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.changed = threading.Condition()
        self.members: list[dict[str, Any]] = []
        self.version = 0
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.token: str | None = None
        self.odd: tuple[int, bytes] | None = None
        """Answer this instead."""
        self.is_over = False
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def resolves_to(self, **weights: float) -> None:
        with self.changed:
            self.members = [
                {
                    "cluster": name,
                    "verdict": "IN",
                    "weight": weight,
                    "bootstrapServers": [f"{name}:9092"],
                    "securityProtocol": "PLAINTEXT",
                }
                for name, weight in weights.items()
            ]
            self.version += 1
            self.changed.notify_all()

    def wait_for_requests(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count, 10)

    def close(self) -> None:
        with self.changed:
            self.is_over = True
            self.changed.notify_all()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandInHealthd

    def do_GET(self) -> None:
        server = self.server
        query = parse_qs(urlsplit(self.path).query)
        with server.changed:
            server.requests.append((self.path, dict(self.headers.items())))
            server.changed.notify_all()
            since = query.get("since", [""])[0]
            if since == str(server.version) and "wait" in query:
                seconds = float(query["wait"][0].rstrip("s"))
                server.changed.wait_for(
                    lambda: server.is_over or str(server.version) != since, seconds
                )
            if server.is_over:
                self.close_connection = True
                return
            status, body = self._answer(since)
        self.send_response(status)
        self.send_header("ETag", f'"{server.version}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, since: str) -> tuple[int, bytes]:
        server = self.server
        if server.odd is not None:
            return server.odd
        if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            return 401, b"{}"
        if since == str(server.version):
            return 304, b""
        document = {"profile": "P", "order": "preference", "members": server.members}
        return 200, json.dumps(document).encode()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name.
        pass


@pytest.fixture
def healthd() -> Iterator[StandInHealthd]:
    server = StandInHealthd()
    server.resolves_to(east=100, west=100)
    yield server
    server.close()
