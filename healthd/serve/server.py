"""The HTTP server inside the daemon's own event loop; signals stay the daemon's."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator
from typing import Any, Final

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from healthd.serve.problems import ProblemError, problem_response

log = structlog.get_logger(__name__)

STOP_SECONDS: Final = 5
"""How long requests that are under way may take when the server stops."""
_BACKLOG: Final = 2048
"""Thousands of clients that follow a profile may come at one moment. As many as this are taken in
one turn of the loop; the kernel lets the others try again after a second, and a third."""
_OWN_FILES: Final = 512
"""Open files that are kept from clients: brokers, hosts, the store."""
_FEWEST_CONNECTIONS: Final = 64
_ENDING_SECONDS: Final = 0.5
"""What uvicorn takes for its own ticks (0.1 s each) when it ends."""


class ListenError(Exception):
    """The address cannot be listened on; says which, why and what to do."""


class _Connection(H11Protocol):
    """Uvicorn's, whose word about what is no HTTP is a problem document as every other error."""

    def send_400_response(self, msg: str) -> None:
        """Answer, and close: what follows on this connection could be anything."""
        problem = problem_response(ProblemError(400, "http", msg))
        headers = (*problem.raw_headers, (b"connection", b"close"))
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        answer = b"HTTP/1.1 400 Bad Request\r\n%s\r\n%s" % (head, bytes(problem.body))
        self.transport.write(answer)
        self.transport.close()


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave every signal to the daemon."""
        yield


class HttpServer:
    """Serves an app on one address from `start` to `stop`."""

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 9780) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._bound: socket.socket | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    def listen(self) -> int:
        """The port that is taken (port 0: a free one); who connects now waits for `start`.

        Raises:
            ListenError: The address cannot be had.
        """
        if self._bound is None:
            self._bound = _bind(self._host, self._port)
        return int(self._bound.getsockname()[1])

    async def start(self) -> int:
        """The port that requests are taken on, once they are.

        Raises:
            ListenError: The address cannot be had.
        """
        port = self.listen()
        bound = self._bound
        assert bound is not None, "it listens"
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            http=_Connection,
            ws="none",
            backlog=_BACKLOG,
            # One too many is told 503, and takes no file from those who look after the clusters.
            limit_concurrency=_most_connections(),
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[bound]), name="http")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise ListenError(f"{self._host}:{self._port}: the HTTP server ended at once")
            await asyncio.sleep(0.005)
        log.info("http_started", host=self._host, port=port)
        return port

    async def wait(self) -> None:
        """Return, or raise what ended it, when the server has ended; it should not by itself."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self, deadline_seconds: float = STOP_SECONDS) -> None:
        """Take no more requests, and end within the deadline whatever they do."""
        if self._server is None or self._task is None:
            return
        # Uvicorn ends what is under way; the rest of the deadline is for that to take effect.
        grace: Any = max(0.0, deadline_seconds - _ENDING_SECONDS)  # Declared whole, taken as is.
        self._server.config.timeout_graceful_shutdown = grace
        self._server.should_exit = True
        done, _ = await asyncio.wait({self._task}, timeout=deadline_seconds)
        if not done:
            log.warning("http_cut_off", after_seconds=deadline_seconds)
            for connection in list(self._server.server_state.connections):
                connection.shutdown()
            for request in list(self._server.server_state.tasks):
                request.cancel()
            self._task.cancel()
        results = await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        _report(results[0])


def _report(result: Any) -> None:
    if isinstance(result, Exception):
        log.error("http_failed", reason=str(result))
    else:
        log.info("http_stopped")


def _most_connections() -> int:
    """How many clients may be connected, with as many open files as the kernel gives us."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_FEWEST_CONNECTIONS, allowed - _OWN_FILES)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named asyncio turns Nagle's algorithm off; without it the body of an answer
    # would wait 40 ms for the client's delayed acknowledgement of its head.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise ListenError(
            f"{host}:{port}: cannot listen there: {error.strerror or error}; "
            "stop what has it, or choose another address for HTTP"
        ) from error
    bound.setblocking(False)
    return bound
