"""The ACLs by name, and sentences about missing ones."""

from healthd.collect.observation import FailureReason, Origin
from healthd.collect.rights import (
    DESCRIBE_CLUSTER,
    DESCRIBE_TOPIC_CONFIGS,
    Operation,
    names_of,
    on_topic,
    told,
)
from healthd.collect.wire import WireError


def test_an_acl_reads_as_in_kafkas_own_logs() -> None:
    assert str(DESCRIBE_CLUSTER) == "Describe on Cluster:kafka-cluster"
    assert str(DESCRIBE_TOPIC_CONFIGS) == "DescribeConfigs on Topic:*"
    assert str(on_topic(Operation.WRITE, "orders")) == "Write on Topic:orders"


def test_a_refusal_names_the_acl_and_spares_what_the_broker_says() -> None:
    error = WireError(FailureReason.AUTHORIZATION, Origin.OURS, "Request Request(processor=2 ...")
    assert told(error, "DescribeQuorum", DESCRIBE_CLUSTER) == (
        "DescribeQuorum was refused: grant Describe on Cluster:kafka-cluster."
    )


def test_another_failure_says_what_happened() -> None:
    error = WireError(FailureReason.TIMEOUT, Origin.OURS, "late")
    assert (
        told(error, "DescribeQuorum", DESCRIBE_CLUSTER) == "DescribeQuorum gave no answer (late)."
    )


def test_many_names_are_counted() -> None:
    assert names_of(["b", "a"]) == "a, b"
    assert names_of("edcba") == "a, b, c and 2 more"
