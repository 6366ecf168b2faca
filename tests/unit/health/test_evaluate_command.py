"""`healthd evaluate` from the outside: output, exit codes and errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.snapshots import a_broker, a_snapshot, ages, topic_of_states

from healthd.cli.evaluate import evaluate
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot

KCAT = '{"originating_broker": {"id": 1, "name": "b1:9092"}, "brokers": [], "topics": []}'


def write(path: Path, snapshot: ClusterSnapshot) -> str:
    path.write_text(json.dumps(render_snapshot(snapshot)))
    return str(path)


@pytest.fixture
def well(tmp_path: Path) -> str:
    return write(tmp_path / "well.json", a_snapshot())


@pytest.fixture
def ill(tmp_path: Path) -> str:
    return write(tmp_path / "ill.json", a_snapshot(topic_of_states(ok=70, offline=30)))


def test_an_ok_cluster_exits_0_and_any_other_3(well: str, ill: str) -> None:
    runner = CliRunner()
    assert runner.invoke(evaluate, [well]).exit_code == 0
    assert runner.invoke(evaluate, [ill]).exit_code == 3


def test_one_file_prints_the_object_itself(ill: str) -> None:
    result = CliRunner().invoke(evaluate, ["-o", "json", ill])
    found = json.loads(result.stdout)
    assert "file" not in found
    assert (found["class"], found["healthIndex"]) == ("CRIT", 0)
    assert result.stderr == ""


def test_several_files_print_one_object_a_line_in_the_order_given(
    well: str, ill: str, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.json")
    result = CliRunner().invoke(evaluate, ["-o", "json", ill, missing, well])
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["file"] for row in rows] == [ill, missing, well]
    assert set(rows[1]) == {"file", "error"}
    assert [row.get("class") for row in rows] == ["CRIT", None, "OK"]
    assert result.exit_code == 2


def test_several_readable_files_exit_0_whatever_their_class(well: str, ill: str) -> None:
    assert CliRunner().invoke(evaluate, [well, ill]).exit_code == 0


def test_standard_input_is_a_dash() -> None:
    text = json.dumps(render_snapshot(a_snapshot()))
    result = CliRunner().invoke(evaluate, ["-o", "json", "-"], input=text)
    assert json.loads(result.stdout)["cluster"] == "payments"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("{", "is not JSON", id="not-json"),
        pytest.param('{"apiVersion": "healthd/v1"}', "kind: is required", id="field-missing"),
        pytest.param(KCAT, "kcat listing", id="kcat"),
    ],
)
def test_a_file_that_is_no_snapshot_is_an_error_with_its_reason(text: str, error: str) -> None:
    for output in ("table", "json"):
        result = CliRunner().invoke(evaluate, ["-o", output, "-"], input=text)
        assert result.exit_code == 2
        assert error in result.stderr
    assert error in json.loads(result.stdout)["error"]


def test_no_file_is_a_usage_error() -> None:
    assert CliRunner().invoke(evaluate, []).exit_code == 2


def test_the_table_says_the_verdict_the_reason_and_what_to_do(ill: str) -> None:
    lines = CliRunner().invoke(evaluate, [ill]).stdout.splitlines()
    assert lines[:6] == [
        "payments  CRIT  Health Index 0, 100% known",
        "held down by PARTITION_OFFLINE (0)",
        "",
        "CRIT PARTITION_OFFLINE: 30 partitions have no leader",
        "  where:  orders-70, orders-71, orders-72, orders-73, orders-74 and 25 more",
        "  impact: Nobody can read from or write to them.",
    ]
    assert lines[6].startswith("  do:     Bring back the brokers")
    assert "-24.65  partitions  30 offline of 100 partitions" in lines
    assert "-75.35  cap         PARTITION_OFFLINE" in lines


def test_the_table_shows_what_is_not_known(tmp_path: Path) -> None:
    snapshot = a_snapshot(ages=ages(quorum=31.0, probe="-"), unclean_elections_24h=1)
    lines = CliRunner().invoke(evaluate, [write(tmp_path / "s.json", snapshot)]).stdout.splitlines()
    assert lines[:3] == [
        "payments  WARN  Health Index 89 (between 85 and 89), 83% known",
        "held down by UNCLEAN_ELECTION (89)",
        "not observed: probe",
    ]


def test_an_index_just_below_a_limit_is_not_shown_as_the_limit(tmp_path: Path) -> None:
    # 100 - 10 - 5 * 0.001 / 0.25 = 89.98 is WARN; rounded up it would read as OK.
    brokers = tuple(
        a_broker(node, request_handler_idle=0, disk_used_ratio=0.701) for node in (1, 2, 3)
    )
    path = write(tmp_path / "s.json", a_snapshot(brokers=brokers))
    assert "WARN  Health Index 89.9," in CliRunner().invoke(evaluate, [path]).stdout


def test_what_a_cluster_is_called_moves_no_cursor(tmp_path: Path) -> None:
    named = a_snapshot(cluster="pay\x1b[2Jments")
    found = CliRunner().invoke(evaluate, [write(tmp_path / "s.json", named)]).stdout
    assert "\x1b" not in found


def test_json_waits_for_no_library_that_it_does_not_need(well: str) -> None:
    script = (
        "import sys; from healthd.cli.evaluate import evaluate\n"
        f"evaluate(['-o', 'json', {well!r}], standalone_mode=False)\n"
        "heavy = {'rich', 'pydantic', 'sqlalchemy', 'aiohttp', 'confluent_kafka', 'kafka'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.stderr == b""


def test_a_scoring_profile_changes_the_numbers_and_is_named(ill: str, tmp_path: Path) -> None:
    path = tmp_path / "scoring.yaml"
    head = "apiVersion: healthd/v1\nkind: ScoringProfile\nname: lax\nversion: '7'\n"
    path.write_text(head + "caps: {offlineZeroAtShare: 1}\n")
    runner = CliRunner()
    found = json.loads(
        runner.invoke(evaluate, ["-o", "json", "--scoring-profile", str(path), ill]).stdout
    )
    assert found["healthIndex"] == pytest.approx(60 * (1 - 0.3**0.5))
    assert (found["profile"]["name"], found["profile"]["version"]) == ("lax", "7")
    shown = runner.invoke(evaluate, ["--scoring-profile", str(path), ill]).stdout
    assert "scored by lax version 7" in shown


def test_a_bad_scoring_profile_is_a_usage_error_and_nothing_is_evaluated(
    ill: str, tmp_path: Path
) -> None:
    path = tmp_path / "scoring.yaml"
    path.write_text("kind: ScoringProfile\n")
    result = CliRunner().invoke(evaluate, ["--scoring-profile", str(path), ill])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "apiVersion is missing" in result.stderr
