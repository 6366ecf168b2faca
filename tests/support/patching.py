"""A host whose package is patched by the steps of a playbook, one after the other."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from support.debian_packages import PACKAGE
from support.small_hosts import SmallHost
from support.steps import Stage

from healthd.config.playbooks import load_playbook
from healthd.demo.netns import HOME, Machine
from healthd.execute.protocol import Executor
from healthd.waves.events import Outcome

UPDATE: Final = "read the package lists"
FREE: Final = "wait until the package manager is free and in order"
DOWNLOAD: Final = "download the packages"
INSTALL: Final = "install the packages"
REBOOT: Final = "boot the host anew"

DPKG_LOCK: Final = "/var/lib/dpkg/lock-frontend"
RPM_LOCK: Final = "/var/lib/rpm/.rpm.lock"
_HOLD_LOCK: Final = """\
import fcntl, os, time
with open("{lock}", "w") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    open("/run/.held", "w").write(str(os.getpid()))
    os.rename("/run/.held", "/run/held")
    time.sleep({seconds})
"""
FILLER: Final = "/var/healthd-filler"


class Packages(Protocol):
    """Where a host's packages come from."""

    @property
    def newer_version(self) -> str:
        """The version that patching brings."""

    def install_older(self, machine: Machine) -> None:
        """The host has the older version."""

    def version_on(self, machine: Machine) -> str:
        """Which version the host has."""


P = TypeVar("P", bound=Packages)


class Patching(Generic[P]):
    """The playbook on one small host, which has the older package when this begins."""

    def __init__(
        self,
        host: SmallHost,
        mirror: P,
        executor: Executor,
        folder: Path,
        *,
        playbook: str = "os-patch",
        package: str = PACKAGE,
    ) -> None:
        self.host = host
        self.machine = host.machine
        self.mirror = mirror
        self.playbook = load_playbook(playbook)
        self.stage = Stage(executor=executor, target=host.target, folder=Path(HOME))
        self.stage.wave = f"{playbook}-{folder.name}"
        self.stage.playbook = self.playbook
        self.give(packages=package)
        free_lock(self.machine)
        empty_disk(self.machine)
        mirror.install_older(self.machine)

    def give(self, **values: str) -> None:
        """What the wave gives to the playbook's variables."""
        known = dict(self.stage.state_changes.get("variables", ()))
        self.stage.state_changes["variables"] = tuple((known | values).items())

    def at(self, name: str) -> int:
        """The number of a step."""
        return next(at for at, step in enumerate(self.playbook.steps) if step.name == name)

    def shorten(self, name: str, seconds: float) -> None:
        """The step has no more time than that."""
        steps = [
            replace(step, timeout=float(seconds)) if step.name == name else step
            for step in self.stage.playbook.steps
        ]
        self.stage.playbook = replace(self.stage.playbook, steps=tuple(steps))

    def take_anything(self) -> None:
        """No variable has a pattern: what a host gets may be anything."""
        loose = tuple(replace(each, pattern=None) for each in self.stage.playbook.variables)
        self.stage.playbook = replace(self.stage.playbook, variables=loose)

    async def run(self, name: str, *, effect_id: str = "") -> tuple[Outcome, str]:
        """Do a step of the playbook."""
        return await self.stage.run(at=self.at(name), effect_id=effect_id)

    @property
    def version(self) -> str:
        """Which version the host has."""
        return self.mirror.version_on(self.machine)


def hold_lock(machine: Machine, seconds: float, lock: str = DPKG_LOCK) -> None:
    """Somebody else installs packages on the machine, for so long."""
    machine.shell("rm -f /run/held")
    program = _HOLD_LOCK.format(seconds=seconds, lock=lock)
    machine.shell(f"/usr/bin/python3 -c '{program}' >/dev/null 2>&1 &")
    deadline = time.monotonic() + 10
    while machine.run("test", "-e", "/run/held").returncode != 0:
        assert time.monotonic() < deadline, "the lock is not held"
        time.sleep(0.02)


def free_lock(machine: Machine) -> None:
    """Nobody holds the lock for us any more."""
    machine.run("sh", "-c", "kill -9 $(cat /run/held); rm -f /run/held")


def fill_disk(machine: Machine) -> None:
    """No byte more goes on the machine's own disk."""
    machine.run("dd", "if=/dev/zero", f"of={FILLER}", "bs=1M")


def empty_disk(machine: Machine) -> None:
    """There is room again."""
    machine.run("rm", "-f", FILLER)
