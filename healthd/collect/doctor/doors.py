"""Every address of a cluster, tried one step after the other: name, connection, protocol, TLS."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from healthd.collect.access import Access
from healthd.collect.doctor.findings import Outcome
from healthd.collect.failing import AccessError
from healthd.collect.observation import ListenerState, Origin
from healthd.collect.reach import knock, split_address
from healthd.collect.secret_threads import in_secret_thread
from healthd.collect.tls_errors import tls_verdict

AT_ONCE: Final = 64

_WORDS: Final[Mapping[ListenerState, str]] = {
    ListenerState.REFUSED: "Refused the connection: nothing listens there, or a firewall says no.",
    ListenerState.TIMED_OUT: "No answer in time: a firewall that drops, a host that is gone, or a "
    "process that hangs.",
    ListenerState.FAILED: "The connection was broken off: check port and security.protocol.",
    ListenerState.UNRESOLVED: "The name cannot be resolved on healthd's host: check its DNS and "
    "the fleet file.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One address, and how far we got."""

    address: str
    outcome: Outcome
    detail: str = ""


async def kafka_doors(
    addresses: Iterable[str], access: Access, *, timeout_seconds: float
) -> dict[str, Door]:
    """How far each `host:port` lets us, before anybody is asked who we are. Never raises."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(address: str) -> Door:
        async with slots:
            return await _kafka_door(address, access, timeout_seconds)

    wanted = list(dict.fromkeys(addresses))
    return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))


async def ssh_doors(
    hosts: Mapping[int, tuple[str, int]], *, timeout_seconds: float
) -> dict[int, Door]:
    """Whether an sshd greets us on each node's host; nobody logs in. Never raises."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(host: str, port: int) -> Door:
        async with slots:
            return await _ssh_door(host, port, timeout_seconds)

    doors = await asyncio.gather(*(one(host, port) for host, port in hosts.values()))
    return dict(zip(hosts, doors, strict=True))


async def _kafka_door(address: str, access: Access, timeout_seconds: float) -> Door:
    host, port = split_address(address)
    state = await knock(host, port, timeout_seconds=timeout_seconds, tls=access.probing_tls())
    if state is not ListenerState.ANSWERED:
        return Door(address=address, outcome=Outcome.UNREACHABLE, detail=_WORDS[state])
    try:
        context = await in_secret_thread(
            access.tls_context, runs_program=access.runs_program_for_key
        )
        if context is None:
            return Door(address=address, outcome=Outcome.ALLOWED)
        async with asyncio.timeout(timeout_seconds):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
        writer.close()
    except AccessError as error:
        return Door(address=address, outcome=Outcome.FAILED, detail=f"{error.detail}.")
    except ssl.SSLError as error:
        _, origin, words = tls_verdict(error, access)
        whose = "healthd's own" if origin is Origin.OURS else "the broker's"
        detail = f"TLS, on {whose} side: {words}."
        return Door(address=address, outcome=Outcome.FAILED, detail=detail)
    except (OSError, TimeoutError) as error:
        detail = f"The TLS handshake was not done: {str(error) or type(error).__name__}."
        return Door(address=address, outcome=Outcome.UNREACHABLE, detail=detail)
    return Door(address=address, outcome=Outcome.ALLOWED)


async def _ssh_door(host: str, port: int, timeout_seconds: float) -> Door:
    address = f"{host}:{port}"
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(host, port)
            greeting = await reader.read(4)
    except socket.gaierror:
        state = ListenerState.UNRESOLVED
    except ConnectionRefusedError:
        state = ListenerState.REFUSED
    except OSError:
        state = ListenerState.TIMED_OUT
    else:
        if greeting == b"SSH-":
            return Door(address=address, outcome=Outcome.ALLOWED)
        return Door(address=address, outcome=Outcome.FAILED, detail="No sshd answers there.")
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return Door(address=address, outcome=Outcome.UNREACHABLE, detail=_WORDS[state])
