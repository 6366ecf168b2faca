"""Commands for root over a real sshd with a real sudo: let through, asked for, refused, in words.

The users, and what sudo lets them do, exist in a mount namespace of that sshd and nowhere else.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from plugins.sshd import SshdHost, make_key, running_host

from healthd.demo import provision
from healthd.demo.provision import ProvisionError
from healthd.execute.detached import Detached, MarkState, Work
from healthd.execute.protocol import Command, ExecKind, Target, Trouble
from healthd.execute.ssh import SshExecutor

USERS = {"hd-op": 64_001, "hd-none": 64_002}
SUDOERS = """
root ALL=(ALL) ALL
hd-op ALL=(root) NOPASSWD: /usr/bin/id -u, /usr/bin/env --ignore-signal\\=TERM *
hd-op ALL=(root) /usr/bin/whoami
"""
IN_NAMESPACE = """
for name in passwd group shadow sudoers; do
  mount --bind "$0/$name" "/etc/$name" || exit 1
done
exec "$@"
"""


@pytest.fixture(scope="module")
def homes() -> Iterator[Path]:
    """Homes that their users can reach; the folders of tests are root's alone."""
    if os.geteuid():
        pytest.skip("only root may give sudo another file to read")
    try:
        provision.ensure(("sudo",))
    except ProvisionError as error:
        pytest.skip(str(error))
    folder = Path(tempfile.mkdtemp(prefix="healthd-sudo-", dir="/tmp"))
    folder.chmod(0o755)
    for name, number in USERS.items():
        (folder / name).mkdir()
        os.chown(folder / name, number, number)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def host(homes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdHost]:
    folder = tmp_path_factory.mktemp("sudo")
    added = {
        "passwd": [f"{name}:x:{at}:{at}::{homes}/{name}:/bin/sh" for name, at in USERS.items()],
        "group": [f"{name}:x:{at}:" for name, at in USERS.items()],
        "shadow": [f"{name}:*:19000:0:99999:7:::" for name in USERS],
    }
    for name, lines in added.items():
        text = Path(f"/etc/{name}").read_text() + "\n".join(lines) + "\n"
        (folder / name).write_text(text)
        (folder / name).chmod(0o600 if name == "shadow" else 0o644)
    (folder / "sudoers").write_text(SUDOERS)
    (folder / "sudoers").chmod(0o440)
    make_key(folder / "authority")
    before = ("unshare", "-m", "sh", "-c", IN_NAMESPACE, str(folder))
    settings = f"TrustedUserCAKeys {folder}/authority.pub\n"
    with running_host(
        folder / "sshd", "127.0.51.1", settings=settings, before=before, has_users=True
    ) as made:
        sign = ["ssh-keygen", "-q", "-s", str(folder / "authority"), "-I", "test"]
        sign += ["-n", ",".join(USERS), str(made.folder / "client.pub")]
        subprocess.run(sign, check=True)
        yield made


@pytest.fixture
async def executor() -> AsyncIterator[SshExecutor]:
    made = SshExecutor(pool_size=2)
    yield made
    await made.aclose()


def target(host: SshdHost, user: str) -> Target:
    return replace(host.target, user=user, certificate_file=host.folder / "client-cert.pub")


Case = tuple[str, tuple[str, ...], Trouble | None, str]
CASES: list[Case] = [
    ("hd-op", ("/usr/bin/id", "-u"), None, ""),
    ("hd-op", ("/usr/bin/whoami",), Trouble.SUDO_ASKS, "sudo asks for a password on"),
    ("hd-op", ("/usr/bin/id", "-g"), Trouble.SUDO_ASKS, "sudo asks for a password on"),
    ("hd-none", ("/usr/bin/id", "-u"), Trouble.SUDO_ASKS, "see healthd playbook sudoers"),
]


@pytest.mark.parametrize("case", CASES)
async def test_what_sudo_says_is_said_in_words(
    executor: SshExecutor, host: SshdHost, case: Case
) -> None:
    user, argv, trouble, says = case
    command = Command(argv=argv, timeout_seconds=30.0, become=True)
    outcome = await executor.run(target(host, user), command)
    assert (outcome.kind, outcome.trouble) == (ExecKind.EXITED, trouble), outcome
    assert outcome.is_success == (trouble is None)
    assert says in outcome.detail
    if trouble is None:
        assert outcome.stdout == "0\n"


@pytest.mark.parametrize("case", CASES)
async def test_a_detached_command_says_the_same(
    executor: SshExecutor, host: SshdHost, case: Case
) -> None:
    user, argv, trouble, says = case
    effect = f"{user}.{len(argv)}{argv[-1].strip('/').replace('/', '_')}"
    work = Work(argv=argv, effect_id=effect, timeout_seconds=30.0, become=True)
    progress = await Detached(executor=executor).launch(target(host, user), work, wait_seconds=20.0)
    assert (progress.state, progress.trouble) == (MarkState.ENDED, trouble), progress
    assert says in progress.detail
    if trouble is None:
        assert progress.stdout == "0\n"


async def test_the_marker_belongs_to_the_ssh_user_and_to_nobody_else(
    executor: SshExecutor, host: SshdHost, homes: Path
) -> None:
    work = Work(argv=("true",), effect_id="mine", timeout_seconds=30.0)
    await Detached(executor=executor).launch(target(host, "hd-none"), work, wait_seconds=20.0)
    for place in (homes / "hd-none/.healthd", homes / "hd-none/.healthd/mine"):
        status = place.stat()
        assert (status.st_uid, status.st_mode & 0o777) == (USERS["hd-none"], 0o700)


async def test_what_root_runs_is_never_killed_and_counts_as_running_until_it_ends(
    executor: SshExecutor, host: SshdHost
) -> None:
    runner = Detached(executor=executor)
    way = target(host, "hd-op")
    argv = ("/usr/bin/env", "--ignore-signal=TERM", "/usr/bin/sleep", "12")
    work = Work(argv=argv, effect_id="late", timeout_seconds=1.0, grace_seconds=1.0, become=True)
    await runner.launch(way, work, wait_seconds=4.0)
    progress = await runner.observe(way, "late")
    assert (progress.state, progress.is_late) == (MarkState.RUNNING, True), progress
    assert "was told to end, but it still runs" in progress.detail
