"""Real sshd servers on loopback addresses, each with a host key of its own, as a fixture."""

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import pytest

from healthd.execute.protocol import Target

_SSHD: Final = "/usr/sbin/sshd"
_START_SECONDS: Final = 20.0


@dataclass(slots=True, kw_only=True)
class SshdHost:
    """A host of its own: an sshd on a loopback address, and how healthd reaches it."""

    folder: Path
    address: str
    port: int
    process: subprocess.Popen[bytes] = field(init=False)
    before: Sequence[str] = ()
    """Words in front of its own."""

    @property
    def target(self) -> Target:
        return Target(
            address=self.address,
            port=self.port,
            user=getpass.getuser(),
            key_file=self.folder / "client",
            known_hosts_file=self.folder / "known_hosts",
            connect_timeout_seconds=15.0,
        )

    @property
    def host_key(self) -> str:
        """The public half, as kind and base64."""
        return public_key(self.folder / "host")

    def sessions(self) -> list[psutil.Process]:
        """The sshd children that serve connections."""
        return psutil.Process(self.process.pid).children()

    def cut_sessions(self) -> None:
        """Kill what serves the connections; the commands' own processes are left alone."""
        for child in self.sessions():
            with suppress(psutil.NoSuchProcess):  # one whose client has just gone ends by itself
                for one in (*child.children(), child):
                    if one.name() == "sshd":
                        one.kill()

    def start(self) -> None:
        """Start the server, also once more after a stop."""
        with (self.folder / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, _SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def freeze(self) -> None:
        """Stop the server and its sessions without ending them."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def wait_until_it_listens(self) -> None:
        """Whoever connects from now on is answered."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection((self.address, self.port), timeout=1).close()
            except OSError:
                log = (self.folder / "sshd.log").read_text(errors="replace")
                assert self.process.poll() is None, f"sshd ended: {log}"
                assert time.monotonic() < deadline, f"sshd does not listen: {log}"
                time.sleep(0.02)
            else:
                return

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)
        for session in self.sessions():
            with suppress(psutil.NoSuchProcess):
                session.send_signal(number)

    def stop(self) -> None:
        """End the server and its sessions."""
        sessions = self.sessions()
        self.process.kill()
        for session in sessions:
            with suppress(psutil.NoSuchProcess):
                session.kill()
        self.process.wait(10)

    def end_commands(self) -> None:
        """End what outlived its session; it is known by the connection in its environment."""
        ours = f" {self.address} {self.port}"
        for one in psutil.process_iter():
            with suppress(psutil.Error):
                if one.environ().get("SSH_CONNECTION", "").endswith(ours):
                    one.kill()


def public_key(private: Path) -> str:
    """Kind and base64 of the public half beside a private key."""
    return " ".join(private.with_suffix(".pub").read_text().split()[:2])


def make_key(path: Path, kind: str = "ed25519", *, passphrase: str = "") -> None:
    """A fresh key pair."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@contextmanager
def running_host(
    folder: Path,
    address: str,
    *,
    settings: str = "",
    before: Sequence[str] = (),
    has_users: bool = False,
) -> Iterator[SshdHost]:
    """An sshd that listens, until the end of the block.

    Args:
        folder: Where everything of it lies; its user's home is below, unless it `has_users`.
        address: The loopback address that it listens on.
        settings: Further lines of its configuration.
        before: Words in front of its own.
        has_users: Whether it has users of its own, each with a home.
    """
    (folder / "home").mkdir(parents=True)
    home = "" if has_users else f" HOME={folder}/home"
    for name in ("host", "client"):
        make_key(folder / name)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (folder / "authorized_keys").write_text(public_key(folder / "client") + "\n")
    port = _free_port(address)
    (folder / "known_hosts").write_text(f"[{address}]:{port} {public_key(folder / 'host')}\n")
    (folder / "sshd_config").write_text(
        f"ListenAddress {address}:{port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nUsePAM no\nStrictModes no\n"
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\n"
        # bash reads ~/.bashrc only in the outermost shell: what stands in there is not tested.
        f"MaxStartups 200:30:400\nPrintMotd no\nSetEnv SHLVL=2{home}\n{settings}"
    )
    host = SshdHost(folder=folder, address=address, port=port, before=before)
    host.start()
    try:
        host.wait_until_it_listens()
        yield host
    finally:
        if host.process.poll() is None:
            host.stop()
        host.end_commands()


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdHost]:
    """One host for all tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("sshd") / "shared"
    with running_host(folder, "127.0.41.1") as host:
        yield host


@pytest.fixture
def sshd_of_its_own(tmp_path: Path) -> Iterator[Callable[[], SshdHost]]:
    """Makes hosts that the test may break."""
    with ExitStack() as stack:
        made = 0

        def make() -> SshdHost:
            nonlocal made
            made += 1
            return stack.enter_context(running_host(tmp_path / f"host{made}", f"127.0.42.{made}"))

        yield make
