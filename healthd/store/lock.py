"""One daemon per state folder: a lock that the kernel drops when its process dies."""

import fcntl
import json
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from healthd.store.errors import StateHeld, StoreUnusable
from healthd.store.files import StateFiles, create_private


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Who runs on the state folder; `since` is RFC 3339."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


class DaemonLock:
    """The state folder's lock, held until `release` or the end of the process.

    It is an flock, not a file that is there or not: a killed daemon leaves nothing to clean up.
    The file's text only tells people who holds it.
    """

    def __init__(self, files: StateFiles) -> None:
        self._files = files
        self._descriptor: int | None = None

    def acquire(self, *, now: float) -> LockHolder:
        """Hold the lock from now on.

        Raises:
            StateHeld: Another process holds it; the message says which (exit code 6).
            StoreUnusable: The lock file cannot be opened.
        """
        path = self._files.lock
        try:
            create_private(path)
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise StoreUnusable(
                f"the lock file cannot be opened: {error.strerror}",
                where=str(path),
                todo="let healthd's user write to the state folder",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise StateHeld(
                f"another healthd runs on this state: {holder or 'a process that is starting'}",
                where=str(path),
                todo="stop that one first, or give this one another --state-dir",
            ) from error
        self._descriptor = descriptor
        holder = LockHolder(
            pid=os.getpid(),
            host=socket.gethostname(),
            since=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        )
        _write_holder(descriptor, holder)
        return holder

    def release(self) -> None:
        """Let the next daemon in; does nothing when the lock is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def current_holder(files: StateFiles) -> LockHolder | None:
    """Who holds the lock now, or None; the lock itself is not taken for longer than the look."""
    try:
        descriptor = os.open(files.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_holder(descriptor) or LockHolder(pid=0, host="unknown", since="unknown")
    finally:
        os.close(descriptor)
    return None


def _write_holder(descriptor: int, holder: LockHolder) -> None:
    """Best effort: on a full disk the lock holds all the same, only the text is missing."""
    body = json.dumps({"pid": holder.pid, "host": holder.host, "since": holder.since})
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, body.encode(), 0)
    except OSError:
        return


def _read_holder(descriptor: int) -> LockHolder | None:
    try:
        read = json.loads(os.pread(descriptor, 4096, 0))
        return LockHolder(pid=int(read["pid"]), host=str(read["host"]), since=str(read["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
