"""min.insync.replicas of topics: batched, only new topics in most rounds, all of them rarely.

Which value is in force depends on where it comes from (health-index.md section 6, item 8). A
topic's own value is the same on every broker. One that comes from a broker's file or from Kafka's
default is that of whoever answers, and so is every other one when some broker has an override: then
the largest over all alive brokers counts, for each leader applies its own.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from healthd.collect import wire
from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.collect.rights import (
    DESCRIBE_CLUSTER_CONFIGS,
    DESCRIBE_TOPIC_CONFIGS,
    Acl,
    names_of,
    told,
)
from healthd.collect.wire import WireClient, WireError

TOPICS_A_REQUEST: Final = 500

ASK_AGAIN_SECONDS: Final = 0.25
ATTEMPTS: Final = 4

MIN_ISR_KEY: Final = "min.insync.replicas"


class ConfigSource(IntEnum):
    """Kafka's ``DescribeConfigsResponse.ConfigSource``."""

    UNKNOWN = 0
    TOPIC = 1
    BROKER = 2
    """Set on one broker while it runs: an override."""
    CLUSTER = 3
    """Set for all brokers; with ELR there always is one."""
    STATIC = 4
    DEFAULT = 5


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it comes from."""

    value: int
    source: ConfigSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigsRound:
    """What one round of reading configs gave."""

    min_insync_replicas: Mapping[str, int]
    """Of the topics that were asked for and whose value is certain."""
    complete: bool
    """Every topic that was asked for was answered, a topic that is gone included."""
    failures: tuple[SourceFailure, ...] = ()


def effective_min_isr(setting: Setting, brokers: Mapping[int, Setting | None]) -> int | None:
    """The min.insync.replicas that is in force for a topic; None when that cannot be told.

    Args:
        setting: The topic's value as some broker answered it.
        brokers: What each alive broker itself has; None: it did not answer.
    """
    if setting.source is ConfigSource.TOPIC:
        return setting.value
    own = [found for found in brokers.values() if found is not None]
    if len(own) < len(brokers) or not brokers:
        return None
    overridden = any(found.source is ConfigSource.BROKER for found in own)
    if setting.source is ConfigSource.CLUSTER and not overridden:
        return setting.value
    return max(found.value for found in own)


class ConfigReader:
    """Reads topic configs of one cluster. Blocking, on the thread of its client."""

    def __init__(
        self,
        client: WireClient,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._are_denied = False
        """Whether brokers refuse to tell their own configs."""

    def read(
        self, topics: Sequence[str], alive: Iterable[int], limit_seconds: float
    ) -> ConfigsRound:
        """The min.insync.replicas of these topics, as many as the limit allows. Never raises.

        Args:
            topics: Names; in batches of 500 a request.
            alive: The brokers whose own values count.
            limit_seconds: No further batch is begun after so long.
        """
        until = self._clock() + limit_seconds
        settings: dict[str, Setting] = {}
        denied: list[str] = []
        asked = 0
        failure: SourceFailure | None = None
        for at in range(0, len(topics), TOPICS_A_REQUEST):
            if self._clock() >= until:
                break
            batch = topics[at : at + TOPICS_A_REQUEST]
            try:
                answer = self._client.send(
                    wire.configs_request(wire.TOPIC_RESOURCE, batch, [MIN_ISR_KEY])
                )
            except WireError as error:
                failure = _failure(error)
                break
            settings.update(settings_of(answer))
            denied += denied_of(answer)
            asked += len(batch)
        needs_brokers = any(found.source is not ConfigSource.TOPIC for found in settings.values())
        brokers = self._brokers(sorted(alive), until) if needs_brokers else {}
        found = {
            name: value
            for name, setting in settings.items()
            if (value := effective_min_isr(setting, brokers)) is not None
        }
        silent = sorted(node for node, setting in brokers.items() if setting is None)
        if failure is None and denied:
            failure = _denied_topics(denied)
        if failure is None and silent:
            failure = _denied_brokers(silent) if self._are_denied else _silent(silent)
        return ConfigsRound(
            min_insync_replicas=found,
            complete=asked == len(topics) and failure is None,
            failures=() if failure is None else (failure,),
        )

    def _brokers(self, alive: Sequence[int], until: float) -> dict[int, Setting | None]:
        found: dict[int, Setting | None] = dict.fromkeys(alive)
        silent = list(alive)
        self._are_denied = False
        for attempt in range(ATTEMPTS):
            if attempt:
                # The library forgets a broker that was away when it last looked, and looks every
                # 30 s: have it look again rather than say that nothing is known.
                if self._clock() + ASK_AGAIN_SECONDS >= until:
                    break
                self._client.refresh()
                self._sleep(ASK_AGAIN_SECONDS)
            self._ask_brokers(silent, found)
            silent = [node for node in silent if found[node] is None]
            if not silent or self._are_denied:
                break
        return found

    def _ask_brokers(self, nodes: Sequence[int], found: dict[int, Setting | None]) -> None:
        requests = {
            node: (node, wire.configs_request(wire.BROKER_RESOURCE, [str(node)], [MIN_ISR_KEY]))
            for node in nodes
        }
        try:
            answers = self._client.send_all(requests)
        except WireError:
            return
        for node, answer in answers.items():
            if not isinstance(answer, WireError):
                self._are_denied = self._are_denied or bool(denied_of(answer))
                found[node] = settings_of(answer).get(str(node))


def settings_of(answer: Any) -> dict[str, Setting]:
    """The settings in a DescribeConfigsResponse by resource name.

    Left out: what may not be described (see `denied_of`), and topics that are gone since they were
    listed.
    """
    return {
        result.resource_name: Setting(int(config.value), ConfigSource(config.config_source))
        for result in answer.results
        if result.error_code == 0
        for config in result.configs
        if config.name == MIN_ISR_KEY and config.value is not None
    }


def denied_of(answer: Any) -> list[str]:
    """The resources of a DescribeConfigsResponse that our user may not describe."""
    return [
        result.resource_name
        for result in answer.results
        if (problem := wire.code_error(result.error_code, None)) is not None
        and problem.reason is FailureReason.AUTHORIZATION
    ]


def _failure(error: WireError) -> SourceFailure:
    return SourceFailure(
        source=Source.CONFIGS,
        origin=error.origin,
        reason=error.reason,
        detail=told(error, "DescribeConfigs", DESCRIBE_TOPIC_CONFIGS),
    )


def _denied_topics(names: Sequence[str]) -> SourceFailure:
    return _denied(f"topic {names_of(names)}", DESCRIBE_TOPIC_CONFIGS)


def _denied_brokers(nodes: Sequence[int]) -> SourceFailure:
    what = f"broker {', '.join(map(str, nodes))}, on whose own values topics depend,"
    return _denied(what, DESCRIBE_CLUSTER_CONFIGS)


def _denied(what: str, acl: Acl) -> SourceFailure:
    return SourceFailure(
        source=Source.CONFIGS,
        origin=Origin.OURS,
        reason=FailureReason.AUTHORIZATION,
        detail=f"DescribeConfigs of {what} was refused: grant {acl}.",
    )


def _silent(nodes: Sequence[int]) -> SourceFailure:
    names = ", ".join(str(node) for node in nodes)
    return SourceFailure(
        source=Source.CONFIGS,
        origin=Origin.OURS,
        reason=FailureReason.TIMEOUT,
        node=nodes[0],
        detail=f"Broker {names} did not tell its own min.insync.replicas, on which topics depend.",
    )
