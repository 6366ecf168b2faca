"""One SSH connection, made step by step: reach the host, check its key, log in."""

import logging
import socket
import stat
import threading
import time
from pathlib import Path
from typing import Final

import paramiko

from healthd.execute.known_hosts import HostKey, KnownHostsError, host_name, read_known_keys
from healthd.execute.protocol import ExecKind, Target

_LOG_CHANNEL: Final = "healthd.execute.paramiko"
_KEEPALIVE_SECONDS: Final = 10
_DEAD_PEER_MILLISECONDS: Final = 30_000
"""A host that was powered off acknowledges nothing: the kernel drops the connection after this
long, where TCP's own retries would take a quarter of an hour."""

# paramiko logs whole tracebacks for every refused connection; what matters is in the outcome.
logging.getLogger(_LOG_CHANNEL).addHandler(logging.NullHandler())
logging.getLogger(_LOG_CHANNEL).propagate = False


class ConnectError(Exception):
    """No connection, and nothing was sent; the kind and the sentence for the outcome."""

    def __init__(self, kind: ExecKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def connect(target: Target, *, deadline: float) -> paramiko.Transport:
    """A transport that is logged in, to a host that has shown its known key.

    Nothing of ours (no user name, no key) is sent before the host's key is known to be right.

    Args:
        target: The host.
        deadline: On the monotonic clock, for everything together.

    Raises:
        ConnectError: With the kind of outcome that this is.
    """
    key = _load_key(target.key_file)
    known = _known_keys(target)
    transport = _reach(target, deadline)
    try:
        _exchange_keys(transport, target, [one.kind for one in known], deadline)
        _check_host_key(transport, target, known)
        _log_in(transport, target, key, deadline)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(_KEEPALIVE_SECONDS)
    return transport


def offered_host_key(target: Target) -> HostKey:
    """The key that the host shows, unchecked; for a person to compare and trust.

    Raises:
        ConnectError: The host cannot be reached.
    """
    deadline = time.monotonic() + target.connect_timeout_seconds
    transport = _reach(target, deadline)
    try:
        _exchange_keys(transport, target, [], deadline)
        return _shown_key(transport)
    finally:
        transport.close()


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


def _known_keys(target: Target) -> tuple[HostKey, ...]:
    try:
        known = read_known_keys(target.known_hosts_file, target.address, target.port)
    except KnownHostsError as error:
        raise ConnectError(ExecKind.HOST_KEY_REFUSED, str(error)) from error
    revoked = {key.blob for key in known.revoked}
    return tuple(key for key in known.trusted if key.blob not in revoked)


def _reach(target: Target, deadline: float) -> paramiko.Transport:
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
        transport = paramiko.Transport(connection)
    except BaseException:
        connection.close()
        raise
    transport.set_log_channel(_LOG_CHANNEL)
    transport.daemon = True
    return transport


def _exchange_keys(
    transport: paramiko.Transport, target: Target, kinds: list[str], deadline: float
) -> None:
    """Agree on keys; the host is asked for a key of a kind that is known, if there is one."""
    options = transport.get_security_options()
    offered = tuple(options.key_types)
    preferred = [one for kind in kinds for one in _algorithms(kind) if one in offered]
    options.key_types = tuple(dict.fromkeys((*preferred, *offered)))
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


def _algorithms(kind: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)


def _no_ssh(target: Target, error: BaseException | None) -> ConnectError:
    reason = str(error) or type(error).__name__ if error else "no answer in time"
    return ConnectError(
        ExecKind.UNREACHABLE,
        f"{target.address}:{target.port} does not answer as an SSH server: {reason}",
    )


def _shown_key(transport: paramiko.Transport) -> HostKey:
    shown = transport.get_remote_server_key()
    return HostKey(kind=shown.get_name(), blob=shown.asbytes())


def _check_host_key(
    transport: paramiko.Transport, target: Target, known: tuple[HostKey, ...]
) -> None:
    shown = _shown_key(transport)
    if any(key.blob == shown.blob for key in known):
        return
    name = host_name(target.address, target.port)
    if not known:
        raise ConnectError(
            ExecKind.HOST_KEY_REFUSED,
            f"host {name} is not in {target.known_hosts_file}; it shows {shown}. Nothing was "
            "done. Compare the fingerprint on the host itself, then: healthd hosts trust",
        )
    expected = " or ".join(str(key) for key in known)
    raise ConnectError(
        ExecKind.HOST_KEY_REFUSED,
        f"host {name} shows {shown}, but {target.known_hosts_file} says {expected}. Nothing was "
        "done. Somebody may be in between; if the host was set up anew: healthd hosts trust",
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
