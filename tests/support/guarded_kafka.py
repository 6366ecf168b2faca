"""One real broker with an authorizer: who may do what is asked for, and granted by its commands."""

from __future__ import annotations

import shlex
from types import TracebackType
from typing import Self

from support.kafka_cluster import KafkaCluster, KafkaStartError

LISTENER = "SASL"
PASSWORD = "password-of-a-test-user"
USERS = ("admin", "healthd", "partly", "nobody")
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


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

    def carry_out(self, command: str) -> str:
        """Run a ``kafka-acls.sh`` command as it was printed, but as the superuser.

        Raises:
            KafkaStartError: The tool refused it.
        """
        program, *words = shlex.split(command)
        if program != "kafka-acls.sh":
            raise KafkaStartError(f"{program} is not kafka-acls.sh")
        at = words.index("--bootstrap-server")
        words[at + 1] = self.cluster.bootstrap
        at = words.index("--command-config")
        del words[at : at + 2]
        return self.cluster.run_tool("kafka.admin.AclCommand", *words)

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
