"""Hosts that are booted anew for real: network namespaces with boot ids of their own.

On loopback aliases a demo fleet's hosts share one machine's processes and its boot id, and none can
be rebooted. Here each is a machine of its own as far as a client can tell: an address on a switch,
processes that nobody else has, its own ``/usr``, ``/etc``, ``/var``, ``/run`` and home, and a
``reboot`` that ends everything on it. It needs root. See ``machine_room.py`` for how.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from healthd.demo import machine_room
from healthd.demo.addresses import Block, Ports
from healthd.demo.provision import ProvisionError, find_program
from healthd.demo.service import wait_until

TEMPLATES = resources.files("healthd.demo") / "templates"
OWN_FOLDERS = ("usr", "etc", "var")
"""What a host writes below these is its own; it sees the machine's files otherwise."""
HOME = "/var/home"
"""Where somebody who logs in as root begins."""
SWITCH_NUMBER = 254
DISK_MIB = 256
BOOT_SECONDS = 60.0
READY_SECONDS = 30.0
NOWHERE = ("false",)
"""Put before a command that is to run on a host that is down: it fails, and prints nothing."""


def why_not() -> str | None:
    """What is missing for hosts of this kind, in words; None when nothing is."""
    if os.geteuid() != 0:
        return "hosts that reboot are namespaces, which only root can make"
    missing = [
        name for name in ("ip", "unshare", "nsenter", "setpriv", "mount") if not find_program(name)
    ]
    if missing:
        return f"hosts that reboot need the programs {', '.join(missing)} (iproute2, util-linux)"
    return None


def ensure_possible() -> None:
    """Hosts of this kind can be made here.

    Raises:
        ProvisionError: They cannot; the text says what is missing.
    """
    if (problem := why_not()) is not None:
        raise ProvisionError(problem)


def find_free_network(chance: random.Random | None = None) -> Block:
    """A block of addresses that nothing here has a route to, with the standard ports.

    From 198.18.0.0/15, which is set aside for tests of networks and is routed nowhere.
    """
    chance = chance or random.Random()
    links = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True)
    while True:
        prefix = f"198.{chance.choice((18, 19))}.{chance.randrange(256)}"
        if f"{prefix}." not in links.stdout:
            return Block(prefix=prefix, ports=Ports())


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One host of a room, as somebody with a hand on its power button sees it."""

    name: str
    address: str
    folder: Path
    services: Path
    """What its ``runsvdir`` watches."""
    room: Path
    """Where the process id of the room is told."""

    @property
    def power(self) -> Path:
        """How the room is told what to do with it."""
        return self.folder / "power"

    @property
    def system(self) -> Path:
        """Where its own layers of the system's folders are; empty as seen from outside."""
        return self.folder / "system"

    @property
    def state(self) -> Mapping[str, Any]:
        """What the room says of it: ``init``, ``cable`` and ``bootIds``."""
        try:
            found = json.loads((self.power / "state.json").read_text(encoding="utf-8"))
        except OSError:
            return {"init": 0, "cable": "", "bootIds": []}
        return dict(found)

    @property
    def boot_ids(self) -> tuple[str, ...]:
        """The boot id of each start so far, the present one last."""
        return tuple(self.state["bootIds"])

    @property
    def boots(self) -> int:
        """How often it has been booted."""
        return len(self.boot_ids)

    @property
    def is_on(self) -> bool:
        """Whether it has processes."""
        return bool(self.state["init"])

    def into(self) -> tuple[str, ...]:
        """What is put before a command to run it on this host, past its sshd."""
        init = self.state["init"]
        if not init:
            return NOWHERE
        kinds = ("--net", "--mount", "--uts", "--pid")
        return ("nsenter", "--target", str(init), *kinds, "--")

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """What came of a command on this host."""
        command = [*self.into(), *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def shell(self, text: str) -> str:
        """What a command line printed on this host; it has to succeed."""
        done = self.run("sh", "-c", text)
        if done.returncode != 0:
            raise machine_room.RoomError(f"{self.name}: {text}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    # What can be done to it ----------------------------------------------------------------------

    def next_boot(
        self,
        *,
        same_boot_id: bool = False,
        comes_back: bool = True,
        after_seconds: float = machine_room.POWERED_DOWN_SECONDS,
    ) -> None:
        """Say how its next start differs from an ordinary one; the one after it does not."""
        plan = {
            "bootId": "same" if same_boot_id else "new",
            "comesBack": comes_back,
            "afterSeconds": after_seconds,
        }
        machine_room.write(self.power / "next.json", json.dumps(plan))

    def reboot_command(self, word: str) -> None:
        """``reboot`` on the host does this from now on: works, fails, hangs, or nothing."""
        if word not in {"works", "fails", "hangs", "nothing"}:
            raise ValueError(f"no such way to reboot: {word}")
        machine_room.write(self.power / "reboot-word", word)

    def starts_at_boot(self, service: str, *, does: bool) -> None:
        """Whether a service starts with the host; runit's own mark for that is a file."""
        mark = self.services / service / "down"
        if does:
            mark.unlink(missing_ok=True)
        else:
            mark.touch()

    def reboot(self) -> None:
        """As if somebody had typed it there; it is up again, and its processes are others."""
        before = self.boots
        (self.power / "reboot").touch()
        self.wait_for_boot(before + 1)

    def wait_for_boot(self, number: int) -> None:
        """It has been booted so often; its sshd comes a moment later.

        Raises:
            DemoTimeoutError: Not within the time.
        """
        what = f"{self.name} has booted {number} times"
        wait_until(lambda: self.boots >= number, what, BOOT_SECONDS)

    def wait_until_off(self) -> None:
        """It has no processes.

        Raises:
            DemoTimeoutError: Not within the time.
        """
        wait_until(lambda: not self.is_on, f"{self.name} is off", BOOT_SECONDS)

    def cut_power(self) -> None:
        """Everything on it is gone at once, and stays so."""
        (self.power / "off").touch()
        self.wait_until_off()

    def power_on(self) -> None:
        """It has processes, if it had been off."""
        (self.power / "off").unlink(missing_ok=True)
        wait_until(lambda: self.is_on, f"{self.name} is on", BOOT_SECONDS)

    def unplug(self) -> None:
        """Its network cable is pulled: nobody reaches it, and it goes on."""
        self._cable("down")

    def plug(self) -> None:
        """Its network cable is plugged in again."""
        self._cable("up")

    def heal(self) -> None:
        """It is as it was when it was new: on, reachable, and with a reboot that works."""
        (self.power / "next.json").unlink(missing_ok=True)
        self.reboot_command("works")
        self.power_on()
        self.plug()

    def _cable(self, word: str) -> None:
        switch = self.room.read_text(encoding="ascii").strip()
        into = ("nsenter", "--target", switch, "--net", "--")
        machine_room.run(*into, "ip", "link", "set", self.state["cable"], word)


class MachineRoom:
    """Machines on one switch, and what has to run so that they do."""

    def __init__(self, folder: Path, block: Block) -> None:
        """A room without machines.

        Args:
            folder: Where its files are.
            block: The addresses of the machines.

        Raises:
            ProvisionError: Such machines are not possible here, or not in this folder.
        """
        ensure_possible()
        if folder.resolve().parts[1] in {*OWN_FOLDERS, "run"}:
            own = ", ".join(f"/{name}" for name in OWN_FOLDERS)
            raise ProvisionError(
                f"hosts that reboot have their own {own} and /run, and would not see their files "
                f"in {folder}: use a folder below /tmp"
            )
        self.folder = folder
        self.block = block
        self.machines: list[Machine] = []

    def add(self, name: str, address: str, folder: Path, services: Path) -> Machine:
        """A machine whose services are in a folder that runit watches; it is not on yet."""
        machine = Machine(
            name=name, address=address, folder=folder, services=services, room=self._ready
        )
        for part in (machine.power, machine.system, folder / "bin", services):
            part.mkdir(parents=True, exist_ok=True)
        values = {
            "name": name,
            "address": address,
            "mac": f"02:00:{int(address.split('.')[1]):02x}:{int(address.split('.')[2]):02x}:00:"
            f"{int(address.split('.')[3]):02x}",
            "home": HOME,
            "own_folders": " ".join(OWN_FOLDERS),
            "folder": str(folder),
            "power": str(machine.power),
            "system": str(machine.system),
            "services": str(services),
            "runsvdir": str(find_program("runsvdir")),
        }
        for program, template in (
            ("boot", "host-boot"),
            ("bin/reboot", "host-reboot"),
            ("bin/systemctl", "host-systemctl"),
        ):
            write_program(folder / program, template, values)
        self.machines.append(machine)
        return machine

    def command(self) -> list[str]:
        """What runs the room in the foreground; its machines are on soon after."""
        spec = {
            "cable": f"hd-{'-'.join(self.block.prefix.split('.')[1:])}",
            "address": self.block.host(SWITCH_NUMBER),
            "ready": str(self._ready),
            "hosts": [
                {
                    "boot": str(machine.folder / "boot"),
                    "power": str(machine.power),
                    "system": str(machine.system),
                    "log": str(machine.folder / "boot.log"),
                    "diskMib": DISK_MIB,
                }
                for machine in self.machines
            ],
        }
        file = self.folder / "machine-room.json"
        file.write_text(json.dumps(spec), encoding="utf-8")
        return [sys.executable, "-I", "-S", str(machine_room.__file__), str(file)]

    def wait_until_on(self) -> None:
        """All its machines have processes.

        Raises:
            DemoTimeoutError: Not within the time.
        """
        for machine in self.machines:
            wait_until(lambda it=machine: it.is_on, f"{machine.name} is on", READY_SECONDS)  # type: ignore[misc]

    @property
    def _ready(self) -> Path:
        return self.folder / "machine-room.pid"


def write_program(path: Path, template: str, values: Mapping[str, str]) -> None:
    """A program from a template of the demo is at the path, and can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    path.write_text(Template(text).substitute(values), encoding="utf-8")
    path.chmod(0o755)
