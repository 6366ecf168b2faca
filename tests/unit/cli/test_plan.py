"""`healthd plan`: JSON, tables, options and exit codes (contract.md)."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.snapshots import a_broker, a_partition, a_snapshot, a_topic

import healthd.main
from healthd.cli.plan import plan_command
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup
from healthd.waves.planner_fingerprint import fingerprint

KCAT = {
    "originating_broker": {"id": 1, "name": "b1:9092/1"},
    "query": {"topic": "*"},
    "controllerid": 1,
    "brokers": [{"id": node, "name": f"b{node}:9092"} for node in (1, 2, 3)],
    "topics": [
        {
            "topic": "orders",
            "partitions": [
                {
                    "partition": 0,
                    "leader": 1,
                    "replicas": [{"id": node} for node in (1, 2, 3)],
                    "isrs": [{"id": node} for node in (1, 2, 3)],
                }
            ],
        }
    ],
}
KEYS = [
    "cluster", "steps", "blocked", "controllerLast", "lowerBound", "estimatedSeconds",
    "fingerprint", "concurrency", "estimatedFrom", "measuredRestarts", "madeFrom",
    "notes", "madeAt", "policy", "topics", "partitions", "nodes",
]  # fmt: skip


def racked(*rows: tuple[int, ...], isr: tuple[int, ...] | None = None) -> ClusterSnapshot:
    """Six plain brokers in three racks; the first partition's ISR may differ."""
    nodes = tuple(a_broker(node, rack=f"az{node % 3}") for node in range(1, 7))
    rows = rows or ((1, 2, 3), (4, 5, 6), (1, 5, 3), (4, 2, 6))
    parts = [a_partition(at, leader=row[0], replicas=row, isr=row) for at, row in enumerate(rows)]
    if isr is not None:
        parts[0] = a_partition(leader=isr[0], replicas=rows[0], isr=isr)
    return a_snapshot(a_topic(partitions=parts), brokers=nodes, quorum=None)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A healthy cluster, one at its limit, what kcat prints, and a broken file."""
    contents: dict[str, Any] = {
        "healthy": render_snapshot(racked()),
        "limit": render_snapshot(racked(isr=(1, 2))),
        "kcat": KCAT,
        "broken": {"apiVersion": "healthd/v1"},
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def run(*words: str | Path, given: str | None = None) -> Result:
    return CliRunner().invoke(plan_command, [str(word) for word in words], input=given)


def answer(*words: str | Path, given: str | None = None) -> Any:
    result = run(*words, "-o", "json", given=given)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def taken(found: dict[str, Any]) -> list[list[int]]:
    return [step["brokers"] for step in found["steps"]]


def test_a_plan_is_one_object_with_the_fields_of_the_contract(files: Path) -> None:
    found = answer("--snapshot", files / "healthy", "--concurrency", "safe")
    assert list(found) == KEYS
    assert found["cluster"] == "payments"
    assert taken(found) == [[1, 4], [2, 5], [3, 6]]
    assert [list(step) for step in found["steps"]] == [["brokers", "role", "reason"]] * 3
    assert {step["role"] for step in found["steps"]} == {"broker"}
    assert found["blocked"] == []
    assert found["controllerLast"] is None
    assert found["lowerBound"] == 3
    assert found["estimatedSeconds"] == 60 + 3 * 165
    assert found["fingerprint"] == fingerprint(racked())
    assert (found["concurrency"], found["madeFrom"]) == ("safe", "snapshot")


def test_one_at_a_time_is_the_default_and_all_are_meant(files: Path) -> None:
    found = answer("--snapshot", files / "healthy")
    assert taken(found) == [[1], [2], [3], [4], [5], [6]]
    assert found["concurrency"] == 1
    words = ("--brokers", "all", "--concurrency", "1")
    assert found == answer("--snapshot", files / "healthy", *words)


def test_a_number_limits_what_is_safe(files: Path) -> None:
    found = answer("--snapshot", files / "healthy", "--concurrency", "2", "--brokers", "5,1,4,1")
    assert taken(found) == [[1, 4], [5]]


def test_a_plan_with_blocked_brokers_exits_0(files: Path) -> None:
    found = answer("--snapshot", files / "limit")
    assert [list(row) for row in found["blocked"]] == [["broker", "blockers"]] * 2
    assert [row["broker"] for row in found["blocked"]] == [1, 2]
    assert found["blocked"][0]["blockers"] == [
        {
            "code": "WOULD_GO_UNDER_MIN_ISR",
            "object": "orders-0",
            "detail": "1 of 3 replicas would be left in sync, at least 2 must be",
        }
    ]


@pytest.mark.parametrize(
    ("options", "many"),
    [
        ([], 0),
        (["--assume-min-isr", "2"], 3),
        (["--assume-min-isr", "3"], 0),
        (["--assume-min-isr", "3", "--allow-rf-le-min-isr", "o*"], 3),
        (["--assume-min-isr", "2", "--margin", "1"], 3),
    ],
)
def test_options_acknowledge_as_in_ok_to_stop(files: Path, options: list[str], many: int) -> None:
    found = answer("--snapshot", files / "kcat", *options)
    assert (len(found["steps"]), len(found["blocked"])) == (many, 3 - many)


def test_a_plan_from_kcat_says_so(files: Path) -> None:
    found = answer("--snapshot", files / "kcat", "--assume-min-isr", "2")
    assert (found["cluster"], found["madeFrom"]) == ("b1:9092/1", "kcat")
    assert found["controllerLast"] is None
    for options in ([], ["--assume-min-isr", "2"]):
        lines = run("--snapshot", files / "kcat", *options).stdout.splitlines()
        assert lines[-1] == "controllers not checked"
    assert "controllers not checked" not in run("--snapshot", files / "healthy").stdout


def test_stdin_is_a_file(files: Path) -> None:
    given = (files / "healthy").read_text()
    assert answer("--snapshot", "-", given=given)["cluster"] == "payments"


@pytest.mark.parametrize(
    "spread",
    [
        lambda *names: ["--snapshot", *names],
        lambda *names: [word for name in names for word in ("--snapshot", name)],
    ],
    ids=["follow", "repeated"],
)
def test_several_files_have_a_line_each_in_the_order_given(
    files: Path, spread: Callable[..., list[Any]]
) -> None:
    names = [str(files / name) for name in ("limit", "healthy", "kcat")]
    result = run(*spread(*names), "-o", "json")
    assert result.exit_code == 0
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["file"] for row in found] == names
    assert [list(row) for row in found] == [["file", *KEYS]] * 3


def test_several_files_exit_2_when_one_is_broken_or_lacks_a_broker(files: Path) -> None:
    names = [files / name for name in ("broken", "kcat", "healthy")]
    result = run("--snapshot", *names, "--brokers", "6", "-o", "json")
    assert result.exit_code == 2
    broken, lacking, fine = (json.loads(line) for line in result.stdout.splitlines())
    assert broken == {"file": str(files / "broken"), "error": "kind: is required"}
    assert "unknown broker 6" in lacking["error"]
    assert taken(fine) == [[6]]


def test_an_unknown_broker_and_an_unreadable_file_exit_2(files: Path) -> None:
    result = run("--snapshot", files / "healthy", "--brokers", "1,77")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "unknown broker 77: payments has 1, 2, 3, 4, 5, 6" in result.stderr
    result = run("--snapshot", files / "nowhere", "-o", "json")
    assert result.exit_code == 2
    assert list(json.loads(result.stdout)) == ["file", "error"]


@pytest.mark.parametrize(
    "words",
    [
        ["--brokers", ""], ["--brokers", "none"], ["--brokers", "1,all"], ["--brokers", "-1"],
        ["--concurrency", "0"], ["--concurrency", "-1"], ["--concurrency", "Safe"],
        ["--concurrency", "1.5"], ["--concurrency", "9" * 5000], ["--concurrency", ""],
        ["--margin", "-1"], ["--assume-min-isr", "0"], ["-o", "yaml"], ["--direct"],
        ["--bootstrap", "b1:9092"],
    ],
    ids=lambda words: " ".join(words)[:30],
)  # fmt: skip
def test_wrong_options_are_usage_errors(files: Path, words: list[str]) -> None:
    result = run("--snapshot", files / "healthy", *words)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "say of what: CLUSTER, --snapshot FILE"),
        (["payments", "orders"], "say which CLUSTER, and one only"),
        (["--direct"], "say which CLUSTER"),
        (["--direct", "one", "two"], "one only"),
    ],
)
def test_what_is_planned_for_has_to_be_said(words: list[str], says: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["--direct", "payments"], ("payments", None)),
        (["--bootstrap", "b1:9092"], (None, "b1:9092")),
        (["--bootstrap", "b1:9092", "payments"], ("payments", "b1:9092")),
    ],
)
def test_a_live_cluster_is_read_now_and_planned_for(
    monkeypatch: pytest.MonkeyPatch, words: list[str], asked: tuple[str | None, str | None]
) -> None:
    seen = []

    def direct(*, cluster: str | None, fleet_file: Path, bootstrap: str | None) -> ClusterSnapshot:
        seen.append((cluster, bootstrap))
        return racked()

    monkeypatch.setattr(healthd.main, "direct_snapshot", direct)
    found = answer(*words, "--concurrency", "safe")
    assert taken(found) == [[1, 4], [2, 5], [3, 6]]
    assert "file" not in found
    assert seen == [asked]
    result = run(*words, "--brokers", "77")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "unknown broker 77" in result.stderr


def test_a_cluster_that_does_not_answer_gets_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = {"source": "metadata", "detail": "b1:9092 refused the connection"}
    snapshot = replace(
        racked(),
        ages={EvidenceGroup.METADATA: None},
        extra={"collector": {"failures": [failure]}},
    )
    monkeypatch.setattr(healthd.main, "direct_snapshot", lambda **_: snapshot)
    result = run("--bootstrap", "b1:9092")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "healthd: payments: metadata was not read: b1:9092 refused the connection\n"
    )


def test_a_table_says_how_long_first_and_then_every_step(files: Path) -> None:
    lines = run("--snapshot", files / "limit", "--brokers", "1,3,6").stdout.splitlines()
    summary = "2 nodes in 2 steps, at most 1 at a time; no plan needs fewer than 1"
    assert lines == [
        f"payments: {summary}; about 7 min by the model",
        "STEP  ROLE    BROKERS  WHY",
        "1     broker  3        one at a time: that is the concurrency",
        "2     broker  6        one at a time: that is the concurrency",
        "Cannot be taken now:",
        "BROKER  BLOCKERS",
        "1       WOULD_GO_UNDER_MIN_ISR: orders-0",
        f"fingerprint {fingerprint(racked())}",
        "note: controllers are not checked: no quorum was seen",
    ]


def test_names_from_a_file_cannot_move_the_cursor() -> None:
    nodes = tuple(map(a_broker, (1, 2, 3)))
    for minimum in (2, 3):
        topic = a_topic("\x1b[2Jt", min_insync_replicas=minimum)
        snapshot = a_snapshot(topic, cluster="a\x1b[2J", brokers=nodes, quorum=None)
        given = json.dumps(render_snapshot(snapshot))
        assert "\x1b" not in run("--snapshot", "-", "--concurrency", "safe", given=given).stdout
