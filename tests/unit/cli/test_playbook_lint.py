"""`healthd playbook lint` and `digest`: exit codes, both forms of output, stdin and folders."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from healthd.cli.app import cli

HEAD = "apiVersion: healthd/v1\nkind: Playbook\nname: p\n"
GOOD = f"{HEAD}steps:\n  - {{name: wait, waitFor: {{port: 22}}, timeoutSeconds: 60}}\n"
WARNED = f"{HEAD}steps:\n  - {{name: a, command: [migrate], timeoutSeconds: 60}}\n"
WRONG = f"{HEAD}steps:\n  - {{name: wait, waitFor: {{port: 22}}}}\n"


def run(*words: object, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["playbook", *map(str, words)], input=text)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD, "utf-8")
    return path


def test_a_good_playbook_exits_0_and_says_so(good: Path) -> None:
    result = run("lint", good)
    assert (result.exit_code, result.stdout) == (0, f"{good}: ok\n")


@pytest.mark.parametrize("text", [WARNED, WRONG, "a: [\n", ""], ids=["warned", "wrong", "", "no"])
def test_whatever_is_found_exits_3(text: str) -> None:
    assert run("lint", "-", text=text).exit_code == 3


def test_a_file_that_cannot_be_opened_exits_2_and_the_others_are_answered(good: Path) -> None:
    result = run("lint", "-o", "json", good.parent / "none.yaml", good, "-", text=WRONG)
    assert result.exit_code == 2
    missing, ok, wrong = lines(result)
    assert missing["error"] == "cannot be opened: No such file or directory"
    assert ok == {"file": str(good), "problems": []}
    assert wrong["file"] == "-"
    assert wrong["problems"] == [
        {
            "severity": "error",
            "code": "step-without-timeout",
            "line": 5,
            "column": 5,
            "path": "steps[0]",
            "message": "timeoutSeconds is missing: a step has a deadline",
            "action": "write seconds above 0, or one of policy.stopTimeoutSeconds,"
            " policy.startTimeoutSeconds, policy.recoveryTimeoutSeconds",
        }
    ]


def test_a_folder_stands_for_the_playbooks_in_it(good: Path) -> None:
    (good.parent / "other.yml").write_text(WARNED, "utf-8")
    (good.parent / "site.yml").write_text("- hosts: all\n", "utf-8")
    result = run("lint", "-o", "json", good.parent)
    assert [Path(line["file"]).name for line in lines(result)] == ["other.yml", "p.yaml"]
    assert result.exit_code == 3


def test_a_folder_without_playbooks_cannot_be_linted(tmp_path: Path) -> None:
    result = run("lint", tmp_path)
    assert result.exit_code == 2
    assert "a folder without playbooks" in result.stderr


def test_a_name_that_no_file_can_have_is_no_traceback() -> None:
    assert run("lint", "a\0b").exit_code == 2


def test_the_digest_of_a_playbook_that_sends_nothing_is_its_sha256(good: Path) -> None:
    result = run("digest", good)
    expected = hashlib.sha256(good.read_bytes()).hexdigest()
    assert (result.exit_code, result.stdout) == (0, f"{expected}  p\n")


def test_the_digest_covers_the_files_that_are_sent(tmp_path: Path) -> None:
    path, sent = tmp_path / "p.yaml", tmp_path / "a.conf"
    row = "  - {name: a, upload: {source: a.conf, path: /etc/a}, timeoutSeconds: 60}\n"
    path.write_text(f"{HEAD}steps:\n{row}", "utf-8")
    sent.write_text("one", "utf-8")
    one = lines(run("digest", "-o", "json", path))
    sent.write_text("two", "utf-8")
    two = lines(run("digest", "-o", "json", path))
    assert one[0]["name"] == two[0]["name"] == "p"
    assert one[0]["digest"] != two[0]["digest"]
    text = f"{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
    text += f"{hashlib.sha256(b'two').hexdigest()}  a.conf\n"
    assert two[0]["digest"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_playbook_that_is_not_valid_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(WRONG, "utf-8")
    result = run("digest", path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "timeoutSeconds is missing" in result.stderr
    assert run("digest", path, tmp_path / "none").exit_code == 2
    assert run("digest", tmp_path / "none", path).exit_code == 2
