"""Which attempts of the probe count, and whose fault it is when none does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from healthd.collect.observation import FailureReason, Origin, SourceFailure
from healthd.collect.probe_client import ProbeClient, ProbeRound, TopicSeen
from healthd.collect.target import ClusterTarget
from healthd.config.source_probe import PROBE_TOPIC

# Their public names begin so.
MSG_TIMED_OUT = KafkaError._MSG_TIMED_OUT  # See above.
TIMED_OUT = KafkaError._TIMED_OUT  # See above.
AUTHENTICATION = KafkaError._AUTHENTICATION  # See above.
RESOLVE = KafkaError._RESOLVE  # See above.
ALL_BROKERS_DOWN = KafkaError._ALL_BROKERS_DOWN  # See above.

Answer = int | str | None
"""An error code, `silent` (written and never read back), or None: all well."""


@dataclass
class Kafka:
    """A cluster of three partitions behind a producer and a consumer whose answers are set."""

    answers: dict[int, Answer] = field(default_factory=dict)
    looks: list[Any] = field(default_factory=list)
    """What the next looks give: an error code, or the partitions that there are."""
    says: list[int] = field(default_factory=list)
    """Error codes that the client is told beside."""
    strangers: int = 0
    """Messages of others before ours."""
    now: float = 0.0
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    assigned: list[int] = field(default_factory=list)
    told: Callable[[KafkaError], None] = lambda _: None

    def clock(self) -> float:
        return self.now

    def list_topics(self, topic: str, timeout: float) -> Any:
        look = self.looks.pop(0) if self.looks else (0, 1, 2)
        if isinstance(look, int):
            self.now += timeout
            raise KafkaException(KafkaError(look))
        rows = {
            at: SimpleNamespace(leader=at + 1, replicas=[at + 1, 9], isrs=[at + 1]) for at in look
        }
        topics = {topic: SimpleNamespace(error=None, partitions=rows)} if rows else {}
        return SimpleNamespace(topics=topics, brokers={1: None, 2: None, 3: None}, controller_id=2)

    def produce(self, _topic: str, *, partition: int, on_delivery: Any, **_: Any) -> None:
        answer = self.answers.get(partition)
        if isinstance(answer, int):
            error = KafkaError(answer)
            self.callbacks.append(lambda: on_delivery(error, None))
            return
        message = SimpleNamespace(offset=lambda: 40)
        self.callbacks.append(lambda: on_delivery(None, message))

    def poll(self, timeout: float = 0) -> None:
        self.now += timeout or 0.001
        if self.callbacks:
            for code in self.says:
                self.told(KafkaError(code))
        while self.callbacks:
            self.callbacks.pop(0)()


@dataclass
class Reader:
    """The consumer of that cluster."""

    kafka: Kafka
    messages: list[Any] = field(default_factory=list)

    def poll(self, timeout: float = 0) -> Any:
        self.kafka.now += timeout or 0.001
        return self.messages.pop(0) if self.messages else None

    def incremental_assign(self, partitions: Any) -> None:
        for one in partitions:
            self.kafka.assigned.append(one.partition)
            for offset in (*range(90, 90 + self.kafka.strangers), one.offset):
                if self.kafka.answers.get(one.partition) != "silent":
                    self.messages.append(message_of(one.partition, offset))

    def unassign(self) -> None:
        self.kafka.assigned.clear()


def message_of(partition: int, offset: int) -> SimpleNamespace:
    return SimpleNamespace(error=lambda: None, partition=lambda: partition, offset=lambda: offset)


def client_of(kafka: Kafka) -> ProbeClient:
    client = ProbeClient(
        ClusterTarget(name="payments", bootstrap_servers=("b1:9092",)), clock=kafka.clock
    )
    client._producer, client._consumer = kafka, Reader(kafka)
    kafka.told = client._on_error
    return client


def attempted(kafka: Kafka) -> ProbeRound:
    client = client_of(kafka)
    seen = client.look()
    assert isinstance(seen, TopicSeen)
    found = client.attempt(seen.partitions)
    assert kafka.assigned == [], "nothing is read between rounds"
    return found


def outcome(found: ProbeRound) -> dict[int, bool]:
    return {one.broker: one.succeeded for one in found.attempts}


def test_a_message_to_every_leader_and_back_with_its_latency() -> None:
    found = attempted(Kafka(strangers=2))
    assert outcome(found) == {1: True, 2: True, 3: True}
    assert found.failures == ()
    for one in found.attempts:
        assert one.latency_ms is not None
        assert one.written_ms is not None
        assert 0 < one.written_ms <= one.latency_ms


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (MSG_TIMED_OUT, "not written: "),
        (KafkaError.NOT_ENOUGH_REPLICAS, "not written: "),
        (KafkaError.LEADER_NOT_AVAILABLE, "not written: "),
        ("silent", "written, and not read back within 2.5 s"),
    ],
    ids=["timed-out", "not-enough-replicas", "no-leader", "not-read-back"],
)
def test_what_one_broker_does_not_do_counts_against_the_cluster(answer: Answer, text: str) -> None:
    found = attempted(Kafka(answers={1: answer}))
    assert outcome(found) == {1: True, 2: False, 3: True}
    assert found.failures == ()
    (failed,) = [one for one in found.attempts if not one.succeeded]
    assert failed.error is not None
    assert failed.error.startswith(text)


ALL_LATE: dict[int, Answer] = dict.fromkeys((0, 1, 2), MSG_TIMED_OUT)


def test_all_time_outs_count_while_the_same_client_still_gets_metadata() -> None:
    assert outcome(attempted(Kafka(answers=ALL_LATE))) == {1: False, 2: False, 3: False}


@pytest.mark.parametrize(
    ("looks", "says", "reason"),
    [
        ([(0, 1, 2), TIMED_OUT, TIMED_OUT], [], FailureReason.TIMEOUT),
        ([(0, 1, 2)], [AUTHENTICATION], FailureReason.AUTHENTICATION),
        ([(0, 1, 2)], [RESOLVE], FailureReason.DNS),
    ],
    ids=["cut-off", "not-let-in", "no-name"],
)
def test_all_time_outs_are_no_attempts_when_the_way_there_is_ours_to_mend(
    looks: list[Any], says: list[int], reason: FailureReason
) -> None:
    found = attempted(Kafka(answers=ALL_LATE, looks=looks, says=says))
    assert found.attempts == ()
    (failure,) = found.failures
    assert (failure.origin, failure.reason) == (Origin.OURS, reason)


def test_a_cluster_that_refuses_everybody_is_evidence_against_it() -> None:
    kafka = Kafka(answers=ALL_LATE, looks=[(0, 1, 2), ALL_BROKERS_DOWN, ALL_BROKERS_DOWN])
    assert outcome(attempted(kafka)) == {1: False, 2: False, 3: False}


def test_a_missing_right_is_no_attempt_and_named() -> None:
    denied = dict.fromkeys((0, 1, 2), KafkaError.TOPIC_AUTHORIZATION_FAILED)
    found = attempted(Kafka(answers={**denied}))
    assert found.attempts == ()
    (failure,) = found.failures
    assert failure.reason is FailureReason.AUTHORIZATION
    assert f"Write on Topic:{PROBE_TOPIC}" in failure.detail


@pytest.mark.parametrize("answer", [MSG_TIMED_OUT, KafkaError.UNKNOWN_TOPIC_OR_PART])
def test_a_topic_that_was_deleted_meanwhile_is_no_attempt(answer: int) -> None:
    found = attempted(Kafka(answers=dict.fromkeys((0, 1, 2), answer), looks=[(0, 1, 2), ()]))
    assert found == ProbeRound()


def test_no_metadata_is_told_with_whose_fault_that_is() -> None:
    seen = client_of(Kafka(looks=[TIMED_OUT, TIMED_OUT])).look()
    assert isinstance(seen, SourceFailure)
    assert (seen.origin, seen.reason) == (Origin.OURS, FailureReason.TIMEOUT)
    # A frozen broker that was asked first costs one time-out only.
    assert isinstance(client_of(Kafka(looks=[TIMED_OUT, (0,)])).look(), TopicSeen)


def test_the_coordinator_of_a_group_that_nobody_joins_may_be_denied() -> None:
    found = attempted(Kafka(answers=ALL_LATE, says=[KafkaError.GROUP_AUTHORIZATION_FAILED]))
    assert outcome(found) == {1: False, 2: False, 3: False}
