"""Hosts that reboot, without Kafka: an sshd, a small service under runit, and a power button.

They are up within a second, and so are there for what a playbook does to a host.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

from healthd.demo.addresses import Ports
from healthd.demo.guarded import Command, GuardedProcesses
from healthd.demo.hosts import SshAccess, sshd_config, write_hosts
from healthd.demo.netns import Machine, MachineRoom, find_free_network, write_program
from healthd.demo.netns_fleet import add_sshd
from healthd.demo.nodes import Node
from healthd.demo.provision import find_program
from healthd.demo.service import BrokerService, wait_until
from healthd.execute.protocol import Target

READY_SECONDS = 30.0
# Called "java", because that is what the hosts' own service command looks for.
_RUN = """\
#!/bin/sh
echo started >>"$log"
[ -e "$flag" ] && exit 1
exec "$folder/bin/java" -I -S -c 'import socket, time
listening = socket.create_server(("$host", $port))
while True:
    listening.accept()[0].close()
'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallHost:
    """A machine with one service that listens where a broker would."""

    node: Node
    machine: Machine
    ssh: SshAccess

    @property
    def service(self) -> BrokerService:
        """The service, as somebody on the host would handle it."""
        return BrokerService(self.node, self.machine.into)

    @property
    def target(self) -> Target:
        """How healthd reaches it."""
        return Target(
            address=self.node.host,
            port=self.node.ssh_port,
            user=self.ssh.user,
            key_file=self.ssh.key_file,
            known_hosts_file=self.ssh.known_hosts_file,
            connect_timeout_seconds=15.0,
        )

    @property
    def starts(self) -> int:
        """How often the service's process was started."""
        return starts_of(self.node)

    def wait_until_up(self) -> None:
        """Its sshd answers."""
        self._wait_until_it_listens(self.node.ssh_port)

    def wait_until_serving(self) -> None:
        """Its service answers."""
        self._wait_until_it_listens(self.node.ports.kafka)

    @property
    def is_reachable(self) -> bool:
        """Whether its sshd answers, within a second."""
        return self._listens(self.node.ssh_port)

    def _wait_until_it_listens(self, port: int) -> None:
        what = f"{self.node.host}:{port} listens"
        wait_until(lambda: self._listens(port), what, READY_SECONDS)

    def _listens(self, port: int) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((self.node.host, port), timeout=1).close()
            return True
        return False


def starts_of(node: Node) -> int:
    """How often the process of a node's service was started."""
    return node.log_file.read_text("utf-8").count("started") if node.log_file.exists() else 0


@contextlib.contextmanager
def small_hosts(count: int = 1) -> Iterator[list[SmallHost]]:
    """So many hosts, on and with an sshd that answers; nothing of them is left afterwards."""
    root = Path(tempfile.mkdtemp(prefix="healthd-hosts-"))
    try:
        block = find_free_network()
        room = MachineRoom(root, block)
        nodes = [
            _node(number, block.host(number), block.ports, root) for number in range(1, count + 1)
        ]
        ssh = write_hosts(nodes, root)
        hosts = [_host(node, room, ssh) for node in nodes]
        command = Command(argv=room.command(), log=root / "machine-room.log")
        guarded = GuardedProcesses([command], root, remove_folder=True)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    try:
        room.wait_until_on()
        for host in hosts:
            host.wait_until_up()
        yield hosts
    finally:
        guarded.close()


def _node(number: int, address: str, ports: Ports, root: Path) -> Node:
    return Node(
        id=number,
        host=address,
        rack="az1",
        is_controller=False,
        ports=ports,
        folder=root / f"node-{number}",
    )


def _host(node: Node, room: MachineRoom, ssh: SshAccess) -> SmallHost:
    machine = room.add(f"small-{node.id}", node.host, node.folder, node.services_folder)
    add_sshd(machine, sshd_config(node.folder))
    add_service(node)
    return SmallHost(node=node, machine=machine, ssh=ssh)


def add_service(node: Node) -> None:
    """The node's service is there for its supervisor, and the command that handles it."""
    values = {
        "id": str(node.id),
        "folder": str(node.folder),
        "host": node.host,
        "port": str(node.ports.kafka),
        "log": str(node.log_file),
        "flag": str(node.start_fails_flag),
        "service": str(node.service),
        "sv": str(find_program("sv")),
    }
    java = node.folder / "bin" / "java"
    java.parent.mkdir(parents=True, exist_ok=True)
    java.symlink_to(Path(sys.executable).resolve())
    node.service.mkdir(parents=True)
    run = node.service / "run"
    run.write_text(Template(_RUN).substitute(values), "utf-8")
    run.chmod(0o755)
    write_program(node.service / "check", "broker-check", values)
    write_program(node.service_command, "healthd-service", values)
