"""The daemon's HTTP API on a real port over the in-memory daemon, and commands run against it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.daemon import InMemoryDaemon

from healthd.cli.app import cli
from healthd.serve.app import create_app
from healthd.serve.auth import TokenAuth, make_token_file
from healthd.serve.server import HttpServer


@dataclass
class Served:
    """A daemon that answers, and the command line that asks it."""

    daemon: InMemoryDaemon
    address: str
    token_file: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, text: str | None = None) -> Result:
        """What `healthd WORDS` does."""
        environment = {
            "HEALTHD_SERVER": self.address,
            "HEALTHD_TOKEN_FILE": str(self.token_file),
            "SUDO_USER": "ann",
            **self.environment,
        }
        return CliRunner().invoke(cli, words, env=environment, input=text)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    daemon = InMemoryDaemon()
    token_file = tmp_path / "token"
    make_token_file(token_file)
    server = HttpServer(create_app(daemon, TokenAuth(token_file), open_reads=True), port=0)
    started: Future[int] = Future()
    stopping: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        stopping.append((asyncio.get_running_loop(), stop))
        started.set_result(await server.start())
        await stop.wait()
        await server.stop(1.0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="served")
    thread.start()
    port = started.result(timeout=10)
    try:
        yield Served(daemon=daemon, address=f"http://127.0.0.1:{port}", token_file=token_file)
    finally:
        loop, stop = stopping[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=10)
