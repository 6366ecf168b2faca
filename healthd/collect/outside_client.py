"""Asking one server outside the clusters: one session that lives as long as its secrets do."""

import asyncio
from functools import partial
from typing import Any

from healthd.collect.observation import FailureReason, Origin
from healthd.collect.rest import RestClient, RestError
from healthd.collect.rest_access import RestAccess
from healthd.collect.secret_threads import in_secret_thread
from healthd.config.problems import ConfigError
from healthd.config.secret_fields import runs_program
from healthd.config.source_server import ServerConfig


def _not_asked(why: str) -> RestError:
    return RestError(FailureReason.AUTHENTICATION, f"cannot be asked: {why}", Origin.OURS)


class OutsideClient:
    """JSON from and to one server; its secrets are read again for every question."""

    def __init__(self, server: ServerConfig) -> None:
        """Ask nothing, read nothing."""
        self._server = server
        self._access: RestAccess | None = None
        self._client: RestClient | None = None
        self._lock = asyncio.Lock()

    async def get(self, url: str) -> Any:
        """The JSON at a URL.

        Raises:
            RestError: there is none that may be believed; holds no secret.
        """
        return await (await self._ready()).json(url)

    async def send(self, method: str, url: str, document: Any = None) -> Any:
        """What the server answers to a change; see `RestClient.send`."""
        return await (await self._ready()).send(method, url, document)

    async def aclose(self) -> None:
        """Close the session; may be called twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ready(self) -> RestClient:
        async with self._lock:  # Two that ask at once share one session.
            return await self._opened()

    async def _opened(self) -> RestClient:
        server = self._server
        try:
            # The event loop waits for no disk and no program.
            access = await in_secret_thread(
                partial(RestAccess.of, server.rest, bearer=server.bearer_token),
                runs_program=runs_program(server),
            )
        except ConfigError as error:
            raise _not_asked(str(error)) from None
        if not (access.bearer_token or "").isprintable():
            raise _not_asked("the bearer token holds what no header may hold, such as a line end")
        if self._client is None or access != self._access:
            await self.aclose()
            self._access = access
            self._client = RestClient(access, timeout_seconds=server.timeout_seconds)
        return self._client
