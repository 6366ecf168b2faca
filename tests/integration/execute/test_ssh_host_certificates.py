"""Host certificates against a real sshd: believed for what they say, refused with the reason."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugins.sshd import SshdHost, make_key, public_key, running_host

from healthd.execute.protocol import Command, ExecKind, Outcome
from healthd.execute.ssh import SshExecutor

KINDS = ("ed25519", "ecdsa", "rsa")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Host keys of every kind with certificates, their authority, and a stranger."""
    made = tmp_path_factory.mktemp("certified")
    for name in ("authority", "stranger"):
        make_key(made / name)
    for kind in KINDS:
        make_key(made / kind, kind)
        sign = ["ssh-keygen", "-q", "-s", str(made / "authority"), "-I", kind, "-h"]
        sign += ["-n", "127.0.45.1", str(made / f"{kind}.pub")]
        subprocess.run(sign, check=True)
    return made


@pytest.fixture(scope="module", params=KINDS)
def certified(request: pytest.FixtureRequest, folder: Path) -> Iterator[SshdHost]:
    """An sshd that has a certificate for its key of one kind."""
    kind = request.param
    settings = f"HostKey {folder}/{kind}\nHostCertificate {folder}/{kind}-cert.pub\n"
    with running_host(folder / f"sshd-{kind}", "127.0.45.1", settings=settings) as host:
        yield host


async def outcome_with(host: SshdHost, known_hosts: str) -> Outcome:
    file = host.folder / "known_hosts"
    file.write_text(known_hosts)
    executor = SshExecutor(pool_size=1)
    try:
        return await executor.run(host.target, Command(argv=("true",), timeout_seconds=30.0))
    finally:
        await executor.aclose()


async def test_a_host_is_believed_by_its_certificate_alone(
    certified: SshdHost, folder: Path
) -> None:
    line = f"@cert-authority [127.0.45.*]:* {public_key(folder / 'authority')}\n"
    assert (await outcome_with(certified, line)).is_success


async def test_a_certificate_of_a_stranger_is_refused_with_who_signed_it(
    certified: SshdHost, folder: Path
) -> None:
    line = f"@cert-authority * {public_key(folder / 'stranger')}\n"
    outcome = await outcome_with(certified, line)
    assert outcome.kind is ExecKind.HOST_KEY_REFUSED
    assert "is not among the known ones" in outcome.detail
    assert "a certificate of ssh-ed25519 SHA256:" in outcome.detail


async def test_a_revoked_authority_proves_nothing(certified: SshdHost, folder: Path) -> None:
    key = public_key(folder / "authority")
    outcome = await outcome_with(certified, f"@cert-authority * {key}\n@revoked * {key}\n")
    assert outcome.kind is ExecKind.HOST_KEY_REFUSED


async def test_a_key_that_is_listed_is_believed_though_its_certificate_is_not(
    certified: SshdHost, folder: Path
) -> None:
    # The authority's line makes the host show its certificate, as the test above proves.
    name = f"[{certified.address}]:{certified.port}"
    lines = [f"{name} {public_key(folder / kind)}\n" for kind in KINDS]
    lines.append(f"@cert-authority * {public_key(folder / 'stranger')}\n")
    assert (await outcome_with(certified, "".join(lines))).is_success


async def test_a_certificate_for_another_host_is_refused(folder: Path) -> None:
    settings = f"HostCertificate {folder}/ed25519-cert.pub\nHostKey {folder}/ed25519\n"
    with running_host(folder / "elsewhere", "127.0.45.2", settings=settings) as host:
        line = f"@cert-authority * {public_key(folder / 'authority')}\n"
        outcome = await outcome_with(host, line)
    assert outcome.kind is ExecKind.HOST_KEY_REFUSED
    assert "it is for 127.0.45.1, not for 127.0.45.2" in outcome.detail
