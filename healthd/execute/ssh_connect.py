"""One SSH connection, made step by step: reach the host, check its key, log in."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor as Threads
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import paramiko

from healthd.execute.host_keys import PLAIN_ALGORITHMS, Shown, asked_algorithms, why_refused
from healthd.execute.known_hosts import (
    HostKey,
    KnownHostsError,
    KnownKeys,
    host_name,
    read_known_keys,
)
from healthd.execute.protocol import ExecKind, Target
from healthd.execute.ssh_errors import ConnectError, NoSuchKeyError
from healthd.execute.ssh_keys import Identity, load_identity
from healthd.execute.ssh_line import Line, greet, reach, remaining
from healthd.execute.ssh_transport import Transport, begin_keys, exchange_keys, log_in, through

__all__ = ["Begun", "ConnectError", "begin", "handshake", "offered_host_keys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A host that has answered in a key exchange; it has no thread yet.

    Attributes:
        transport: To the host, with nothing agreed upon.
        known: What the known-hosts file says of the host.
        left_seconds: What is left of the time that the host has.
    """

    transport: Transport
    known: KnownKeys
    left_seconds: float


async def begin(
    target: Target,
    *,
    bastion: Transport | None,
    seconds: float,
    threads: Threads,
    kex_threads: Threads,
) -> Begun:
    """Reach the host, and begin to agree on keys with it.

    Args:
        target: The host.
        bastion: Logged in to the target's bastion, where it has one.
        seconds: How long the host may take; what it waits for us is not counted.
        threads: Where names are looked up.
        kex_threads: Where known hosts are read and keys are made.

    Raises:
        ConnectError: With the kind of outcome that this is.
    """
    deadline = time.monotonic() + seconds
    line = await _line_to(target, bastion=bastion, deadline=deadline, threads=threads)
    try:
        asked_at = time.monotonic()
        loop = asyncio.get_running_loop()
        transport, known = await loop.run_in_executor(kex_threads, _begin_keys, line, target)
        deadline += time.monotonic() - asked_at
        await line.answered(target, deadline=deadline)
    except BaseException:
        line.close()
        raise
    return Begun(transport=transport, known=known, left_seconds=remaining(deadline))


def _begin_keys(line: Line, target: Target) -> tuple[Transport, KnownKeys]:
    known = _read_known(target)
    return begin_keys(line, target, asked_algorithms(known)), known


async def _line_to(
    target: Target, *, bastion: Transport | None, deadline: float, threads: Threads
) -> Line:
    """A line on which the host's sshd has begun to speak."""
    if target.bastion is None or bastion is None:
        return await greet(
            await reach(target, deadline=deadline, threads=threads), target, deadline=deadline
        )
    channel = await through(bastion, target, target.bastion, deadline=deadline, threads=threads)
    return await greet(channel, target, deadline=deadline)


async def handshake(
    begun: Begun,
    target: Target,
    *,
    deadline: float,
    threads: Threads,
    now: Callable[[], float] = time.time,
) -> Transport:
    """A transport that is logged in, to a host that has shown its known key.

    Nothing of ours (no user name, no key) is sent before the host's key is known to be right.
    The connection is closed when it comes to nothing.

    Args:
        begun: The host that has begun to agree on keys.
        target: The host.
        deadline: On the monotonic clock, for everything together.
        threads: Where files are read and what may block is sent.
        now: The wall clock, by which certificates are valid or not.

    Raises:
        ConnectError: With the kind of outcome that this is.
    """
    transport = begun.transport
    try:
        await exchange_keys(transport, target, deadline)
        _check_host_key(transport, target, begun.known, now())
        loop = asyncio.get_running_loop()
        identity = await loop.run_in_executor(threads, load_identity, target, now())
        try:
            await _log_in(transport, target, identity, deadline=deadline, threads=threads)
        finally:
            identity.close()
    except BaseException:
        transport.cut()
        raise
    return transport


def offered_host_keys(target: Target) -> tuple[HostKey, ...]:
    """Every key that the host shows and owns, unchecked; for a person to compare and trust.

    A connection shows one key, so there is one for each kind (as ssh-keyscan has it), each
    within the target's connect time-out. A bastion in between is logged in to, and so has to be
    trusted first. Not to be called where an event loop runs.

    Raises:
        ConnectError: The host cannot be reached, or shows no key that can be used.
    """
    return asyncio.run(_offered(target))


async def _offered(target: Target) -> tuple[HostKey, ...]:
    found: list[HostKey] = []
    with ThreadPoolExecutor(1, thread_name_prefix="healthd-ssh-names") as threads:
        async with _logged_in(target.bastion, threads) as bastion:
            for algorithm in PLAIN_ALGORITHMS:
                try:
                    key = await _offers(target, algorithm, bastion, threads)
                except NoSuchKeyError as error:
                    trouble = error
                else:
                    if key not in found:
                        found.append(key)
    if not found:
        raise trouble
    return tuple(found)


@asynccontextmanager
async def _logged_in(target: Target | None, threads: Threads) -> AsyncIterator[Transport | None]:
    if target is None:
        yield None
        return
    async with _logged_in(target.bastion, threads) as bastion:
        seconds = target.connect_timeout_seconds
        begun = await begin(
            target, bastion=bastion, seconds=seconds, threads=threads, kex_threads=threads
        )
        deadline = time.monotonic() + begun.left_seconds
        transport = await handshake(begun, target, deadline=deadline, threads=threads)
        try:
            yield transport
        finally:
            transport.cut()


async def _offers(
    target: Target, algorithm: str, bastion: Transport | None, threads: Threads
) -> HostKey:
    deadline = time.monotonic() + target.connect_timeout_seconds
    line = await _line_to(target, bastion=bastion, deadline=deadline, threads=threads)
    transport = Transport(line, (algorithm,))
    try:
        await exchange_keys(transport, target, deadline)
        return _shown(transport).key
    finally:
        transport.cut()


def _read_known(target: Target) -> KnownKeys:
    try:
        return read_known_keys(target.known_hosts_file, target.address, target.port)
    except KnownHostsError as error:
        raise ConnectError(ExecKind.HOST_KEY_REFUSED, str(error)) from error


def _shown(transport: paramiko.Transport) -> Shown:
    shown = transport.get_remote_server_key()
    key = HostKey(kind=shown.get_name(), blob=shown.asbytes())
    # With a certificate, the library keeps the whole of it here and the key inside above.
    whole = shown.public_blob
    if whole is None:
        return Shown(key=key)
    return Shown(key=key, certificate=HostKey(kind=whole.key_type, blob=whole.key_blob))


def _check_host_key(
    transport: paramiko.Transport, target: Target, known: KnownKeys, now: float
) -> None:
    reason = why_refused(_shown(transport), address=target.address, known=known, now=now)
    if reason is None:
        return
    name, file = host_name(target.address, target.port), target.known_hosts_file
    if not known.trusted and not known.authorities and not known.revoked:
        raise ConnectError(
            ExecKind.HOST_KEY_REFUSED,
            f"host {name} is not in {file}; it {reason}. Nothing was "
            "done. Compare the fingerprint on the host itself, then: healthd hosts trust",
        )
    expected = [str(key) for key in known.trusted]
    expected += [f"a certificate of {key}" for key in known.authorities]
    raise ConnectError(
        ExecKind.HOST_KEY_REFUSED,
        f"host {name} {reason}, but {file} says {' or '.join(expected) or 'no other'}. Nothing "
        "was done. Somebody may be in between; if the host was set up anew, take its old line "
        "out of the file and then: healthd hosts trust",
    )


async def _log_in(
    transport: Transport,
    target: Target,
    identity: Identity,
    *,
    deadline: float,
    threads: Threads,
) -> None:
    trouble: BaseException | None = None
    for key in identity.keys:
        if not transport.is_active():
            break
        trouble = await log_in(transport, target, key, deadline=deadline, threads=threads)
        if trouble is None:
            return
        if isinstance(trouble, paramiko.ssh_exception.PartialAuthentication):
            raise ConnectError(
                ExecKind.AUTH_REFUSED,
                f"{target} wants more than the key: {', '.join(trouble.allowed_types)}",
            )
    raise ConnectError(
        ExecKind.AUTH_REFUSED, f"{target} refuses {identity.words}: {identity.hint}"
    ) from trouble
