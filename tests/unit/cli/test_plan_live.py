"""`healthd plan CLUSTER` through the daemon, and `wave start --plan` with what it printed."""

import json
from pathlib import Path
from typing import Any

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
