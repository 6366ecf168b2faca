"""The requests that librdkafka lacks, through kafka-python, to the broker of our choice.

This is the only module that touches kafka-python's connection manager, which has no public name:
the version is pinned below 3.1, and a contract test against real Kafka covers each use. It gives
what the public methods do not: which broker is asked, a limit for each request, and no hidden loop
(`list_partition_reassignments` may search 30 s for the controller that Metadata names at random in
KRaft; here any broker forwards the request to the real one).
"""

import warnings
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from healthd.collect.access import Access
from healthd.collect.failing import AccessError
from healthd.collect.kafka_client import connected, tls_error
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.target import ClusterTarget
from healthd.collect.tls_errors import tls_verdict

with warnings.catch_warnings():
    # It reads its protocol's schemas with a function that Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import errors as kafka_errors
    from kafka.protocol.admin import (
        DescribeClusterRequest,
        DescribeConfigsRequest,
        DescribeLogDirsRequest,
        DescribeQuorumRequest,
        ListPartitionReassignmentsRequest,
    )
    from kafka.protocol.broker_version_data import infer_broker_version_from_api_versions
    from kafka.protocol.metadata import ApiVersionsRequest

KeyT = TypeVar("KeyT")

TOPIC_RESOURCE: Final = 2
BROKER_RESOURCE: Final = 4

_AUTHORIZATION_CODES: Final = frozenset({29, 30, 31})
"""Topic, group and cluster authorization failed."""


class WireError(Exception):
    """A request that was not answered well: why, and whose fault that is."""

    def __init__(self, reason: FailureReason, origin: Origin, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.origin = origin
        self.detail = detail


class UnsupportedError(WireError):
    """The broker offers no such request."""


class WireClient:
    """One kafka-python client for the life of a cluster. Blocking; one thread at a time."""

    def __init__(self, target: ClusterTarget, *, bootstrap_seconds: float | None = None) -> None:
        """Connect to nothing yet.

        Args:
            target: The cluster.
            bootstrap_seconds: Limit for finding the brokers; None: that of two requests.
        """
        self._target = target
        self._bootstrap_seconds = bootstrap_seconds or 2 * target.attempt_seconds
        self._client: Any = None
        self._shut_out = 0
        """How often in a row we were not let in."""

    def brokers(self) -> tuple[int, ...]:
        """The ids of the brokers that the client knows of, in order."""
        return tuple(sorted(broker.node_id for broker in self._manager().cluster.brokers()))

    def send(self, request: Any, node: int | None = None) -> Any:
        """The answer of one broker (the least busy one when none is named).

        Raises:
            WireError: no good answer within the request limit.
        """
        manager = self._manager()
        limit = self._target.attempt_seconds

        async def ask() -> Any:
            future = manager.send(request, node_id=node, request_timeout_ms=round(limit * 1000))
            # The request's own limit does not run while the connection is being made.
            return await manager.wait_for(future, round(limit * 1000) + 100)

        try:
            answer = self._run(ask())
        except WireError as error:
            self._count([error])
            raise
        self._count([answer])
        return answer

    def send_all(self, requests: Mapping[KeyT, tuple[int, Any]]) -> dict[KeyT, Any]:
        """The answer, or the `WireError`, to each (broker, request), all asked at one time."""
        manager = self._manager()
        limit = round(self._target.attempt_seconds * 1000)

        async def one(node: int, request: Any) -> Any:
            try:
                future = manager.send(request, node_id=node, request_timeout_ms=limit)
                return await manager.wait_for(future, limit + 100)
            except (kafka_errors.KafkaError, AccessError, OSError) as error:
                return self._meaning(error)

        async def ask() -> dict[KeyT, Any]:
            asked = {
                key: manager.call_soon(one, node, request)
                for key, (node, request) in requests.items()
            }
            return {key: await future for key, future in asked.items()}

        answers: dict[KeyT, Any] = self._run(ask())
        self._count(answers.values())
        return answers

    def refresh(self) -> None:
        """Ask the client to look again at which brokers there are."""
        if self._client is not None:
            self._client.manager.cluster.request_update()

    def close(self) -> None:
        """Close all connections; may be called twice."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _count(self, answers: Iterable[Any]) -> None:
        for answer in answers:
            if not isinstance(answer, WireError):
                self._shut_out = 0
            elif answer.reason in RENEWABLE:
                self._shut_out += 1

    def _manager(self) -> Any:
        if self._client is not None and self._shut_out >= self._client.broker_count:
            # Nobody lets us in any more: what was renewed on disk counts for a new client only.
            self.close()
        if self._client is None:
            self._shut_out = 0
            try:
                self._client = connected(self._target, bootstrap_seconds=self._bootstrap_seconds)
            except _TROUBLE as error:
                raise self._meaning(error) from None
        return self._client.manager

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        manager = self._manager()

        async def once() -> Any:
            return await work

        try:
            return manager.run(once)
        except _TROUBLE as error:
            raise self._meaning(error) from None

    def _meaning(self, error: Exception) -> WireError:
        """The error with what only those know who know how we connect."""
        access = self._target.access
        failed_tls = tls_error(error)
        if failed_tls is not None:
            return WireError(*tls_verdict(failed_tls, access))
        if isinstance(error, kafka_errors.UnsupportedSaslMechanismError):
            what = f"the listener does not offer {access.sasl_mechanism}: check saslMechanism"
            return WireError(FailureReason.AUTHENTICATION, Origin.OURS, what)
        if isinstance(error, kafka_errors.SaslAuthenticationFailedError):
            return WireError(FailureReason.AUTHENTICATION, Origin.OURS, _refused(error, access))
        found = wire_error(error)
        no_token = None if access.tokens is None else access.tokens.last_failure
        if found.reason is FailureReason.NETWORK and no_token is not None:
            # Brokers hang up when a token is over: why there is no new one says more.
            return WireError(no_token.reason, Origin.OURS, f"{found.detail}; {no_token.detail}")
        return found


_TROUBLE: Final = (kafka_errors.KafkaError, AccessError, OSError, ValueError)
RENEWABLE: Final = frozenset({FailureReason.AUTHENTICATION, FailureReason.TLS})
"""Not let in: with these credentials, certificates and files it stays so."""

_KINDS: Final = (
    (kafka_errors.SaslAuthenticationFailedError, FailureReason.AUTHENTICATION, Origin.OURS),
    (kafka_errors.AuthorizationError, FailureReason.AUTHORIZATION, Origin.OURS),
    (kafka_errors.RequestTimedOutError, FailureReason.TIMEOUT, Origin.OURS),
    (kafka_errors.KafkaTimeoutError, FailureReason.TIMEOUT, Origin.OURS),
    (TimeoutError, FailureReason.TIMEOUT, Origin.OURS),
    (kafka_errors.KafkaConnectionError, FailureReason.NETWORK, Origin.OURS),
    (kafka_errors.NodeNotReadyError, FailureReason.NETWORK, Origin.OURS),
    (OSError, FailureReason.NETWORK, Origin.OURS),
)


def _refused(error: Exception, access: Access) -> str:
    """What the broker said when it refused us, and where to look."""
    said = str(error.args[0]) if error.args else ""
    said = said.removeprefix("SaslAuthenticationFailedError: ").rstrip(".")
    who = "our token" if access.tokens is not None else f"user {access.username}"
    where = "oauth" if access.tokens is not None else "username and password"
    return f"the brokers refuse {who} ({said or 'without a reason'}): check {where}"


def wire_error(error: Exception) -> WireError:
    """What went wrong, and whose fault that is."""
    if isinstance(error, AccessError):
        return WireError(error.reason, Origin.OURS, error.detail)
    name = type(error).__name__
    text = str(error) if str(error).startswith(name) else f"{name}: {error}"
    if isinstance(error, kafka_errors.IncompatibleBrokerVersion):
        return UnsupportedError(FailureReason.PROTOCOL, Origin.OURS, text)
    if "ECONNREFUSED" in text:
        return WireError(FailureReason.REFUSED, Origin.THEIRS, text)
    for kind, reason, origin in _KINDS:
        if isinstance(error, kind):
            return WireError(reason, origin, text)
    return WireError(FailureReason.PROTOCOL, Origin.THEIRS, text)


def code_error(code: int, message: str | None) -> WireError | None:
    """The error that a code inside an answer stands for; None when it is no error."""
    if code == 0:
        return None
    if code in _AUTHORIZATION_CODES:
        return WireError(FailureReason.AUTHORIZATION, Origin.OURS, message or "not authorized")
    name = kafka_errors.for_code(code).__name__
    return WireError(
        FailureReason.PROTOCOL, Origin.THEIRS, f"{name}: {message}" if message else name
    )


def quorum_request() -> Any:
    """DescribeQuorum for the metadata log."""
    topic = DescribeQuorumRequest.TopicData
    return DescribeQuorumRequest(
        topics=[
            topic(
                topic_name="__cluster_metadata",
                partitions=[topic.PartitionData(partition_index=0)],
            )
        ]
    )


def reassignments_request(limit_seconds: float) -> Any:
    """ListPartitionReassignments for all partitions."""
    return ListPartitionReassignmentsRequest(timeout_ms=round(limit_seconds * 1000), topics=None)


def cluster_request() -> Any:
    """DescribeCluster, fenced brokers included where the version knows them."""
    return DescribeClusterRequest(
        include_cluster_authorized_operations=False, include_fenced_brokers=True
    )


def api_request() -> Any:
    """ApiVersions: which versions of each request a broker speaks. Needs no permission."""
    return ApiVersionsRequest(client_software_name="healthd", client_software_version="0")


def release_of(answer: Any) -> str | None:
    """The Kafka release of the broker that gave this ApiVersionsResponse, such as "4.1"."""
    if answer.error_code != 0:
        return None
    spoken = {key.api_key: (key.min_version, key.max_version) for key in answer.api_keys}
    return ".".join(str(part) for part in infer_broker_version_from_api_versions(spoken)[:2])


def log_dirs_request() -> Any:
    """DescribeLogDirs for the directories alone: no topic is named, and null would mean all."""
    return DescribeLogDirsRequest(topics=[])


def configs_request(kind: int, names: Iterable[str], keys: Sequence[str]) -> Any:
    """DescribeConfigs for some keys of topics or of one broker."""
    return DescribeConfigsRequest(
        resources=[(kind, name, list(keys)) for name in names], include_synonyms=False
    )
