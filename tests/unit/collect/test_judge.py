"""Whether metadata may be believed."""

from dataclasses import replace

import pytest

from healthd.collect.judge import caught_up, judge, with_inferred_quorum
from healthd.collect.observation import (
    Address,
    BrokerSignals,
    FailureReason,
    ListenerState,
    MetadataSeen,
    Observations,
    Origin,
    PageSeen,
    QuorumSeen,
)
from healthd.collect.state import LastValues
from healthd.model.codes import CheckCode
from healthd.model.snapshot import NO_LEADER, Voter
from healthd.model.words import QuorumMode

QUORUM = QuorumSeen(
    leader_id=1,
    voters=(
        Voter(id=1, last_caught_up_ms=10_000),
        Voter(id=2, last_caught_up_ms=9_000),
        Voter(id=3, last_caught_up_ms=7_000),
    ),
    observers={4: 9_500, 5: -1},
    fetch_timeout_ms=2000,
)
METADATA = MetadataSeen(
    answered_by=1,
    brokers={1: Address(host="b1", port=9092)},
    topics=(),
    partition_count=0,
)
SEEN = Observations(metadata=METADATA, quorum=QUORUM)
NEVER = LastValues()


def test_caught_up_is_below_the_fetch_timeout_behind_the_leader() -> None:
    assert caught_up(QUORUM) == {1, 2, 4}


def test_nobody_is_caught_up_with_a_leader_of_whom_nothing_is_known() -> None:
    assert caught_up(replace(QUORUM, leader_id=9)) == frozenset()


def test_metadata_of_a_caught_up_broker_counts() -> None:
    assert judge(SEEN, NEVER).metadata is METADATA


@pytest.mark.parametrize(
    ("observed", "reason", "origin"),
    [
        pytest.param(
            replace(SEEN, quorum=None), FailureReason.QUORUM_UNKNOWN, Origin.OURS, id="no-quorum"
        ),
        pytest.param(
            replace(SEEN, quorum=QuorumSeen(leader_id=NO_LEADER)),
            FailureReason.NO_LEADER,
            Origin.THEIRS,
            id="no-leader",
        ),
        pytest.param(
            replace(SEEN, metadata=replace(METADATA, answered_by=3)),
            FailureReason.NOT_CAUGHT_UP,
            Origin.THEIRS,
            id="from-a-broker-behind",
        ),
        pytest.param(
            replace(SEEN, metadata=replace(METADATA, answered_by=-1)),
            FailureReason.NOT_CAUGHT_UP,
            Origin.THEIRS,
            id="from-nobody-knows-whom",
        ),
        pytest.param(
            replace(
                SEEN,
                metadata=replace(METADATA, listeners_missing=1, hidden_listeners=(("t", 0),)),
            ),
            FailureReason.LISTENER_NOT_FOUND,
            Origin.OURS,
            id="another-listener",
        ),
    ],
)
def test_metadata_that_does_not_count(
    observed: Observations, reason: FailureReason, origin: Origin
) -> None:
    judged = judge(observed, NEVER)
    assert judged.metadata is None
    assert [(one.reason, one.origin) for one in judged.failures] == [(reason, origin)]


def test_zookeeper_clusters_need_no_quorum_of_this_kind() -> None:
    observed = replace(SEEN, quorum=None, quorum_configured=False)
    assert judge(observed, NEVER).metadata is METADATA


ENSEMBLE = QuorumSeen(
    leader_id=1, mode=QuorumMode.ZOOKEEPER, voters=(Voter(id=7),), registered=frozenset({1, 2})
)
IN_ZOOKEEPER = replace(
    SEEN,
    metadata=replace(
        METADATA, brokers={node: Address(host=f"b{node}", port=9092) for node in (1, 2)}
    ),
    quorum=ENSEMBLE,
)


@pytest.mark.parametrize(
    "registered", [frozenset({1, 2}), frozenset({1, 2, 3}), None], ids=["same", "more", "unknown"]
)
def test_metadata_that_lists_only_brokers_with_a_session_in_zookeeper_counts(
    registered: frozenset[int] | None,
) -> None:
    quorum = replace(ENSEMBLE, registered=registered)
    assert judge(replace(IN_ZOOKEEPER, quorum=quorum), NEVER).metadata is not None


@pytest.mark.parametrize(
    ("registered", "words"),
    [
        pytest.param({2}, "broker 1, which has no session", id="the answering broker is cut off"),
        pytest.param({1}, "still lists broker 2", id="a dead broker is listed"),
    ],
)
def test_metadata_older_than_zookeeper_does_not_count(registered: set[int], words: str) -> None:
    quorum = replace(ENSEMBLE, registered=frozenset(registered))
    judged = judge(replace(IN_ZOOKEEPER, quorum=quorum), NEVER)
    assert judged.metadata is None
    (failure,) = judged.failures
    assert (failure.reason, failure.origin) == (FailureReason.NOT_CAUGHT_UP, Origin.THEIRS)
    assert words in failure.detail


@pytest.mark.parametrize(
    ("controller", "named", "counts"),
    [
        pytest.param(1, 1, True, id="the same"),
        pytest.param(None, 1, True, id="not known"),
        pytest.param(2, 1, False, id="another one"),
        pytest.param(-1, 1, False, id="none, after a restart"),
        pytest.param(2, 3000, True, id="a KRaft controller, in a migration"),
    ],
)
def test_metadata_must_know_the_controller_that_zookeeper_names(
    controller: int | None, named: int, *, counts: bool
) -> None:
    assert IN_ZOOKEEPER.metadata is not None
    observed = replace(
        IN_ZOOKEEPER,
        metadata=replace(IN_ZOOKEEPER.metadata, controller=controller),
        quorum=replace(ENSEMBLE, leader_id=named),
    )
    judged = judge(observed, NEVER)
    assert (judged.metadata is not None) is counts
    assert [one.reason for one in judged.failures] == [FailureReason.NOT_CAUGHT_UP] * (not counts)


def test_in_kraft_whom_metadata_calls_controller_says_nothing() -> None:
    assert judge(replace(SEEN, metadata=replace(METADATA, controller=3)), NEVER).metadata


def test_metadata_is_frozen_while_zookeeper_names_no_controller() -> None:
    judged = judge(replace(IN_ZOOKEEPER, quorum=replace(ENSEMBLE, leader_id=NO_LEADER)), NEVER)
    assert judged.metadata is None
    assert [one.reason for one in judged.failures] == [FailureReason.NO_LEADER]


def counting(topics: int, partitions: int, active: int = 1) -> PageSeen:
    return PageSeen(
        at=0.0,
        signals=BrokerSignals(
            active_controllers=active, global_topics=topics, global_partitions=partitions
        ),
    )


def test_fewer_topics_than_the_controller_counts_is_our_missing_right_from_the_second_round() -> (
    None
):
    observed = replace(SEEN, pages={1: counting(3, 9)})
    first = judge(observed, NEVER)
    assert first.metadata is METADATA
    second = judge(observed, replace(NEVER, hidden_rounds=first.hidden_rounds))
    assert second.metadata is None
    (failure,) = second.failures
    assert failure.reason is FailureReason.TOPICS_HIDDEN
    assert failure.check is CheckCode.COLLECTOR_AUTH


def test_where_nobody_counts_topics_the_right_to_see_them_all_must_be_there() -> None:
    assert judge(replace(SEEN, describes_every_topic=True), NEVER).metadata is METADATA
    assert judge(replace(SEEN, describes_every_topic=None), NEVER).metadata is METADATA
    found = judge(replace(SEEN, describes_every_topic=False), NEVER)
    assert found.metadata is None
    (failure,) = found.failures
    assert failure.check is CheckCode.COLLECTOR_AUTH
    assert "grant Describe on Topic:*" in failure.detail


def test_a_count_that_fits_proves_that_no_topic_is_hidden() -> None:
    counted = replace(SEEN, describes_every_topic=False, pages={1: counting(0, 0)})
    assert judge(counted, NEVER).metadata is METADATA
    silent = replace(SEEN, describes_every_topic=False)
    assert judge(silent, replace(NEVER, pages=counted.pages)).metadata is METADATA


def test_a_controller_that_is_not_active_counts_for_nothing() -> None:
    observed = replace(SEEN, pages={1: counting(3, 9, active=0)})
    assert judge(observed, replace(NEVER, hidden_rounds=5)).hidden_rounds == 0


SILENT = Observations(quorum_silent=frozenset({3}), listeners={3: ListenerState.ANSWERED})


def test_a_broker_that_answers_but_cannot_say_who_leads_means_nobody_from_the_second_round() -> (
    None
):
    once, rounds = with_inferred_quorum(SILENT, NEVER)
    assert once.quorum is None
    twice, _ = with_inferred_quorum(SILENT, replace(NEVER, silent_rounds=rounds))
    assert twice.quorum is not None
    assert twice.quorum.leader_id == NO_LEADER
    assert twice.failures[-1].reason is FailureReason.NO_LEADER


@pytest.mark.parametrize("state", [ListenerState.TIMED_OUT, ListenerState.REFUSED])
def test_a_broker_that_is_silent_to_everything_says_nothing_of_the_quorum(
    state: ListenerState,
) -> None:
    observed = replace(SILENT, listeners={3: state})
    found, rounds = with_inferred_quorum(observed, replace(NEVER, silent_rounds=5))
    assert found.quorum is None
    assert rounds == 0


def test_metadata_from_the_silent_broker_is_an_answer_too() -> None:
    observed = replace(SILENT, listeners={}, metadata=replace(METADATA, answered_by=3))
    found, _ = with_inferred_quorum(observed, replace(NEVER, silent_rounds=1))
    assert found.quorum is not None
