"""Who may do what over HTTP: one bearer token from a file, which every write needs.

The token itself is kept nowhere: a hash of it is compared, in constant time.
"""

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

USER_HEADER: Final = "X-Healthd-User"
"""Who gives an order, as the client claims it: recorded, and proof of nothing."""
ANONYMOUS: Final = "token holder"
"""Who it was when the client does not say."""
MIN_TOKEN_LENGTH: Final = 16
_MAX_TOKEN_BYTES: Final = 4096
_MAX_USER: Final = 128
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


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
        self._seen = _identity(path)

    def accepts(self, authorization: str | None) -> bool:
        """Whether an Authorization header carries the token of the file as it is now."""
        self._refresh()
        scheme, _, given = (authorization or "").partition(" ")
        if self._digest is None or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(_digest_of(given.strip()), self._digest)

    def _refresh(self) -> None:
        identity = _identity(self._path)
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


def _identity(path: Path) -> tuple[int, int, int] | None:
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
