"""What is wrong with a rehearsal's file: each mistake is named, with its place and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.rehearsals import cluster_document

from healthd.cli.app import cli
from healthd.cli.exits import Exit
from healthd.config.problems import ConfigError
from healthd.rehearsal.files import read_rehearsal

GOOD: dict[str, Any] = {
    "apiVersion": "healthd/v1",
    "kind": "Rehearsal",
    "snapshot": cluster_document(),
    "wave": {"playbook": "rolling-restart"},
}


def error_of(document: dict[str, Any] | str) -> str:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(ConfigError) as caught:
        read_rehearsal(text.encode(), "r.yaml")
    return "\n".join(str(problem) for problem in caught.value.problems)


def with_fault(**fault: Any) -> dict[str, Any]:
    return {**GOOD, "faults": [fault]}


def test_the_defaults_are_those_of_the_contract() -> None:
    rehearsal = read_rehearsal(json.dumps(GOOD).encode(), "r.json")
    assert (rehearsal.seed, rehearsal.until, rehearsal.concurrency) == (0, 86_400, 1)
    assert (rehearsal.brokers, rehearsal.faults) == (None, ())
    model = rehearsal.model
    assert (model.stop, model.start, model.catch_up) == (5, 15, 20)
    assert (model.collect, model.session_timeout, model.replica_lag) == (15, 9, 30)
    assert rehearsal.policy.soak_seconds == 120


@pytest.mark.parametrize("key", ["apiVersion", "kind", "snapshot", "wave"])
def test_what_is_required_is_named_when_it_is_missing(key: str) -> None:
    found = error_of({name: value for name, value in GOOD.items() if name != key})
    assert f"{key} is missing" in found


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sede": 1}, "sede: unknown key; did you mean seed?"),
        ({"wave": {"playbook": "rolling-restart", "concurency": 2}}, "wave.concurency"),
        ({"wave": {"playbook": "no-such"}}, "there is no playbook no-such"),
        ({"wave": {"playbook": "rolling-restart", "brokers": [1, 9]}}, "node 9 is not in the"),
        ({"wave": {"playbook": "rolling-restart", "brokers": []}}, "wave.brokers: is empty"),
        ({"wave": {"playbook": "rolling-restart", "brokers": [[1]]}}, "must be a node id"),
        ({"wave": {"playbook": "rolling-restart", "concurrency": 0}}, "wave.concurrency"),
        (
            {"wave": {"playbook": "rolling-restart", "policy": {"soakSecond": 1}}},
            "wave.policy.soakSecond: unknown key; did you mean soakSeconds?",
        ),
        ({"model": {"startSecond": 1}}, "model.startSecond: unknown key"),
        ({"model": {"collectSeconds": 0}}, "model.collectSeconds: must be above 0"),
        ({"model": {"stopSeconds": -1}}, "model.stopSeconds: must be at least 0"),
        ({"seed": "x"}, "seed: must be a whole number"),
        ({"until": 0}, "until: must be above 0"),
        ({"until": True}, "until: must be a number"),
        ({"faults": {}}, "faults: must be a list"),
        ({"snapshot": 3}, "snapshot: must be a path or a ClusterSnapshot"),
        ({"snapshot": "nowhere.json"}, "nowhere.json: cannot be read"),
        ({"snapshot": {**cluster_document(), "brokrs": []}}, "snapshot.brokrs: is no known field"),
        ({"kind": "Wave"}, "kind: must be Rehearsal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_named_by_its_path(change: dict[str, Any], named: str) -> None:
    assert named in error_of({**GOOD, **change})


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"at": 1, "fault": "broker_crashes", "broker": 1}, "there is no fault broker_crashes"),
        ({"at": 1, "broker": 1}, "fault is missing"),
        ({"at": 1, "fault": "broker_crash"}, "broker is missing"),
        ({"at": 1, "fault": "broker_crash", "broker": 9}, "node 9 is not in the snapshot"),
        ({"at": 1, "fault": "broker_crash", "broker": "1"}, "must be a node id"),
        ({"at": 1, "fault": "broker_crash", "broker": 1, "factor": 2}, "faults[0].factor"),
        ({"fault": "broker_crash", "broker": 1}, "has neither at nor when"),
        (
            {"at": 1, "when": {"broker": 1, "state": "stopped"}, "fault": "abort"},
            "has both at and when",
        ),
        ({"when": {"broker": 1, "state": "stoped"}, "fault": "abort"}, "there is no state stoped"),
        ({"when": {"broker": 7, "state": "stopped"}, "fault": "abort"}, "node 7 is not in the"),
        ({"when": {"broker": 1, "stat": "stopped"}, "fault": "abort"}, "faults[0].when.stat"),
        ({"at": -1, "fault": "abort"}, "faults[0].at: must be at least 0"),
        ({"at": 1, "for": "long", "fault": "pause"}, "faults[0].for: must be a number"),
        ({"at": 1, "fault": "slow_start", "broker": 1}, "factor is missing"),
        ({"at": 1, "fault": "slow_start", "broker": 1, "factor": 0}, "must be above 0"),
        ({"at": 1, "fault": "controller_moves", "to": 5}, "node 5 is no voter"),
        ({"at": 1, "fault": "voter_behind", "broker": 4}, "node 4 is no voter"),
        ({"at": 1, "fault": "metadata_lost", "broker": 1}, "faults[0].broker: unknown key"),
        (
            {"at": 1, "fault": "reassignment", "topic": "no", "partition": 0, "adding": [4]},
            "there is no topic no",
        ),
        (
            {"at": 1, "fault": "reassignment", "topic": "orders", "partition": 99, "adding": [4]},
            "there is no partition orders-99",
        ),
        (
            {"at": 1, "fault": "reassignment", "topic": "orders", "partition": 0, "adding": [1]},
            "node 1 has a replica of orders already",
        ),
        (
            {"at": 1, "fault": "topic_created", "name": "orders", "replicas": [1]},
            "there is a topic orders already",
        ),
        ({"at": 1, "fault": "topic_created", "name": "new", "replicas": [8]}, "node 8 is not"),
        ({"at": 1, "fault": "clock_jump"}, "seconds is missing"),
        ({"at": 1, "fault": "retry"}, "broker is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_typo_rehearses_no_calm_day(fault: dict[str, Any], named: str) -> None:
    assert named in error_of(with_fault(**fault))


def test_every_mistake_is_found_at_once_with_line_and_column() -> None:
    found = error_of(
        "apiVersion: healthd/v1\n"
        "kind: Rehearsal\n"
        "snapshot: nowhere.json\n"
        "wave: {playbook: rolling-restart, policy: {soak: 1}}\n"
        "faults:\n"
        "  - {at: 60, fault: broker_crush, broker: 5}\n"
    )
    assert "r.yaml:3:11: snapshot: nowhere.json" in found
    assert "r.yaml:4:44: wave.policy.soak: unknown key" in found
    assert "r.yaml:6:21: faults[0].fault: there is no fault broker_crush" in found


def test_json_that_is_indented_with_tabs_names_the_real_mistake() -> None:
    found = error_of(json.dumps(with_fault(at=1, fault="oops"), indent="\t"))
    assert "faults[0].fault: there is no fault oops" in found


def test_a_key_that_stands_twice_is_refused_in_json_as_well() -> None:
    text = json.dumps(GOOD)[:-1] + ', "seed": 1, "seed": 2}'
    assert "key seed is here twice" in error_of(text)


def test_a_snapshot_is_found_beside_the_file_and_read_from_standard_input_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps(cluster_document()), encoding="utf-8")
    document = {**GOOD, "snapshot": "cluster.json", "until": 30}
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    beside = CliRunner().invoke(cli, ["rehearse", str(path)])
    monkeypatch.chdir(tmp_path)
    piped = CliRunner().invoke(cli, ["rehearse", "-"], input=json.dumps(document))
    assert beside.exit_code == piped.exit_code == Exit.OK
    assert beside.stdout == piped.stdout
    assert json.loads(beside.stdout)["outcome"] == "running"


def test_one_unusable_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(with_fault(at=1, fault="oops")), encoding="utf-8")
    ran = CliRunner().invoke(cli, ["rehearse", str(path), "-o", "json"])
    assert ran.exit_code == Exit.USAGE
    answer = json.loads(ran.stdout)
    assert answer["file"] == str(path)
    assert "there is no fault oops" in answer["error"]
    assert "Traceback" not in ran.output


def test_several_files_are_answered_in_order_and_one_bad_one_does_not_hide_the_others(
    tmp_path: Path,
) -> None:
    good, bad, none = (tmp_path / name for name in ("good.json", "bad.yaml", "none.yaml"))
    good.write_text(json.dumps({**GOOD, "until": 30}), encoding="utf-8")
    bad.write_text("kind: [", encoding="utf-8")
    ran = CliRunner().invoke(cli, ["rehearse", str(bad), str(good), str(none)])
    assert ran.exit_code == Exit.USAGE
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [row["file"] for row in rows] == [str(bad), str(good), str(none)]
    assert [sorted(row) == ["error", "file"] for row in rows] == [True, False, True]
    assert rows[1]["outcome"] == "running"


def test_a_wave_that_ends_badly_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(with_fault(at=5, fault="abort")), encoding="utf-8")
    ran = CliRunner().invoke(cli, ["rehearse", str(path)])
    assert ran.exit_code == Exit.OK
    assert json.loads(ran.stdout)["outcome"] == "aborted"


def test_a_playbook_of_ones_own_is_found_in_its_folder(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[3] / "playbooks" / "rolling-restart.yaml"
    text = shipped.read_text(encoding="utf-8").replace("name: rolling-restart", "name: mine")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**GOOD, "wave": {"playbook": "mine"}, "until": 9}), "utf-8")
    without = CliRunner().invoke(cli, ["rehearse", str(path)])
    ran = CliRunner().invoke(cli, ["rehearse", str(path), "--playbook-dir", str(tmp_path)])
    assert (without.exit_code, ran.exit_code) == (Exit.USAGE, Exit.OK)
