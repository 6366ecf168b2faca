"""Each row of the table of partition states, and what it counts for."""

from typing import Any

import pytest
from support.snapshots import a_partition, a_topic, topic_of_states

from healthd.health.history import History
from healthd.health.partitions import PartitionFacts, read_partitions
from healthd.health.scoring import DEFAULT
from healthd.health.words import PartitionState
from healthd.model.snapshot import Topic
from healthd.model.words import Excluded

OK = PartitionState.OK
UNDER_REPLICATED = PartitionState.UNDER_REPLICATED
AT_MIN_ISR = PartitionState.AT_MIN_ISR
UNDER_MIN_ISR = PartitionState.UNDER_MIN_ISR
OFFLINE = PartitionState.OFFLINE


def read(*topics: Topic, history: History | None = None) -> PartitionFacts:
    return read_partitions(topics, grace_seconds=10, history=history or History())


def state_of(minimum: int | None, row: dict[str, Any], history: History | None = None) -> str:
    facts = read(a_topic("t", [a_partition(**row)], min_insync_replicas=minimum), history=history)
    return next((state for state, places in facts.places.items() if places), OK)


@pytest.mark.parametrize(
    ("minimum", "row", "state"),
    [
        pytest.param(2, {}, OK, id="in-sync"),
        pytest.param(2, {"isr": (3, 1, 2)}, OK, id="in-sync-in-another-order"),
        pytest.param(2, {"isr": (1, 2)}, AT_MIN_ISR, id="at-min-isr"),
        pytest.param(1, {"isr": (1, 2)}, UNDER_REPLICATED, id="above-min-isr"),
        pytest.param(2, {"isr": (1,)}, UNDER_MIN_ISR, id="under-min-isr"),
        pytest.param(2, {"isr": ()}, UNDER_MIN_ISR, id="a-leader-and-an-empty-isr"),
        pytest.param(5, {}, OK, id="min-isr-above-rf-counts-as-rf"),
        pytest.param(5, {"isr": (1, 2)}, UNDER_MIN_ISR, id="min-isr-above-rf-needs-every-replica"),
        pytest.param(1, {"replicas": (1,), "isr": (1,)}, OK, id="rf-one-in-sync"),
        pytest.param(3, {}, OK, id="rf-equal-to-min-isr-is-healthy"),
        pytest.param(2, {"leader": -1}, OFFLINE, id="leaderless-for-an-unknown-time"),
        pytest.param(2, {"leader": -1, "leaderless_seconds": 10.0}, OFFLINE, id="leaderless-10s"),
        pytest.param(
            2, {"leader": -1, "leaderless_seconds": 9.9}, AT_MIN_ISR, id="leaderless-in-sync"
        ),
        pytest.param(
            2,
            {"leader": -1, "isr": (), "leaderless_seconds": 0.0},
            AT_MIN_ISR,
            id="leaderless-whatever-the-isr",
        ),
        pytest.param(2, {"leaderless_seconds": 99.0}, OK, id="a-leader-ends-leaderlessness"),
        pytest.param(None, {}, OK, id="unknown-in-sync"),
        pytest.param(None, {"isr": (1,)}, UNDER_REPLICATED, id="unknown-behind"),
        pytest.param(None, {"leader": -1}, OFFLINE, id="unknown-offline"),
        pytest.param(
            None, {"leader": -1, "leaderless_seconds": 1.0}, AT_MIN_ISR, id="unknown-in-election"
        ),
        pytest.param(
            2,
            {"replicas": (1, 2, 3, 4), "isr": (1, 2, 3), "adding": frozenset({4})},
            OK,
            id="one-being-added-is-not-missing",
        ),
        pytest.param(
            2,
            {"replicas": (1, 2, 3, 4), "isr": (1, 2, 4), "adding": frozenset({4})},
            OK,
            id="the-isr-counts-as-reported",
        ),
        pytest.param(
            2,
            {"replicas": (1, 2, 3, 4), "isr": (1, 2, 3), "removing": frozenset({4})},
            UNDER_REPLICATED,
            id="one-being-removed-still-counts",
        ),
        pytest.param(1, {"replicas": (), "isr": ()}, OK, id="no-replicas"),
        pytest.param(
            2,
            {"replicas": (1, 2), "isr": (), "adding": frozenset({1, 2})},
            OK,
            id="every-replica-is-being-added",
        ),
    ],
)
def test_the_first_row_that_matches_is_the_state(
    minimum: int | None, row: dict[str, Any], state: PartitionState
) -> None:
    assert state_of(minimum, row) is state


def test_an_election_does_not_make_a_partition_look_better_than_before() -> None:
    row = {"leader": -1, "leaderless_seconds": 1.0}
    before = History(under_min_isr=frozenset({("t", 0)}))
    assert state_of(2, row, before) is UNDER_MIN_ISR
    assert state_of(2, row, History(under_min_isr=frozenset({("t", 1)}))) is AT_MIN_ISR
    assert state_of(2, {}, before) is OK


def test_the_risk_is_the_mean_over_all_partitions() -> None:
    topic = topic_of_states(ok=5, under_replicated=2, at_min_isr=1, under_min_isr=1, offline=1)
    tally = read(topic).tally
    assert tally.risk(DEFAULT.risk) == pytest.approx((2 * 0.03 + 0.10 + 0.60 + 1) / 10)


def test_shares_are_cumulative() -> None:
    topic = topic_of_states(ok=5, under_replicated=2, at_min_isr=1, under_min_isr=1, offline=1)
    tally = read(topic).tally
    shares = (tally.offline_share, tally.under_min_isr_share, tally.at_min_isr_share)
    assert shares == (0.1, 0.2, 0.3)


def test_no_partitions_are_no_risk_and_fully_covered() -> None:
    facts = read()
    assert (facts.tally.risk(DEFAULT.risk), facts.tally.offline_share, facts.coverage) == (0, 0, 1)


@pytest.mark.parametrize("excluded", list(Excluded))
def test_excluded_topics_count_for_nothing(excluded: Excluded) -> None:
    facts = read(a_topic("t", [a_partition(leader=-1)], excluded=excluded))
    assert facts.tally.total == 0
    assert not any(facts.places.values())


def test_coverage_leaves_out_what_is_behind_an_unknown_min_isr() -> None:
    unknown = a_topic(
        "unknown",
        [
            a_partition(0),
            a_partition(1, isr=(1, 2)),
            a_partition(2, leader=-1, isr=(1,)),
            a_partition(3, leader=-1, leaderless_seconds=1.0),
            a_partition(4, leader=-1, isr=(1, 2), leaderless_seconds=1.0),
        ],
        min_insync_replicas=None,
    )
    facts = read(unknown, topic_of_states("known", under_min_isr=5))
    assert facts.covered == 8
    assert facts.coverage == 0.8
    assert (facts.tally.under_min_isr, facts.pessimistic.under_min_isr) == (5, 7)
    assert (facts.tally.at_min_isr, facts.pessimistic.at_min_isr) == (2, 1)
    assert (facts.tally.under_replicated, facts.pessimistic.under_replicated) == (1, 0)


def test_an_internal_topic_behind_an_unknown_min_isr_is_unavailable_at_worst() -> None:
    behind = a_topic("__consumer_offsets", [a_partition(isr=(1,))], min_insync_replicas=None)
    facts = read(behind)
    assert facts.tally.internal_unavailable == 0
    assert facts.pessimistic.internal_unavailable == 1
