"""Host certificates of ssh-keygen: what one has to say before a host is believed."""

import base64
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from plugins.sshd import make_key

from healthd.execute.host_keys import PLAIN_ALGORITHMS, Shown, asked_algorithms, why_refused
from healthd.execute.known_hosts import HostKey, KnownKeys

NOW: Final = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC.
KINDS: Final = ("ed25519", "ecdsa", "rsa")


def read(path: Path) -> HostKey:
    kind, encoded = path.read_text().split()[:2]
    return HostKey(kind=kind, blob=base64.b64decode(encoded))


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Signs host keys, as its owner would."""

    folder: Path

    def key(self, name: str) -> HostKey:
        return read(self.folder / f"{name}.pub")

    def sign(self, *options: str, host: str = "host-ed25519", by: str = "ed25519") -> Shown:
        """What the host shows with a certificate made with these options of ssh-keygen."""
        command = ["ssh-keygen", "-q", "-s", str(self.folder / by), "-I", "kafka-1", *options]
        path = self.folder / f"{host}.pub"
        made = subprocess.run(
            [*command, str(path)],
            check=False,
            capture_output=True,
            text=True,
            env={"TZ": "UTC", "PATH": "/usr/bin"},
        )
        assert made.returncode == 0, made.stderr
        return Shown(key=read(path), certificate=read(self.folder / f"{host}-cert.pub"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    for kind in KINDS:
        make_key(folder / kind, kind)
        make_key(folder / f"host-{kind}", kind)
    return Authority(folder=folder)


FOR_US: Final = ("-h", "-n", "kafka-1")


def verdict(authority: Authority, shown: Shown, **changes: object) -> str | None:
    known = KnownKeys(authorities=tuple(authority.key(kind) for kind in KINDS))
    given: dict[str, object] = {"address": "kafka-1", "known": known, "now": NOW, **changes}
    return why_refused(shown, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", [f"host-{kind}" for kind in KINDS])
@pytest.mark.parametrize("by", KINDS)
def test_a_certificate_of_a_known_authority_is_believed(
    authority: Authority, host: str, by: str
) -> None:
    assert verdict(authority, authority.sign(*FOR_US, host=host, by=by)) is None


def test_an_rsa_authority_may_sign_with_sha_256(authority: Authority) -> None:
    assert verdict(authority, authority.sign(*FOR_US, "-t", "rsa-sha2-256", by="rsa")) is None


def test_an_rsa_authority_may_not_sign_with_sha_1(authority: Authority) -> None:
    shown = authority.sign(*FOR_US, "-t", "ssh-rsa", by="rsa")
    assert "signed with ssh-rsa" in str(verdict(authority, shown))


@pytest.mark.parametrize(
    ("principals", "address", "is_for_it"),
    [
        ("kafka-2,kafka-1", "kafka-1", True),
        ("kafka-1", "KAFKA-1", True),
        ("kafka-?", "kafka-1", True),
        ("*.example.net", "kafka-1.example.net", True),
        ("*.example.net", "kafka-1.example.org", False),
        ("kafka-1", "kafka-11", False),
        ("kafka-[12]", "kafka-1", False),
        ("10.0.0.1", "10.0.0.1", True),
    ],
)
def test_a_certificate_counts_for_the_hosts_that_it_names(
    authority: Authority, principals: str, address: str, *, is_for_it: bool
) -> None:
    refused = verdict(authority, authority.sign("-h", "-n", principals), address=address)
    assert (refused is None) is is_for_it
    assert is_for_it or f"not for {address}" in str(refused)


def test_a_certificate_that_names_no_host_counts_for_none(authority: Authority) -> None:
    assert "names no host" in str(verdict(authority, authority.sign("-h")))


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (NOW - 1, "valid only from 2027-01-15 08:00:00 UTC"),
        (NOW, None),
        (NOW + 59, None),
        (NOW + 60, "was valid until 2027-01-15 08:01:00 UTC"),
    ],
)
def test_a_certificate_counts_while_it_is_valid(
    authority: Authority, now: float, says: str | None
) -> None:
    shown = authority.sign(*FOR_US, "-V", "20270115080000:20270115080100")
    refused = verdict(authority, shown, now=now)
    assert refused is None if says is None else says in str(refused)


def test_a_users_certificate_proves_no_host(authority: Authority) -> None:
    assert "user's certificate" in str(verdict(authority, authority.sign("-n", "kafka-1")))


def test_critical_options_are_not_understood_and_refused_by_name(authority: Authority) -> None:
    shown = authority.sign(*FOR_US, "-O", "critical:only-by-day=yes")
    assert "only-by-day" in str(verdict(authority, shown))


def test_extensions_that_are_not_critical_do_not_matter(authority: Authority) -> None:
    assert verdict(authority, authority.sign(*FOR_US, "-O", "extension:note@x=yes")) is None


def test_an_authority_that_is_not_known_is_refused_with_its_fingerprint(
    authority: Authority,
) -> None:
    known = KnownKeys(authorities=(authority.key("rsa"),))
    refused = verdict(authority, authority.sign(*FOR_US), known=known)
    assert authority.key("ed25519").fingerprint in str(refused)


@pytest.mark.parametrize("name", ["ed25519", "host-ed25519"])
def test_neither_a_revoked_authority_nor_a_revoked_key_is_believed(
    authority: Authority, name: str
) -> None:
    known = KnownKeys(
        authorities=(authority.key("ed25519"),),
        # Its reader leaves revoked authorities out; this does not rely on it.
        revoked=(authority.key(name),),
    )
    assert "revoked" in str(verdict(authority, authority.sign(*FOR_US), known=known))


def test_a_key_that_is_listed_itself_needs_no_certificate_that_counts(
    authority: Authority,
) -> None:
    shown = authority.sign("-h", "-n", "another-host")
    known = KnownKeys(trusted=(shown.key,), authorities=(authority.key("ed25519"),))
    assert verdict(authority, shown, known=known) is None


def test_a_certificate_about_another_key_than_the_host_owns_is_refused(
    authority: Authority,
) -> None:
    certificate = authority.sign(*FOR_US).certificate
    shown = Shown(key=authority.key("host-rsa"), certificate=certificate)
    assert "another key" in str(verdict(authority, shown))


@pytest.mark.parametrize("host", [f"host-{kind}" for kind in KINDS])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]),
        lambda blob: blob.replace(b"kafka-1", b"kafka-9"),
        lambda blob: blob[: len(blob) // 2],
        lambda blob: blob[:40],
        lambda blob: blob + b"\x00",
    ],
    ids=["signature", "content", "half", "head", "longer"],
)
def test_a_certificate_that_was_tampered_with_is_refused(
    authority: Authority, host: str, spoil: Callable[[bytes], bytes]
) -> None:
    shown = authority.sign(*FOR_US, host=host)
    assert shown.certificate is not None
    spoiled = HostKey(kind=shown.certificate.kind, blob=spoil(shown.certificate.blob))
    for address in ("kafka-1", "kafka-9"):
        refused = verdict(authority, Shown(key=shown.key, certificate=spoiled), address=address)
        assert refused is not None


@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_byte_and_no_missing_end_is_believed_or_ends_in_a_traceback(
    authority: Authority, kind: str
) -> None:
    shown = authority.sign(*FOR_US, host=f"host-{kind}", by=kind)
    assert shown.certificate is not None
    whole = shown.certificate.blob
    for at in range(len(whole)):
        flipped = whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :]
        for blob in (flipped, whole[:at]):
            spoiled = HostKey(kind=shown.certificate.kind, blob=blob)
            assert verdict(authority, Shown(key=shown.key, certificate=spoiled)) is not None, at


def test_certificates_are_asked_for_only_where_an_authority_is_known(
    authority: Authority,
) -> None:
    assert asked_algorithms(KnownKeys()) == PLAIN_ALGORITHMS
    with_authority = asked_algorithms(KnownKeys(authorities=(authority.key("rsa"),)))
    assert with_authority[0] == "ssh-ed25519-cert-v01@openssh.com"
    assert with_authority[-len(PLAIN_ALGORITHMS) :] == PLAIN_ALGORITHMS


def test_a_known_kind_of_key_is_asked_for_first(authority: Authority) -> None:
    asked = asked_algorithms(KnownKeys(trusted=(authority.key("rsa"),)))
    assert asked[:2] == ("rsa-sha2-512", "rsa-sha2-256")
    assert set(asked) == set(PLAIN_ALGORITHMS)


def test_a_listed_key_of_a_kind_that_cannot_be_used_is_not_asked_for() -> None:
    dsa = HostKey(kind="ssh-dss", blob=b"x")
    assert asked_algorithms(KnownKeys(trusted=(dsa,))) == PLAIN_ALGORITHMS
