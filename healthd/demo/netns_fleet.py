"""A real Kafka cluster whose hosts can be booted anew: each is a network namespace of its own.

with RebootingFleet.launch(shape=THREE) as fleet:
    fleet.machine(2).reboot()
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from healthd.demo import hosts
from healthd.demo.addresses import Block
from healthd.demo.fleet import DemoFleet
from healthd.demo.guarded import Command, GuardedProcesses
from healthd.demo.netns import (
    Machine,
    MachineRoom,
    ensure_possible,
    find_free_network,
    write_program,
)
from healthd.demo.provision import find_program
from healthd.demo.service import BrokerService

SSHD_SERVICE = "sshd"


class RebootingFleet(DemoFleet):
    """Running Kafka nodes on machines with processes, folders and boot ids of their own."""

    def __init__(self, **parts: Any) -> None:
        """What ``launch`` makes of its parts."""
        super().__init__(**parts)
        first = self.nodes[0]
        block = Block(prefix=first.host.rpartition(".")[0], ports=first.ports)
        self.room = MachineRoom(self.root, block)
        self._machines: dict[int, Machine] = {}
        for node in self.nodes:
            name = f"{self.cluster}-{node.id}"
            machine = self.room.add(name, node.host, node.folder, node.services_folder)
            add_sshd(machine, hosts.sshd_config(node.folder))
            self._machines[node.id] = machine
            self._services[node.id] = BrokerService(node, machine.into)

    @classmethod
    def find_addresses(cls, hosts: int) -> Block:
        """Where the hosts of a new fleet are to be: not on the loopback interface."""
        del hosts
        ensure_possible()
        return find_free_network()

    def machine(self, broker: int) -> Machine:
        """The machine that a broker is on."""
        return self._machines[broker]

    def heal(self) -> None:
        """All machines are on and reachable, and all brokers run and are in sync."""
        for node in self.nodes:
            self.machine(node.id).heal()
            self.machine(node.id).starts_at_boot("broker", does=True)
        super().heal()

    def _start_servers(self, *, remove: bool) -> None:
        command = Command(argv=self.room.command(), log=self.root / "machine-room.log")
        self._servers = GuardedProcesses(
            [command], self.root, remove_folder=remove, mounts=self._mounts
        )
        self.room.wait_until_on()


def add_sshd(machine: Machine, config: Path) -> None:
    """The machine runs an sshd with that configuration, from its first boot on."""
    values = {
        "log": str(machine.folder / "sshd.log"),
        "sshd": str(find_program("sshd")),
        "config": str(config),
    }
    write_program(machine.services / SSHD_SERVICE / "run", "sshd-run", values)
