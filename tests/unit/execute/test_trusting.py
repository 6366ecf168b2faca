"""Adding keys to a known-hosts file: only new ones, as a whole, and nothing is ever taken out."""

import os
import stat
from pathlib import Path

import pytest

from healthd.execute.known_hosts import (
    HostKey,
    KnownHostsError,
    KnownKeys,
    host_name,
    read_known_keys,
)
from healthd.execute.trusting import add_keys, compared, known_so_far


def key(kind: str, content: bytes) -> HostKey:
    parts = (kind.encode(), content)
    return HostKey(kind=kind, blob=b"".join(len(one).to_bytes(4) + one for one in parts))


ED, ED_AGAIN = key("ssh-ed25519", b"one"), key("ssh-ed25519", b"other")
RSA, EC = key("ssh-rsa", b"two"), key("ecdsa-sha2-nistp256", b"three")


@pytest.mark.parametrize(
    ("known", "offered", "states"),
    [
        (KnownKeys(), [ED, RSA], "new new"),
        (KnownKeys(trusted=(ED,)), [ED], "same"),
        (KnownKeys(trusted=(ED,)), [ED, RSA], "same new"),
        (KnownKeys(trusted=(ED,)), [ED_AGAIN], "CHANGED"),
        (KnownKeys(trusted=(ED, RSA)), [ED_AGAIN, RSA], "CHANGED same"),
        (KnownKeys(trusted=(ED,)), [RSA, EC], "CHANGED CHANGED"),
        (KnownKeys(trusted=(ED, ED_AGAIN)), [ED_AGAIN], "same"),
        (KnownKeys(revoked=(ED,)), [ED, RSA], "REVOKED new"),
        (KnownKeys(authorities=(ED,)), [RSA], "new"),
    ],
)
def test_an_offered_key_is_compared_with_all_that_is_known(
    known: KnownKeys, offered: list[HostKey], states: str
) -> None:
    assert " ".join(one.state for one in compared(offered, known)) == states


@pytest.mark.parametrize(("address", "port"), [("kafka-1", 22), ("KAFKA-1", 2222), ("fd00::1", 22)])
def test_what_is_added_is_known_afterwards_and_only_the_owner_may_read_it(
    tmp_path: Path, address: str, port: int
) -> None:
    file = tmp_path / "known_hosts"
    assert add_keys(file, address, port, [ED, RSA]) == 2
    assert read_known_keys(file, address, port).trusted == (ED, RSA)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text().startswith(host_name(address.lower(), port))


@pytest.mark.parametrize("end", ["", "\n"])
def test_what_was_in_the_file_stays_byte_for_byte(tmp_path: Path, end: str) -> None:
    file = tmp_path / "known_hosts"
    before = f"# ours\r\n\nkafka-9 nonsense\n@revoked kafka-8 x{end}"
    file.write_bytes(before.encode())
    add_keys(file, "kafka-1", 22, [ED])
    lines = file.read_bytes().decode()
    assert lines.startswith(before.rstrip("\n") + "\nkafka-1 ssh-ed25519 ")


@pytest.mark.parametrize(
    ("before", "after"), [(0o600, 0o600), (0o640, 0o640), (0o644, 0o644), (0o666, 0o644)]
)
def test_who_could_read_the_file_still_can_and_only_its_owner_may_write_it(
    tmp_path: Path, before: int, after: int
) -> None:
    file = tmp_path / "known_hosts"
    file.touch()
    file.chmod(before)
    add_keys(file, "kafka-1", 22, [ED])
    assert stat.S_IMODE(file.stat().st_mode) == after


def test_a_key_that_is_known_already_is_not_added_again(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    add_keys(file, "kafka-1", 22, [ED])
    before = file.stat().st_ino
    assert add_keys(file, "kafka-1", 22, [ED]) == 0
    assert file.stat().st_ino == before


def test_a_key_that_changed_while_a_person_compared_is_not_added(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    add_keys(file, "kafka-1", 22, [ED])
    before = file.read_bytes()
    with pytest.raises(KnownHostsError, match="CHANGED"):
        add_keys(file, "kafka-1", 22, [ED_AGAIN])
    assert file.read_bytes() == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    link = tmp_path / "known_hosts"
    link.symlink_to(tmp_path / "etc/hosts")
    add_keys(link, "kafka-1", 22, [ED])
    assert link.is_symlink()
    assert known_so_far(tmp_path / "etc/hosts", "kafka-1", 22).trusted == (ED,)


def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "known_hosts"
    add_keys(file, "kafka-1", 22, [ED])
    before = file.read_bytes()

    def no_space(handle: int, mode: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", no_space)
    with pytest.raises(OSError, match="No space"):
        add_keys(file, "kafka-2", 22, [RSA])
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert known_so_far(tmp_path / "none", "kafka-1", 22) == KnownKeys()
