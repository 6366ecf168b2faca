"""One real broker with an authorizer: who may do what is asked for, and granted by its commands."""

from __future__ import annotations

import argparse
import shlex
from types import TracebackType
from typing import NoReturn, Self

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from support.kafka_cluster import KafkaCluster

from healthd.demo.topics import quiet_client

LISTENER = "SASL"
PASSWORD = "password-of-a-test-user"
USERS = ("admin", "healthd", "partly", "nobody")
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"

_OPERATIONS = {
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Alter": AclOperation.ALTER,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
    "Create": AclOperation.CREATE,
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
}


class _Tool(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _tool() -> _Tool:
    """The options of kafka-acls.sh that are used; any other is an error."""
    found = _Tool(allow_abbrev=False)
    found.add_argument("--bootstrap-server", required=True)
    found.add_argument("--command-config", required=True)
    verb = found.add_mutually_exclusive_group(required=True)
    verb.add_argument("--add", action="store_true")
    verb.add_argument("--remove", action="store_true")
    found.add_argument("--force", action="store_true")
    who = found.add_mutually_exclusive_group(required=True)
    who.add_argument("--allow-principal")
    who.add_argument("--deny-principal")
    found.add_argument("--deny-host")
    found.add_argument("--operation", action="append", required=True, choices=_OPERATIONS)
    what = found.add_mutually_exclusive_group(required=True)
    what.add_argument("--cluster", action="store_true")
    what.add_argument("--topic")
    found.add_argument("--resource-pattern-type", default="literal")
    return found


_TOOL = _tool()


class GuardedKafka:
    """The broker while the ``with`` block lasts.

    `admin`, and whoever is on the plaintext listener, may do everything; the others nothing yet.
    """

    def __init__(self) -> None:
        users = " ".join(f'user_{name}="{PASSWORD}"' for name in USERS)
        self.cluster = KafkaCluster(
            listeners={LISTENER: "SASL_PLAINTEXT"},
            properties={
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:admin;User:ANONYMOUS",
                "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl.plain.sasl.jaas.config": f"{_PLAIN} required {users};",
            },
        )

    @property
    def bootstrap(self) -> str:
        """Where users have to say who they are."""
        return self.cluster.bootstrap_of(LISTENER)

    def carry_out(self, command: str) -> None:
        """Do what a ``kafka-acls.sh`` command says, as the superuser and without a JVM.

        Raises:
            ValueError: The real tool would not understand it.
            KafkaException: The broker refused it.
        """
        program, *words = shlex.split(command)
        if program != "kafka-acls.sh":
            raise ValueError(f"{program} is not kafka-acls.sh")
        said = _TOOL.parse_args(words)
        principal = said.allow_principal or said.deny_principal
        kind, name = ResourceType.BROKER, "kafka-cluster"
        if said.topic:
            kind, name = ResourceType.TOPIC, said.topic
        admin = AdminClient(quiet_client(self.cluster.bootstrap))
        for operation in said.operation:
            parts = (
                kind,
                name,
                ResourcePatternType[said.resource_pattern_type.upper()],
                principal,
                said.deny_host or "*",
                _OPERATIONS[operation],
                AclPermissionType.ALLOW if said.allow_principal else AclPermissionType.DENY,
            )
            if said.add:
                for made in admin.create_acls([AclBinding(*parts)]).values():
                    made.result()
            else:
                for removed in admin.delete_acls([AclBindingFilter(*parts)]).values():
                    assert removed.result(), f"there was nothing to remove: {command}"

    def __enter__(self) -> Self:
        self.cluster.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cluster.close()
