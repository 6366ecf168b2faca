"""What healthd may not see of a real broker with an authorizer, and the commands that change it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.guarded_kafka import PASSWORD, GuardedKafka

from healthd.cli.doctor import doctor
from healthd.collect.access import Access
from healthd.collect.cluster import ClusterCollector
from healthd.collect.protocol import Collected
from healthd.collect.target import ClusterTarget
from healthd.demo.topics import quiet_client
from healthd.engine.collector_checks import collector_checks
from healthd.health.index import evaluate
from healthd.health.words import HealthClass
from healthd.model.codes import CheckCode, ReasonCode
from healthd.safety.gate import snapshot_holds

pytestmark = pytest.mark.xdist_group("guarded-kafka")


@pytest.fixture(scope="module")
def kafka() -> Iterator[GuardedKafka]:
    with GuardedKafka() as found:
        admin = AdminClient(quiet_client(found.cluster.bootstrap))
        topics = [NewTopic("orders", 2, 1), NewTopic("secret", 1, 1)]
        for future in admin.create_topics(topics).values():
            future.result()
        yield found


@pytest.fixture
def fleet(kafka: GuardedKafka, tmp_path: Path) -> Path:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    return tmp_path / "fleet.yaml"


def ask(fleet: Path, kafka: GuardedKafka, user: str, *, output: str = "json") -> Result:
    security = {
        "protocol": "SASL_PLAINTEXT",
        "saslMechanism": "PLAIN",
        "username": user,
        "passwordFile": "password",
    }
    cluster = {
        "name": "payments",
        "bootstrapServers": [kafka.bootstrap],
        "security": security,
        "probe": {},
    }
    fleet.write_text(
        json.dumps({"apiVersion": "healthd/v1", "kind": "Fleet", "clusters": [cluster]})
    )
    words = ["payments", "--direct", "--fleet", str(fleet), "-o", output]
    return CliRunner().invoke(doctor, words)


def outcomes(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(found["source"], found["subject"]): found["outcome"] for found in document["findings"]}


async def collected_as(kafka: GuardedKafka, user: str) -> Collected:
    access = Access(
        protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", username=user, password=PASSWORD
    )
    collector = ClusterCollector(
        ClusterTarget(name="payments", bootstrap_servers=(kafka.bootstrap,), access=access)
    )
    try:
        return await collector.collect()
    finally:
        await collector.aclose()


def test_somebody_who_may_everything_is_told_so(kafka: GuardedKafka, fleet: Path) -> None:
    result = ask(fleet, kafka, "admin")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["authorizer"] == "on"
    assert document["principal"] == "User:admin"
    assert document["grants"] == []
    assert set(outcomes(document).values()) == {"allowed", "not configured"}
    # It looks, and changes nothing: the probe's topic is not made.
    admin = AdminClient(quiet_client(kafka.cluster.bootstrap))
    assert set(admin.list_topics(timeout=5).topics) == {"orders", "secret"}


async def test_without_any_acl_everything_is_unknown_and_nothing_the_clusters_fault(
    kafka: GuardedKafka,
) -> None:
    collected = await collected_as(kafka, "nobody")
    checks = collector_checks(collected.snapshot, collected.failures)
    report = evaluate(collected.snapshot, further=checks)
    assert report.health_class is HealthClass.UNKNOWN
    assert {check.code for check in report.checks} == {CheckCode.COLLECTOR_AUTH}
    assert {failure.origin.value for failure in collected.failures} == {"ours"}
    assert any("Describe on Cluster:kafka-cluster" in each.detail for each in collected.failures)
    assert ReasonCode.EVIDENCE_MISSING in {hold.code for hold in snapshot_holds(collected.snapshot)}


async def test_topics_that_are_hidden_close_the_gate(kafka: GuardedKafka) -> None:
    for what in ("--operation Describe --cluster", "--operation Describe --topic orders"):
        kafka.carry_out(
            "kafka-acls.sh --bootstrap-server x --command-config y --add "
            f"--allow-principal User:partly {what}"
        )
    collected = await collected_as(kafka, "partly")
    [hidden] = [each for each in collected.failures if each.reason.value == "topics_hidden"]
    assert hidden.check is CheckCode.COLLECTOR_AUTH
    assert "Describe on Topic:*" in hidden.detail
    assert evaluate(collected.snapshot).health_class is HealthClass.UNKNOWN
    holds = {(hold.code, hold.object) for hold in snapshot_holds(collected.snapshot)}
    assert (ReasonCode.EVIDENCE_MISSING, "source:metadata") in holds


def test_the_printed_commands_grant_all_that_is_missing_and_make_it_clean(
    kafka: GuardedKafka, fleet: Path
) -> None:
    result = ask(fleet, kafka, "healthd")
    assert result.exit_code == 3, result.output
    document = json.loads(result.stdout)
    assert document["class"] == "UNKNOWN"
    found = outcomes(document)
    assert found["bootstrap", kafka.bootstrap] == "allowed"
    for key in (
        ("metadata", "Describe on Topic:*"),
        ("configs", "DescribeConfigs on Topic:*"),
        ("configs", "DescribeConfigs of brokers"),
        ("quorum", "DescribeQuorum"),
        ("quorum", "ListPartitionReassignments"),
        ("logDirs", "DescribeLogDirs"),
        ("probe", "topic __healthd_probe"),
    ):
        assert found[key] == "denied", key
    assert len(document["grants"]) == 3
    for command in document["grants"]:
        kafka.carry_out(command)
    again = ask(fleet, kafka, "healthd")
    assert again.exit_code == 0, again.stdout
    assert json.loads(again.stdout)["class"] == "OK"


def test_a_rule_that_forbids_is_found_and_the_command_removes_it(
    kafka: GuardedKafka, fleet: Path
) -> None:
    kafka.carry_out(
        "kafka-acls.sh --bootstrap-server x --command-config y --add "
        "--deny-principal User:healthd --operation Describe --topic secret"
    )
    result = ask(fleet, kafka, "healthd")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    [finding] = [each for each in document["findings"] if each["outcome"] == "denied"]
    assert finding["subject"] == "Describe on Topic:*"
    assert "User:healthd may not Describe Topic:secret" in finding["detail"]
    collected = asyncio.run(collected_as(kafka, "healthd"))
    assert [each.reason.value for each in collected.failures] == ["topics_hidden"]
    [command] = document["grants"]
    assert "--remove" in command
    kafka.carry_out(command)
    assert ask(fleet, kafka, "healthd").exit_code == 0


def test_a_wrong_password_is_ours_and_nothing_else_is_guessed(
    kafka: GuardedKafka, fleet: Path, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("wrong")
    result = ask(fleet, kafka, "healthd")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    found = outcomes(document)
    assert found["bootstrap", kafka.bootstrap] == "allowed"
    assert found["metadata", "connect and authenticate"] == "denied"
    assert document["grants"] == []
    assert "wrong" not in result.output


def test_a_person_reads_what_it_costs_and_copies_the_commands(
    kafka: GuardedKafka, fleet: Path
) -> None:
    result = ask(fleet, kafka, "nobody", output="table")
    assert result.exit_code == 3
    assert "It asks an authorizer who may do what." in result.stdout
    assert "partitions, brokers, controller" in result.stdout
    command = next(line for line in result.stdout.splitlines() if "--topic '*'" in line)
    assert command.strip().startswith("kafka-acls.sh --bootstrap-server")
