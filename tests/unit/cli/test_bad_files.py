"""Files that are none of those that a command wants: one line says so, and the exit code.

A check exits 2 when a file cannot be opened, 3 when it has problems (contract.md section 1); `wave
start` is no check, there both are 2.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from healthd.cli.app import cli
from healthd.cli.playbook import COMMANDS
from healthd.config.checkers import CHECKERS, check_file
from healthd.waves.problems import KIND

PLAYBOOK = """\
apiVersion: healthd/v1
kind: Playbook
name: p
steps:
  - {name: wait, waitFor: {port: 22}, timeoutSeconds: 60}
"""
WAVE = """\
apiVersion: healthd/v1
kind: Wave
name: w
reason: CHG-1
playbook: rolling-restart
stages:
  - {name: one, clusters: [a]}
"""
MANIFEST = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: 3}\n"

OF_PLAYBOOKS = [("playbook", name) for name in COMMANDS]
CHECKS = [*OF_PLAYBOOKS, ("check-config",)]
ALL = [*CHECKS, ("wave", "start")]

FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "{file}:1:1: the file is empty"),
    "binary": (b"\x7fELF\x02\x01\x01\x00\xff\xfe", "{file}:1:9: is not UTF-8 text"),
    "zeros": (bytes(64), "{file}:1:1: not YAML: a control character"),
    "list": (b"- a\n- b\n", "{file}:1:1: the top of the file must be a mapping, not a list"),
    "text": (b"hello\n", "{file}:1:1: the top of the file must be a mapping, not text"),
}


def run(*words: object, text: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], input=text)


def told(result: Result) -> str:
    """The one line that a command prints, without the code that `lint` puts in it."""
    (line,) = result.output.splitlines()
    return line.replace("error[no-yaml]: ", "").replace("error[invalid]: ", "")


def named(words: tuple[str, ...]) -> str:
    return " ".join(words)


@pytest.mark.parametrize("words", OF_PLAYBOOKS, ids=named)
def test_every_playbook_command_tells_a_playbook_with_problems_from_one_it_cannot_open(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    good, wrong = tmp_path / "p.yaml", tmp_path / "wrong.yaml"
    good.write_text(PLAYBOOK, "utf-8")
    wrong.write_text(PLAYBOOK.replace("name: p\n", "name: wrong\n").replace("22", "x"), "utf-8")
    assert run(*words, good).exit_code == 0
    assert run(*words, "-", text=PLAYBOOK.encode()).exit_code == 0
    result = run(*words, wrong)
    assert result.exit_code == 3
    assert told(result).startswith(f"{wrong}:5:34: steps[0].waitFor.port: ")
    result = run(*words, tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert told(result) == (
        f"{tmp_path}/none.yaml: cannot be opened: No such file or directory"
        " -> check the path and its permissions"
    )


@pytest.mark.parametrize("words", ALL, ids=named)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_configuration_at_all_is_one_line(
    words: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    content, expected = FILES[name]
    file = tmp_path / "f.yaml"
    file.write_bytes(content)
    result = run(*words, file)
    assert result.exit_code == (3 if words in CHECKS else 2)
    assert told(result).startswith(expected.format(file=file))
    assert " -> " in told(result)


@pytest.mark.parametrize("words", ALL, ids=named)
def test_a_folder_cannot_be_opened(words: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*words, tmp_path)
    assert result.exit_code == 2
    assert told(result).startswith(f"{tmp_path}: cannot be opened: ")


@pytest.mark.parametrize("words", ALL, ids=named)
def test_a_file_that_one_may_not_read_cannot_be_opened(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(PLAYBOOK, "utf-8")
    file.chmod(0)
    done = subprocess.run(
        [*_without_privileges(), sys.executable, "-m", "healthd", *words, str(file)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"{file}: cannot be opened: Permission denied -> check the path and its permissions\n"
    )


def _without_privileges() -> list[str]:
    """Root reads every file unless it is kept from it."""
    if os.geteuid():
        return []
    capabilities = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}"]


@pytest.mark.parametrize("words", CHECKS, ids=named)
def test_a_command_without_standard_input_is_no_defect(words: tuple[str, ...]) -> None:
    script = '"$0" -m healthd "$@" <&-'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, *words, "-"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("-: cannot be opened: there is no standard input")


@pytest.mark.parametrize("words", OF_PLAYBOOKS, ids=named)
@pytest.mark.parametrize(("text", "kind"), [(WAVE, "Wave"), (MANIFEST, "Deployment")])
def test_a_file_of_another_kind_is_no_playbook_and_nothing_else_is_told_of_it(
    words: tuple[str, ...], text: str, kind: str, tmp_path: Path
) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(text, "utf-8")
    result = run(*words, file)
    assert result.exit_code == 3
    assert told(result) == (
        f"{file}:2:7: kind: must be Playbook, not {kind} -> name a file of kind Playbook,"
        " or write kind: Playbook"
    )


@pytest.mark.parametrize("words", [("wave", "start"), ("plan",)], ids=named)
def test_a_playbook_is_no_wave_and_nothing_else_is_told_of_it(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(PLAYBOOK, "utf-8")
    result = run(*words, file)
    assert result.exit_code == 2
    assert told(result) == (
        f"{file}:2:7: kind: must be Wave, not Playbook -> name a file of kind Wave,"
        " or write kind: Wave"
    )


def test_a_typing_error_in_the_kind_hides_no_other_mistake(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(WAVE.replace("Wave", "wave").replace("reason", "raeson"), "utf-8")
    result = run("wave", "start", file)
    assert [line.split(": ")[1] for line in result.output.splitlines()] == ["raeson", "kind"]


def test_what_is_no_word_of_a_kind_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("kind: hunter2 with blanks\n", "utf-8")
    assert ": kind: must be Playbook, not another kind -> " in told(run("playbook", "lint", file))
    assert all(KIND.fullmatch(kind) for kind in CHECKERS)


@pytest.mark.parametrize("name", ["test", "digest"])
@pytest.mark.parametrize(
    ("content", "code", "error"),
    [
        (None, 2, "cannot be opened: No such file or directory"),
        (b"", 3, "{file}:1:1: the file is empty -> write its content"),
    ],
    ids=["none", "empty"],
)
def test_programs_are_told_in_json(
    name: str, content: bytes | None, code: int, error: str, tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    if content is not None:
        file.write_bytes(content)
    result = run("playbook", name, file, "-o", "json")
    assert result.exit_code == code
    assert json.loads(result.stdout) == {"file": str(file), "error": error.format(file=file)}


# --- Folders and names ------------------------------------------------------------------------


def test_one_file_of_a_folder_that_cannot_be_opened_keeps_no_other_from_being_linted(
    tmp_path: Path,
) -> None:
    (tmp_path / "p.yaml").write_text(PLAYBOOK, "utf-8")
    (tmp_path / "a.yaml").symlink_to(tmp_path / "none")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    result = run("playbook", "lint", tmp_path)
    assert result.exit_code == 2
    unopened, linted = result.output.splitlines()
    assert unopened.startswith(f"{tmp_path}/a.yaml: cannot be opened: No such file or directory")
    assert linted == f"{tmp_path}/p.yaml: ok"


def test_a_name_that_no_playbook_has_is_one_line_with_those_that_there_are(
    tmp_path: Path,
) -> None:
    for name in ("os-pathc", "a" * 300, "a\tb"):
        result = run("playbook", "sudoers", name, "--playbook-dir", tmp_path)
        assert result.exit_code == 2
        shown = name.replace("\t", "\\t")
        assert told(result).startswith(f"healthd: there is no playbook {shown}; there are: agent-")
        assert told(result).endswith(" -> name one, or a file")


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_a_playbooks_name_is_looked_for_before_a_file_of_that_name(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "rolling-restart")
    assert run("playbook", "sudoers", "rolling-restart").exit_code == 0
    make(tmp_path / "other")
    assert told(run("playbook", "sudoers", "other")).startswith("other:")


def test_a_kind_that_stands_in_another_file_is_told_by_check_config_too(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(PLAYBOOK, "utf-8")
    (problem,) = check_file(file, "Wave").problems
    assert (problem.line, problem.path) == (2, "kind")
