"""``healthd ok-to-stop``: JSON, tables, options and exit codes (contract.md)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.snapshots import a_broker, a_partition, a_quorum, a_snapshot, a_topic

from healthd.cli.ok_to_stop import ok_to_stop_command
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup

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


def racked(*topics: Any, **changes: Any) -> ClusterSnapshot:
    nodes = tuple(a_broker(node, rack=f"az{1 + node // 3}") for node in (1, 2, 3, 4))
    return a_snapshot(*topics, **({"brokers": nodes} | changes))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A healthy cluster, one at its limit, what kcat prints, and a broken file."""
    at_limit = racked(a_topic(partitions=[a_partition(isr=(1, 2))]))
    contents: dict[str, Any] = {
        "healthy": render_snapshot(racked()),
        "limit": render_snapshot(at_limit),
        "kcat": KCAT,
        "broken": {"apiVersion": "healthd/v1"},
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def run(*words: str | Path, given: str | None = None) -> Result:
    return CliRunner().invoke(ok_to_stop_command, [str(word) for word in words], input=given)


def answer(*words: str | Path, given: str | None = None) -> Any:
    return json.loads(run(*words, "-o", "json", given=given).stdout)


def test_a_set_that_may_stop_exits_0(files: Path) -> None:
    result = run(files / "healthy", "--brokers", "4", "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "cluster": "payments",
        "brokers": [4],
        "ok": True,
        "blockers": [],
        "gate": {"clear": True, "holds": []},
    }


def test_a_set_that_may_not_stop_exits_4_with_blockers_and_holds(files: Path) -> None:
    result = run(files / "limit", "--brokers", "1", "-o", "json")
    assert result.exit_code == 4
    found = json.loads(result.stdout)
    assert list(found) == ["cluster", "brokers", "ok", "blockers", "gate"]
    assert list(found["gate"]) == ["clear", "holds"]
    assert found["blockers"] == [
        {
            "code": "WOULD_GO_UNDER_MIN_ISR",
            "object": "orders-0",
            "detail": "1 of 3 replicas would be left in sync, at least 2 must be",
        }
    ]
    assert found["gate"]["clear"] is False
    assert [list(hold) for hold in found["gate"]["holds"]] == [["code", "object", "detail"]]
    assert found["gate"]["holds"][0]["code"] == "PARTITION_UNDER_REPLICATED"


def test_a_gate_that_is_not_clear_alone_exits_0(files: Path) -> None:
    result = run(files / "limit", "--brokers", "3", "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["gate"]["clear"] is False


def test_brokers_are_asked_about_together_sorted_and_once(files: Path) -> None:
    found = answer(files / "healthy", "--brokers", " 3,1, 3")
    assert found["brokers"] == [1, 3]
    assert found["ok"] is False


def test_nodes_of_the_set_that_are_down_count_as_repairs(files: Path, tmp_path: Path) -> None:
    snapshot = racked(a_topic(partitions=[a_partition(isr=(1, 2))]))
    nodes = tuple(replace(node, alive=False) if node.id == 3 else node for node in snapshot.brokers)
    (tmp_path / "down").write_text(json.dumps(render_snapshot(replace(snapshot, brokers=nodes))))
    assert answer(tmp_path / "down", "--brokers", "3")["gate"] == {"clear": True, "holds": []}
    holds = answer(tmp_path / "down", "--brokers", "4")["gate"]["holds"]
    assert [hold["code"] for hold in holds] == ["BROKER_DOWN", "PARTITION_UNDER_REPLICATED"]


def test_without_brokers_every_node_and_rack_is_answered_with_exit_0(files: Path) -> None:
    result = run(files / "limit", "-o", "json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert list(found) == ["cluster", "each", "racks"]
    assert [list(row) for row in found["each"]] == [["broker", "ok", "blockers"]] * 4
    assert [(row["broker"], row["ok"]) for row in found["each"]] == [
        (1, False),
        (2, False),
        (3, True),
        (4, True),
    ]
    assert [list(row) for row in found["racks"]] == [["rack", "ok", "blockers"]] * 2
    assert [(row["rack"], row["ok"]) for row in found["racks"]] == [("az1", False), ("az2", True)]
    assert found["racks"][0]["blockers"]


@pytest.mark.parametrize(
    ("topic", "options", "codes"),
    [
        ({"min_insync_replicas": 3}, [], ["RF_LE_MIN_ISR"]),
        ({"min_insync_replicas": 3}, ["--allow-rf-le-min-isr", "o*"], []),
        ({"min_insync_replicas": 3}, ["--allow-rf-le-min-isr", "O*"], ["RF_LE_MIN_ISR"]),
        (
            {"min_insync_replicas": 3},
            ["--allow-rf-le-min-isr", "x", "--allow-rf-le-min-isr", "orders"],
            [],
        ),
        ({"min_insync_replicas": 1}, ["--margin", "1"], []),
        (
            {"min_insync_replicas": 1, "partitions": [a_partition(isr=(1, 2))]},
            ["--margin", "1"],
            ["WOULD_BREAK_MARGIN"],
        ),
        ({"partitions": [a_partition(replicas=(1,), isr=(1,))]}, [], ["RF_ONE"]),
        (
            {"partitions": [a_partition(replicas=(1,), isr=(1,))]},
            ["--allow-rf-one", "orders"],
            [],
        ),
        ({"min_insync_replicas": None}, [], ["MIN_ISR_UNKNOWN"]),
        ({"min_insync_replicas": None}, ["--assume-min-isr", "2"], []),
        ({"min_insync_replicas": None}, ["--assume-min-isr", "3"], ["RF_LE_MIN_ISR"]),
    ],
)
def test_options_acknowledge(topic: dict[str, Any], options: list[str], codes: list[str]) -> None:
    given = json.dumps(render_snapshot(racked(a_topic("orders", **topic))))
    result = run("-", "--brokers", "1", "-o", "json", *options, given=given)
    assert [row["code"] for row in json.loads(result.stdout)["blockers"]] == codes
    assert result.exit_code == (4 if codes else 0)


def test_a_quorum_without_spare_can_be_acknowledged() -> None:
    quorum = a_quorum()
    snapshot = racked(quorum=replace(quorum, voters=quorum.voters[:1]))
    given = json.dumps(render_snapshot(snapshot))
    words = ("-", "--brokers", "1")
    assert answer(*words, given=given)["blockers"][0]["code"] == "QUORUM_WITHOUT_SPARE"
    assert answer(*words, "--allow-quorum-without-spare", given=given)["ok"] is True


def test_what_kcat_prints_is_read_and_blocks(files: Path) -> None:
    found = answer(files / "kcat", "--brokers", "1")
    assert found["cluster"] == "b1:9092/1"
    assert [row["code"] for row in found["blockers"]] == ["MIN_ISR_UNKNOWN"]
    holds = {(hold["code"], hold["object"]) for hold in found["gate"]["holds"]}
    assert holds == {
        ("QUORUM_UNKNOWN", "cluster:b1:9092/1"),
        ("EVIDENCE_MISSING", "source:configs"),
        ("EVIDENCE_MISSING", "source:quorum"),
        ("MIN_ISR_UNKNOWN", "orders-0"),
    }


def test_with_an_assumed_minimum_kcat_lacks_only_the_quorum(files: Path) -> None:
    found = answer(files / "kcat", "--brokers", "1", "--assume-min-isr", "2")
    assert found["ok"] is True
    assert [(hold["code"], hold["object"]) for hold in found["gate"]["holds"]] == [
        ("QUORUM_UNKNOWN", "cluster:b1:9092/1"),
        ("EVIDENCE_MISSING", "source:quorum"),
    ]


@pytest.mark.parametrize("brokers", [("--brokers", "1"), ()], ids=["a set", "everything"])
def test_the_table_of_kcat_ends_with_what_was_not_checked(
    files: Path, brokers: tuple[str, ...]
) -> None:
    assert run(files / "kcat", *brokers).stdout.splitlines()[-1] == "controllers not checked"
    assert "not checked" not in run(files / "healthy", *brokers).stdout


def test_the_table_says_when_nothing_is_known_of_the_cluster(tmp_path: Path) -> None:
    file = tmp_path / "dark"
    file.write_text(json.dumps(render_snapshot(racked(ages={EvidenceGroup.METADATA: None}))))
    said = "nothing is known of the cluster: its metadata was never seen"
    for brokers in ((), ("--brokers", "1")):
        assert run(file, *brokers).stdout.splitlines()[-1] == said


def test_several_files_have_a_line_each_and_exit_0(files: Path) -> None:
    result = run(files / "limit", files / "healthy", "--brokers", "1", "-o", "json")
    assert result.exit_code == 0
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["file"], row["ok"]) for row in found] == [
        (str(files / "limit"), False),
        (str(files / "healthy"), True),
    ]


def test_several_files_exit_2_when_one_is_broken_or_lacks_a_broker(files: Path) -> None:
    result = run(
        files / "broken", files / "kcat", files / "healthy", "--brokers", "4", "-o", "json"
    )
    assert result.exit_code == 2
    broken, lacking, fine = (json.loads(line) for line in result.stdout.splitlines())
    assert broken == {"file": str(files / "broken"), "error": "kind: is required"}
    assert list(lacking) == ["file", "error"]
    assert "unknown broker 4" in lacking["error"]
    assert fine["ok"] is True


def test_an_unknown_broker_is_a_usage_error(files: Path) -> None:
    result = run(files / "healthy", "--brokers", "1,77")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "unknown broker 77: payments has 1, 2, 3, 4" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--brokers", ""],
        ["--brokers", "all"],
        ["--brokers", "1,,2"],
        ["--brokers", "-1"],
        ["--brokers", "1_0"],
        ["--brokers", "²"],
        ["--brokers", "2147483648"],
        ["--brokers", "9" * 5000],
        ["--margin", "-1"],
        ["--margin", "x"],
        ["--assume-min-isr", "0"],
        ["-o", "yaml"],
        ["--unknown"],
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_wrong_options_are_usage_errors(files: Path, words: list[str]) -> None:
    result = run(files / "healthy", *words)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_no_file_is_a_usage_error() -> None:
    assert run("--brokers", "1").exit_code == 2


def test_a_table_says_the_verdict_first_and_then_why(files: Path) -> None:
    result = run(files / "limit", "--brokers", "1")
    assert result.exit_code == 4
    detail = "1 of 3 replicas would be left in sync, at least 2 must be"
    assert result.stdout.splitlines() == [
        "payments: broker 1: NOT ok to stop",
        f"  WOULD_GO_UNDER_MIN_ISR  orders-0  {detail}",
        "Besides, a wave would hold now:",
        "  PARTITION_UNDER_REPLICATED  orders-0  not in sync on broker 3",
    ]


def test_a_table_of_everything_lists_nodes_and_racks(files: Path) -> None:
    assert run(files / "limit").stdout.splitlines() == [
        "payments: what can it lose?",
        "BROKER  OK   BLOCKERS",
        "1       no   WOULD_GO_UNDER_MIN_ISR: orders-0",
        "2       no   WOULD_GO_UNDER_MIN_ISR: orders-0",
        "3       yes",
        "4       yes",
        "RACK  OK   BLOCKERS",
        "az1   no   WOULD_GO_UNDER_MIN_ISR: orders-0; WOULD_LOSE_QUORUM: node:1, node:2",
        "az2   yes",
    ]


def test_a_table_of_many_blockers_says_how_many_more_there_are() -> None:
    topic = a_topic("t", [a_partition(at) for at in range(30)], min_insync_replicas=3)
    given = json.dumps(render_snapshot(a_snapshot(topic)))
    assert "and 20 more" in run("-", "--brokers", "1", given=given).stdout
    assert "t-0, t-1, t-2 and 27 more" in run("-", given=given).stdout


def test_names_from_a_file_cannot_move_the_cursor() -> None:
    topic = a_topic("\x1b[2Jt", min_insync_replicas=3)
    given = json.dumps(render_snapshot(a_snapshot(topic, cluster="a\x1b[2J")))
    for words in (("--brokers", "1"), ()):
        assert "\x1b" not in run("-", *words, given=given).stdout
