"""A real Prometheus server that scrapes stand-in exporters on loopback."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.threaded_server import listening

from healthd.demo.guarded import Command, GuardedProcesses
from healthd.demo.provision import find_program


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(slots=True)
class StandInExporter:
    """Serves a page that can be exchanged; None: it answers 503."""

    page: bytes | None
    scrapes: int = 0
    address: str = field(default="", init=False)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.address}/metrics"

    @contextlib.contextmanager
    def serving(self) -> Iterator[StandInExporter]:
        """It answers inside."""
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in.scrapes += 1
                body = stand_in.page
                self.send_response(503 if body is None else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_words: object) -> None:
                pass

        with listening(Handler) as self.address:
            yield self


@dataclass(frozen=True, slots=True)
class RealPrometheus:
    """A server that runs."""

    url: str

    def query(self, text: str) -> list[Any]:
        """The result of an instant query; empty while it does not answer."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return list(json.load(answer)["data"]["result"])
        except (OSError, urllib.error.HTTPError):
            return []

    def wait_for(self, text: str, seconds: float = 30) -> None:
        """Return when the query gives something."""
        until = time.monotonic() + seconds
        while not self.query(text):
            assert time.monotonic() < until, f"Prometheus never said {text}"
            time.sleep(0.05)


@contextlib.contextmanager
def prometheus(folder: Path, targets: Mapping[str, Mapping[str, str]]) -> Iterator[RealPrometheus]:
    """A Prometheus server that scrapes these addresses, with these labels, once a second."""
    folder.mkdir()
    config = folder / "prometheus.yml"
    static = [{"targets": [address], "labels": dict(row)} for address, row in targets.items()]
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                "scrape_configs": [{"job_name": "kafka", "static_configs": static}],
            }
        ),
        "utf-8",
    )
    with running(config) as server:
        yield server


@contextlib.contextmanager
def running(config: Path) -> Iterator[RealPrometheus]:
    """A Prometheus server with that configuration; its data and its log are beside it."""
    folder = config.parent
    address = f"127.0.0.1:{free_port()}"
    command = Command(
        argv=[
            str(find_program("prometheus")),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        log=folder / "log",
    )
    servers = GuardedProcesses([command], folder, remove_folder=False)
    try:
        yield RealPrometheus(f"http://{address}")
    finally:
        servers.close()
