"""`healthd plan CLUSTER` through the daemon, and `wave start --plan` with what it printed."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from healthd.cli.exits import Exit
from healthd.engine.view import OrderRefused, Refusal

STARTING = ["--playbook", "rolling-restart", "--reason", "CHG-1"]


def planned(served: Any, *words: str) -> dict[str, Any]:
    result = served.run("plan", "payments", *words, "-o", "json")
    assert result.exit_code == Exit.OK, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def file(served: Any, tmp_path: Path) -> Path:
    """A plan that the daemon made."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(planned(served)))
    return path


def test_a_plan_of_what_the_daemon_sees(served: Any) -> None:
    found = planned(served)
    assert [step["brokers"] for step in found["steps"]] == [[2], [3], [1]]
    assert (found["cluster"], found["madeFrom"], found["concurrency"]) == (
        "payments",
        "snapshot",
        1,
    )
    shown = served.run("plan", "payments").stdout
    assert shown.startswith("payments: 3 nodes in 3 steps, at most 1 at a time")


def test_every_option_reaches_the_daemon(served: Any) -> None:
    found = planned(
        served, "--brokers", "1,3", "--concurrency", "safe", "--margin", "1",
        "--allow-rf-one", "a-*", "--allow-rf-one", "b", "--allow-rf-le-min-isr", "c",
        "--allow-quorum-without-spare", "--assume-min-isr", "2",
    )  # fmt: skip
    assert found["concurrency"] == "safe"
    assert sum(len(step["brokers"]) for step in found["steps"]) + len(found["blocked"]) == 2
    assert found["policy"] == {
        "margin": 1,
        "allowRfOne": ["a-*", "b"],
        "allowRfLeMinIsr": ["c"],
        "allowQuorumWithoutSpare": True,
    }


def test_what_is_not_there_is_a_usage_error(served: Any) -> None:
    assert served.run("plan", "nowhere").exit_code == Exit.USAGE
    result = served.run("plan", "payments", "--brokers", "9")
    assert result.exit_code == Exit.USAGE
    assert "unknown broker 9: payments has 1, 2, 3" in result.stderr


def test_nobody_answers_is_exit_8(served: Any) -> None:
    served.environment["HEALTHD_SERVER"] = "http://127.0.0.1:9"
    assert served.run("plan", "payments").exit_code == Exit.UNREACHABLE


def test_a_wave_starts_by_a_plan(served: Any, file: Path) -> None:
    result = served.run("wave", "start", "--plan", str(file), *STARTING)
    assert result.exit_code == Exit.OK, result.output
    ((request, by),) = served.daemon.requests
    assert by == "ann"
    assert request["stages"] == [
        {"name": "all", "clusters": ["payments"], "brokers": [1, 2, 3], "concurrency": 1}
    ]
    assert request["policy"]["margin"] == 0
    assert request["plan"]["fingerprint"] == json.loads(file.read_text())["fingerprint"]
    assert "reason" not in request["plan"]["steps"][0]


def test_a_plan_may_come_from_stdin(served: Any, file: Path) -> None:
    result = served.run("wave", "start", "--plan", "-", *STARTING, text=file.read_text())
    assert result.exit_code == Exit.OK, result.output


def test_a_stale_plan_is_exit_7_with_a_line_for_each_difference(served: Any, file: Path) -> None:
    served.daemon.refusal = OrderRefused(
        Refusal.STALE,
        "the plan for payments is stale, nothing was started: broker 4 joined; rack",
        differences=[
            {"change": "broker-new", "brokers": [4], "detail": "broker 4 joined the cluster"},
            {"change": "rack", "brokers": [3], "detail": "broker 3 was in rack a and is in b"},
        ],
    )
    result = served.run("wave", "start", "--plan", str(file), *STARTING)
    assert result.exit_code == Exit.PLAN_STALE
    assert result.stderr.splitlines() == [
        "healthd: the plan for payments is stale, nothing was started",
        "  broker 4 joined the cluster",
        "  broker 3 was in rack a and is in b",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("{}", "is no plan"),
        ({"madeFrom": "kcat"}, "no wave accepts a plan made from what kcat prints"),
        ({"steps": []}, "the plan takes nobody"),
        ({"steps": [{"brokers": [1]}]}, "steps[0].role: is required"),
    ],
)
def test_what_cannot_be_used_is_exit_2_and_nothing_is_sent(
    served: Any, file: Path, content: Any, says: str
) -> None:
    if isinstance(content, dict):
        content = json.dumps(json.loads(file.read_text()) | content)
    file.write_text(content)
    result = served.run("wave", "start", "--plan", str(file), *STARTING)
    assert result.exit_code == Exit.USAGE
    assert says in result.stderr
    assert str(file) in result.stderr
    assert not served.daemon.requests


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--cluster", "payments", *STARTING], "the plan says it: leave out --cluster"),
        (["wave.yaml", *STARTING], "the plan says it: leave out FILE"),
        (["--brokers", "1", *STARTING], "leave out --brokers"),
        (["--reason", "x"], "add --playbook"),
        (["--playbook", "x"], "add --reason"),
    ],
)
def test_the_plan_says_where_and_the_options_what_and_why(
    served: Any, file: Path, words: list[str], says: str
) -> None:
    result = served.run("wave", "start", "--plan", str(file), *words)
    assert result.exit_code == Exit.USAGE
    assert says in result.stderr


WAVE = """\
apiVersion: healthd/v1
kind: Wave
name: june
playbook: rolling-restart
stages:
  - {name: canary, clusters: [payments]}
  - {name: prod, match: {env: prod}, approval: two-person, soakSeconds: 600}
"""


def fleet_plan(served: Any) -> dict[str, Any]:
    """What the daemon shall answer for a wave file: a canary, and a cluster that nobody saw."""
    plan = planned(served)
    blocked = {"broker": 7, "blockers": [{"code": "RF_ONE", "object": "t-0", "detail": "alone"}]}
    canary = {"name": "canary", "clustersAtOnce": 1, "approval": None, "soakSeconds": 0.0,
              "estimatedSeconds": 555, "plans": [{**plan, "blocked": [blocked]}]}  # fmt: skip
    prod = {"name": "prod", "clustersAtOnce": 2, "approval": "two-person", "soakSeconds": 600.0,
            "estimatedSeconds": 600,
            "plans": [{"cluster": "orders", "error": "not seen"}]}  # fmt: skip
    found = {
        "kind": "FleetPlan", "name": "june", "playbook": "rolling-restart",
        "stages": [canary, prod],
        "clusters": 2, "nodes": 3, "estimatedSeconds": 1155, "estimatedFrom": "model",
        "blocked": [{"stage": "canary", "cluster": "payments", **blocked}],
        "notPlanned": [{"stage": "prod", "cluster": "orders", "error": "not seen"}],
        "fingerprint": "f" * 64, "notes": ["windows are not counted"],
    }  # fmt: skip
    served.daemon.fleet_plan = found
    return found


def test_a_wave_file_is_planned_cluster_by_cluster(served: Any, tmp_path: Path) -> None:
    fleet_plan(served)
    file = tmp_path / "june.yaml"
    file.write_text(WAVE)
    result = served.run("plan", str(file))
    assert result.exit_code == Exit.OK, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "june: rolling-restart on 3 nodes of 2 clusters in 2 stages; about 20 min by model"
    )
    assert "stage 1, canary: 1 cluster, at most 1 at a time, about 10 min" in lines
    assert (
        "stage 2, prod: 1 cluster, at most 2 at a time, after two people approve, about 10 min,"
        " 10 min of that are its soak"
    ) in lines
    assert any(line.split()[:5] == ["canary", "payments", "7", "RF_ONE:", "t-0"] for line in lines)
    assert "not planned: orders of stage prod: not seen" in lines
    assert lines[-1] == "note: windows are not counted"


def test_a_wave_file_with_a_mistake_is_exit_2_with_the_place(served: Any, tmp_path: Path) -> None:
    file = tmp_path / "june.yaml"
    file.write_text(WAVE.replace("approval: two-person", "approval: maybe"))
    result = served.run("plan", str(file))
    assert result.exit_code == Exit.USAGE
    assert f"{file}:7:" in result.stderr
    missing = served.run("plan", str(tmp_path / "none.yaml"))
    assert missing.exit_code == Exit.USAGE
    assert "cannot be opened" in missing.stderr


def test_options_do_not_say_what_stands_in_the_wave_file(served: Any, tmp_path: Path) -> None:
    file = tmp_path / "june.yaml"
    file.write_text(WAVE)
    result = served.run("plan", str(file), "--concurrency", "2", "--margin", "1")
    assert result.exit_code == Exit.USAGE
    assert "the wave file says it all: leave out --concurrency, --margin" in result.stderr


def test_a_wave_over_a_fleet_starts_by_the_plan_of_its_file(served: Any, tmp_path: Path) -> None:
    made = fleet_plan(served)
    made["stages"] = made["stages"][:1]
    wave = {"apiVersion": "healthd/v1", "kind": "Wave", "name": "june", "playbook": "p",
            "stages": [{"name": "canary", "clusters": ["payments"]}]}  # fmt: skip
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(made | {"wave": wave}))
    without = served.run("wave", "start", "--plan", str(file))
    assert without.exit_code == Exit.USAGE
    assert "add --reason" in without.stderr
    result = served.run("wave", "start", "--plan", str(file), "--reason", "CHG-9")
    assert result.exit_code == Exit.OK, result.output
    ((request, _),) = served.daemon.requests
    assert request["reason"] == "CHG-9"
    assert request["plan"]["kind"] == "FleetPlan"
    both = served.run("wave", "start", "--plan", str(file), *STARTING)
    assert both.exit_code == Exit.USAGE
    assert "leave out --playbook" in both.stderr


def test_a_plan_in_which_a_cluster_is_missing_starts_nothing(served: Any, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(fleet_plan(served) | {"wave": {}}))
    result = served.run("wave", "start", "--plan", str(file), "--reason", "CHG-9")
    assert result.exit_code == Exit.USAGE
    assert "stages[1].plans[0]: orders was not planned: not seen" in result.stderr


def test_a_dry_run_is_asked_for_with_one_word_and_shown_as_one(served: Any, file: Path) -> None:
    result = served.run("wave", "start", "--plan", str(file), *STARTING, "--dry-run")
    assert result.exit_code == Exit.OK, result.output
    assert result.stdout.startswith("Started a dry run rolling-restart-payments-1 on payments.")
    ((request, _),) = served.daemon.requests
    assert request["dryRun"] is True
    (row,) = json.loads(served.run("wave", "list", "-o", "json").stdout)["waves"]
    assert row["dryRun"] is True
    assert "dry run, running" in served.run("wave", "list").stdout
    assert "dry run, running" in served.run("wave", "show", row["wave"]).stdout


STAGES = """\
apiVersion: healthd/v1
kind: Wave
name: june
playbook: rolling-restart
stages:
  - {name: canary, clusters: [payments]}
  - {name: prod, clusters: [orders], approval: required}
"""


def test_a_dry_run_of_several_stages_is_asked_for_with_one_word(
    served: Any, tmp_path: Path
) -> None:
    path = tmp_path / "june.yaml"
    path.write_text(STAGES)
    result = served.run("wave", "start", str(path), "--reason", "CHG-1", "--dry-run")
    assert result.exit_code == Exit.OK, result.output
    assert result.stdout.startswith("Started a dry run dry-run-june-1 on 2 clusters.")
    ((request, _),) = served.daemon.requests
    assert request["dryRun"] is True
    assert "dry run, planned" in served.run("wave", "list").stdout


def test_a_dry_run_is_in_no_metric_and_not_among_the_waves_of_a_cluster(
    served: Any, file: Path
) -> None:
    served.run("wave", "start", "--plan", str(file), *STARTING, "--dry-run")
    page = httpx2.get(f"{served.address}/metrics").text
    assert "rolling-restart-payments-1" not in page
    clusters = httpx2.get(f"{served.address}/api/v1/clusters").json()["clusters"]
    assert [row["waves"] for row in clusters] == [[]]
