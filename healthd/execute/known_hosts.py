"""OpenSSH's known-hosts format: which keys, and which authorities, a file has for a host.

What is not understood is refused with file and line, wherever passing over it could let in a key
that the file's author meant to keep out: a marker that is none of ours, a broken hash (it could
be about any host), and any broken line about the host itself. A broken line that is plainly
about another host says nothing of this one.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Final

_DEFAULT_PORT: Final = 22
_HASHED: Final = "|"
_HASHED_NAME: Final = re.compile(r"\|1\|([A-Za-z0-9+/]{27}=)\|([A-Za-z0-9+/]{27}=)")
"""28 characters of base64 are 20 bytes, which is SHA-1's length."""
_FIELDS: Final = 3
_LENGTH_BYTES: Final = 4
_AUTHORITY: Final = "@cert-authority"
_REVOKED: Final = "@revoked"
_MARKERS: Final = ("", _AUTHORITY, _REVOKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A host's public key, or its certificate, as it goes over the wire."""

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
    """What a known-hosts file says of one host.

    Attributes:
        trusted: Keys that the host may show, without those that are revoked as well.
        revoked: Keys that it may not show, nor may they have signed what it shows.
        authorities: Keys that sign the host's certificates, without the revoked ones.
    """

    trusted: tuple[HostKey, ...] = ()
    revoked: tuple[HostKey, ...] = ()
    authorities: tuple[HostKey, ...] = ()


class KnownHostsError(Exception):
    """The known-hosts file cannot be read, or a line of it is not one."""


def host_name(address: str, port: int) -> str:
    """The name that a host has in the file."""
    return address if port == _DEFAULT_PORT else f"[{address}]:{port}"


def read_known_keys(path: Path, address: str, port: int) -> KnownKeys:
    """What the file says of the host.

    Raises:
        KnownHostsError: The file cannot be read, or a line that may be about this host is broken.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KnownHostsError(f"the known-hosts file {path} cannot be read: {error}") from error
    name = host_name(address, port)
    found: dict[str, list[HostKey]] = {marker: [] for marker in _MARKERS}
    # Not splitlines(): it also splits at characters that OpenSSH takes for part of a comment.
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            about = _read_line(line, name)
        except ValueError as error:
            raise KnownHostsError(
                f"{path}:{number}: {error}; nothing of the file is believed until the line is "
                "corrected or removed"
            ) from error
        if about is not None:
            marker, key = about
            found[marker].append(key)
    revoked = {key.blob for key in found[_REVOKED]}
    return KnownKeys(
        trusted=tuple(key for key in found[""] if key.blob not in revoked),
        revoked=tuple(found[_REVOKED]),
        authorities=tuple(key for key in found[_AUTHORITY] if key.blob not in revoked),
    )


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern of OpenSSH's, which knows `*` and `?` and nothing else."""
    # fnmatch would take the brackets of [host]:port for a set of characters.
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _read_line(line: str, name: str) -> tuple[str, HostKey] | None:
    """The marker and the key of a line about the host; None for a line that is not.

    Raises:
        ValueError: The line is broken in a way that matters; the message says how.
    """
    fields = line.split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    if marker not in _MARKERS:
        raise ValueError(f"the marker {marker!r} is not known")
    if not fields:
        raise ValueError("the line ends after its marker")
    if fields[0].startswith("@"):
        raise ValueError("the line has two markers")
    if not _names(fields[0], name):
        return None
    return marker, _key(fields)


def _names(patterns: str, name: str) -> bool:
    """Whether the first field of a line, hashed or a list of patterns, is about the host."""
    if patterns.startswith(_HASHED):
        return _names_hashed(patterns, name)
    is_named = False
    for pattern in patterns.lower().split(","):
        if pattern in {"", "!"}:
            raise ValueError("a pattern of its list of hosts is empty")
        if matches(pattern.removeprefix("!"), name.lower()):
            if pattern.startswith("!"):
                return False
            is_named = True
    return is_named


def _names_hashed(field: str, name: str) -> bool:
    salt, digest = _salt_and_digest(field)
    # OpenSSH's format prescribes HMAC-SHA1 here; it hides names and guards nothing.
    return hmac.compare_digest(hmac.digest(salt, name.lower().encode(), "sha1"), digest)


@lru_cache(maxsize=16_384)
def _salt_and_digest(field: str) -> tuple[bytes, bytes]:
    """What a hashed name consists of: the same lines are looked at for every host of a fleet."""
    hidden = _HASHED_NAME.fullmatch(field)
    if hidden is None:
        raise ValueError("its hashed name is not |1|, a salt and a hash of 20 bytes each")
    salt, digest = (base64.b64decode(part, validate=True) for part in hidden.groups())
    return salt, digest


def _key(fields: list[str]) -> HostKey:
    if len(fields) < _FIELDS:
        raise ValueError("it holds no key")
    kind = fields[1]
    if kind.isdigit():
        raise ValueError("it holds a key of SSH protocol 1, which nothing uses any more")
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError("it holds no key: what should be one is not base64") from error
    length = int.from_bytes(blob[:_LENGTH_BYTES])
    inner = blob[_LENGTH_BYTES : _LENGTH_BYTES + length]
    if len(blob) <= _LENGTH_BYTES + length or inner != kind.encode():
        raise ValueError(f"it holds no key: what should be one is not of the kind {kind}")
    if "-cert-v0" in kind:
        raise ValueError("it holds a certificate; list the authority's key, or the host's own")
    return HostKey(kind=kind, blob=blob)
