"""One broker's service on its host, as somebody sitting at that host would handle it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from healthd.demo.nodes import Node
from healthd.demo.provision import find_program

POLL_SECONDS = 0.05


class DemoTimeoutError(Exception):
    """Something did not happen in time; the text says what."""


def wait_until(condition: Callable[[], bool], what: str, timeout_seconds: float) -> None:
    """The condition holds.

    Raises:
        DemoTimeoutError: It did not within the time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise DemoTimeoutError(f"waited {timeout_seconds:g} s in vain until {what}")
        time.sleep(POLL_SECONDS)


class BrokerService:
    """Stops, starts, kills and freezes one broker through its supervisor."""

    def __init__(self, node: Node, into: Callable[[], Sequence[str]] = tuple) -> None:
        """The service of a node.

        Args:
            node: Whose it is.
            into: What is put before each command, where the host has processes of its own.
        """
        self._node = node
        self._into = into

    def status(self) -> tuple[int, int] | None:
        """Process id and start time (clock ticks since boot) of the broker, or None."""
        words = self._command("status").stdout.split()
        return (int(words[1]), int(words[2])) if words and words[0] == "running" else None

    def stop(self) -> None:
        """Controlled shutdown; the process has ended."""
        self._checked("stop")

    def start(self) -> None:
        """The process is there; a start that fails is the caller's to see."""
        self._checked("start")

    def kill(self, *, stays_dead: bool) -> None:
        """The process died by kill -9; without ``stays_dead`` the supervisor starts a new one."""
        before = self.status()
        # Both commands go through one pipe to the supervisor and so arrive in this order.
        for word in ("once", "kill") if stays_dead else ("kill",):
            self._sv(word, self._node.service)
        if before is not None:
            wait_until(lambda: self.status() != before, f"{self._name} is dead", 10)

    def freeze(self) -> None:
        """The process is there and does nothing, not even answer."""
        self._signal(signal.SIGSTOP)
        wait_until(self.is_frozen, f"{self._name} is frozen", 10)

    def thaw(self) -> None:
        """The process goes on where it was; nothing happens when it was not frozen."""
        self._signal(signal.SIGCONT)

    def is_frozen(self) -> bool:
        """Whether the process is there and stopped by a signal."""
        running = self.status()
        if running is None:
            return False
        stat = self._inside("cat", f"/proc/{running[0]}/stat").stdout
        return stat.rpartition(")")[2].split()[:1] == ["T"]

    def exporter_down(self) -> None:
        """The exporter's address refuses connections."""
        self._sv("down", self._node.exporter_service)

    def exporter_up(self) -> None:
        """The exporter's address is served again."""
        self._sv("up", self._node.exporter_service)

    def last_log_lines(self, count: int = 20) -> str:
        """The end of the broker's log."""
        return self._command("logs", str(count)).stdout

    @property
    def _name(self) -> str:
        return f"broker {self._node.id}"

    def _signal(self, number: signal.Signals) -> None:
        running = self.status()
        if running is not None:
            # Of the shell: there it needs no program of its own. Who is gone already has ended.
            self._inside("sh", "-c", f"kill -{number.value} {running[0]}")

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._inside(str(self._node.service_command), *words)

    def _inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*self._into(), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def _checked(self, word: str) -> None:
        result = self._command(word)
        if result.returncode != 0:
            raise DemoTimeoutError(
                f"{word} of {self._name}: {result.stdout}{result.stderr}".strip()
            )

    def _sv(self, word: str, service: Path) -> None:
        result = self._inside(str(find_program("sv")), "-w", "10", word, str(service))
        if result.returncode != 0:
            raise DemoTimeoutError(f"sv {word} {service}: {result.stdout}{result.stderr}".strip())
