"""`healthd status` and `healthd snapshot`: what an operator sees."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.daemon import (
    broker_down,
    cluster_view,
    snapshot_of_cluster,
    unseen_view,
    wave_state,
)

from healthd.cli.direct import DEFAULT_FLEET_FILE
from healthd.cli.exits import Exit
from healthd.config.problems import ConfigError, Problem
from healthd.config.settings import SettingsFields
from healthd.model.parse import snapshot_of
from healthd.model.snapshot import ClusterSnapshot


@pytest.fixture
def mixed(served: Any) -> Any:
    """One cluster that is well, one that is not, and one that nobody has seen."""
    ill = cluster_view("ill", snapshot_of_cluster("ill", **broker_down(3)))
    served.daemon.views |= {"dark": unseen_view(), "ill": ill}
    served.daemon.put(wave_state())
    return served


def rows(output: str) -> dict[str, list[str]]:
    table = output.partition("\n\n")[0].splitlines()
    return {line.split()[0]: line.split() for line in table}


def test_the_worst_stand_first_with_class_index_and_what_binds(mixed: Any) -> None:
    result = mixed.run("status")
    assert result.exit_code == Exit.OK
    found = rows(result.output)
    assert list(found) == ["CLUSTER", "dark", "ill", "payments"]
    assert found["dark"][1:3] == ["UNKNOWN", "-"]
    assert found["ill"][1:4] == ["WARN", "72", "PARTITION_AT_MIN_ISR"]
    assert found["payments"][1:4] == ["OK", "100", "-"]
    assert found["payments"][-2:] == ["w1", "holding"]


def test_what_is_not_well_is_told_with_what_to_do(mixed: Any) -> None:
    output = mixed.run("status").output
    assert "ill: PARTITION_AT_MIN_ISR orders-0, orders-1" in output
    assert "do:     Bring back the brokers that hold the missing" in output
    assert "then:   BROKER_DOWN still holds it at 89 at most" in output
    assert "metadata: b1:9092 refused the connection (the cluster's side)" in output
    assert "payments:" not in output


def test_the_bounds_are_shown_where_they_differ(served: Any) -> None:
    half = snapshot_of_cluster(ages={"metadata": 1.0, "configs": 1.0, "quorum": None})
    served.daemon.views["payments"] = cluster_view(snapshot=half)
    found = rows(served.run("status").output)["payments"]
    assert "to" in found
    assert found[3].startswith("(")


@pytest.mark.parametrize("name", ["payments", "ill", "dark"])
def test_one_cluster_is_told_in_full(mixed: Any, name: str) -> None:
    result = mixed.run("status", name)
    assert result.exit_code == Exit.OK
    said = {
        "payments": ["Health Index 100", "GATE  clear", "healthd wave show w1", "partitions"],
        "ill": ["Health Index 72", "GATE  closed", "BROKER_DOWN broker:3: it is not alive",
                "do:     Start them again"],
        "dark": ["UNKNOWN", "Health Index -", "never seen", "b1:9092 refused"],
    }  # fmt: skip
    for text in said[name]:
        assert text in result.output


def test_json_is_what_the_api_says(mixed: Any) -> None:
    listed = json.loads(mixed.run("status", "-o", "json").output)["clusters"]
    assert [row["cluster"] for row in listed] == ["payments", "dark", "ill"]
    one = json.loads(mixed.run("status", "ill", "-o", "json").output)
    assert (one["cluster"], one["health"]["bindingCap"]) == ("ill", "PARTITION_AT_MIN_ISR")


@pytest.mark.parametrize("words", [[], ["-o", "json"], ["-o", "table"]])
def test_a_snapshot_is_json_whatever_is_asked_for(mixed: Any, words: list[str]) -> None:
    result = mixed.run("snapshot", "payments", *words)
    assert result.exit_code == Exit.OK, result.stderr
    assert json.loads(result.stdout)["kind"] == "ClusterSnapshot"


def test_a_cluster_that_is_not_there_is_exit_2_and_names_those_that_are(mixed: Any) -> None:
    for command in ("status", "snapshot"):
        result = mixed.run(command, "nope")
        assert result.exit_code == Exit.USAGE
        assert "no cluster nope" in result.stderr
        assert "payments" in result.stderr


def test_an_empty_fleet_is_said_to_be_one(served: Any) -> None:
    served.daemon.views = {}
    assert "no clusters" in served.run("status").output


def test_names_that_would_move_the_cursor_are_shown_as_escapes(served: Any) -> None:
    changes = broker_down(3)
    view = cluster_view("ill\x1b[2J", snapshot_of_cluster("x", **changes))
    served.daemon.views = {"ill\x1b[2J": view}
    output = served.run("status").output
    assert "\x1b" not in output
    assert "\\x1b" in output


def test_the_snapshot_is_json_that_evaluate_reads(served: Any) -> None:
    result = served.run("snapshot", "payments")
    assert result.exit_code == Exit.OK
    assert snapshot_of(json.loads(result.output)) == snapshot_of_cluster()


def test_a_cluster_that_was_not_observed_yet_has_no_snapshot(mixed: Any) -> None:
    result = mixed.run("snapshot", "dark")
    assert result.exit_code == Exit.FAILED
    assert "not been observed yet" in result.stderr


class Direct:
    """Stands in for the composition root's factory."""

    def __init__(self, outcome: ClusterSnapshot | Exception) -> None:
        self.outcome = outcome
        self.asked: list[dict[str, Any]] = []

    def __call__(self, **what: Any) -> ClusterSnapshot:
        self.asked.append(what)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def as_module(direct: Direct) -> ModuleType:
    """A composition root with nothing else in it; the real one loads every library."""
    module = ModuleType("healthd.main")
    module.__dict__["direct_snapshot"] = direct
    return module


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (
            ["payments", "--direct"],
            {"cluster": "payments", "fleet_file": DEFAULT_FLEET_FILE, "bootstrap": None},
        ),
        (
            ["payments", "--bootstrap", "b1:9092"],
            {"cluster": "payments", "fleet_file": DEFAULT_FLEET_FILE, "bootstrap": "b1:9092"},
        ),
        (
            ["--bootstrap", "b1:9092"],
            {"cluster": None, "fleet_file": DEFAULT_FLEET_FILE, "bootstrap": "b1:9092"},
        ),
    ],
    ids=["fleet file", "bootstrap", "bootstrap without a name"],
)
def test_without_a_daemon_the_cluster_is_read_now(
    served: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], asked: dict[str, Any]
) -> None:
    direct = Direct(snapshot_of_cluster())
    monkeypatch.setitem(sys.modules, "healthd.main", as_module(direct))
    result = served.run("snapshot", *words, "--server", "http://127.0.0.1:9")
    assert snapshot_of(json.loads(result.output)) == snapshot_of_cluster()
    assert direct.asked == [asked]


def test_a_cluster_that_does_not_answer_is_exit_1_with_all_that_is_known(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = {"source": "metadata", "detail": "b1:9092 refused"}
    for ages, code in (({"metadata": None}, Exit.FAILED), ({"metadata": 1.0}, Exit.OK)):
        extra = {"collector": {"failures": [failure]}}
        direct = Direct(snapshot_of_cluster(ages=ages, extra=extra))
        monkeypatch.setitem(sys.modules, "healthd.main", as_module(direct))
        result = served.run("snapshot", "--bootstrap", "b1:9092")
        assert result.exit_code == code
        assert json.loads(result.stdout)["extra"] == extra
        assert result.stderr == "healthd: payments: metadata was not read: b1:9092 refused\n"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (ConfigError([Problem(file="fleet.yaml", line=3, column=1, message="a", action="b")]),
         "fleet.yaml:3:1: a -> b"),
        (LookupError("there is no cluster payments"), "no cluster payments"),
    ],
    ids=["fleet file", "cluster"],
)  # fmt: skip
def test_a_mistake_of_the_fleet_file_is_exit_2(
    served: Any, monkeypatch: pytest.MonkeyPatch, outcome: Exception, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "healthd.main", as_module(Direct(outcome)))
    result = served.run("snapshot", "payments", "--direct")
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "environment"),
    [(["--fleet-file", "f.yaml"], {}), (["--fleet", "f.yaml"], {}),
     ([], {"HEALTHD_FLEET_FILE": "f.yaml"})],
    ids=["flag", "short flag", "environment"],
)  # fmt: skip
def test_the_fleet_file_is_named_as_for_the_daemon(
    served: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], environment: dict[str, str]
) -> None:
    direct = Direct(snapshot_of_cluster())
    monkeypatch.setitem(sys.modules, "healthd.main", as_module(direct))
    served.environment = environment
    assert served.run("snapshot", "payments", "--direct", *words).exit_code == Exit.OK
    assert direct.asked[0]["fleet_file"] == Path("f.yaml")


def test_the_fleet_file_of_the_daemon_is_the_one_that_is_read_when_none_is_named() -> None:
    assert SettingsFields.model_fields["fleet_file"].default == DEFAULT_FLEET_FILE


def test_two_ways_to_read_a_cluster_are_one_too_many(served: Any) -> None:
    result = served.run("snapshot", "payments", "--direct", "--bootstrap", "b1:9092")
    assert result.exit_code == Exit.USAGE
