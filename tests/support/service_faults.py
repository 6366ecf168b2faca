"""Faults in the service command of a broker's host: it fails, hangs, lies, or no answer comes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from healthd.demo.nodes import Node

_WRAPPER: Final = """\
#!/bin/sh
# Before the real command; each fault happens once.
fault=$(cat '{folder}/fault-'"$1" 2>/dev/null)
rm -f '{folder}/fault-'"$1"
[ "$1" = status ] || echo "$1 $fault" >>'{folder}/orders'
case $fault in
  fails) echo "$1: spoiled" >&2; exit 1 ;;
  hangs) exec sleep 3600 ;;
  nothing) exit 0 ;;
  cut)
    setsid '{real}' "$@" >/dev/null 2>&1 &
    sleep 0.5
    pkill -KILL -f '^sshd: [a-z]*@'
    wait
    exit ;;
  waits)
    touch '{folder}/begun'
    until [ -e '{folder}/go-on' ]; do sleep 0.1; done ;;
esac
exec '{real}' "$@"
"""


class Fault(StrEnum):
    """What becomes of one command."""

    FAILS = "fails"
    HANGS = "hangs"
    NOTHING = "nothing"
    """It says that all is well, and has done nothing."""
    CUT = "cut"
    """It is carried out, and every connection to its host is cut meanwhile: to all hosts, where
    they are not machines with processes of their own."""
    WAITS = "waits"
    """It begins when it is told to."""


class ServiceFaults:
    """The service command of one broker's host, which can be spoiled."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._real = node.service_command.with_name("healthd-service.real")
        if not self._real.exists():
            node.service_command.rename(self._real)
        text = _WRAPPER.format(folder=node.folder, real=self._real)
        node.service_command.write_text(text, "utf-8")
        node.service_command.chmod(0o755)
        self.forget()

    def spoil(self, word: str, fault: Fault) -> None:
        """The next time that the service is asked for this, that happens."""
        (self.node.folder / f"fault-{word}").write_text(fault.value, "ascii")

    @property
    def has_begun(self) -> bool:
        """Whether a command that waits has begun."""
        return (self.node.folder / "begun").exists()

    def go_on(self) -> None:
        """Let it."""
        (self.node.folder / "go-on").touch()

    @property
    def orders(self) -> list[str]:
        """What the service was asked for since the last `forget`, the question apart."""
        file = self.node.folder / "orders"
        return (
            [line.strip() for line in file.read_text("ascii").splitlines()] if file.exists() else []
        )

    def forget(self) -> None:
        """Nothing is spoiled, and nothing was asked for."""
        for pattern in ("fault-*", "orders", "begun", "go-on"):
            for file in self.node.folder.glob(pattern):
                file.unlink()
