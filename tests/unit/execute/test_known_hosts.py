"""OpenSSH's known-hosts lines, as far as they decide which key a host may show."""

import base64
import hmac
import subprocess
from pathlib import Path

import pytest
from plugins.sshd import make_key, public_key

from healthd.execute.known_hosts import (
    HostKey,
    KnownHostsError,
    KnownKeys,
    host_name,
    read_known_keys,
)


def blob(kind: str, content: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4) + part for part in (kind.encode(), content))


def line(kind: str, content: bytes) -> str:
    return f"{kind} {base64.b64encode(blob(kind, content)).decode()}"


KEY = line("ssh-ed25519", b"one")
OTHER = line("ssh-rsa", b"two")
ONE, TWO = blob("ssh-ed25519", b"one"), blob("ssh-rsa", b"two")
SALT = b"0123456789abcdefghij"


def hashed(name: str, *, salt: bytes = SALT) -> str:
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def known(tmp_path: Path, text: str, address: str = "kafka-1", port: int = 22) -> KnownKeys:
    file = tmp_path / "known_hosts"
    file.write_text(text)
    return read_known_keys(file, address, port)


def trusted(tmp_path: Path, text: str, address: str = "kafka-1", port: int = 22) -> list[bytes]:
    return [key.blob for key in known(tmp_path, text, address, port).trusted]


@pytest.mark.parametrize(
    ("field", "address", "port", "is_known"),
    [
        ("kafka-1", "kafka-1", 22, True),
        ("KAFKA-1", "kafka-1", 22, True),
        ("kafka-1", "KAFKA-1", 22, True),
        ("kafka-1", "kafka-2", 22, False),
        ("kafka-1", "kafka-1", 2222, False),
        ("[kafka-1]:2222", "kafka-1", 2222, True),
        ("[kafka-1]:2222", "kafka-1", 22, False),
        ("[127.0.1.2]:2222,kafka-9", "127.0.1.2", 2222, True),
        ("[kafka-*]:2222", "kafka-7", 2222, True),
        ("[kafka-*]:2222", "k", 2222, False),
        ("[fd00::1]:2222", "fd00::1", 2222, True),
        ("fd00::1", "fd00::1", 22, True),
        ("kafka-?", "kafka-1", 22, True),
        ("kafka-?", "kafka-11", 22, False),
        ("kafka-[12]", "kafka-1", 22, False),
        ("*", "kafka-1", 2222, True),
        ("*,!kafka-1", "kafka-1", 22, False),
        ("*,!kafka-1", "kafka-2", 22, True),
        ("!kafka-1,*", "kafka-1", 22, False),
        ("!kafka-2", "kafka-1", 22, False),
        (hashed("kafka-1"), "kafka-1", 22, True),
        (hashed("kafka-1"), "KAFKA-1", 22, True),
        (hashed("[kafka-1]:2222"), "kafka-1", 2222, True),
        (hashed("kafka-1"), "kafka-2", 22, False),
    ],
)
def test_a_line_is_about_the_hosts_that_it_names(
    tmp_path: Path, field: str, address: str, port: int, *, is_known: bool
) -> None:
    found = trusted(tmp_path, f"{field} {KEY} a comment\n", address, port)
    assert found == ([ONE] if is_known else [])


def test_a_host_may_have_keys_of_several_kinds(tmp_path: Path) -> None:
    text = f"# ours\n\n  # more\nkafka-1 {KEY}\r\nkafka-2 {OTHER}\n\tkafka-1\t{OTHER}\n"
    assert trusted(tmp_path, text) == [ONE, TWO]


def test_a_comment_may_hold_what_python_takes_for_the_end_of_a_line(tmp_path: Path) -> None:
    assert trusted(tmp_path, f"kafka-1 {KEY} by\x0c@nobody\u2028@else\n") == [ONE]


def test_revoked_keys_and_authorities_are_told_apart(tmp_path: Path) -> None:
    found = known(tmp_path, f"@revoked * {KEY}\n@cert-authority *-1,!x {OTHER} ours\n")
    assert found.trusted == ()
    assert [key.blob for key in found.revoked] == [ONE]
    assert [key.blob for key in found.authorities] == [TWO]


def test_markers_count_for_the_hosts_of_their_line_only(tmp_path: Path) -> None:
    text = f"@revoked kafka-2 {KEY}\n@cert-authority kafka-2 {OTHER}\nkafka-1 {KEY}\n"
    found = known(tmp_path, text)
    assert [key.blob for key in found.trusted] == [ONE]
    assert not found.revoked
    assert not found.authorities


@pytest.mark.parametrize("revoked_first", [True, False])
def test_what_is_revoked_is_neither_trusted_nor_an_authority(
    tmp_path: Path, *, revoked_first: bool
) -> None:
    lines = [f"@revoked * {KEY}", f"kafka-1 {KEY}", f"@cert-authority * {KEY}"]
    text = "\n".join(lines if revoked_first else reversed(lines))
    found = known(tmp_path, text)
    assert (found.trusted, found.authorities) == ((), ())
    assert [key.blob for key in found.revoked] == [ONE]


CERTIFICATE = line("ssh-ed25519-cert-v01@openssh.com", b"three")
MISLABELLED = KEY.replace("ssh-ed25519", "ssh-rsa")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kafka-1", "holds no key"),
        ("kafka-1 ssh-ed25519", "holds no key"),
        ("kafka-1 ssh-ed25519 ***", "not base64"),
        ("kafka-1 ssh-ed25519 =", "no key"),
        ("kafka-1 ssh-ed25519 AAAA", "not of the kind ssh-ed25519"),
        (f"kafka-1 {MISLABELLED}", "not of the kind ssh-rsa"),
        (f"kafka-1 {CERTIFICATE}", "certificate"),
        ("kafka-1 1024 35 1234567890", "SSH protocol 1"),
        ("@revoked * ssh-ed25519 ***", "not base64"),
        ("@cert-authority * ssh-ed25519", "holds no key"),
        ("@revoked", "ends after its marker"),
        (f"@Revoked * {KEY}", "marker '@Revoked'"),
        (f"@trusted kafka-2 {KEY}", "marker '@trusted'"),
        (f"@cert-authority @revoked * {KEY}", "two markers"),
        (f"|1|broken|lines {KEY}", "hashed name"),
        (f"|2{hashed('kafka-2')[2:]} {KEY}", "hashed name"),
        (f"{hashed('kafka-2', salt=b'short')} {KEY}", "hashed name"),
        (f"{hashed('kafka-2')},kafka-1 {KEY}", "hashed name"),
        (f"kafka-2,,kafka-1 {KEY}", "pattern"),
        (f"kafka-2,! {KEY}", "pattern"),
    ],
)
def test_a_line_that_may_be_about_the_host_and_is_not_understood_is_refused_by_its_place(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(KnownHostsError) as refused:
        known(tmp_path, f"kafka-1 {KEY}\n{text}\n")
    assert str(refused.value).startswith(f"{tmp_path / 'known_hosts'}:2: ")
    assert says in str(refused.value)


@pytest.mark.parametrize(("address", "port"), [("kafka-1", 22), ("kafka-1", 2222), ("::1", 22)])
def test_what_ssh_keygen_has_hashed_is_found(tmp_path: Path, address: str, port: int) -> None:
    make_key(tmp_path / "host")
    key = public_key(tmp_path / "host")
    file = tmp_path / "known_hosts"
    file.write_text(f"{host_name(address, port)} {key}\nkafka-9 {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "kafka" not in file.read_text()
    assert len(read_known_keys(file, address, port).trusted) == 1
    assert not read_known_keys(file, "kafka-2", port).trusted


def test_a_broken_line_about_another_host_does_not_matter(tmp_path: Path) -> None:
    assert trusted(tmp_path, f"kafka-2 nonsense\nkafka-1 {KEY}\n") == [ONE]


@pytest.mark.parametrize("content", [None, b"\xff\xfe kafka-1\n"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "known_hosts"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KnownHostsError, match="cannot be read"):
        read_known_keys(file, "kafka-1", 22)


def test_a_fingerprint_is_what_ssh_keygen_prints() -> None:
    # printf one | openssl dgst -sha256 -binary | base64, without its padding.
    key = HostKey(kind="ssh-ed25519", blob=b"one")
    assert str(key) == "ssh-ed25519 SHA256:dpLDrTVAu4A8Ags67mbNiIcSMjTqDG5xQ8Ct1z/0Me0"


def test_the_port_is_part_of_the_name_unless_it_is_the_usual_one() -> None:
    assert host_name("h", 22) == "h"
    assert host_name("h", 2222) == "[h]:2222"
