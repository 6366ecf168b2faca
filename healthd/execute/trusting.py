"""What a host offers beside what is known of it, and adding keys that a person has compared."""

import base64
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from healthd.execute.known_hosts import (
    HostKey,
    KnownHostsError,
    KnownKeys,
    host_name,
    read_known_keys,
)

_MODE: Final = 0o600
"""Of a new file."""
_NOT_WRITABLE: Final = 0o755


class KeyState(StrEnum):
    """How an offered key stands to the known-hosts file."""

    SAME = "same"
    NEW = "new"
    CHANGED = "CHANGED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedKey:
    """A key that a host has shown and proven to own."""

    key: HostKey
    state: KeyState


def known_so_far(path: Path, address: str, port: int) -> KnownKeys:
    """What the file says of the host; nothing while there is no file.

    Raises:
        KnownHostsError: The file cannot be read, or a line that may be about the host is broken.
    """
    return read_known_keys(path, address, port) if os.path.lexists(path) else KnownKeys()


def compared(offered: Sequence[HostKey], known: KnownKeys) -> tuple[OfferedKey, ...]:
    """Each key and how it stands to what is known.

    A key is new only beside one that is known already, or where none is known at all: a host
    that is known, and shows none of its keys, is not the same host, whatever kinds it shows.
    """
    trusted = {key.blob for key in known.trusted}
    is_another = bool(trusted) and all(key.blob not in trusted for key in offered)
    kinds = {key.kind for key in known.trusted}
    revoked = {key.blob for key in known.revoked}

    def state(key: HostKey) -> KeyState:
        if key.blob in revoked:
            return KeyState.REVOKED
        if key.blob in trusted:
            return KeyState.SAME
        return KeyState.CHANGED if is_another or key.kind in kinds else KeyState.NEW

    return tuple(OfferedKey(key=key, state=state(key)) for key in offered)


def add_keys(path: Path, address: str, port: int, keys: Sequence[HostKey]) -> int:
    """Append lines for keys that are new, and answer how many; nothing is changed or removed.

    The file is replaced as a whole, so that no reader sees half of it: who may read it still may
    (it can be all of the machine's, or root's with a daemon that is not), and nobody but its owner
    may write it. It is read again under a lock: somebody else may have trusted a host while a
    person was comparing.

    Raises:
        KnownHostsError: The file is broken, or says meanwhile that a key changed or is revoked.
        OSError: The file cannot be written.
    """
    # A link is followed: what it points at is replaced, and the link stays.
    path = path.resolve()
    with _locked(path.parent):
        states = compared(keys, known_so_far(path, address, port))
        for one in states:
            if one.state in {KeyState.CHANGED, KeyState.REVOKED}:
                raise KnownHostsError(
                    f"{path} says by now that {one.key} of {host_name(address, port)} is "
                    f"{one.state}; nothing was written"
                )
        lines = [_line(one.key, address, port) for one in states if one.state is KeyState.NEW]
        if lines:
            before = path.read_bytes() if path.exists() else b""
            if before and not before.endswith(b"\n"):
                before += b"\n"
            _replace(path, before + "".join(lines).encode())
    return len(lines)


def _line(key: HostKey, address: str, port: int) -> str:
    name = host_name(address.lower(), port)
    return f"{name} {key.kind} {base64.b64encode(key.blob).decode()}\n"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        # The new name is durable only once its folder is.
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            before = path.stat() if path.exists() else None
            # Root may add keys to a file that the daemon's user has to read afterwards.
            if before is not None and (before.st_uid, before.st_gid) != (
                os.geteuid(),
                os.getegid(),
            ):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            mode = _MODE if before is None else stat.S_IMODE(before.st_mode) & _NOT_WRITABLE
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
