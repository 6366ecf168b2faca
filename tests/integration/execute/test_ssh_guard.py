"""The guard against calls of the library that have no time-out of their own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from healthd.execute import ssh
from healthd.execute.protocol import Command, ExecKind, Target
from healthd.execute.ssh import SshExecutor


@dataclass
class SilentServer(paramiko.ServerInterface):
    """Lets everybody in and never answers a request to run something."""

    asked: threading.Event
    is_over: threading.Event

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.asked.set()
        self.is_over.wait(60)
        return False


@contextmanager
def silent_host(folder: Path) -> Iterator[tuple[Target, SilentServer]]:
    """A host whose sshd stops answering at the very moment a command reaches it."""
    host_key, client_key = (paramiko.RSAKey.generate(2048) for _ in range(2))
    client_key.write_private_key_file(str(folder / "client"))
    (folder / "client").chmod(0o600)
    server = SilentServer(threading.Event(), threading.Event())
    with socket.create_server(("127.0.44.1", 0)) as listening:
        port = listening.getsockname()[1]
        (folder / "known_hosts").write_text(
            f"[127.0.44.1]:{port} ssh-rsa {host_key.get_base64()}\n"
        )
        transports: list[paramiko.Transport] = []

        def serve() -> None:
            transport = paramiko.Transport(listening.accept()[0])
            transports.append(transport)
            transport.add_server_key(host_key)
            transport.start_server(event=threading.Event(), server=server)

        accepting = threading.Thread(target=serve)
        accepting.start()
        try:
            yield (
                Target(
                    address="127.0.44.1",
                    port=port,
                    user="ops",
                    key_file=folder / "client",
                    known_hosts_file=folder / "known_hosts",
                    connect_timeout_seconds=20.0,
                ),
                server,
            )
        finally:
            server.is_over.set()
            accepting.join()
            for transport in transports:
                transport.close()


async def test_a_request_that_is_never_answered_is_cut_and_may_have_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_GRACE_SECONDS", 0.2)
    executor = SshExecutor(pool_size=1)
    with silent_host(tmp_path) as (target, server):
        # The connect time-out counts into the guard's limit, hence one that fits the test.
        short = Command(argv=("true",), timeout_seconds=0.3)
        monkeypatch.setattr(ssh._Job, "limit_seconds", 3.0)
        outcome = await executor.run(target, short)
        assert server.asked.is_set()
    assert outcome.kind is ExecKind.TIMED_OUT
    assert outcome.may_have_run
    await executor.aclose()
