"""Names to addresses, on threads that nothing else waits for.

`getaddrinfo` blocks for ten seconds and more when a name server is gone. On the event loop's own
threads that would keep the judging of every cluster waiting.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS: Final = 8
"""Names that are resolved at the same time, all clusters together."""


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="healthd-names")


class PatientLoop(asyncio.SelectorEventLoop):
    """An event loop whose own threads never wait for a name server."""

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002  # asyncio's name for it.
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """See asyncio."""
        return await self.run_in_executor(
            _threads(), socket.getaddrinfo, host, port, family, type, proto, flags
        )


class PageResolver(AbstractResolver):
    """Resolves for one HTTP session, and tells a name server that hangs from a host that does."""

    def __init__(self, *, timeout_seconds: float) -> None:
        """Resolve nothing yet.

        Args:
            timeout_seconds: Less than whoever waits for the page has.
        """
        self._timeout = timeout_seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See aiohttp; raises OSError when there is no answer in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                found = await loop.run_in_executor(_threads(), _addresses, host, port, family)
        except TimeoutError:
            raise OSError(None, "the name server gives no answer") from None
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, address in found
        ]

    async def close(self) -> None:
        """The threads are everybody's: they stay."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[tuple[Any, str]]:
    found = socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return [(kind, str(address[0])) for kind, _, _, _, address in found]
