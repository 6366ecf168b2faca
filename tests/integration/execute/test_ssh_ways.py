"""Ways to a host: bastions, agents, kinds of keys, users' certificates, passphrases."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from plugins.sshd import SshdHost, make_key, public_key, running_host

from healthd.config.secrets import SecretRef
from healthd.config.ssh_access import AGENT_OF_ENVIRONMENT
from healthd.execute.protocol import Command, ExecKind, Outcome, Target
from healthd.execute.ssh import SshExecutor

TRUE = Command(argv=("true",), timeout_seconds=30.0)
DAY = 86_400


@pytest.fixture
async def executor() -> AsyncIterator[SshExecutor]:
    made = SshExecutor(pool_size=2)
    yield made
    await made.aclose()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdHost]:
    """A host that knows four kinds of keys, and an authority for users' certificates."""
    keys = tmp_path_factory.mktemp("keys")
    make_key(keys / "authority")
    settings = f"TrustedUserCAKeys {keys}/authority.pub\n"
    with running_host(keys / "sshd", "127.0.50.1", settings=settings) as made:
        for kind in ("ed25519", "ecdsa", "rsa"):
            make_key(made.folder / kind, kind)
        make_key(made.folder / "locked", passphrase="over the rainbow")
        make_key(made.folder / "stranger")
        known = ("client", "ed25519", "ecdsa", "rsa", "locked")
        lines = [f"{public_key(made.folder / name)}\n" for name in known]
        (made.folder / "authorized_keys").write_text("".join(lines))
        yield made


def certified(host: SshdHost, tmp_path: Path, *options: str, key: str = "stranger") -> Target:
    """The target with a certificate for a key that the host does not know by itself."""
    copied = tmp_path / "key"
    for suffix in ("", ".pub"):
        copied.with_suffix(suffix).write_bytes((host.folder / f"{key}{suffix}").read_bytes())
    copied.chmod(0o600)
    authority = host.folder.parent / "authority"
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "test", *options, f"{copied}.pub"]
    subprocess.run(sign, check=True)
    return replace(host.target, key_file=copied, certificate_file=tmp_path / "key-cert.pub")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
async def test_each_kind_of_key_is_let_in(executor: SshExecutor, host: SshdHost, kind: str) -> None:
    outcome = await executor.run(replace(host.target, key_file=host.folder / kind), TRUE)
    assert outcome.is_success, outcome


async def test_a_key_with_a_passphrase_is_opened_with_it(
    executor: SshExecutor, host: SshdHost, tmp_path: Path
) -> None:
    file = tmp_path / "passphrase"
    file.touch(mode=0o600)
    file.write_text("over the rainbow\n")
    locked = replace(host.target, key_file=host.folder / "locked", passphrase=SecretRef(file=file))
    assert (await executor.run(locked, TRUE)).is_success
    file.write_text("under the bridge\n")
    wrong = replace(locked, address="127.0.50.2")
    outcome = await executor.run(replace(wrong, address=host.address, user="x"), TRUE)
    assert outcome.kind is ExecKind.AUTH_REFUSED
    assert "no private key with this passphrase" in outcome.detail
    assert "bridge" not in outcome.detail


@pytest.mark.parametrize("kind", ["stranger", "rsa"])
async def test_a_users_certificate_is_let_in_without_the_key_being_known(
    executor: SshExecutor, host: SshdHost, tmp_path: Path, kind: str
) -> None:
    target = certified(host, tmp_path, "-n", host.target.user, key=kind)
    outcome = await executor.run(target, TRUE)
    assert outcome.is_success, outcome


def moment(seconds: float) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.localtime(time.time() + seconds))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-V", f"{moment(-2 * DAY)}:{moment(-DAY)}"), "was valid until"),
        (("-V", f"{moment(DAY)}:{moment(2 * DAY)}"), "is valid only from"),
        (("-n", "somebody,else"), "it is for somebody, else, not "),
        (("-h",), "is a host's, not a user's"),
    ],
    ids=["expired", "not yet valid", "other principals", "of a host"],
)
async def test_a_certificate_that_is_not_good_is_refused_in_words(
    executor: SshExecutor, host: SshdHost, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    outcome = await executor.run(certified(host, tmp_path, *options), TRUE)
    assert outcome.kind is ExecKind.AUTH_REFUSED
    assert says in outcome.detail, outcome.detail


async def test_a_certificate_about_another_key_is_refused(
    executor: SshExecutor, host: SshdHost, tmp_path: Path
) -> None:
    target = replace(certified(host, tmp_path), key_file=host.folder / "ed25519")
    outcome = await executor.run(target, TRUE)
    assert outcome.kind is ExecKind.AUTH_REFUSED
    assert "is about another key than the key file has" in outcome.detail


@pytest.mark.parametrize("content", ["", "nothing\n", "ssh-ed25519 AAAA\n"])
async def test_a_file_that_is_no_certificate_is_refused_by_name(
    executor: SshExecutor, host: SshdHost, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "broken"
    file.write_text(content)
    outcome = await executor.run(replace(host.target, certificate_file=file), TRUE)
    assert outcome.kind is ExecKind.AUTH_REFUSED
    assert str(file) in outcome.detail


@pytest.fixture
def agent(tmp_path: Path, host: SshdHost) -> Iterator[Callable[..., Path]]:
    """Starts an agent that holds these keys, and answers with its socket."""
    # The kernel's limit for the name of a socket is short.
    place = Path(os.path.relpath(tmp_path / "agent"))
    running = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(place)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def holding(*names: str) -> Path:
        while not place.exists():
            assert running.poll() is None
            time.sleep(0.01)
        environment = {**os.environ, "SSH_AUTH_SOCK": str(place)}
        for name in names:
            subprocess.run(["ssh-add", "-q", str(host.folder / name)], check=True, env=environment)
        return place

    yield holding
    running.terminate()
    running.wait(10)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
async def test_an_agents_key_is_let_in_though_it_is_not_the_first(
    executor: SshExecutor, host: SshdHost, agent: Callable[..., Path], kind: str
) -> None:
    target = replace(host.target, key_file=None, agent=agent("stranger", kind))
    outcome = await executor.run(target, TRUE)
    assert outcome.is_success, outcome


async def test_the_agent_of_the_environment_is_asked_where_that_is_said(
    executor: SshExecutor,
    host: SshdHost,
    agent: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = replace(host.target, key_file=None, agent=AGENT_OF_ENVIRONMENT)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    outcome = await executor.run(target, TRUE)
    assert (outcome.kind, "SSH_AUTH_SOCK is not set" in outcome.detail) == (
        ExecKind.AUTH_REFUSED,
        True,
    )
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent("ed25519")))
    assert (await executor.run(target, TRUE)).is_success


async def test_an_agent_without_a_key_or_without_the_right_one_is_named(
    executor: SshExecutor, host: SshdHost, agent: Callable[..., Path], tmp_path: Path
) -> None:
    empty = replace(host.target, key_file=None, agent=agent())
    assert "has no key that can be used" in (await executor.run(empty, TRUE)).detail
    agent("stranger")
    outcome = await executor.run(empty, TRUE)
    assert outcome.kind is ExecKind.AUTH_REFUSED
    assert "refuses the 1 keys of the agent" in outcome.detail
    gone = replace(empty, agent=tmp_path / "gone")
    assert "does not answer" in (await executor.run(gone, TRUE)).detail


@pytest.fixture(scope="module")
def bastion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdHost]:
    folder = tmp_path_factory.mktemp("bastion")
    with running_host(folder / "sshd", "127.0.50.9", settings="AllowTcpForwarding yes\n") as made:
        yield made


async def test_hosts_behind_a_bastion_share_one_connection_to_it(
    executor: SshExecutor, bastion: SshdHost, sshd_of_its_own: Callable[[], SshdHost]
) -> None:
    hosts = [sshd_of_its_own() for _ in range(2)]
    behind = [replace(one.target, bastion=bastion.target) for one in hosts]
    command = Command(argv=("sh", "-c", "echo $SSH_CONNECTION"), timeout_seconds=30.0)
    outcomes = await asyncio.gather(*(executor.run(one, command) for one in behind * 2))
    assert [outcome.is_success for outcome in outcomes] == [True] * 4, outcomes
    for outcome, one in zip(outcomes, hosts * 2, strict=True):
        assert f"{one.address} {one.port}" in outcome.stdout
    assert len(bastion.sessions()) == 1
    assert executor.open_connections == 3


async def test_a_bastion_may_itself_be_behind_one(
    executor: SshExecutor, bastion: SshdHost, host: SshdHost, shared_sshd: SshdHost
) -> None:
    second = replace(shared_sshd.target, bastion=bastion.target)
    outcome = await executor.run(replace(host.target, bastion=second), TRUE)
    assert outcome.is_success, outcome


async def test_a_bastion_with_another_key_is_refused_and_the_host_never_reached(
    executor: SshExecutor, bastion: SshdHost, host: SshdHost, tmp_path: Path
) -> None:
    make_key(tmp_path / "former")
    known = tmp_path / "known_hosts"
    known.write_text(f"[{bastion.address}]:{bastion.port} {public_key(tmp_path / 'former')}\n")
    target = replace(host.target, bastion=replace(bastion.target, known_hosts_file=known))
    outcome = await executor.run(target, TRUE)
    assert outcome.kind is ExecKind.HOST_KEY_REFUSED
    assert f"{host.address} is behind {bastion.address}: " in outcome.detail


async def test_a_host_with_another_key_behind_a_bastion_is_refused(
    executor: SshExecutor, bastion: SshdHost, host: SshdHost, tmp_path: Path
) -> None:
    make_key(tmp_path / "former")
    known = tmp_path / "known_hosts"
    known.write_text(f"[{host.address}]:{host.port} {public_key(tmp_path / 'former')}\n")
    target = replace(host.target, known_hosts_file=known, bastion=bastion.target)
    outcome = await executor.run(target, TRUE)
    assert outcome.kind is ExecKind.HOST_KEY_REFUSED


async def test_a_host_that_is_down_behind_a_bastion_is_unreachable_and_named(
    executor: SshExecutor, bastion: SshdHost, host: SshdHost
) -> None:
    target = replace(host.target, port=1, bastion=bastion.target)
    outcome = await executor.run(target, TRUE)
    assert outcome.kind is ExecKind.UNREACHABLE
    assert f"{host.address}:1 cannot be reached through {bastion.address}" in outcome.detail
    assert (await executor.run(replace(host.target, bastion=bastion.target), TRUE)).is_success


async def test_a_bastion_that_dies_is_a_lost_connection_and_made_anew_afterwards(
    executor: SshExecutor, sshd_of_its_own: Callable[[], SshdHost], host: SshdHost, tmp_path: Path
) -> None:
    bastion = sshd_of_its_own()
    target = replace(host.target, bastion=bastion.target)
    begun = tmp_path / "begun"
    script = f"touch {begun}; exec sleep 7"
    long = Command(argv=("sh", "-c", script), timeout_seconds=60.0)
    running: asyncio.Task[Outcome] = asyncio.create_task(executor.run(target, long))
    while not begun.exists():  # noqa: ASYNC110 - another process sets no event of ours.
        await asyncio.sleep(0.02)
    bastion.cut_sessions()
    assert (await running).kind is ExecKind.CONNECTION_LOST
    assert (await executor.run(target, TRUE)).is_success
