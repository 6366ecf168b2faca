"""The application over the in-memory daemon, asked without a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from support.daemon import InMemoryDaemon

from healthd.serve.app import create_app
from healthd.serve.auth import TokenAuth

TOKEN = "a-token-of-some-length"


@pytest.fixture
def daemon() -> InMemoryDaemon:
    return InMemoryDaemon()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
async def anybody(daemon: InMemoryDaemon, token_file: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without the token; reads are open."""
    app = create_app(daemon, TokenAuth(token_file), open_reads=True)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://healthd") as client:
        yield client


@pytest.fixture
async def closed(daemon: InMemoryDaemon, token_file: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without the token; reads are not open."""
    app = create_app(daemon, TokenAuth(token_file), open_reads=False)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://healthd") as client:
        yield client


@pytest.fixture
async def client(anybody: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client with the token, used by ann."""
    anybody.headers["Authorization"] = f"Bearer {TOKEN}"
    anybody.headers["X-Healthd-User"] = "ann"
    return anybody
