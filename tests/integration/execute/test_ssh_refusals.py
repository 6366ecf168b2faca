"""What keeps a command from being sent, against a real sshd: refused, named, nothing done."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from plugins.sshd import SshdHost, make_key, public_key, running_host

from healthd.execute.protocol import Command, ExecKind, Outcome, Target
from healthd.execute.ssh import SshExecutor
from healthd.execute.ssh_connect import offered_host_keys


@pytest.fixture
async def executor() -> AsyncIterator[SshExecutor]:
    made = SshExecutor(pool_size=2)
    yield made
    await made.aclose()


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that is there only when a command was carried out."""
    return tmp_path / "it-was-done"


def touch(marker: Path) -> Command:
    return Command(argv=("touch", str(marker)), timeout_seconds=30.0, effect_id="e1")


def fingerprint(key_file: Path) -> str:
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(key_file)], check=True, capture_output=True, text=True
    )
    return printed.stdout.split()[1]


def assert_nothing_was_done(outcome: Outcome, marker: Path, kind: ExecKind) -> None:
    assert outcome.kind is kind, outcome
    assert not outcome.may_have_run
    assert not marker.exists()


async def test_a_changed_host_key_is_refused_with_both_fingerprints(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    make_key(tmp_path / "former")
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(
        f"[{shared_sshd.address}]:{shared_sshd.port} {public_key(tmp_path / 'former')}\n"
    )
    target = replace(shared_sshd.target, known_hosts_file=known_hosts)
    outcome = await executor.run(target, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.HOST_KEY_REFUSED)
    assert fingerprint(tmp_path / "former.pub") in outcome.detail
    assert fingerprint(shared_sshd.folder / "host.pub") in outcome.detail
    assert f"[{shared_sshd.address}]:{shared_sshd.port}" in outcome.detail
    assert executor.open_connections == 0


async def test_a_host_known_by_another_kind_of_key_is_refused(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    make_key(tmp_path / "former", "rsa")
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(
        f"[{shared_sshd.address}]:{shared_sshd.port} {public_key(tmp_path / 'former')}\n"
    )
    target = replace(shared_sshd.target, known_hosts_file=known_hosts)
    outcome = await executor.run(target, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.HOST_KEY_REFUSED)
    assert fingerprint(tmp_path / "former.pub") in outcome.detail


async def test_an_unknown_host_is_refused_with_its_fingerprint_and_the_way_to_trust_it(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"other-host {shared_sshd.host_key}\n")
    target = replace(shared_sshd.target, known_hosts_file=known_hosts)
    outcome = await executor.run(target, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.HOST_KEY_REFUSED)
    assert fingerprint(shared_sshd.folder / "host.pub") in outcome.detail
    assert "healthd hosts trust" in outcome.detail


async def test_a_revoked_host_key_is_refused_though_it_is_also_listed(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    known_hosts = tmp_path / "known_hosts"
    name = f"[{shared_sshd.address}]:{shared_sshd.port}"
    known_hosts.write_text(f"{name} {shared_sshd.host_key}\n@revoked * {shared_sshd.host_key}\n")
    target = replace(shared_sshd.target, known_hosts_file=known_hosts)
    outcome = await executor.run(target, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.HOST_KEY_REFUSED)


async def test_a_missing_known_hosts_file_trusts_nobody(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    target = replace(shared_sshd.target, known_hosts_file=tmp_path / "none")
    outcome = await executor.run(target, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.HOST_KEY_REFUSED)
    assert str(tmp_path / "none") in outcome.detail


async def test_a_key_that_the_host_does_not_know_is_refused(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    make_key(tmp_path / "stranger")
    target = replace(shared_sshd.target, key_file=tmp_path / "stranger")
    outcome = await executor.run(target, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.AUTH_REFUSED)
    assert "authorized_keys" in outcome.detail
    assert executor.open_connections == 0


async def test_a_key_file_that_others_may_read_is_not_used(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    key = tmp_path / "open"
    key.write_bytes((shared_sshd.folder / "client").read_bytes())
    key.chmod(0o640)
    outcome = await executor.run(replace(shared_sshd.target, key_file=key), touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.AUTH_REFUSED)
    assert f"chmod 600 {key}" in outcome.detail


@pytest.mark.parametrize("content", [None, b"", b"not a key\n", b"\xff\xfe"])
async def test_a_key_file_that_is_none_is_refused_by_name(
    executor: SshExecutor,
    shared_sshd: SshdHost,
    tmp_path: Path,
    marker: Path,
    content: bytes | None,
) -> None:
    key = tmp_path / "key"
    if content is not None:
        key.touch(mode=0o600)
        key.write_bytes(content)
    outcome = await executor.run(replace(shared_sshd.target, key_file=key), touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.AUTH_REFUSED)
    assert str(key) in outcome.detail


async def test_a_key_with_a_passphrase_is_refused(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    key = tmp_path / "locked"
    make_key(key, passphrase="hunter2!")
    outcome = await executor.run(replace(shared_sshd.target, key_file=key), touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.AUTH_REFUSED)
    assert "passphrase" in outcome.detail


async def test_a_key_of_ours_is_not_even_looked_for_before_the_host_s_is_known_to_be_right(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    """What is told first is checked first: a refused login says that the host's key was right."""
    strange = replace(
        shared_sshd.target, known_hosts_file=tmp_path / "none", key_file=tmp_path / "key"
    )
    outcome = await executor.run(strange, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.HOST_KEY_REFUSED)


async def test_a_host_whose_sshd_is_down_is_unreachable(
    executor: SshExecutor, sshd_of_its_own: Callable[[], SshdHost], marker: Path
) -> None:
    host = sshd_of_its_own()
    host.stop()
    outcome = await executor.run(host.target, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.UNREACHABLE)
    assert f"{host.address}:{host.port}" in outcome.detail


async def test_a_host_that_accepts_and_never_speaks_is_given_up_in_time(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    with socket.create_server(("127.0.43.1", 0)) as silent:
        known_hosts = tmp_path / "known_hosts"
        known_hosts.write_text("")
        target = Target(
            address="127.0.43.1",
            port=silent.getsockname()[1],
            user="ops",
            key_file=shared_sshd.folder / "client",
            known_hosts_file=known_hosts,
            connect_timeout_seconds=0.5,
        )
        outcome = await executor.run(target, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.UNREACHABLE)
    assert "no answer in time" in outcome.detail


async def test_the_hosts_keys_can_be_shown_to_a_person_before_they_are_trusted(
    tmp_path: Path,
) -> None:
    make_key(tmp_path / "rsa", "rsa")
    make_key(tmp_path / "ecdsa", "ecdsa")
    settings = f"HostKey {tmp_path}/rsa\nHostKey {tmp_path}/ecdsa\n"
    with running_host(tmp_path / "sshd", "127.0.46.1", settings=settings) as host:
        shown = await asyncio.to_thread(offered_host_keys, host.target)
        files = [host.folder / "host.pub", tmp_path / "ecdsa.pub", tmp_path / "rsa.pub"]
        assert [key.fingerprint for key in shown] == [fingerprint(file) for file in files]


async def test_a_broken_line_of_the_known_hosts_file_is_refused_by_its_place(
    executor: SshExecutor, shared_sshd: SshdHost, tmp_path: Path, marker: Path
) -> None:
    known_hosts = tmp_path / "known_hosts"
    name = f"[{shared_sshd.address}]:{shared_sshd.port}"
    known_hosts.write_text(f"{name} {shared_sshd.host_key}\n@revoke * {shared_sshd.host_key}\n")
    target = replace(shared_sshd.target, known_hosts_file=known_hosts)
    outcome = await executor.run(target, touch(marker))
    assert_nothing_was_done(outcome, marker, ExecKind.HOST_KEY_REFUSED)
    assert f"{known_hosts}:2: the marker '@revoke' is not known" in outcome.detail
