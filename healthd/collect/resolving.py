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


class _Resolver(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See aiohttp."""
        found = await asyncio.get_running_loop().run_in_executor(
            _threads(), _addresses, host, port, family
        )
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


def resolver() -> AbstractResolver:
    """A resolver for one HTTP session."""
    return _Resolver()


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[tuple[Any, str]]:
    found = socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return [(kind, str(address[0])) for kind, _, _, _, address in found]
