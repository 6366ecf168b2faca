"""One SSH connection, made step by step: reach the host, check its key, log in."""

import logging
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

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

_LOG_CHANNEL: Final = "healthd.execute.paramiko"
_KEEPALIVE_SECONDS: Final = 10
_DEAD_PEER_MILLISECONDS: Final = 30_000
"""A host that was powered off acknowledges nothing: the kernel drops the connection after this
long, where TCP's own retries would take a quarter of an hour."""

# paramiko logs whole tracebacks for every refused connection; what matters is in the outcome.
logging.getLogger(_LOG_CHANNEL).addHandler(logging.NullHandler())
logging.getLogger(_LOG_CHANNEL).propagate = False


class _Transport(paramiko.Transport):
    """Asks the host for the kinds of keys that it is told, and for nothing else.

    paramiko adds the certificate form of every kind by itself, at the end: what comes first, and
    whether certificates are asked for at all, is for the known-hosts file to say.
    """

    asked: tuple[str, ...] = PLAIN_ALGORITHMS

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        return self.asked


class ConnectError(Exception):
    """No connection, and nothing was sent; the kind and the sentence for the outcome."""

    def __init__(self, kind: ExecKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class _NoSuchKeyError(ConnectError):
    """The host has no key of the kinds that it was asked for."""


def connect(
    target: Target, *, deadline: float, now: Callable[[], float] = time.time
) -> paramiko.Transport:
    """A transport that is logged in, to a host that has shown its known key.

    Nothing of ours (no user name, no key) is sent before the host's key is known to be right.

    Args:
        target: The host.
        deadline: On the monotonic clock, for everything together.
        now: The wall clock, by which host certificates are valid or not.

    Raises:
        ConnectError: With the kind of outcome that this is.
    """
    key = _load_key(target.key_file)
    known = _known_keys(target)
    transport = _reach(target, deadline)
    try:
        _exchange_keys(transport, target, asked_algorithms(known), deadline)
        _check_host_key(transport, target, known, now())
        _log_in(transport, target, key, deadline)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(_KEEPALIVE_SECONDS)
    return transport


def offered_host_keys(target: Target) -> tuple[HostKey, ...]:
    """Every key that the host shows and owns, unchecked; for a person to compare and trust.

    A connection shows one key, so there is one for each kind (as ssh-keyscan has it), each
    within the target's connect time-out.

    Raises:
        ConnectError: The host cannot be reached, or shows no key that can be used.
    """
    found: list[HostKey] = []
    for algorithm in PLAIN_ALGORITHMS:
        deadline = time.monotonic() + target.connect_timeout_seconds
        transport = _reach(target, deadline)
        try:
            _exchange_keys(transport, target, (algorithm,), deadline)
            key = _shown(transport).key
        except _NoSuchKeyError as error:
            trouble = error
        else:
            if key not in found:
                found.append(key)
        finally:
            transport.close()
    if not found:
        raise trouble
    return tuple(found)


def _load_key(path: Path) -> paramiko.PKey:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise ConnectError(
                ExecKind.AUTH_REFUSED,
                f"the key file {path} may be read by others (mode {mode:04o}): chmod 600 {path}",
            )
        return paramiko.PKey.from_path(path)
    except OSError as error:
        raise ConnectError(
            ExecKind.AUTH_REFUSED, f"the key file {path} cannot be read: {error.strerror}"
        ) from error
    except (TypeError, ValueError, paramiko.SSHException) as error:
        # TypeError is how the cryptography library asks for a passphrase.
        raise ConnectError(
            ExecKind.AUTH_REFUSED,
            f"the key file {path} is no private key without passphrase that can be used",
        ) from error


def _known_keys(target: Target) -> KnownKeys:
    try:
        return read_known_keys(target.known_hosts_file, target.address, target.port)
    except KnownHostsError as error:
        raise ConnectError(ExecKind.HOST_KEY_REFUSED, str(error)) from error


def _reach(target: Target, deadline: float) -> _Transport:
    try:
        connection = socket.create_connection(
            (target.address, target.port), timeout=remaining(deadline)
        )
    except OSError as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
        raise ConnectError(
            ExecKind.UNREACHABLE,
            f"{target.address}:{target.port} cannot be reached: {reason or error}",
        ) from error
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MILLISECONDS)
        transport = _Transport(connection)
    except BaseException:
        connection.close()
        raise
    transport.set_log_channel(_LOG_CHANNEL)
    transport.daemon = True
    return transport


def _exchange_keys(
    transport: _Transport, target: Target, asked: tuple[str, ...], deadline: float
) -> None:
    """Agree on keys; the host shows the first of what it is asked for that it has."""
    transport.asked = asked
    transport.banner_timeout = transport.handshake_timeout = remaining(deadline)
    is_done = threading.Event()
    try:
        # Waiting here is ours: start_client's own time-out ends without saying so.
        transport.start_client(event=is_done)
        in_time = is_done.wait(remaining(deadline))
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _no_ssh(target, error) from error
    if not in_time:
        raise _no_ssh(target, None)
    if not transport.is_active():
        raise _no_ssh(target, transport.get_exception())


def _no_ssh(target: Target, error: BaseException | None) -> ConnectError:
    reason = str(error) or type(error).__name__ if error else "no answer in time"
    # The library has one class for all that two sides cannot agree on.
    is_about_key = isinstance(error, paramiko.ssh_exception.IncompatiblePeer) and (
        "host key" in str(error)
    )
    return (_NoSuchKeyError if is_about_key else ConnectError)(
        ExecKind.UNREACHABLE,
        f"{target.address}:{target.port} does not answer as an SSH server: {reason}",
    )


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


def _log_in(
    transport: paramiko.Transport, target: Target, key: paramiko.PKey, deadline: float
) -> None:
    transport.auth_timeout = remaining(deadline)
    try:
        still_asked = transport.auth_publickey(target.user, key)
    except paramiko.AuthenticationException as error:
        # The library reports a connection that ended, or hung, in the same class.
        if "timeout" in str(error).lower() or not transport.is_active():
            raise _no_ssh(target, error) from error
        raise ConnectError(
            ExecKind.AUTH_REFUSED,
            f"{target} refuses the key {target.key_file}: add its public half to that user's "
            "authorized_keys",
        ) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _no_ssh(target, error) from error
    if still_asked:
        raise ConnectError(
            ExecKind.AUTH_REFUSED,
            f"{target} wants more than the key: {', '.join(still_asked)}",
        )


def remaining(deadline: float) -> float:
    """Seconds until the deadline; never 0, which a socket takes for "do not wait at all"."""
    return max(deadline - time.monotonic(), 0.001)
