"""Faults on a host of the fleet, while a playbook's command runs there: it fails, or all is cut.

A stand-in for ``sudo`` comes first on the PATH of every SSH session. It tells what was run, so that
a test knows that nothing was run twice, and spoils one command when it is told to.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Final

from healthd.demo.fleet import DemoFleet
from healthd.demo.hosts import sshd_config
from healthd.demo.nodes import Node
from healthd.demo.provision import find_program

CUT_SECONDS: Final = 2
"""How long a command goes on after every connection to its host was cut."""
_SCRIPT: Final = """\
#!/bin/sh
folder=$(dirname "$0")
while [ "$1" != -- ]; do shift; done
shift
echo "$*" >>"$folder/told"
if [ "$1" = "$(cat "$folder/victim" 2>/dev/null)" ]; then
  rm "$folder/victim"
  case $(cat "$folder/fault") in
    fails) echo "$1: spoiled" >&2; exit 7 ;;
    cut) pkill -KILL -P {sshd}; sleep {seconds} ;;
  esac
fi
exec {sudo} -n -- "$@"
"""


class Fault(StrEnum):
    """What happens to a command."""

    FAILS = "fails"
    CUT = "cut"
    """Every SSH connection to the host is cut while it runs."""


class HostFaults:
    """The stand-ins on all hosts of a fleet."""

    def __init__(self, fleet: DemoFleet) -> None:
        self._fleet = fleet
        for node in fleet.nodes:
            _put_first(node)

    def spoil(self, broker: int, program: str, fault: Fault) -> None:
        """The next time that root is to run the program on the broker's host, this happens."""
        folder = _folder(self._fleet.node(broker))
        (folder / "fault").write_text(fault.value, "ascii")
        (folder / "victim").write_text(program, "ascii")

    def is_due(self, broker: int) -> bool:
        """Whether the fault that was asked for has not happened."""
        return (_folder(self._fleet.node(broker)) / "victim").exists()

    def told(self, broker: int) -> list[str]:
        """What root was to run on the broker's host since the last `forget`, in its order."""
        file = _folder(self._fleet.node(broker)) / "told"
        return file.read_text("utf-8").splitlines() if file.exists() else []

    def forget(self, broker: int) -> None:
        """Nothing is to be spoiled any more, and what was run so far is not told again."""
        for name in ("told", "victim"):
            (_folder(self._fleet.node(broker)) / name).unlink(missing_ok=True)


def _folder(node: Node) -> Path:
    return node.folder / "faults"


def _put_first(node: Node) -> None:
    folder = _folder(node)
    folder.mkdir()
    listener = _listener_of(node)
    script = folder / "sudo"
    text = _SCRIPT.format(sshd=listener, seconds=CUT_SECONDS, sudo=find_program("sudo"))
    script.write_text(text, "utf-8")
    script.chmod(0o755)
    config = sshd_config(node.folder)
    # The first line of its kind is the one that counts.
    path = f"SetEnv PATH={folder}:/usr/bin:/bin:/usr/sbin:/sbin "
    config.write_text(config.read_text("utf-8").replace("SetEnv ", path), "utf-8")
    # It reads its configuration again, and keeps its process id.
    os.kill(listener, signal.SIGHUP)


def _listener_of(node: Node) -> int:
    """The process id of the host's sshd; it writes what it is into its own command line."""
    config = str(sshd_config(node.folder)).encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if told.startswith(b"sshd:") and b"[listener]" in told and config in told:
            return int(folder.name)
    raise LookupError(f"no sshd listens with {config!r}")
