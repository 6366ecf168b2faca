"""SSH servers built with paramiko that misbehave in one way each, as no real sshd can be told to.

Run as a program, it serves any number of hosts from one process: it listens on every loopback
address, and each of them looks like a host of its own.

    python tests/support/odd_sshd.py FOLDER BEHAVIOUR...

prints one line with the port of each behaviour, and ends with its input.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import paramiko

from healthd.execute.protocol import Target

GREETING: Final = b"SSH-2.0-odd\r\n"
BACKLOG: Final = 1024


class Odd(StrEnum):
    """What a server does other than it should."""

    NOTHING = "nothing"
    """It behaves: every command prints the host's address and ends with 0."""
    SILENT = "silent"
    """Accepts connections and says nothing."""
    DRIBBLES_GREETING = "dribbles_greeting"
    """Says something other than a greeting, byte by byte, without end."""
    FLOODS_GREETING = "floods_greeting"
    """Says something other than a greeting, as fast as it can, without end."""
    GREETS_ONLY = "greets_only"
    HANGS_UP = "hangs_up"
    """Greets and closes."""
    RESETS = "resets"
    """Greets, and closes with a reset: what the client has sent meanwhile is not read."""
    HANGS_IN_KEX = "hangs_in_kex"
    """Begins the key exchange and does not go on with it."""
    HANGS_UP_IN_KEX = "hangs_up_in_kex"
    """Begins the key exchange and closes."""
    RESETS_IN_KEX = "resets_in_kex"
    """Begins the key exchange, and closes with a reset."""
    PAUSES_IN_KEX = "pauses_in_kex"
    """Begins the key exchange, goes on when it is told to, and behaves."""
    IGNORES_FIRST = "ignores_first"
    """Sends a packet that means nothing before the key exchange, and behaves."""
    HANGS_IN_LOGIN = "hangs_in_login"
    OPENS_NO_SESSION = "opens_no_session"
    HANGS_OPENING = "hangs_opening"
    """Lets everybody in and never answers the wish for a session."""
    REFUSES_EXEC = "refuses_exec"
    HANGS_IN_EXEC = "hangs_in_exec"
    """Never says whether it runs the command."""
    NEVER_ENDS = "never_ends"
    """Takes the command and says nothing more."""
    ENDLESS_OUTPUT = "endless_output"
    DRIBBLES_OUTPUT = "dribbles_output"
    STATUS_FIRST = "status_first"
    """Sends the exit code before the output."""
    NO_STATUS = "no_status"
    """Sends output and closes without an exit code."""
    CUTS_AFTER_EXEC = "cuts_after_exec"
    """Ends the connection right after it has taken the command."""


_RAW: Final = frozenset(
    {
        Odd.SILENT,
        Odd.DRIBBLES_GREETING,
        Odd.FLOODS_GREETING,
        Odd.GREETS_ONLY,
        Odd.HANGS_UP,
        Odd.RESETS,
        Odd.HANGS_IN_KEX,
        Odd.HANGS_UP_IN_KEX,
        Odd.RESETS_IN_KEX,
    }
)


class OddTransport(paramiko.Transport):
    """Says when the answer to a request has gone out: what follows it must not come before."""

    def __init__(self, connection: socket.socket, sshd: OddSshd) -> None:
        # Where both sides are strict, the key exchange is the very first thing that is said.
        super().__init__(connection, strict_kex=sshd.odd is not Odd.IGNORES_FIRST)
        self.sshd = sshd
        self.confirmed = threading.Semaphore(0)

    def _send_kex_init(self) -> None:
        if self.sshd.odd is Odd.IGNORES_FIRST:
            message = paramiko.Message()
            message.add_byte(paramiko.common.cMSG_IGNORE)
            message.add_string("nothing")
            self._send_message(message)  # type: ignore[attr-defined]
        super()._send_kex_init()  # type: ignore[misc]

    def _negotiate_keys(self, message: paramiko.Message) -> None:
        if self.sshd.odd is Odd.PAUSES_IN_KEX:
            self.sshd.has_paused.set()
            self.sshd.may_go_on.wait()
        super()._negotiate_keys(message)  # type: ignore[misc]

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc]
        if data.asbytes()[0] == paramiko.common.MSG_CHANNEL_SUCCESS:
            self.confirmed.release()


@dataclass
class OddServer(paramiko.ServerInterface):
    """The server's side of one connection."""

    odd: Odd
    address: str
    is_over: threading.Event
    commands: list[bytes]

    def get_allowed_auths(self, username: str) -> str:
        del username
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        del username, key
        if self.odd is Odd.HANGS_IN_LOGIN:
            self.is_over.wait()
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        del kind, chanid
        if self.odd is Odd.HANGS_OPENING:
            self.is_over.wait()
        if self.odd is Odd.OPENS_NO_SESSION:
            return paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command)
        if self.odd is Odd.HANGS_IN_EXEC:
            self.is_over.wait()
        if self.odd is Odd.REFUSES_EXEC:
            return False
        if self.odd is not Odd.NEVER_ENDS:
            threading.Thread(target=self._serve, args=(channel,), daemon=True).start()
        return True

    def _serve(self, channel: paramiko.Channel) -> None:
        transport = channel.get_transport()
        assert isinstance(transport, OddTransport)
        transport.confirmed.acquire(timeout=60)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._answer(channel)

    def _answer(self, channel: paramiko.Channel) -> None:
        match self.odd:
            case Odd.ENDLESS_OUTPUT:
                while not self.is_over.is_set():
                    channel.sendall(b"y\n" * 10_000)
            case Odd.DRIBBLES_OUTPUT:
                while not self.is_over.wait(0.02):
                    channel.sendall(b".")
            case Odd.STATUS_FIRST:
                channel.send_exit_status(3)
                time.sleep(0.1)
                channel.sendall(b"late\n")
                channel.close()
            case Odd.NO_STATUS:
                channel.sendall(b"something\n")
                channel.close()
            case Odd.CUTS_AFTER_EXEC:
                channel.get_transport().close()
            case _:
                channel.sendall(f"{self.address}\n".encode())
                channel.send_exit_status(0)
                channel.close()


@dataclass
class OddSshd:
    """A listening server, and what it needs to be reached.

    Attributes:
        connections: How many have been accepted.
        commands: What it was asked to run, on whichever connection.
        has_paused: A connection of `PAUSES_IN_KEX` has got so far.
        may_go_on: Tells it to go on.
    """

    odd: Odd
    folder: Path
    host_key: paramiko.PKey
    listening: socket.socket
    is_over: threading.Event = field(default_factory=threading.Event)
    open: list[Any] = field(default_factory=list)
    connections: int = 0
    commands: list[bytes] = field(default_factory=list)
    has_paused: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        port: int = self.listening.getsockname()[1]
        return port

    def target(self, address: str, *, seconds: float = 1.0) -> Target:
        return Target(
            address=address,
            port=self.port,
            user="ops",
            key_file=self.folder / "client",
            known_hosts_file=self.folder / "known_hosts",
            connect_timeout_seconds=seconds,
        )

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            if self.odd in _RAW:
                self.open.append(connection)
                threading.Thread(target=self._raw, args=(connection,), daemon=True).start()
            else:
                self._speak(connection)

    def _speak(self, connection: socket.socket) -> None:
        transport = OddTransport(connection, self)
        transport.daemon = True
        transport.set_log_channel("healthd.execute.paramiko")
        transport.add_server_key(self.host_key)
        self.open = [one for one in self.open if one.is_active()] + [transport]
        address = connection.getsockname()[0]
        # The event is there so that the call returns: this thread accepts for everybody.
        server = OddServer(self.odd, address, self.is_over, self.commands)
        transport.start_server(event=threading.Event(), server=server)

    def _raw(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.odd is Odd.SILENT:
                return
            if self.odd in {Odd.DRIBBLES_GREETING, Odd.FLOODS_GREETING}:
                many = 1 if self.odd is Odd.DRIBBLES_GREETING else 10_000
                while not self.is_over.wait(0.01 if many == 1 else 0.0):
                    connection.sendall(b"x" * many)
            connection.sendall(GREETING)
            if self.odd in {Odd.HANGS_IN_KEX, Odd.HANGS_UP_IN_KEX, Odd.RESETS_IN_KEX}:
                connection.sendall(packet(key_exchange_begins()))
            if self.odd in {Odd.HANGS_UP, Odd.HANGS_UP_IN_KEX}:
                connection.close()
            if self.odd in {Odd.RESETS, Odd.RESETS_IN_KEX}:
                # The client has to have read the rest: a reset takes it away.
                time.sleep(0.2)
                no_lingering = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
                connection.close()

    def stop(self) -> None:
        self.is_over.set()
        self.may_go_on.set()
        # Closing alone does not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for one in self.open:
            one.close()


def key_exchange_begins(kex: str = "ecdh-sha2-nistp256") -> bytes:
    """The first message of a key exchange, which offers what the client has."""
    message = paramiko.Message()
    message.add_byte(paramiko.common.cMSG_KEXINIT)
    message.add_bytes(b"0123456789abcdef")
    lists = [[kex], ["ssh-ed25519", "ssh-rsa", "rsa-sha2-512"]]
    lists += [["aes128-ctr"], ["aes128-ctr"], ["hmac-sha2-256"], ["hmac-sha2-256"]]
    for one in (*lists, ["none"], ["none"], [], []):
        message.add_list(one)
    message.add_boolean(False)
    message.add_int(0)
    return message.asbytes()


def packet(payload: bytes) -> bytes:
    """A message as it is sent before there are keys."""
    padding = 8 - (len(payload) + 5) % 8 + 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + b"\0" * padding


@contextmanager
def odd_sshd(folder: Path, odd: Odd, address: str) -> Iterator[OddSshd]:
    """A server that misbehaves so, on an address and a port of its own, until the end."""
    folder.mkdir(parents=True, exist_ok=True)
    host_key = paramiko.ECDSAKey.generate()
    client = folder / "client"
    if not client.exists():
        paramiko.ECDSAKey.generate().write_private_key_file(str(client))
        client.chmod(0o600)
    sshd = OddSshd(odd, folder, host_key, socket.create_server((address, 0), backlog=BACKLOG))
    pattern = "127.*" if address == "0.0.0.0" else address
    line = f"[{pattern}]:{sshd.port} {host_key.get_name()} {host_key.get_base64()}\n"
    with (folder / "known_hosts").open("a") as known:
        known.write(line)
    accepting = threading.Thread(target=sshd.serve, name=f"odd-sshd-{odd}", daemon=True)
    accepting.start()
    try:
        yield sshd
    finally:
        sshd.stop()
        accepting.join(10)


def main(folder: Path, behaviours: list[str]) -> None:
    """Serve until the input ends."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(odd_sshd(folder, Odd(one), "0.0.0.0")) for one in behaviours]
        print(*(server.port for server in servers), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
