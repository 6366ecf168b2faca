"""Commands that grant what is missing, and nothing else."""

import shlex

from healthd.collect.denials import DenyRule
from healthd.collect.doctor.grants import PLACEHOLDER, commands
from healthd.collect.rights import (
    DESCRIBE_CLUSTER,
    DESCRIBE_TOPIC_CONFIGS,
    DESCRIBE_TOPICS,
    Acl,
    Operation,
    Resource,
    on_topic,
)

START = "kafka-acls.sh --bootstrap-server b1:9092 --command-config admin.properties"


def granted(
    *acls: Acl, denies: tuple[DenyRule, ...] = (), principal: str | None = "User:healthd"
) -> tuple[str, ...]:
    return commands(acls, denies, bootstrap="b1:9092", principal=principal)


def rule(**changes: str) -> DenyRule:
    parts = {"principal": "User:healthd", "host": "*", "operation": "Describe", "name": "secret"}
    return DenyRule(resource=Resource.TOPIC, **{"pattern": "literal", **parts, **changes})


def test_nothing_is_missing() -> None:
    assert granted() == ()


def test_all_operations_on_one_resource_are_one_command() -> None:
    [command] = granted(DESCRIBE_TOPIC_CONFIGS, DESCRIBE_TOPICS, DESCRIBE_TOPICS)
    assert command == (
        f"{START} --add --allow-principal User:healthd --operation Describe "
        "--operation DescribeConfigs --topic '*'"
    )


def test_each_resource_is_a_command_of_its_own() -> None:
    assert granted(DESCRIBE_CLUSTER, on_topic(Operation.WRITE, "__healthd_probe")) == (
        f"{START} --add --allow-principal User:healthd --operation Describe --cluster",
        f"{START} --add --allow-principal User:healthd --operation Write --topic __healthd_probe",
    )


def test_a_distinguished_name_survives_the_shell() -> None:
    [command] = granted(DESCRIBE_CLUSTER, principal="User:CN=healthd,O=Example Inc")
    assert "User:CN=healthd,O=Example Inc" in shlex.split(command)


def test_somebody_unknown_is_a_placeholder() -> None:
    [command] = granted(DESCRIBE_CLUSTER, principal=None)
    assert PLACEHOLDER in shlex.split(command)


def test_a_rule_that_forbids_is_removed_as_it_was_made() -> None:
    forbids = rule(pattern="prefixed", host="10.0.0.1")
    [command] = granted(denies=(forbids, forbids))
    assert command == (
        f"{START} --remove --force --deny-principal User:healthd --deny-host 10.0.0.1 "
        "--operation Describe --topic secret --resource-pattern-type prefixed"
    )


def test_a_rule_reads_as_a_sentence() -> None:
    assert str(rule()) == "User:healthd may not Describe Topic:secret"
    assert str(rule(pattern="prefixed")) == "User:healthd may not Describe Topic:secret (prefixed)"
