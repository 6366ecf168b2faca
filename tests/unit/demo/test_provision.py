from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from healthd.demo import provision
from healthd.demo.provision import Program, ProvisionError

CONTENT = b"a jar"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / "kafka.jar").write_bytes(CONTENT)
    return folder


@pytest.mark.parametrize(
    ("pinned", "problem"),
    [
        pytest.param({"kafka.jar": DIGEST}, None, id="the same"),
        pytest.param({"kafka.jar": "0" * 64}, "kafka.jar has SHA-256", id="another content"),
        pytest.param({}, "kafka.jar is not in checksums.txt", id="not pinned"),
        pytest.param({"kafka.jar": DIGEST, "b.jar": DIGEST}, "b.jar is missing", id="missing"),
    ],
)
def test_jars_are_refused_unless_they_are_the_pinned_ones(
    jars: Path, pinned: dict[str, str], problem: str | None
) -> None:
    problems = provision.compare_checksums(jars, pinned)
    assert len(problems) == (problem is not None)
    assert all(str(problem) in text for text in problems)


@pytest.mark.parametrize(
    ("need", "jar"),
    [("kafka", "kafka_2.13-4.1.0.jar"), ("zookeeper", "zookeeper-3.8.4.jar")],
)
def test_every_checksum_is_pinned_in_the_shipped_file(need: str, jar: str) -> None:
    pinned = provision.read_checksums(need)
    assert jar in pinned
    assert all(len(digest) == 64 for digest in pinned.values())


def test_an_unknown_need_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ProvisionError, match="'kafak'; there are: kafka, sshd"):
        provision.ensure(["kafak"])


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = Program("zorn", "zorn-server", "zorn", lambda: False)
    monkeypatch.setitem(provision.PROGRAMS, "sshd", (program,))
    monkeypatch.setenv("HEALTHD_CACHE", str(tmp_path))


@pytest.mark.usefixtures("missing")
def test_what_is_missing_is_listed_with_its_package_when_it_may_not_be_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert provision.main(["--need", "sshd"]) == 1
    assert "zorn (Debian package zorn-server)" in capsys.readouterr().err


@pytest.mark.usefixtures("missing")
def test_root_on_debian_updates_the_lists_before_it_installs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(provision, "find_program", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(ProvisionError, match="still not found: zorn"):
        provision.ensure(["sshd"])
    assert [command[-1] for command in commands] == ["update", "zorn-server"]


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    # -I -S: no site-packages, no current folder, as the system's Python before any installation.
    source = Path(provision.__file__)
    copy = tmp_path / "provision.py"
    copy.write_bytes(source.read_bytes())
    python = ["python3", "-I", "-S", str(copy), "--help"]
    result = subprocess.run(python, capture_output=True, text=True, check=False)
    assert (result.returncode, "--need" in result.stdout) == (0, True)


def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEALTHD_CACHE", str(tmp_path))
    assert provision.jars_folder().parent == tmp_path
