"""Three brokers on hosts that reboot, whose package is patched by waves again and again."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from support.debian_packages import OLDER, PACKAGE, Mirror
from support.patching import empty_disk, free_lock
from support.waves_on_fleet import QUICK, process_starts

from healthd.config.playbooks import shipped
from healthd.demo.netns import Machine
from healthd.demo.netns_fleet import RebootingFleet

ASKS_FOR_REBOOT: Final = 'DPkg::Post-Invoke {"touch /var/run/reboot-required"; };'
"""What a package of a kernel does by a script of its own."""
SHORT_SECONDS: Final = 15
STUB: Final = "/usr/local/bin/apt-get"
"""Found before the real one, also by sudo."""


class PatchedFleet:
    """The fleet, and what waves have done to it since the last reset."""

    def __init__(self, fleet: RebootingFleet, mirror: Mirror) -> None:
        self.fleet = fleet
        self.mirror = mirror
        self._starts: dict[int, int] = {}
        self._boots: dict[int, int] = {}

    def reset(self) -> None:
        """Every host has the older package, every broker runs, and counting begins."""
        self.fleet.heal()
        for node in self.fleet.nodes:
            machine = self.machine(node.id)
            free_lock(machine)
            empty_disk(machine)
            machine.shell(f"rm -f {STUB} /run/spoiled /run/was-cut /run/begun /run/go-on")
            if self.mirror.version_on(machine) != OLDER:
                self.mirror.install_older(machine)
            machine.shell(f"echo '{ASKS_FOR_REBOOT}' >/etc/apt/apt.conf.d/98healthd-reboot")
            machine.shell(f"cp {self.mirror.folder}/apt.conf /etc/apt/apt.conf.d/99healthd-test")
            machine.shell("rm -f /var/run/reboot-required")
        self._starts = {node.id: process_starts(self.fleet, node.id) for node in self.fleet.nodes}
        self._boots = {node.id: self.machine(node.id).boots for node in self.fleet.nodes}

    def machine(self, broker: int) -> Machine:
        """The machine of a broker."""
        return self.fleet.machine(broker)

    @property
    def restarts(self) -> Mapping[int, int]:
        """How often each broker's process was started since the reset, by its own log."""
        return {
            broker: process_starts(self.fleet, broker) - count
            for broker, count in self._starts.items()
        }

    @property
    def reboots(self) -> Mapping[int, int]:
        """How often each host was booted since the reset."""
        return {broker: self.machine(broker).boots - count for broker, count in self._boots.items()}

    @property
    def boot_ids_differ(self) -> bool:
        """Whether no host ever had a boot id twice."""
        ids = [each for node in self.fleet.nodes for each in self.machine(node.id).boot_ids]
        return len(ids) == len(set(ids))

    @property
    def versions(self) -> Mapping[int, str]:
        """The version of the package on each host."""
        return {node.id: self.mirror.version_on(self.machine(node.id)) for node in self.fleet.nodes}

    def is_running(self, broker: int) -> bool:
        """Whether the broker has a process."""
        return self.fleet.process_id(broker) is not None

    def request(self, brokers: list[int] | str, **policy: Any) -> dict[str, Any]:
        """A wave of `os-patch`."""
        return {
            "apiVersion": "healthd/v1",
            "kind": "Wave",
            "name": "june-patches",
            "reason": "CHG-1234 patches",
            "playbook": "os-patch",
            "variables": {"packages": PACKAGE},
            "stages": [{"name": "all", "clusters": [self.fleet.cluster], "brokers": brokers}],
            "policy": {**QUICK, **policy},
        }


class Fault(StrEnum):
    """What becomes of a command of the package manager."""

    FAILS = "fails"
    HANGS = "hangs"
    CUT = "cut"
    """Every connection to its host is cut while it runs."""
    WAITS = "waits"
    """It tells that it has begun, and goes on when it is told to."""


_STUB: Final = """\
#!/bin/sh
begin() {{ touch /run/begun; until [ -e /run/go-on ]; do sleep 0.1; done; }}
cut() {{ touch /run/was-cut; pkill -KILL -f '^sshd: [a-z]*@'; sleep 2; }}
case "$*" in *{words}*)
  echo "$*" >>/run/spoiled
  case {fault} in
    fails) echo 'E: spoiled' >&2; exit 100 ;;
    hangs) exec sleep 3600 ;;
    cut) [ -e /run/was-cut ] || cut ;;
    waits) [ -e /run/go-on ] || begin ;;
  esac
esac
exec /usr/bin/apt-get "$@"
"""


def spoil(machine: Machine, words: str, fault: Fault) -> None:
    """Each ``apt-get`` on the host that is called with these words meets with the fault."""
    text = _STUB.format(words=words.replace(" ", "\\ "), fault=fault.value)
    command = [*machine.into(), "sh", "-c", f"cat >{STUB} && chmod 0755 {STUB}"]
    subprocess.run(command, input=text, text=True, check=True)


def impatient_playbooks(folder: Path) -> Path:
    """A folder with an `os-patch` whose own steps give up after some seconds."""
    folder.mkdir()
    text = (shipped("playbooks") / "os-patch.yaml").read_text("utf-8")
    short = re.sub(r"timeoutSeconds: \d{3,}", f"timeoutSeconds: {SHORT_SECONDS}", text)
    assert short != text
    (folder / "os-patch.yaml").write_text(short, "utf-8")
    return folder
