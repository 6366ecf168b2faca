"""Whether listeners answer when somebody knocks.

Asked only when metadata cannot be trusted: a quorum without a leader leaves metadata that has
frozen and lists the dead. A frozen process accepts connections, for that is the kernel's work, so
on plain listeners a version request must be answered, and on TLS listeners the hello.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Iterable
from typing import Final

from healthd.collect.observation import ListenerState

KNOCKS_AT_ONCE: Final = 64

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
    """What each address does, asked side by side; takes one time-out at most for each 64."""
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
        # asyncio joins the errors of several addresses of one name into one without a number.
        refused = "refused" in str(error).lower()
        return ListenerState.REFUSED if refused else ListenerState.FAILED
    finally:
        if writer is not None:
            writer.close()
