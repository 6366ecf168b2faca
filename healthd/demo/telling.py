"""What both parts of the demo tell in the same words."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from healthd.demo.daemon import DaemonProcess

COMMAND_SECONDS = 60
COLUMNS = 116
"""As wide as the demo's own longest lines."""

Say = Callable[[str], None]


class Clock:
    """The seconds since the story began, before each line of it."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been told."""
        return time.monotonic() - self._began

    def line(self, text: str) -> str:
        """The text with the time before it."""
        return f"[{self.seconds:6.1f} s] {text}".rstrip()


def health(daemon: DaemonProcess, cluster: str) -> dict[str, Any]:
    """The Health Index of a cluster, as the API gives it."""
    found: dict[str, Any] = daemon.get(f"/api/v1/clusters/{cluster}/health")
    return found


def index_words(found: dict[str, Any]) -> str:
    """The Health Index in a few words."""
    if found["healthIndex"] is None:
        return "not known yet"
    cap = found["bindingCap"] or "none"
    return f"{found['healthIndex']:.1f} ({found['class']}), binding cap {cap}"


def show(say: Say, daemon: DaemonProcess, *words: str) -> None:
    """One of healthd's own commands, and what it prints."""
    result = subprocess.run(
        [sys.executable, "-m", "healthd", *words],
        env={**os.environ, **daemon.command_environment(), "COLUMNS": str(COLUMNS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    lines = (result.stdout + result.stderr).rstrip().splitlines()
    say(
        "\n".join([f"  $ healthd {' '.join(words)}", *(f"  {line}".rstrip() for line in lines), ""])
    )
