"""Looking at an ensemble from outside while something is done to it, without healthd's own eyes."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from healthd.collect.zookeeper_znode import ZnodeError, ZnodeSession

LOOK_SECONDS = 0.1
WRITE_SECONDS = 1.0
SESSION_MS = 4_000
_SERVING = frozenset({"leader", "follower", "standalone"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What every server said at about one moment: its mode, or why there is none."""

    at: float
    modes: Mapping[int, str]

    @property
    def away(self) -> frozenset[int]:
        """The servers that took no connection at all: their processes do not run."""
        return frozenset(number for number, mode in self.modes.items() if mode == "refused")

    @property
    def serving(self) -> frozenset[int]:
        """The servers that lead or follow."""
        return frozenset(number for number, mode in self.modes.items() if mode in _SERVING)


@dataclass(slots=True)
class QuorumWatch:
    """Asks every server `srvr` ten times a second, and writes to the ensemble all the time.

    A write is a session that is opened: the ensemble has to agree on it, as on every write.

    Args:
        servers: Host and port for clients, by the server's id.
    """

    servers: Mapping[int, tuple[str, int]]
    looks: list[Look] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    _ends: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [
            threading.Thread(target=self._look_on, name="quorum-looks", daemon=True),
            threading.Thread(target=self._write_on, name="quorum-writes", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    @property
    def most_away(self) -> int:
        """How many processes were away at a time, at most."""
        return max(len(look.away) for look in self.looks)

    @property
    def longest_without_majority(self) -> float:
        """The longest time in which no majority of the servers said that it serves, in seconds."""
        needed = len(self.servers) // 2 + 1
        return _longest([look.at for look in self.looks if len(look.serving) >= needed], self.looks)

    @property
    def longest_without_write(self) -> float:
        """The longest time between two writes that the ensemble took, in seconds."""
        return _longest(self.writes, self.looks)

    def _look_on(self) -> None:
        while not self._ends.wait(LOOK_SECONDS):
            at = time.monotonic()
            modes = {number: _mode(*address) for number, address in self.servers.items()}
            self.looks.append(Look(at=at, modes=modes))

    def _write_on(self) -> None:
        while not self._ends.wait(LOOK_SECONDS):
            for host, port in self.servers.values():
                if asyncio.run(_written(host, port)):
                    self.writes.append(time.monotonic())
                    break


def _longest(good: Sequence[float], looks: Sequence[Look]) -> float:
    """The longest gap between good moments, the ends of the watch included."""
    moments = [looks[0].at, *good, looks[-1].at]
    return max(after - before for before, after in itertools.pairwise(moments))


def _mode(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.settimeout(1)
            connection.sendall(b"srvr")
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"
    for line in answer.decode("utf-8", "replace").splitlines():
        if line.startswith("Mode: "):
            return line.removeprefix("Mode: ")
    return "not serving"


async def _written(host: str, port: int) -> bool:
    with suppress(OSError, TimeoutError, ZnodeError):
        async with asyncio.timeout(WRITE_SECONDS):
            session = await ZnodeSession.connect(host, port, timeout_ms=SESSION_MS)
            await session.close()
            return True
    return False
