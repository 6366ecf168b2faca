"""What Kafka itself says of our rights: each request that healthd makes, tried once. Blocking."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from healthd.collect import wire
from healthd.collect.configs import MIN_ISR_KEY, TOPICS_A_REQUEST, denied_of
from healthd.collect.denials import OPERATIONS, Authorizer, DenyRule, deny_rules
from healthd.collect.rights import Operation, describes_every_topic, no_topic
from healthd.collect.wire import UnsupportedError, WireClient, WireError

with warnings.catch_warnings():
    # See `wire`.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.admin import DescribeClusterRequest
    from kafka.protocol.metadata import MetadataRequest

NOT_CONTROLLER: Final = 41
"""With ZooKeeper only the controller answers; others refuse first those who may not ask."""

ResultT = TypeVar("ResultT")

Answer = WireError | None
"""None: the request was answered well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsSeen:
    """What each request was answered with."""

    connection: Answer = None
    """When there is none, nothing else was asked."""
    authorizer: Authorizer = Authorizer.UNKNOWN
    denies: tuple[DenyRule, ...] | None = None
    """Every rule that forbids something to anybody; None: we may not see them."""
    describes_every: bool | None = None
    """Any topic, whatever its name, but for rules that forbid it."""
    topics: int = 0
    """How many Metadata shows us."""
    configs_of_every: bool | None = None
    configs_denied: tuple[str, ...] = ()
    """Topics that we see and whose configs we do not."""
    requests: Mapping[str, Answer] = field(default_factory=dict)
    """By name; a request that this version does not offer is not in it."""
    cluster: frozenset[Operation] | None = None
    """What we may do to the cluster; None: unknown, for that takes Describe."""
    probe: frozenset[Operation] | None = None
    """What we may do to the probe's topic; None: it is not configured, or unknown."""
    has_probe_topic: bool = False
    """It has been made already."""


QUORUM: Final = "DescribeQuorum"
REASSIGNMENTS: Final = "ListPartitionReassignments"
LOG_DIRS: Final = "DescribeLogDirs"
BROKER_CONFIGS: Final = "DescribeConfigs of brokers"


def rights_seen(client: WireClient, *, probe_topic: str | None, limit_seconds: float) -> RightsSeen:
    """What our user may see. Never raises.

    Args:
        client: A client of its own; it is not closed.
        probe_topic: The probe's topic; None: there is no probe.
        limit_seconds: Of one request.
    """
    try:
        brokers = client.brokers()
        names = _topics(client)
    except WireError as error:
        return RightsSeen(connection=error)
    authorizer, denies = deny_rules(client)
    return RightsSeen(
        authorizer=authorizer,
        denies=denies,
        describes_every=_or_none(lambda: describes_every_topic(client)),
        topics=len(names),
        configs_of_every=_or_none(lambda: not _denied_configs(client, [no_topic()])),
        configs_denied=tuple(_or_none(lambda: _denied_configs(client, names)) or ()),
        requests=_requests(client, brokers, limit_seconds),
        cluster=_or_none(lambda: _cluster(client)) or None,
        has_probe_topic=probe_topic in names,
        probe=None if probe_topic is None else _or_none(lambda: _on_topic(client, probe_topic)),
    )


def _requests(
    client: WireClient, brokers: Sequence[int], limit_seconds: float
) -> dict[str, Answer]:
    asked: dict[str, tuple[Any, Callable[[Any], int]]] = {
        QUORUM: (wire.quorum_request(), lambda answer: int(answer.error_code)),
        REASSIGNMENTS: (
            wire.reassignments_request(limit_seconds),
            lambda answer: int(answer.error_code),
        ),
        LOG_DIRS: (wire.log_dirs_request(), _code_of_log_dirs),
    }
    node = brokers[0] if brokers else None
    if node is not None:
        asked[BROKER_CONFIGS] = (
            wire.configs_request(wire.BROKER_RESOURCE, [str(node)], [MIN_ISR_KEY]),
            lambda answer: int(answer.results[0].error_code),
        )
    found: dict[str, Answer] = {}
    for name, (request, code_of) in asked.items():
        try:
            code = code_of(client.send(request, node))
            found[name] = wire.code_error(0 if code == NOT_CONTROLLER else code, None)
        except UnsupportedError:
            continue
        except WireError as error:
            found[name] = error
    return found


def _code_of_log_dirs(answer: Any) -> int:
    # Before version 3 an answer without any directory is what a refusal looks like.
    code = int(getattr(answer, "error_code", 0) or 0)
    return code or (0 if answer.results else 31)


def _topics(client: WireClient) -> list[str]:
    answer = client.send(MetadataRequest(topics=None, allow_auto_topic_creation=False))
    return [row.name for row in answer.topics if not row.error_code]


def _denied_configs(client: WireClient, names: Sequence[str]) -> list[str]:
    denied: list[str] = []
    for at in range(0, len(names), TOPICS_A_REQUEST):
        batch = names[at : at + TOPICS_A_REQUEST]
        request = wire.configs_request(wire.TOPIC_RESOURCE, batch, [MIN_ISR_KEY])
        denied += denied_of(client.send(request))
    return denied


def _cluster(client: WireClient) -> frozenset[Operation]:
    request = DescribeClusterRequest(include_cluster_authorized_operations=True)
    return _operations(client.send(request).authorized_operations)


def _on_topic(client: WireClient, name: str) -> frozenset[Operation]:
    topic = MetadataRequest.MetadataRequestTopic(name=name)
    answer = client.send(
        MetadataRequest(
            topics=[topic],
            allow_auto_topic_creation=False,
            include_topic_authorized_operations=True,
        )
    )
    # A topic that is still to be made is told apart from one that we may not describe.
    return _operations(answer.topics[0].authorized_operations if answer.topics else None)


def _operations(codes: Any) -> frozenset[Operation]:
    return frozenset(OPERATIONS[code] for code in codes or () if code in OPERATIONS)


def _or_none(work: Callable[[], ResultT]) -> ResultT | None:
    try:
        return work()
    except WireError:
        return None
