"""`healthd check-config`: exit codes, both forms of output, and which checker a file gets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthd.cli.check_config import check_config
from healthd.config.checkers import CHECKERS, check_file

WriteFile = Callable[..., Path]
ROOT = Path(__file__).parents[3]
GOOD = "apiVersion: healthd/v1\nkind: Fleet\nclusters: [{name: a, bootstrapServers: ['b:1']}]\n"
BAD = GOOD.replace("bootstrapServers", "bootstrapServer")
WAVE = """\
apiVersion: healthd/v1
kind: Wave
name: w
reason: CHG-1
playbook: rolling-restart
stages:
  - {name: one, clusters: [a]}
"""


def run(*args: object, text: str | None = None) -> Result:
    return CliRunner().invoke(check_config, [str(arg) for arg in args], input=text)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_good_file_exits_0_and_says_so(write: WriteFile) -> None:
    file = write("fleet.yaml", GOOD)
    result = run(file)
    assert (result.exit_code, result.stdout) == (0, f"{file}: ok\n")


def test_a_problem_exits_3_with_place_path_message_and_action(write: WriteFile) -> None:
    file = write("fleet.yaml", BAD)
    result = run(file)
    assert result.exit_code == 3
    assert result.stdout == (
        f"{file}:3:22: clusters[0].bootstrapServer: unknown key; did you mean bootstrapServers? "
        "-> rename it to bootstrapServers\n"
    )


def test_a_file_that_is_not_yaml_is_a_problem_and_not_an_error(write: WriteFile) -> None:
    result = run("-o", "json", write("x.yaml", "a: [\n"))
    assert result.exit_code == 3
    assert lines(result)[0]["problems"][0]["message"].startswith("not YAML")


def test_a_file_that_cannot_be_opened_exits_2_on_stderr(tmp_path: Path) -> None:
    result = run(tmp_path / "nope.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nope.yaml: cannot be opened: No such file or directory" in result.stderr


def test_json_has_one_line_a_file_in_order_and_the_worst_exit_code(
    write: WriteFile, tmp_path: Path
) -> None:
    bad, good = write("bad.yaml", BAD), write("good.yaml", GOOD)
    result = run("-o", "json", bad, tmp_path / "nope", good)
    assert result.exit_code == 2
    first, second, third = lines(result)
    assert first == {
        "file": str(bad),
        "problems": [
            {
                "line": 3,
                "column": 22,
                "path": "clusters[0].bootstrapServer",
                "message": "unknown key; did you mean bootstrapServers?",
                "action": "rename it to bootstrapServers",
            }
        ],
    }
    assert second == {
        "file": str(tmp_path / "nope"),
        "error": "cannot be opened: No such file or directory",
    }
    assert third == {"file": str(good), "problems": []}


def test_one_file_in_json_has_the_same_form(write: WriteFile, tmp_path: Path) -> None:
    assert lines(run("-o", "json", write("g", GOOD)))[0]["problems"] == []
    assert set(lines(run("-o", "json", tmp_path / "nope"))[0]) == {"file", "error"}


def test_a_dash_reads_stdin() -> None:
    result = run("-", text=BAD)
    assert result.exit_code == 3
    assert result.stdout.startswith("-:3:22: ")


def test_the_kind_can_be_said(write: WriteFile) -> None:
    result = run("--kind", "wave", write("f.yaml", GOOD))
    assert result.exit_code == 3
    assert "kind: must be Wave" in result.stdout


def test_an_unknown_kind_option_is_a_usage_error(write: WriteFile) -> None:
    result = run("--kind", "Flet", write("f.yaml", GOOD))
    assert result.exit_code == 2
    assert "is not one of auto, Fleet" in result.stderr


def test_no_file_is_a_usage_error() -> None:
    assert run().exit_code == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("kind: Flet\n", "did you mean Fleet? -> write kind: Fleet", id="near a kind"),
        pytest.param("kind: Rehearsal\n", "no kind that check-config knows", id="another kind"),
        pytest.param("kind: [x]\n", "no kind that check-config knows", id="a list"),
        pytest.param("a: 1\n", "kind is missing", id="no kind"),
        pytest.param("listenPort: x\n", "listenPort: must be a whole number", id="settings"),
    ],
)
def test_the_kind_is_found_by_the_file(write: WriteFile, text: str, wanted: str) -> None:
    result = run(write("f.yaml", text))
    assert result.exit_code == 3
    assert wanted in result.stdout


def test_a_good_wave_passes(write: WriteFile) -> None:
    assert run(write("w.yaml", WAVE)).exit_code == 0


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        pytest.param(
            "policy: {cutoffSeconds: 3600, windows: [{start: '01:00', end: '02:00',"
            " timezone: UTC}]}\n",
            "8:25: policy.cutoffSeconds: can never be met",
            id="a cutoff as long as the window",
        ),
        pytest.param(
            "policy: {windows: [{days: []}]}\n",
            "8:20: policy.windows[0]: start is missing",
            id="half a window",
        ),
        pytest.param(
            "  - {name: two, mach: {env: prod}}\n",
            "8:17: stages[1].mach: unknown key; did you mean match?",
            id="a 2nd stage",
        ),
        pytest.param("playbok: x\n", "8:1: playbok: unknown key; did you mean", id="unknown"),
        pytest.param("variables: {password: pw}\n", "secret in clear", id="a secret"),
    ],
)
def test_a_waves_mistakes_have_their_place(write: WriteFile, more: str, wanted: str) -> None:
    result = run(write("w.yaml", WAVE + more))
    assert result.exit_code == 3
    assert wanted in result.stdout


def test_the_shipped_playbook_passes_and_a_mistake_in_it_has_its_place(write: WriteFile) -> None:
    shipped = ROOT / "playbooks" / "rolling-restart.yaml"
    assert run(shipped).exit_code == 0
    text = shipped.read_text().replace("steps:", "stepps:")
    line = text[: text.index("stepps:")].count("\n") + 1
    result = run(write("p.yaml", text))
    assert result.exit_code == 3
    assert f"p.yaml:{line}:1: stepps: " in result.stdout


def test_a_room_can_add_its_own_kind(write: WriteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        CHECKERS, "Recipe", lambda document, _: [document.problem(("kind",), "m", "a")]
    )
    (problem,) = check_file(write("r.yaml", "kind: Recipe\n")).problems
    assert (problem.line, problem.column, problem.message) == (1, 7, "m")


def test_control_characters_of_a_file_do_not_reach_the_terminal(write: WriteFile) -> None:
    result = run(write("f.yaml", GOOD + '"\\e[31mred": 1\n'))
    assert result.exit_code == 3
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("name", ["fleet.example.yaml", "healthd.example.yaml"])
def test_the_shipped_examples_pass(name: str) -> None:
    result = run(ROOT / "config" / name)
    assert result.exit_code == 0, result.stdout


def test_the_commented_part_of_the_example_passes_with_its_files(write: WriteFile) -> None:
    text = (ROOT / "config" / "fleet.example.yaml").read_text()
    begin, end = text.index("    # ssh:"), text.index("  # The least")
    uncommented = text[begin:end].replace("    # ", "    ")
    key = write("id_ed25519")
    (key.parent / "secrets").mkdir()
    key.rename(key.parent / "secrets" / "id_ed25519")
    result = run(write("fleet.yaml", text[:begin] + uncommented + text[end:]))
    assert result.exit_code == 0, result.stdout


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300)
    | st.text(max_size=100).map(lambda t: ("kind: Wave\n" + t).encode())
)
def test_any_bytes_exit_0_or_3_without_a_traceback(write: WriteFile, content: bytes) -> None:
    result = run("-o", "json", write("any.yaml", content))
    assert result.exit_code in {0, 3}
    assert lines(result)[0]["file"].endswith("any.yaml")
