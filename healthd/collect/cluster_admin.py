"""What a playbook changes in a cluster itself: dynamic configuration, and levels of features.

Each request goes out once. What became of one that was not answered is asked of the cluster.
"""

import asyncio
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from healthd.collect.observation import FailureReason
from healthd.collect.target import ClusterTarget
from healthd.collect.wire import (
    BROKER_RESOURCE,
    UnsupportedError,
    WireClient,
    WireError,
    code_error,
    configs_request,
)
from healthd.config.fleet import ClusterConfig
from healthd.config.problems import ConfigError

with warnings.catch_warnings():
    # See `wire`.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.admin import (
        AlterPartitionReassignmentsRequest,
        IncrementalAlterConfigsRequest,
        UpdateFeaturesRequest,
    )
    from kafka.protocol.metadata import ApiVersionsRequest

T = TypeVar("T")
Partition = tuple[str, int]
"""Topic and partition id."""

CONNECT_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 15.0
"""A change of a feature waits for the controllers."""
_SET: Final = 0
_UPGRADE: Final = 1
_NEVER_SENT: Final = frozenset(
    {
        FailureReason.AUTHENTICATION,
        FailureReason.AUTHORIZATION,
        FailureReason.TLS,
        FailureReason.REFUSED,
        FailureReason.DNS,
    }
)
_MAYBE: Final = frozenset({FailureReason.TIMEOUT, FailureReason.NETWORK})


class AdminError(Exception):
    """A request that was not carried out, as far as is known. Its text holds no secret."""

    def __init__(self, detail: str, *, may_have_been_done: bool, is_refused: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.may_have_been_done = may_have_been_done
        self.is_refused = is_refused
        """The cluster has said no: asking again changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One feature of a cluster."""

    level: int = 0
    """The finalized one; 0: none."""
    highest: int = 0
    """What the broker that was asked supports."""


class ClusterAdmin(Protocol):
    """Changes one cluster, and asks it. Every method raises `AdminError` when it did not work."""

    async def set_configs(self, broker: int | None, values: Mapping[str, str]) -> None:
        """Set dynamic configuration of a broker, or (None) the default of all of them."""
        ...

    async def configs(self, broker: int, names: tuple[str, ...]) -> Mapping[str, str | None]:
        """What a broker says that it uses; None: it keeps the value to itself."""
        ...

    async def features(self) -> Mapping[str, Feature]:
        """The cluster's features, by name."""
        ...

    async def set_feature(self, name: str, level: int) -> None:
        """Finalize a feature at a higher level."""
        ...

    async def reassign(self, orders: Mapping[Partition, Sequence[int]]) -> Mapping[Partition, str]:
        """Give partitions these lists of replicas: those that were refused, and why."""
        ...

    async def aclose(self) -> None:
        """Let go of the connections."""
        ...


class KafkaClusterAdmin:
    """A `ClusterAdmin` over Kafka's protocol; connects at the first request."""

    def __init__(self, target: Callable[[], ClusterTarget]) -> None:
        """Connect to nothing yet.

        Args:
            target: How to connect; asked anew after trouble, for secrets may have been renewed.
        """
        self._target = target
        self._client: WireClient | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cluster-admin")

    async def set_configs(self, broker: int | None, values: Mapping[str, str]) -> None:
        """See `ClusterAdmin`."""
        name = "" if broker is None else str(broker)
        entries = [(key, _SET, value) for key, value in sorted(values.items())]
        request = IncrementalAlterConfigsRequest(
            resources=[(BROKER_RESOURCE, name, entries)], validate_only=False
        )
        answer = await self._changed(request, broker)
        for each in answer.responses:
            _refuse(each.error_code, each.error_message)

    async def configs(self, broker: int, names: tuple[str, ...]) -> Mapping[str, str | None]:
        """See `ClusterAdmin`."""
        request = configs_request(BROKER_RESOURCE, [str(broker)], names)
        answer = await self._asked(lambda client: client.send(request, broker))
        found: dict[str, str | None] = {}
        for result in answer.results:
            _refuse(result.error_code, result.error_message)
            found |= {entry.name: entry.value for entry in result.configs}
        return found

    async def features(self) -> Mapping[str, Feature]:
        """See `ClusterAdmin`."""
        request = ApiVersionsRequest(
            client_software_name="healthd", client_software_version="0", min_version=3
        )
        answer = await self._asked(lambda client: client.send(request))
        _refuse(answer.error_code, None)
        levels = {each.name: each.max_version_level for each in answer.finalized_features or []}
        highest = {each.name: each.max_version for each in answer.supported_features or []}
        return {
            name: Feature(level=levels.get(name, 0), highest=highest.get(name, 0))
            for name in {*levels, *highest}
        }

    async def set_feature(self, name: str, level: int) -> None:
        """See `ClusterAdmin`."""
        update = UpdateFeaturesRequest.FeatureUpdateKey(
            feature=name, max_version_level=level, upgrade_type=_UPGRADE
        )
        request = UpdateFeaturesRequest(
            timeout_ms=round(REQUEST_SECONDS * 1000), feature_updates=[update], min_version=1
        )
        answer = await self._changed(request, None)
        _refuse(answer.error_code, answer.error_message)
        for each in answer.results or []:
            _refuse(each.error_code, each.error_message)

    async def reassign(self, orders: Mapping[Partition, Sequence[int]]) -> Mapping[Partition, str]:
        """See `ClusterAdmin`."""
        topic = AlterPartitionReassignmentsRequest.ReassignableTopic
        rows: dict[str, list[Any]] = {}
        for (name, number), order in orders.items():
            row = topic.ReassignablePartition(partition_index=number, replicas=list(order))
            rows.setdefault(name, []).append(row)
        request = AlterPartitionReassignmentsRequest(
            timeout_ms=round(REQUEST_SECONDS * 1000),
            topics=[topic(name=name, partitions=found) for name, found in rows.items()],
        )
        answer = await self._changed(request, None)
        _refuse(answer.error_code, answer.error_message)
        return {
            (found.name, each.partition_index): error.detail
            for found in answer.responses
            for each in found.partitions
            if (error := code_error(each.error_code, each.error_message)) is not None
        }

    async def aclose(self) -> None:
        """Let go of the connections."""
        self._thread.submit(self._drop)
        self._thread.shutdown(wait=False)

    async def _changed(self, request: Any, broker: int | None) -> Any:
        return await self._asked(lambda client: client.send(request, broker), is_change=True)

    async def _asked(self, ask: Callable[[WireClient], T], *, is_change: bool = False) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._ask, ask, is_change)

    def _ask(self, ask: Callable[[WireClient], T], is_change: bool) -> T:  # noqa: FBT001  # Its thread's.
        try:
            if self._client is None:
                self._client = WireClient(self._target(), bootstrap_seconds=CONNECT_SECONDS)
                # Who cannot connect has sent nothing.
                self._client.brokers()
        except (ConfigError, WireError) as error:
            self._drop()
            raise AdminError(str(error), may_have_been_done=False) from None
        try:
            return ask(self._client)
        except WireError as error:
            self._drop()
            may = is_change and error.reason in _MAYBE
            is_no = isinstance(error, UnsupportedError) or error.reason in _NEVER_SENT
            raise AdminError(error.detail, may_have_been_done=may, is_refused=is_no) from None

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def admin_target(config: ClusterConfig) -> ClusterTarget:
    """How a cluster's admin connects: a request may take its time.

    Raises:
        ConfigError: a secret cannot be read.
    """
    return ClusterTarget.of(
        config, request_timeout_seconds=REQUEST_SECONDS, deadline_seconds=10 * REQUEST_SECONDS
    )


def _refuse(code: int, message: str | None) -> None:
    error = code_error(code, message)
    if error is not None:
        raise AdminError(error.detail, may_have_been_done=False, is_refused=True)
