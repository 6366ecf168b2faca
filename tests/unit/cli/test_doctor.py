"""`healthd doctor`: what a person reads, exit codes, and where it looks from."""

import json
from pathlib import Path
from typing import Any

import pytest

import healthd.main
from healthd.cli.exits import Exit
from healthd.config.problems import ConfigError, Problem

GRANT = (
    "kafka-acls.sh --bootstrap-server b1:9092 --command-config admin.properties --add "
    "--allow-principal User:healthd --operation Describe --cluster"
)


def finding(subject: str, outcome: str = "allowed", **more: Any) -> dict[str, Any]:
    parts = {"detail": "", "terms": [], "completenessLost": 0.0, "grants": []}
    return {"source": "quorum", "subject": subject, "outcome": outcome, **parts, **more}


def examined(*findings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "cluster": "payments",
        "principal": "User:healthd",
        "authorizer": "on",
        "class": "OK",
        "completeness": 1.0,
        "problems": sum(each["outcome"] == "denied" for each in findings),
        "findings": list(findings),
        "grants": [command for each in findings for command in each["grants"]],
        **changes,
    }


WELL = examined(finding("DescribeQuorum"))
ILL = examined(
    finding("ListPartitionReassignments"),
    finding(
        "DescribeQuorum",
        "denied",
        detail="Needs Describe on Cluster:kafka-cluster.",
        terms=["controller"],
        completenessLost=0.2,
        grants=[GRANT],
    ),
    **{"class": "UNKNOWN", "completeness": 0.8},
)


def test_the_daemon_looks_and_all_is_well(served: Any) -> None:
    served.daemon.examinations["payments"] = WELL
    result = served.run("doctor", "payments")
    assert result.exit_code == Exit.OK
    assert "brokers take healthd for User:healthd" in result.output
    assert "no problems" in result.output


def test_a_problem_says_what_it_costs_and_what_would_grant_it(served: Any) -> None:
    served.daemon.examinations["payments"] = ILL
    result = served.run("doctor", "payments")
    assert result.exit_code == Exit.PROBLEMS
    assert "controller: 20 % of completeness" in result.output
    assert "Needs Describe on Cluster:kafka-cluster." in result.output
    assert "Class UNKNOWN, completeness 80 %; 1 problem." in result.output
    assert f"  {GRANT}\n" in result.output


def test_json_is_the_document_as_it_is(served: Any) -> None:
    served.daemon.examinations["payments"] = ILL
    result = served.run("doctor", "payments", "-o", "json")
    assert result.exit_code == Exit.PROBLEMS
    assert json.loads(result.output) == ILL


@pytest.mark.parametrize(
    ("authorizer", "words"),
    [("off", "No authorizer is on"), ("unknown", "is not known")],
)
def test_whether_anybody_asks_for_rights_is_said(served: Any, authorizer: str, words: str) -> None:
    served.daemon.examinations["payments"] = {**WELL, "authorizer": authorizer, "principal": None}
    assert words in served.run("doctor", "payments").output


def test_without_a_daemon_it_exits_8(served: Any, unused_tcp_port: int) -> None:
    served.address = f"http://127.0.0.1:{unused_tcp_port}"
    assert served.run("doctor", "payments").exit_code == Exit.UNREACHABLE


def test_a_cluster_that_is_not_there_is_a_usage_error(served: Any) -> None:
    assert served.run("doctor", "nowhere").exit_code == Exit.USAGE


@pytest.mark.parametrize(
    "words", [[], ["payments", "--direct", "--bootstrap", "b1:9092"]], ids=["none", "both"]
)
def test_what_is_meant_must_be_said_once(served: Any, words: list[str]) -> None:
    assert served.run("doctor", *words).exit_code == Exit.USAGE


def test_from_here_no_daemon_is_asked(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def looked(**words: Any) -> dict[str, Any]:
        asked.append(words)
        return ILL

    monkeypatch.setattr(healthd.main, "direct_examination", looked)
    served.address = "http://127.0.0.1:1"
    result = served.run("doctor", "payments", "--direct", "--fleet", "fleet.yaml")
    assert result.exit_code == Exit.PROBLEMS
    assert served.run("doctor", "--bootstrap", "b1:9092").exit_code == Exit.PROBLEMS
    assert [(words["cluster"], words["bootstrap"]) for words in asked] == [
        ("payments", None),
        (None, "b1:9092"),
    ]


def test_a_fleet_file_with_mistakes_is_told_by_line(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_words: Any) -> dict[str, Any]:
        raise ConfigError([Problem(file="fleet.yaml", line=3, message="no", action="do")])

    monkeypatch.setattr(healthd.main, "direct_examination", broken)
    result = served.run("doctor", "payments", "--direct")
    assert result.exit_code == Exit.USAGE
    assert "fleet.yaml:3" in result.stderr


HOSTS = [
    {
        "broker": 1,
        "address": "b1",
        "problems": 0,
        "checks": [{"check": "service", "outcome": "ok", "detail": "process 7", "action": ""}],
    },
    {
        "broker": 2,
        "address": "b2",
        "problems": 1,
        "checks": [
            {"check": "reachable", "outcome": "ok", "detail": "", "action": ""},
            {
                "check": "hostKey",
                "outcome": "failed",
                "detail": "b2 shows another key",
                "action": "compare it",
            },
        ],
    },
]


def test_hosts_are_a_table_with_what_to_do(served: Any) -> None:
    served.daemon.examinations["payments"] = {**WELL, "hosts": HOSTS, "problems": 1}
    result = served.run("doctor", "payments")
    assert result.exit_code == Exit.PROBLEMS
    assert "process 7" in result.output
    assert "not: host key known" in result.output
    words = " ".join(result.output.split())
    assert "broker 2 on b2, host key known: b2 shows another key. To do: compare it." in words


def test_hosts_can_be_left_out(served: Any) -> None:
    served.daemon.examinations["payments"] = {**WELL, "hosts": HOSTS, "problems": 1}
    result = served.run("doctor", "payments", "--no-hosts", "-o", "json")
    assert result.exit_code == Exit.OK
    assert json.loads(result.output)["hosts"] == []


FLEET = """
apiVersion: healthd/v1
kind: Fleet
clusters:
  - name: payments
    bootstrapServers: ["b1:9092", "b2:9092"]
    security: {protocol: SASL_PLAINTEXT, saslMechanism: PLAIN, username: hal, passwordEnv: PW}
    probe: {}
    ssh: {user: ops, keyFile: id, knownHostsFile: known}
    service: {stop: [stop], start: [start], status: [status]}
    hosts: [{broker: 1, address: b1}]
  - {name: plain, bootstrapServers: ["c1:9092"]}
"""


def fleet_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PW", "planted")
    (folder / "id").write_text("key")
    (folder / "id").chmod(0o600)
    (folder / "fleet.yaml").write_text(FLEET)
    return str(folder / "fleet.yaml")


def test_the_acls_that_are_needed_are_printed_by_what_they_are_for(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fleet_of(tmp_path, monkeypatch)
    served.address = "http://127.0.0.1:1"
    result = served.run("doctor", "payments", "--acls", "--fleet", file, "-o", "json")
    assert result.exit_code == Exit.OK, result.stderr
    document = json.loads(result.output)
    assert document["principal"] == "User:hal"
    acls = {need["purpose"]: need["acls"] for need in document["purposes"]}
    assert list(acls) == ["read", "probe", "waves", "configs"]
    assert set(acls["read"]) == {
        "Describe on Cluster:kafka-cluster",
        "DescribeConfigs on Cluster:kafka-cluster",
        "Describe on Topic:*",
        "DescribeConfigs on Topic:*",
    }
    assert acls["waves"] == ["Alter on Cluster:kafka-cluster"]
    assert acls["configs"] == ["AlterConfigs on Cluster:kafka-cluster"]
    lines = served.run("doctor", "payments", "--acls", "--fleet", file).output
    assert "# waves: giving restarted brokers" in lines
    assert (
        "kafka-acls.sh --bootstrap-server b1:9092 --command-config admin.properties --add "
        "--allow-principal User:hal --operation Alter --cluster\n"
    ) in lines
    assert "planted" not in lines


def test_a_cluster_that_is_only_read_needs_nothing_to_change(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fleet_of(tmp_path, monkeypatch)
    result = served.run("doctor", "plain", "--acls", "--fleet", file, "-o", "json")
    assert [need["purpose"] for need in json.loads(result.output)["purposes"]] == ["read"]
    assert served.run("doctor", "nowhere", "--acls", "--fleet", file).exit_code == Exit.USAGE
    both = served.run("doctor", "plain", "--acls", "--bootstrap", "b1:9092")
    assert both.exit_code == Exit.USAGE
