"""Carries out what `probe_topic` decides: makes the probe's topic and keeps it in shape. Blocking.

It connects for each repair and closes again: repairs are rare, and every client costs threads.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import structlog

from healthd.collect import wire, wire_topic
from healthd.collect.observation import Source, SourceFailure
from healthd.collect.probe_topic import (
    MIN_INSYNC_REPLICAS,
    TOPIC_CONFIG,
    AddPartitions,
    CreateTopic,
    ElectPreferred,
    Reassign,
    SetMinIsr,
    Step,
)
from healthd.collect.rights import Operation, Resource, on_cluster, on_topic, told
from healthd.collect.target import ClusterTarget
from healthd.collect.wire import WireClient, WireError

log = structlog.get_logger(__name__)

TOPIC_EXISTS: Final = 36
ELECTION_NOT_NEEDED: Final = 84
_FINE: Final = frozenset({0, TOPIC_EXISTS, ELECTION_NOT_NEEDED})

_RIGHTS: Final = {
    CreateTopic: on_topic(Operation.CREATE),
    AddPartitions: on_topic(Operation.ALTER),
    SetMinIsr: on_topic(Operation.ALTER_CONFIGS),
    Reassign: on_cluster(Operation.ALTER),
    ElectPreferred: on_cluster(Operation.ALTER),
}
_WORDS: Final = {
    CreateTopic: "create the probe's topic",
    AddPartitions: "add partitions",
    SetMinIsr: "set min.insync.replicas to 1",
    Reassign: "move replicas",
    ElectPreferred: "elect preferred leaders",
}


class ProbeKeeper:
    """Repairs the probe's topic of one cluster; one thread at a time."""

    def __init__(self, target: ClusterTarget, client: WireClient | None = None) -> None:
        """Connect to nothing yet."""
        self._target = target
        self._topic = target.probe_topic
        self._client = client or WireClient(target)

    def carry_out(self, step: Step, controller: int) -> SourceFailure | None:
        """None when it is done; else why not, and what to grant.

        Args:
            step: What to do.
            controller: As Metadata names it: with ZooKeeper it must be asked, with KRaft any
                broker forwards the request.
        """
        try:
            known = self._client.brokers()
            node = controller if controller in known else None
            answer = self._client.send(self._request(step), node)
            for code, message in _codes(step, answer):
                problem = None if code in _FINE else wire.code_error(code, message)
                if problem is not None:
                    return self._failure(step, problem)
        except WireError as error:
            return self._failure(step, error)
        finally:
            self._client.close()
        log.info(
            "probe_topic_changed",
            kafka_cluster=self._target.name,
            topic=self._topic,
            change=words_of(step),
        )
        return None

    def _request(self, step: Step) -> Any:
        name, limit = self._topic, self._target.attempt_seconds
        if isinstance(step, CreateTopic):
            return wire_topic.create_topic(name, step.assignments, TOPIC_CONFIG, limit)
        if isinstance(step, AddPartitions):
            return wire_topic.add_partitions(name, step.count, step.assignments, limit)
        if isinstance(step, Reassign):
            return wire_topic.reassign(name, step.replicas, limit)
        if isinstance(step, SetMinIsr):
            return wire_topic.set_config(name, {"min.insync.replicas": str(MIN_INSYNC_REPLICAS)})
        return wire_topic.elect_preferred(name, step.partitions, limit)

    def _failure(self, step: Step, error: WireError) -> SourceFailure:
        acl = _RIGHTS[type(step)]
        if acl.resource is Resource.TOPIC:
            acl = replace(acl, name=self._topic)
        return SourceFailure(
            source=Source.PROBE,
            origin=error.origin,
            reason=error.reason,
            detail=told(error, f"To {words_of(step)} ({self._topic})", acl),
        )


def words_of(step: Step) -> str:
    """What a step does, in a few words."""
    return _WORDS[type(step)]


def _codes(step: Step, answer: Any) -> Iterator[tuple[int, str | None]]:
    """Every error code of an answer, 0 included, with its message."""
    top = getattr(answer, "error_code", None)
    if top is not None:
        yield top, getattr(answer, "error_message", None)
    if isinstance(step, CreateTopic):
        rows = answer.topics
    elif isinstance(step, AddPartitions):
        rows = answer.results
    elif isinstance(step, SetMinIsr):
        rows = answer.responses
    elif isinstance(step, Reassign):
        rows = [row for topic in answer.responses for row in topic.partitions]
    else:
        rows = [row for topic in answer.replica_election_results for row in topic.partition_result]
    for row in rows:
        yield row.error_code, row.error_message
