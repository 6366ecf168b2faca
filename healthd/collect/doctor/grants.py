"""Pure: the commands that grant what is missing, as Kafka's own tool takes them."""

import shlex
from collections.abc import Iterable
from typing import Final

from healthd.collect.denials import DenyRule
from healthd.collect.rights import EVERY, Acl, Operation, Resource

PLACEHOLDER: Final = "User:WHO-HEALTHD-IS"
"""Where the configuration does not tell whom brokers take us for."""
ADMIN: Final = "admin.properties"
"""The connection of somebody who may grant; healthd never holds it."""


def commands(
    acls: Iterable[Acl], denies: Iterable[DenyRule], *, bootstrap: str, principal: str | None
) -> tuple[str, ...]:
    """One command for each resource with all operations on it; rules that forbid are removed.

    Args:
        acls: What is missing; twice the same is once.
        denies: What stands against it.
        bootstrap: `host:port` that the tool connects to.
        principal: Whom to grant it to; None: a placeholder stands for it.
    """
    operations: dict[tuple[Resource, str], dict[Operation, None]] = {}
    for acl in acls:
        operations.setdefault((acl.resource, acl.name), {})[acl.operation] = None
    start = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", ADMIN]
    granted = (
        shlex.join([
            *start, "--add", "--allow-principal", principal or PLACEHOLDER,
            *(word for operation in sorted(wanted) for word in ("--operation", operation.value)),
            *_resource(resource, name),
        ])
        for (resource, name), wanted in operations.items()
    )  # fmt: skip
    removed = (
        shlex.join([
            *start, "--remove", "--force", "--deny-principal", rule.principal,
            *(() if rule.host == EVERY else ("--deny-host", rule.host)),
            "--operation", rule.operation, *_resource(rule.resource, rule.name),
            "--resource-pattern-type", rule.pattern,
        ])
        for rule in dict.fromkeys(denies)
    )  # fmt: skip
    return (*granted, *removed)


def _resource(resource: Resource, name: str) -> tuple[str, ...]:
    if resource is Resource.CLUSTER:
        return ("--cluster",)
    return (f"--{resource.value.lower()}", name)
