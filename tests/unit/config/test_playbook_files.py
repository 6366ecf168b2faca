"""Playbooks as files: what they send, its digests, and which of them may be run."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.playbook_digests import DigestList
from healthd.config.playbooks import (
    PlaybookNotFound,
    load_playbook,
    playbook_files,
    read_playbook,
    read_playbook_file,
)
from healthd.config.problems import ConfigError
from healthd.waves.pins import playbook_digest

WriteFile = Callable[..., Path]
HEAD = "apiVersion: healthd/v1\nkind: Playbook\nname: p\n"
PLAIN = f"{HEAD}steps:\n  - {{name: a, waitFor: {{port: 22}}, timeoutSeconds: 60}}\n"


def sending(source: str, more: str = "") -> str:
    action = f"upload: {{source: {source}, path: /etc/a{more}}}"
    return f"{HEAD}steps:\n  - {{name: a, {action}, timeoutSeconds: 60}}\n"


def problem(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    (found,) = caught.value.problems
    return str(found)


def test_the_files_that_are_sent_are_pinned_by_their_digests(write: WriteFile) -> None:
    write("a.conf", "one")
    playbook = read_playbook(write("p.yaml", sending("a.conf")))
    assert playbook.files == (("a.conf", hashlib.sha256(b"one").hexdigest()),)
    assert Path(playbook.folder).is_absolute()


def test_a_playbook_that_sends_nothing_has_no_folder(write: WriteFile) -> None:
    playbook = read_playbook(write("p.yaml", PLAIN))
    assert (playbook.folder, playbook.files) == ("", ())


def test_a_file_that_is_not_there_is_told_where_it_is_named(write: WriteFile) -> None:
    path = write("p.yaml", sending("a.conf"))
    assert problem(lambda: read_playbook(path)) == (
        f"{path}:5:32: steps[0].upload.source: a.conf cannot be read: No such file or directory"
        " -> put it beside the playbook"
    )


def test_a_link_that_leads_out_of_the_folder_is_refused(write: WriteFile, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write("secret", "x")
    (inner / "a.conf").symlink_to(tmp_path / "secret")
    path = inner / "p.yaml"
    path.write_text(sending("a.conf"), "utf-8")
    assert "leads out of the playbook's folder" in problem(lambda: read_playbook(path))


def test_a_link_to_itself_is_no_traceback(write: WriteFile, tmp_path: Path) -> None:
    (tmp_path / "a.conf").symlink_to(tmp_path / "a.conf")
    path = write("p.yaml", sending("a.conf"))
    assert "a.conf cannot be read" in problem(lambda: read_playbook(path))


def test_a_file_larger_than_what_is_sent_is_refused(write: WriteFile, tmp_path: Path) -> None:
    with (tmp_path / "a.conf").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    path = write("p.yaml", sending("a.conf"))
    assert "has more than 16777216 bytes" in problem(lambda: read_playbook(path))


def test_a_playbook_larger_than_a_megabyte_is_refused_unread(write: WriteFile) -> None:
    path = write("p.yaml", b"# " + b"x" * 1_000_000)
    assert problem(lambda: read_playbook(path)) == (
        f"{path}:1:1: is larger than 1000000 bytes -> split it, or name the right file"
    )


def test_a_key_that_stands_twice_keeps_a_playbook_from_being_run(write: WriteFile) -> None:
    path = write("p.yaml", f"{PLAIN}name: p\n")
    assert "key name is here twice" in problem(lambda: read_playbook(path))


def test_a_file_of_another_name_than_its_playbook_is_refused(
    write: WriteFile, tmp_path: Path
) -> None:
    write("other.yaml", PLAIN)
    assert "has the name p" in problem(lambda: load_playbook("other", tmp_path))
    with pytest.raises(PlaybookNotFound, match=r"there are: .*other"):
        load_playbook("none", tmp_path)


def test_all_playbooks_are_listed_ours_before_those_that_are_shipped(
    write: WriteFile, tmp_path: Path
) -> None:
    write("rolling-restart.yaml", PLAIN.replace("name: p", "name: rolling-restart", 1))
    write("wrong.yaml", HEAD)
    found = playbook_files(tmp_path)
    (own,) = [
        each
        for each in found
        if not isinstance(each, ConfigError) and each.playbook.name == "rolling-restart"
    ]
    assert own.path.parent == tmp_path
    assert sum(isinstance(each, ConfigError) for each in found) == 1


# --- Which may be run -------------------------------------------------------------------------


@pytest.fixture
def digest(write: WriteFile) -> str:
    return read_playbook_file(write("p.yaml", PLAIN)).digest


@pytest.mark.parametrize(
    "line",
    ["{}  p", "{}", "# a comment\n\n{}  *playbooks/p.yaml  # ann", "{}  other\n{}  p", "{}\n{}  q"],
)
def test_a_playbook_whose_digest_is_in_the_list_may_be_run(
    line: str, digest: str, write: WriteFile, tmp_path: Path
) -> None:
    listed = write("digests", line.format(digest, digest))
    assert load_playbook("p", tmp_path, listed).name == "p"


def test_another_name_or_another_digest_is_refused_with_the_line_to_add(
    digest: str, write: WriteFile, tmp_path: Path
) -> None:
    for line in ("", f"{digest}  other\n", f"{'0' * 64}  p\n"):
        listed = write("digests", line)
        assert problem(lambda listed=listed: load_playbook("p", tmp_path, listed)) == (  # type: ignore[misc]
            f"{tmp_path / 'p.yaml'}: the playbook p is not allowed: {listed} has no digest {digest}"
            f" for it -> look through the playbook, then add the line: {digest}  p"
        )


def test_a_playbook_that_is_asked_for_by_its_digest_is_exactly_that_one(
    digest: str, tmp_path: Path
) -> None:
    by_name, by_digest = (load_playbook(name, tmp_path) for name in ("p", f"p@sha256:{digest}"))
    assert (by_name.reference, by_digest.reference) == ("p", f"p@sha256:{digest}")
    assert playbook_digest(by_name) == playbook_digest(by_digest)
    other = "0" * 64
    assert problem(lambda: load_playbook(f"p@sha256:{other}", tmp_path)) == (
        f"{tmp_path / 'p.yaml'}: the playbook p is not the one that is asked for: it has the digest"
        f" {digest}, not {other} -> look at what has changed, then ask for p@sha256:{digest}"
    )
    for reference in (f"p@sha256:{digest[:-1]}", f"p@{digest}", f"../p@sha256:{digest}"):
        with pytest.raises(PlaybookNotFound):
            load_playbook(reference, tmp_path)


def test_a_list_that_cannot_be_read_allows_nothing(
    digest: str, write: WriteFile, tmp_path: Path
) -> None:
    missing = tmp_path / "none"
    assert "cannot be read" in problem(lambda: load_playbook("p", tmp_path, missing))
    bad = write("digests", f"{digest}  p\nhunter2\n")
    found = problem(lambda: load_playbook("p", tmp_path, bad))
    assert found == f"{bad}:2:1: is no digest -> write SHA256  NAME, as healthd playbook digest"
    large = write("digests", "#" * 1_000_001)
    assert "is larger than" in problem(lambda: DigestList.read(large))
