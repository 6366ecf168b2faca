"""Hosts of their own: an sshd with its own key on each alias, and the client's key for all."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from healthd.demo.nodes import Node
from healthd.demo.provision import find_program

PRIVILEGE_SEPARATION_FOLDER = Path("/run/sshd")
"""Debian's sshd does not start as root without it; the package's service would have made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAccess:
    """How a client logs in on the hosts of the fleet."""

    user: str
    key_file: Path
    known_hosts_file: Path


def write_hosts(nodes: Sequence[Node], root: Path) -> SshAccess:
    """Keys, known hosts and an sshd configuration for each node are on disk under ``root``."""
    key = root / "id_ed25519"
    _make_key(key, "healthd demo client")
    known_hosts = root / "known_hosts"
    lines = []
    for node in nodes:
        folder = node.folder / "sshd"
        folder.mkdir(parents=True)
        host_key = folder / "host_ed25519"
        _make_key(host_key, f"healthd demo host {node.id}")
        public = host_key.with_suffix(".pub").read_text(encoding="utf-8").split()
        lines.append(f"[{node.host}]:{node.ssh_port} {public[0]} {public[1]}\n")
        text = _configuration(node, host_key, key.with_suffix(".pub"))
        (folder / "sshd_config").write_text(text, encoding="utf-8")
    known_hosts.write_text("".join(lines), encoding="utf-8")
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION_FOLDER.mkdir(mode=0o755, exist_ok=True)
    return SshAccess(user=getpass.getuser(), key_file=key, known_hosts_file=known_hosts)


def sshd_command(node: Node) -> list[str]:
    """What runs the host's sshd in the foreground, logging to stderr."""
    return [str(find_program("sshd")), "-D", "-e", "-f", str(sshd_config(node.folder))]


def sshd_config(folder: Path) -> Path:
    """The configuration of the sshd of the host whose folder this is."""
    return folder / "sshd" / "sshd_config"


def supervisor_command(node: Node) -> list[str]:
    """What runs the host's service supervisor in the foreground."""
    return [str(find_program("runsvdir")), "-P", str(node.services_folder)]


def _make_key(path: Path, comment: str) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)


def _configuration(node: Node, host_key: Path, authorized_key: Path) -> str:
    home = node.folder / "home"
    home.mkdir()
    settings = {
        "ListenAddress": f"{node.host}:{node.ssh_port}",
        "HostKey": host_key,
        "PidFile": "none",
        "AuthorizedKeysFile": authorized_key,
        "AuthenticationMethods": "publickey",
        "PermitRootLogin": "prohibit-password",
        "UsePAM": "no",
        # The keys are below a world-writable /tmp, which the strict check refuses.
        "StrictModes": "no",
        "MaxStartups": "200:30:400",
        "UseDNS": "no",
        "PrintMotd": "no",
        "PrintLastLog": "no",
        # A bash that is not the first one leaves out the login scripts of whoever runs the demo:
        # they are no part of a host, and may take seconds.
        # Markers of what healthd runs are kept in a home of the host's own.
        "SetEnv": f"SHLVL=2 HOME={home}",
    }
    return "".join(f"{name} {value}\n" for name, value in settings.items())
