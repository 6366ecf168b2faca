"""Asking who leads: whom, how often, and what silence and refusals mean."""

from types import SimpleNamespace
from typing import Any

import pytest

from healthd.collect.observation import FailureReason, Origin, Reassigning
from healthd.collect.quorum import ASK_RIGHTS_EVERY, QuorumReader, QuorumRound
from healthd.collect.wire import UnsupportedError, WireError
from healthd.model.snapshot import NO_LEADER

LATE = WireError(FailureReason.TIMEOUT, Origin.OURS, "late")
ALL, READ, DESCRIBE = 2, 3, 8
"""Kafka's codes of operations."""
DENIED = WireError(FailureReason.AUTHORIZATION, Origin.OURS, "denied")


def says_leader(leader: int) -> Any:
    voters = [
        SimpleNamespace(replica_id=node, last_caught_up_timestamp=9, log_end_offset=5)
        for node in (2, 1)
    ]
    row = SimpleNamespace(
        error_code=0,
        error_message="",
        leader_id=leader,
        current_voters=voters,
        observers=[SimpleNamespace(replica_id=7, last_caught_up_timestamp=8)],
    )
    topic = SimpleNamespace(partitions=[row])
    return SimpleNamespace(error_code=0, error_message="", topics=[topic])


class Wire:
    """Answers DescribeQuorum by broker, and everything else well."""

    def __init__(self, answers: dict[int, Any]) -> None:
        self.answers = answers
        self.asked: list[int | None] = []
        self.topic_codes = [3]
        """What asking for a topic that does not exist is answered with."""
        self.topic_asks = 0
        self.rules: list[Any] = []
        """Those that forbid something."""

    def brokers(self) -> tuple[int, ...]:
        return tuple(sorted(self.answers))

    def refresh(self) -> None:
        pass

    def send(self, request: Any, node: int | None = None) -> Any:
        answer = self.answer(request, node)
        if isinstance(answer, WireError):
            raise answer
        return answer

    def send_all(self, requests: dict[int, tuple[int, Any]]) -> dict[int, Any]:
        return {key: self.answer(request, node) for key, (node, request) in requests.items()}

    def answer(self, request: Any, node: int | None) -> Any:
        kind = type(request).__name__
        if kind == "DescribeQuorumRequest":
            self.asked.append(node)
            return self.answers[node or 0]
        if kind == "DescribeAclsRequest":
            return SimpleNamespace(error_code=0, resources=self.rules)
        if kind == "MetadataRequest":
            self.topic_asks += 1
            assert request.allow_auto_topic_creation is False
            rows = [SimpleNamespace(error_code=code) for code in self.topic_codes]
            return SimpleNamespace(topics=rows)
        config = SimpleNamespace(name="controller.quorum.fetch.timeout.ms", value="3000")
        return SimpleNamespace(
            error_code=0,
            error_message=None,
            results=[SimpleNamespace(error_code=0, error_message="", configs=[config])],
            topics=[
                SimpleNamespace(
                    name="t",
                    partitions=[
                        SimpleNamespace(
                            partition_index=4, adding_replicas=[3], removing_replicas=[1]
                        )
                    ],
                )
            ],
            brokers=[SimpleNamespace(broker_id=1, host="b1", rack="az1", is_fenced=True)],
        )


def reader(wire: Wire) -> QuorumReader:
    return QuorumReader(wire, 1.0, lambda: "User:healthd")  # type: ignore[arg-type]  # A stand-in.


def read(answers: dict[int, Any]) -> QuorumRound:
    return reader(Wire(answers)).read()


def test_one_answer_tells_everything() -> None:
    found = read({1: says_leader(2), 2: says_leader(2)})
    assert found.quorum is not None
    assert found.quorum.leader_id == 2
    assert [voter.id for voter in found.quorum.voters] == [1, 2]
    assert found.quorum.observers == {7: 8}
    assert found.quorum.fetch_timeout_ms == 3000
    assert found.reassigning == {
        ("t", 4): Reassigning(adding=frozenset({3}), removing=frozenset({1}))
    }
    assert found.nodes is not None
    assert found.nodes[1].fenced
    assert found.failures == ()


def test_a_frozen_broker_is_asked_once_and_then_the_one_that_answered() -> None:
    wire = Wire({1: LATE, 2: says_leader(2), 3: says_leader(2)})
    asking = reader(wire)
    first = asking.read()
    assert first.quorum is not None
    assert first.failures == ()
    wire.asked.clear()
    asking.read()
    assert wire.asked == [wire.asked[0]]
    assert wire.asked[0] != 1


def test_who_is_silent_is_named_for_the_judge() -> None:
    refused = WireError(FailureReason.REFUSED, Origin.THEIRS, "refused")
    found = read({1: refused, 2: refused, 3: LATE})
    assert found.quorum is None
    assert found.silent == {3}
    assert [failure.reason for failure in found.failures] == [FailureReason.TIMEOUT]


def test_an_answer_without_a_leader_is_an_answer() -> None:
    found = read({1: says_leader(NO_LEADER), 2: LATE})
    assert found.quorum is not None
    assert found.quorum.leader_id == NO_LEADER
    assert found.any_answered
    assert found.reassigning is None


def test_somebody_who_knows_the_leader_is_believed_over_one_who_does_not() -> None:
    found = read({1: says_leader(NO_LEADER), 2: says_leader(2)})
    assert found.quorum is not None
    assert found.quorum.leader_id == 2


def test_a_missing_right_is_ours_and_says_what_to_grant() -> None:
    found = read({1: DENIED, 2: LATE})
    (failure,) = found.failures
    assert (failure.reason, failure.origin) == (FailureReason.AUTHORIZATION, Origin.OURS)
    assert failure.detail == "DescribeQuorum was refused: grant Describe on Cluster:kafka-cluster."
    assert found.silent == frozenset()
    assert found.any_answered


def test_a_cluster_without_the_request_has_no_such_quorum() -> None:
    found = read({1: UnsupportedError(FailureReason.PROTOCOL, Origin.OURS, "old")})
    assert not found.configured
    assert found.nodes is not None


@pytest.mark.parametrize("error", [LATE, DENIED])
def test_no_connection_is_a_failure(error: WireError) -> None:
    class Gone(Wire):
        def brokers(self) -> tuple[int, ...]:
            raise error

    found = reader(Gone({})).read()
    assert found.quorum is None
    assert [failure.reason for failure in found.failures] == [error.reason]


def test_no_such_topic_is_said_to_those_who_may_describe_every_one() -> None:
    wire = Wire({1: says_leader(1)})
    asking = reader(wire)
    assert asking.read().describes_every_topic is True
    for _ in range(ASK_RIGHTS_EVERY - 1):
        asking.read()
    assert wire.topic_asks == 1
    wire.topic_codes = [29]
    assert asking.read().describes_every_topic is False


def test_a_missing_describe_is_looked_for_in_every_round() -> None:
    wire = Wire({1: says_leader(1)})
    wire.topic_codes = [29]
    asking = reader(wire)
    assert asking.read().describes_every_topic is False
    wire.topic_codes = [3]
    assert asking.read().describes_every_topic is True


@pytest.mark.parametrize("codes", [[], [-1]])
def test_an_answer_that_says_neither_leaves_it_unknown(codes: list[int]) -> None:
    wire = Wire({1: says_leader(1)})
    wire.topic_codes = codes
    found = reader(wire).read()
    assert found.describes_every_topic is None
    assert found.failures == ()


def test_in_zookeeper_mode_reassignments_are_asked_of_the_controller_itself() -> None:
    wire = Wire({1: LATE, 2: LATE})
    found = reader(wire).read_brokers(2)
    assert found.reassigning == {
        ("t", 4): Reassigning(adding=frozenset({3}), removing=frozenset({1}))
    }
    assert found.nodes is not None
    assert (found.describes_every_topic, found.failures) == (True, ())
    assert wire.asked == [], "there is no quorum of this kind to ask for"


class DeadController(Wire):
    def answer(self, request: Any, node: int | None) -> Any:
        if node == 2:
            self.asked.append(node)
            return LATE
        return super().answer(request, node)


def test_in_zookeeper_mode_a_controller_that_does_not_answer_costs_one_request() -> None:
    wire = DeadController({1: LATE, 2: LATE})
    found = reader(wire).read_brokers(2)
    assert (found.reassigning, found.nodes, wire.asked) == (None, None, [2])
    assert [failure.reason for failure in found.failures] == [FailureReason.TIMEOUT]


@pytest.mark.parametrize(
    ("principal", "operation", "sees_all"),
    [
        ("User:healthd", DESCRIBE, False),
        ("User:*", ALL, False),
        ("User:healthd", READ, True),
        ("User:somebody", DESCRIBE, True),
    ],
)
def test_a_rule_that_forbids_hides_topics_although_any_may_be_described(
    principal: str, operation: int, *, sees_all: bool
) -> None:
    wire = Wire({1: says_leader(1)})
    rule = SimpleNamespace(principal=principal, host="*", operation=operation)
    wire.rules = [
        SimpleNamespace(resource_type=2, resource_name="secret", pattern_type=3, acls=[rule])
    ]
    assert reader(wire).read().describes_every_topic is sees_all
