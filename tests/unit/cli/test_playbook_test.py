"""`healthd playbook test`: what each fault at each step leaves behind, without touching a host."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from healthd.cli.exits import Exit
from healthd.cli.playbook_test import test as command
from healthd.config.playbooks import read_playbook, shipped
from healthd.rehearsal.trial import TrialFault, try_out
from healthd.waves.playbook import Playbook

PATCH = """\
apiVersion: healthd/v1
kind: Playbook
name: patch
variables:
  tries: {type: integer, default: 2, minimum: 1}
  key: {type: secret}
steps:
  - {name: stop, service: stop, timeoutSeconds: 60}
  - {name: left, waitFor: left, timeoutSeconds: 60}
  - {name: patch, command: [patch, "${tries}"], timeoutSeconds: 60}
  - {name: start, service: start, timeoutSeconds: 60}
  - {name: back, waitFor: back, timeoutSeconds: 300}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "patch.yaml"
    path.write_text(PATCH, encoding="utf-8")
    return path


def test_each_fault_is_told_with_where_it_leaves_the_broker(file: Path) -> None:
    result = CliRunner().invoke(command, [str(file), "-o", "json"])
    assert result.exit_code == Exit.OK, result.output
    runs = json.loads(result.stdout)["runs"]
    assert (runs[0]["fault"], runs[0]["wave"], runs[0]["restarts"]) == ("none", "succeeded", 1)
    found = {run["fault"]: run for run in runs if run["step"] == "patch"}
    assert found["fails"]["node"] == "failed"
    assert found["fails"]["broker"] == "running (a new process)"
    assert "'patch' failed" in found["fails"]["detail"]
    assert found["answer lost"]["wave"] == "succeeded"
    assert {run["done"] for run in found.values()} == {1}
    assert not any(run["problems"] for run in runs)


def test_a_person_gets_a_table(file: Path) -> None:
    result = CliRunner().invoke(command, [str(file)])
    assert "STEP" in result.stdout
    assert "daemon killed while it ran" in " ".join(result.stdout.split())
    assert "0 with problems" in result.stdout


def test_a_run_that_harms_is_exit_3(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def harmful(playbook: Playbook) -> list[object]:
        tried = next(try_out(playbook))
        return [replace(tried, problems=("the broker is left stopped",))]

    monkeypatch.setattr("healthd.cli.playbook_test.try_out", harmful)
    result = CliRunner().invoke(command, [str(file)])
    assert result.exit_code == Exit.PROBLEMS
    assert "1 with problems" in result.stdout


def test_a_playbook_with_problems_is_exit_3_and_one_that_is_not_there_is_exit_2(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(PATCH.replace("service: start", "service: strat"), encoding="utf-8")
    result = CliRunner().invoke(command, [str(broken)])
    assert result.exit_code == Exit.PROBLEMS
    assert f"{broken}:11" in result.stderr
    result = CliRunner().invoke(command, [str(tmp_path / "none.yaml")])
    assert result.exit_code == Exit.USAGE
    assert "none.yaml: cannot be opened" in result.stderr


def test_several_files_are_a_line_each_in_their_order(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1", encoding="utf-8")
    none = tmp_path / "none.yaml"
    result = CliRunner().invoke(command, [str(broken), str(file), "-o", "json"])
    assert result.exit_code == Exit.PROBLEMS
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["file"], "not YAML" in first["error"]) == (str(broken), True)
    assert (second["file"], second["playbook"], bool(second["runs"])) == (str(file), "patch", True)
    result = CliRunner().invoke(command, [str(none), str(broken), str(file)])
    assert result.exit_code == Exit.USAGE
    assert f"{file}:\n" in result.stdout
    assert f"{none}: cannot be opened" in result.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tries=0", "tries"),
        ("tries=many", "tries"),
        ("none=1", "the playbook has no variable none"),
        ("key=abc", "key is a secret"),
        ("tries", "no NAME=VALUE"),
    ],
)
def test_a_value_that_a_wave_would_refuse_is_refused(file: Path, given: str, said: str) -> None:
    result = CliRunner().invoke(command, [str(file), "--var", given])
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr


def test_the_model_needs_no_value(file: Path) -> None:
    result = CliRunner().invoke(command, [str(file), "--var", "tries=3", "-o", "json"])
    assert result.exit_code == Exit.OK


@pytest.mark.parametrize("name", ["agent-restart", "zookeeper-rolling-restart"])
def test_playbooks_of_every_kind_come_through_without_harm(name: str) -> None:
    found = list(try_out(read_playbook(shipped("playbooks") / f"{name}.yaml")))
    assert not [each for each in found if each.problems]
    assert found[0].wave == "succeeded"


@pytest.mark.prove
@pytest.mark.parametrize("path", sorted(shipped("playbooks").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_playbook_comes_through_every_fault(path: Path) -> None:
    for each in try_out(read_playbook(path)):
        assert not each.problems, each
        assert each.wave == "succeeded" or each.fault is not TrialFault.NONE
