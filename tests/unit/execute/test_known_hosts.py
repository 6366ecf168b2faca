"""OpenSSH's known-hosts lines, as far as they decide which key a host may show."""

import base64
import hmac
from pathlib import Path

import pytest

from healthd.execute.known_hosts import HostKey, KnownHostsError, host_name, read_known_keys

KEY = "ssh-ed25519 " + base64.b64encode(b"one").decode()
OTHER = "ssh-rsa " + base64.b64encode(b"two").decode()


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def trusted(tmp_path: Path, text: str, address: str = "kafka-1", port: int = 22) -> list[bytes]:
    file = tmp_path / "known_hosts"
    file.write_text(text)
    return [key.blob for key in read_known_keys(file, address, port).trusted]


@pytest.mark.parametrize(
    ("field", "address", "port", "is_known"),
    [
        ("kafka-1", "kafka-1", 22, True),
        ("KAFKA-1", "kafka-1", 22, True),
        ("kafka-1", "kafka-2", 22, False),
        ("kafka-1", "kafka-1", 2222, False),
        ("[kafka-1]:2222", "kafka-1", 2222, True),
        ("[kafka-1]:2222", "kafka-1", 22, False),
        ("[127.0.1.2]:2222,kafka-9", "127.0.1.2", 2222, True),
        ("kafka-?", "kafka-1", 22, True),
        ("*", "kafka-1", 2222, True),
        ("*,!kafka-1", "kafka-1", 22, False),
        ("*,!kafka-1", "kafka-2", 22, True),
        (hashed("kafka-1"), "kafka-1", 22, True),
        (hashed("[kafka-1]:2222"), "kafka-1", 2222, True),
        (hashed("kafka-1"), "kafka-2", 22, False),
        ("|1|broken|lines", "kafka-1", 22, False),
    ],
)
def test_a_line_is_about_the_hosts_that_it_names(
    tmp_path: Path, field: str, address: str, port: int, *, is_known: bool
) -> None:
    found = trusted(tmp_path, f"{field} {KEY} a comment\n", address, port)
    assert found == ([b"one"] if is_known else [])


def test_a_host_may_have_keys_of_several_kinds(tmp_path: Path) -> None:
    text = f"# ours\n\nkafka-1 {KEY}\nkafka-2 {OTHER}\nkafka-1 {OTHER}\n"
    assert trusted(tmp_path, text) == [b"one", b"two"]


def test_revoked_keys_are_told_apart_and_authorities_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"@revoked * {KEY}\n@cert-authority * {OTHER}\n")
    found = read_known_keys(file, "kafka-1", 22)
    assert found.trusted == ()
    assert [key.blob for key in found.revoked] == [b"one"]


@pytest.mark.parametrize("rest", ["", "ssh-ed25519", "ssh-ed25519 ***", "ssh-ed25519 ="])
def test_a_broken_line_about_the_host_is_an_error_with_its_number(
    tmp_path: Path, rest: str
) -> None:
    with pytest.raises(KnownHostsError, match="line 2"):
        trusted(tmp_path, f"# one\nkafka-1 {rest}\n")


def test_a_broken_line_about_another_host_does_not_matter(tmp_path: Path) -> None:
    assert trusted(tmp_path, f"kafka-2 nonsense\nkafka-1 {KEY}\n") == [b"one"]


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KnownHostsError, match="cannot be read"):
        read_known_keys(tmp_path / "none", "kafka-1", 22)


def test_a_fingerprint_is_what_ssh_keygen_prints() -> None:
    # printf one | openssl dgst -sha256 -binary | base64, without its padding.
    key = HostKey(kind="ssh-ed25519", blob=b"one")
    assert str(key) == "ssh-ed25519 SHA256:dpLDrTVAu4A8Ags67mbNiIcSMjTqDG5xQ8Ct1z/0Me0"


def test_the_port_is_part_of_the_name_unless_it_is_the_usual_one() -> None:
    assert host_name("h", 22) == "h"
    assert host_name("h", 2222) == "[h]:2222"
