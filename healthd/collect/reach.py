"""Whether listeners answer when somebody knocks.

Asked only when metadata cannot be trusted: a quorum without a leader leaves metadata that has
frozen and lists the dead. A frozen process accepts connections, for that is the kernel's work, so
on plain listeners a version request must be answered, and on TLS listeners the hello.
"""

import asyncio
import errno
import os
import socket
import ssl
import struct
from collections.abc import Iterable
from typing import Final

from healthd.collect.observation import ListenerState

KNOCKS_AT_ONCE: Final = 1024
"""One time-out must do for a whole cluster: what takes two is not done within a round."""

_SILENCE: Final = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT}
)
_API_VERSIONS: Final = 18
_CLIENT: Final = b"healthd"
_HEADER: Final = struct.pack(">hhih", _API_VERSIONS, 0, 1, len(_CLIENT)) + _CLIENT
_REQUEST: Final = struct.pack(">i", len(_HEADER)) + _HEADER
"""ApiVersions version 0, which every broker answers, before authentication too."""


async def knock_all(
    addresses: Iterable[tuple[str, int]],
    *,
    timeout_seconds: float,
    tls: ssl.SSLContext | None = None,
) -> dict[tuple[str, int], ListenerState]:
    """What each address does, asked side by side; takes one time-out at most for each 1,024."""
    wanted = list(dict.fromkeys(addresses))
    slots = asyncio.Semaphore(KNOCKS_AT_ONCE)

    async def one(host: str, port: int) -> ListenerState:
        async with slots:
            return await knock(host, port, timeout_seconds=timeout_seconds, tls=tls)

    states = await asyncio.gather(*(one(host, port) for host, port in wanted))
    return dict(zip(wanted, states, strict=True))


async def knock(
    host: str, port: int, *, timeout_seconds: float, tls: ssl.SSLContext | None = None
) -> ListenerState:
    """What one listener does. Never raises."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            if tls is None:
                writer.write(_REQUEST)
                answered = bool(await reader.read(4))
                return ListenerState.ANSWERED if answered else ListenerState.FAILED
            return ListenerState.ANSWERED
    except TimeoutError:
        return ListenerState.TIMED_OUT
    except ConnectionRefusedError:
        return ListenerState.REFUSED
    except socket.gaierror:
        return ListenerState.UNRESOLVED
    except ssl.SSLError:
        # It answered the hello, though not as we should like: somebody is there.
        return ListenerState.ANSWERED
    except OSError as error:
        return _failed(error)
    finally:
        if writer is not None:
            writer.close()


async def accepts(host: str, port: int, *, timeout_seconds: float) -> bool:
    """Whether somebody accepts a connection there. Never raises."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_seconds):
            _, writer = await asyncio.open_connection(host, port)
            return True
    except OSError:
        return False
    finally:
        if writer is not None:
            writer.close()


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port`, IPv6 without its brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _failed(error: OSError) -> ListenerState:
    # asyncio joins the errors of several addresses of one name into one without a number.
    words = str(error).lower()
    # No route to a host is what a router, or our own kernel, says of silence.
    if error.errno in _SILENCE or any(os.strerror(code).lower() in words for code in _SILENCE):
        return ListenerState.TIMED_OUT
    return ListenerState.REFUSED if "refused" in words else ListenerState.FAILED
