"""OpenSSH's known-hosts format: which keys a host may show, compared byte for byte."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

_DEFAULT_PORT: Final = 22
_HASHED: Final = "|1|"
_FIELDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A host's public key as it goes over the wire."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -lf` prints it: SHA256 and unpadded base64."""
        digest = hashlib.sha256(self.blob).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """What a known-hosts file says of one host."""

    trusted: tuple[HostKey, ...]
    revoked: tuple[HostKey, ...]


class KnownHostsError(Exception):
    """The known-hosts file cannot be read, or a line of it is not one."""


def host_name(address: str, port: int) -> str:
    """The name that a host has in the file."""
    return address if port == _DEFAULT_PORT else f"[{address}]:{port}"


def read_known_keys(path: Path, address: str, port: int) -> KnownKeys:
    """The keys that the file has for the host.

    Certificate authorities (`@cert-authority`) are passed over: a host that has only one of
    those is unknown.

    Raises:
        KnownHostsError: The file cannot be read, or a line for this host is broken.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KnownHostsError(f"the known-hosts file {path} cannot be read: {error}") from error
    name = host_name(address, port)
    trusted: list[HostKey] = []
    revoked: list[HostKey] = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if not fields or not _names(fields[0], name):
            continue
        if marker == "@cert-authority":
            continue
        key = _key(fields)
        if key is None:
            raise KnownHostsError(f"line {number} of the known-hosts file {path} holds no key")
        (revoked if marker else trusted).append(key)
    return KnownKeys(trusted=tuple(trusted), revoked=tuple(revoked))


def _names(patterns: str, name: str) -> bool:
    """Whether the first field of a line, hashed or a list of patterns, is about the host."""
    if patterns.startswith(_HASHED):
        return _names_hashed(patterns, name)
    is_named = False
    for pattern in patterns.lower().split(","):
        # fnmatch would take the brackets of [host]:port for a set of characters.
        escaped = pattern.lstrip("!").replace("[", "[[]")
        if fnmatchcase(name.lower(), escaped):
            if pattern.startswith("!"):
                return False
            is_named = True
    return is_named


def _names_hashed(field: str, name: str) -> bool:
    parts = field.split("|")
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in parts[2:4])
    except (ValueError, binascii.Error):
        return False
    # OpenSSH's format prescribes HMAC-SHA1 here; it hides names and guards nothing.
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _key(fields: list[str]) -> HostKey | None:
    if len(fields) < _FIELDS:
        return None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except (ValueError, binascii.Error):
        return None
    return HostKey(kind=fields[1], blob=blob) if blob else None
