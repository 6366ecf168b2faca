"""Who may do what over HTTP: bearer tokens from files; every write needs one.

With a tokens file each is one person's (`healthd.serve.people`). Without one there is a single
token: the name is then whatever the client claims, and what needs a second person is refused.

The token itself is kept nowhere: a hash of it is compared, in constant time.
"""

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from healthd.config.tokens_file import ALL_ROLES, Role

log = structlog.get_logger(__name__)

USER_HEADER: Final = "X-Healthd-User"
"""Who gives an order, as the client claims it: recorded, and proof of nothing."""
ANONYMOUS: Final = "token holder"
"""Who it was when the client does not say."""
MIN_TOKEN_LENGTH: Final = 16
_MAX_TOKEN_BYTES: Final = 4096
_MAX_USER: Final = 128
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who a token stands for."""

    name: str | None
    """The name that the token proves; None for the shared one, which proves none."""
    roles: frozenset[Role]

    @property
    def is_proven(self) -> bool:
        """Whether it is known who it is: two proven names are two people."""
        return self.name is not None

    def may(self, role: Role) -> bool:
        """Whether one of the roles covers what needs `role`; each of them may read."""
        return role in self.roles or (role is Role.READER and bool(self.roles))


SHARED: Final = Person(name=None, roles=ALL_ROLES)
"""Whoever holds the one shared token."""


class Auth(Protocol):
    """Knows tokens."""

    def person_of(self, authorization: str | None) -> Person | None:
        """Who sends this Authorization header; None when no token of ours is in it."""


class TokenFileError(Exception):
    """A token file that cannot be used; says which, why and what to do."""


def make_token_file(path: Path) -> bool:
    """Whether a file with a new token was written; false when there is one already.

    Raises:
        TokenFileError: It cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise TokenFileError(f"{path}: the token cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return True


class TokenAuth:
    """Knows the token of a file, and notices when the file is replaced.

    Args:
        path: A file that only its owner can read, with the token on its first line.

    Raises:
        TokenFileError: The file is missing, readable by others, or holds no token.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._digest: bytes | None = None
        self._digest = _digest_of(_read(path))
        self._seen = file_identity(path)

    def person_of(self, authorization: str | None) -> Person | None:
        """The shared person when the token is right: it proves nobody's name."""
        return SHARED if self.accepts(authorization) else None

    def accepts(self, authorization: str | None) -> bool:
        """Whether an Authorization header carries the token of the file as it is now."""
        self._refresh()
        scheme, _, given = (authorization or "").partition(" ")
        if self._digest is None or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(_digest_of(given.strip()), self._digest)

    def _refresh(self) -> None:
        identity = file_identity(self._path)
        if identity == self._seen:
            return
        self._seen = identity
        try:
            self._digest = _digest_of(_read(self._path))
        except TokenFileError as error:
            # A token that was taken away must not go on working.
            self._digest = None
            log.warning("token_refused", reason=str(error))
        else:
            log.info("token_replaced", path=str(self._path))


def file_identity(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced or written to; None when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MAX_TOKEN_BYTES)
    except OSError as error:
        raise TokenFileError(f"{path}: the token file cannot be read: {error.strerror}") from error
    if mode & _OTHERS:
        raise TokenFileError(f"{path}: others can read the token; run chmod 600 {path}")
    token = content.decode("utf-8", "replace").partition("\n")[0].strip()
    if len(token) < MIN_TOKEN_LENGTH:
        raise TokenFileError(
            f"{path}: the first line is no token of {MIN_TOKEN_LENGTH} characters or more; "
            "remove the file and the daemon writes a new one"
        )
    return token


def _digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def claimed_user(header: str | None) -> str:
    """Who the client says it is, fit for a log and an audit record."""
    name = "".join(char for char in (header or "").strip() if char.isprintable())[:_MAX_USER]
    return name or ANONYMOUS
