"""Rules that forbid something, whatever else is granted: who reads them, and which are about us."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthd.collect.rights import Acl, Operation, Resource
from healthd.collect.wire import WireClient, WireError

with warnings.catch_warnings():
    # See `wire`.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.admin import DescribeAclsRequest

SECURITY_DISABLED: Final = 54
"""Kafka's answer to DescribeAcls where no authorizer is configured."""

OPERATIONS: Final[Mapping[int, Operation]] = {
    3: Operation.READ,
    4: Operation.WRITE,
    5: Operation.CREATE,
    7: Operation.ALTER,
    8: Operation.DESCRIBE,
    10: Operation.DESCRIBE_CONFIGS,
    11: Operation.ALTER_CONFIGS,
}
"""Kafka's ``AclOperation`` codes; the others are of no use to healthd."""

_NAMES: Final[Mapping[int, str]] = {
    **{code: operation.value for code, operation in OPERATIONS.items()},
    2: "All", 6: "Delete", 9: "ClusterAction", 12: "IdempotentWrite",
}  # fmt: skip
_RESOURCES: Final = {2: Resource.TOPIC, 3: Resource.GROUP, 4: Resource.CLUSTER}
_PATTERNS: Final = {3: "literal", 4: "prefixed"}
_ANY: Final = 1
_DENY: Final = 2
_TAKEN_AWAY_BY: Final[Mapping[Operation, frozenset[str]]] = {
    # A rule that forbids Read hides nothing: only these take Describe, or DescribeConfigs, away.
    Operation.DESCRIBE: frozenset({"Describe", "All"}),
    Operation.DESCRIBE_CONFIGS: frozenset({"DescribeConfigs", "All"}),
}


class Authorizer(StrEnum):
    """Whether the cluster asks who may do what."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyRule:
    """One ACL that forbids something, whatever others allow."""

    principal: str
    host: str
    operation: str
    """As the tool writes it: `Describe`, `All`."""
    resource: Resource
    name: str
    pattern: str
    """`literal` or `prefixed`."""

    def __str__(self) -> str:
        """In words."""
        kind = "" if self.pattern == "literal" else f" ({self.pattern})"
        return f"{self.principal} may not {self.operation} {self.resource}:{self.name}{kind}"


def deny_rules(client: WireClient) -> tuple[Authorizer, tuple[DenyRule, ...] | None]:
    """Whether anybody is asked for rights, and every rule that forbids something to anybody.

    The rules are None where we may not see them (that takes Describe on the cluster). Never raises.
    """
    request = DescribeAclsRequest(
        resource_type_filter=_ANY,
        resource_name_filter=None,
        pattern_type_filter=_ANY,
        principal_filter=None,
        host_filter=None,
        operation=_ANY,
        permission_type=_DENY,
    )
    try:
        answer = client.send(request)
    except WireError:
        return Authorizer.UNKNOWN, None
    if answer.error_code == SECURITY_DISABLED:
        return Authorizer.OFF, ()
    if answer.error_code:
        return Authorizer.ON, None
    return Authorizer.ON, tuple(
        DenyRule(
            principal=acl.principal,
            host=acl.host,
            operation=_NAMES[acl.operation],
            resource=_RESOURCES[row.resource_type],
            name=row.resource_name,
            pattern=_PATTERNS.get(row.pattern_type, "literal"),
        )
        for row in answer.resources
        if row.resource_type in _RESOURCES
        for acl in row.acls
        if acl.operation in _NAMES
    )


def forbidding(rules: Iterable[DenyRule], acl: Acl, principal: str | None) -> tuple[DenyRule, ...]:
    """The rules that forbid us this operation on any resource of the kind.

    Args:
        rules: Everybody's.
        acl: What we want to do; its name does not matter.
        principal: Whom brokers take us for; None: only rules about everybody are known to be ours.
    """
    us = {"User:*", principal}
    operations = _TAKEN_AWAY_BY.get(acl.operation, frozenset({acl.operation.value, "All"}))
    return tuple(
        rule
        for rule in rules
        if rule.principal in us and rule.resource is acl.resource and rule.operation in operations
    )
