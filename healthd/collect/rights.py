"""The ACLs that healthd needs, by the names that Kafka's own tools use for them."""

import secrets
import warnings
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from healthd.collect import wire
from healthd.collect.observation import FailureReason
from healthd.collect.wire import WireClient, WireError

with warnings.catch_warnings():
    # See `wire`.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.metadata import MetadataRequest

TOPIC_DENIED: Final = 29
"""Kafka's TOPIC_AUTHORIZATION_FAILED."""
NO_SUCH_TOPIC: Final = 3
"""Kafka's UNKNOWN_TOPIC_OR_PARTITION."""

EVERY: Final = "*"
THE_CLUSTER: Final = "kafka-cluster"
"""The name of the one resource of type Cluster."""


class Operation(StrEnum):
    """What an ACL allows."""

    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"
    ALTER = "Alter"
    ALTER_CONFIGS = "AlterConfigs"
    CREATE = "Create"
    READ = "Read"
    WRITE = "Write"


class Resource(StrEnum):
    """What an ACL is about."""

    CLUSTER = "Cluster"
    TOPIC = "Topic"
    GROUP = "Group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    """One operation on one resource."""

    operation: Operation
    resource: Resource
    name: str
    """`*` for every topic or group."""

    def __str__(self) -> str:
        """As people and Kafka's logs write it: `Describe on Topic:*`."""
        return f"{self.operation} on {self.resource}:{self.name}"


def on_cluster(operation: Operation) -> Acl:
    """An operation on the cluster itself."""
    return Acl(operation=operation, resource=Resource.CLUSTER, name=THE_CLUSTER)


def on_topic(operation: Operation, name: str = EVERY) -> Acl:
    """An operation on one topic, or on every one."""
    return Acl(operation=operation, resource=Resource.TOPIC, name=name)


DESCRIBE_CLUSTER: Final = on_cluster(Operation.DESCRIBE)
DESCRIBE_TOPICS: Final = on_topic(Operation.DESCRIBE)
DESCRIBE_CLUSTER_CONFIGS: Final = on_cluster(Operation.DESCRIBE_CONFIGS)
DESCRIBE_TOPIC_CONFIGS: Final = on_topic(Operation.DESCRIBE_CONFIGS)


def told(error: WireError, what: str, acl: Acl) -> str:
    """The sentence for a request that was not answered well; with the ACL where that is missing."""
    if error.reason is FailureReason.AUTHORIZATION:
        # What a broker says here is its own request in memory, and no help.
        return f"{what} was refused: grant {acl}."
    return f"{what} gave no answer ({error.detail})."


def no_topic() -> str:
    """A topic that does not exist, with a name that no rule for topics or prefixes is about."""
    return f"{secrets.token_hex(8)}-asked-by-healthd"


def describes_every_topic(client: WireClient, node: int | None = None) -> bool:
    """Whether the user may describe topics whatever their name; one rule may still hide some.

    Metadata for all topics leaves out, without an error, those that may not be described. Asked by
    name, a topic that does not exist is told apart: "no such topic" is for those who may know.

    Raises:
        WireError: no good answer.
    """
    topic = MetadataRequest.MetadataRequestTopic(name=no_topic())
    answer = client.send(MetadataRequest(topics=[topic], allow_auto_topic_creation=False), node)
    codes = [row.error_code for row in answer.topics]
    if codes == [TOPIC_DENIED]:
        return False
    if codes in ([NO_SUCH_TOPIC], [0]):
        return True
    problem = wire.code_error(codes[0] if codes else -1, None)
    assert problem is not None
    raise problem


def names_of(topics: Any, shown: int = 3) -> str:
    """The first few of many names, and how many more there are."""
    found = sorted(topics)
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return ", ".join(found[:shown]) + more
