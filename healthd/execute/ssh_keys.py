"""What healthd logs in with: a private key, a user's certificate, or the keys of an agent."""

import contextlib
import os
import socket
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import paramiko
from cryptography.hazmat.primitives.serialization import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)
from paramiko.agent import AgentSSH

from healthd.config.problems import ConfigError
from healthd.config.ssh_access import AGENT_OF_ENVIRONMENT
from healthd.execute.host_certificate import moment
from healthd.execute.protocol import ExecKind, Target
from healthd.execute.ssh_errors import ConnectError

_MAX_AGENT_KEYS: Final = 5
"""A host ends a connection after six attempts, by default."""
_AGENT_SECONDS: Final = 5.0
_RSA: Final = ("rsa-sha2-512", "rsa-sha2-256")
USER_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    *_RSA,
)
"""How a key may sign; ssh-rsa is SHA-1 and not among them, whatever a host asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Keys to log in with, in the order in which they are shown."""

    keys: tuple[paramiko.PKey, ...]
    words: str
    """What they are, for a refusal: ``the key /etc/healthd/id``."""
    hint: str
    """What to do when the host refuses them."""
    agent: Any = field(default=None, repr=False)

    def close(self) -> None:
        """Let go of the agent."""
        if self.agent is not None:
            with contextlib.suppress(OSError):
                self.agent._close()  # noqa: SLF001 - the library has no other name for it.


def load_identity(target: Target, now: float) -> Identity:
    """What the target is to be logged in to with.

    Args:
        target: Names the files.
        now: Unix seconds, by which a certificate is valid or not.

    Raises:
        ConnectError: There is no such key; the sentence says what to do.
    """
    if target.key_file is not None:
        return _from_file(target, target.key_file, now)
    if target.agent is not None:
        return _from_agent(target, target.agent)
    raise _refused(f"there is neither a key file nor an agent for {target}")


def _from_file(target: Target, path: Path, now: float) -> Identity:
    key = _load_key(path, _passphrase(target))
    words = f"the key {path}"
    hint = "add its public half to that user's authorized_keys"
    if target.certificate_file is not None:
        principals = _certify(key, target.certificate_file, target.user, now)
        words = f"the certificate {target.certificate_file}"
        hint = f"it is for {principals}; see TrustedUserCAKeys on the host"
    return Identity(keys=(key,), words=words, hint=hint)


def _passphrase(target: Target) -> str | None:
    if target.passphrase is None:
        return None
    try:
        return target.passphrase.read()
    except ConfigError as error:
        raise _refused(f"the passphrase of {target.key_file} is not there: {error}") from None


def _load_key(path: Path, passphrase: str | None) -> paramiko.PKey:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise _refused(
                f"the key file {path} may be read by others (mode {mode:04o}): chmod 600 {path}"
            )
        secret: Any = None if passphrase is None else passphrase.encode()
        return paramiko.PKey.from_path(path, secret)
    except OSError as error:
        raise _refused(f"the key file {path} cannot be read: {error.strerror}") from error
    except (TypeError, ValueError, paramiko.SSHException) as error:
        # TypeError is how the cryptography library asks for a passphrase.
        what = "without passphrase " if passphrase is None else "with this passphrase "
        raise _refused(f"the key file {path} is no private key {what}that can be used") from (
            error if passphrase is None else None
        )


def _certify(key: paramiko.PKey, path: Path, user: str, now: float) -> str:
    """Put the certificate on the key, and answer who it is for.

    A host says only that it refuses a certificate; what can be known beforehand is said here.
    """
    try:
        line = path.read_bytes()
        certificate = load_ssh_public_identity(line.strip())
    except OSError as error:
        raise _refused(f"the certificate {path} cannot be read: {error.strerror}") from error
    except Exception as error:
        raise _refused(f"{path} is no certificate: {error}") from error
    if not isinstance(certificate, SSHCertificate):
        raise _refused(f"{path} is no certificate, but a plain key")
    if certificate.type is not SSHCertificateType.USER:
        raise _refused(f"the certificate {path} is a host's, not a user's")
    if now < certificate.valid_after:
        raise _refused(
            f"the certificate {path} is valid only from {moment(certificate.valid_after)}"
        )
    if now >= certificate.valid_before:
        raise _refused(f"the certificate {path} was valid until {moment(certificate.valid_before)}")
    try:
        key.load_certificate(str(path))
        is_its_own = _same_key(key, line)
    except (ValueError, paramiko.SSHException) as error:
        raise _refused(f"the certificate {path} cannot be used: {error}") from error
    if not is_its_own:
        raise _refused(f"the certificate {path} is about another key than the key file has")
    names = [name.decode("utf-8", "backslashreplace") for name in certificate.valid_principals]
    listed = ", ".join(names) or "every user"
    return listed if not names or user in names else f"{listed}, not {user}"


def _same_key(key: paramiko.PKey, line: bytes) -> bool:
    inner = type(key)(
        msg=paramiko.Message(paramiko.pkey.PublicBlob.from_string(line.decode()).key_blob)
    )
    return inner.asbytes() == key.asbytes()


def _from_agent(target: Target, path: Path) -> Identity:
    if path == AGENT_OF_ENVIRONMENT:
        value = os.environ.get("SSH_AUTH_SOCK", "")
        if not value:
            raise _refused("there is no SSH agent: SSH_AUTH_SOCK is not set where healthd runs")
        path = Path(value)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_AGENT_SECONDS)
    agent: Any = AgentSSH()
    try:
        connection.connect(str(path))
        # The library itself reads the socket's name from the environment and from nowhere else.
        agent._connect(connection)  # noqa: SLF001
    except (OSError, paramiko.SSHException) as error:
        connection.close()
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise _refused(f"the SSH agent at {path} does not answer: {reason}") from error
    usable = [key for key in agent.get_keys() if _is_usable(key)]
    if not usable:
        connection.close()
        raise _refused(f"the SSH agent at {path} has no key that can be used: ssh-add one")
    return Identity(
        keys=tuple(usable[:_MAX_AGENT_KEYS]),
        words=f"the {len(usable[:_MAX_AGENT_KEYS])} keys of the agent at {path}",
        hint=f"add the public half of one of them to the authorized_keys of {target.user}",
        agent=agent,
    )


def _is_usable(key: paramiko.PKey) -> bool:
    kind = key.get_name().removesuffix("-cert-v01@openssh.com")
    return kind == "ssh-rsa" or kind in USER_ALGORITHMS


def _refused(detail: str) -> ConnectError:
    return ConnectError(ExecKind.AUTH_REFUSED, detail)
