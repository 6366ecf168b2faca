"""What is carried from one snapshot to the next."""

from dataclasses import replace
from datetime import timedelta

from support.snapshots import NOON, a_partition, a_quorum, a_snapshot, a_topic

from healthd.health.history import NO_HISTORY, MajorityLost
from healthd.health.index import evaluate
from healthd.health.remember import remember
from healthd.model.codes import Severity
from healthd.model.snapshot import ClusterSnapshot

UNDER = a_snapshot(a_topic("t", [a_partition(isr=(1,))]))
ELECTION = a_snapshot(a_topic("t", [a_partition(leader=-1, isr=(1,), leaderless_seconds=2.0)]))
OFFLINE = a_snapshot(a_topic("t", [a_partition(leader=-1, isr=(1,), leaderless_seconds=20.0)]))
WELL = a_snapshot(a_topic("t"))


def later(snapshot: ClusterSnapshot, seconds: float) -> ClusterSnapshot:
    return replace(snapshot, observed_at=NOON + timedelta(seconds=seconds))


def test_nothing_is_remembered_of_a_healthy_cluster() -> None:
    assert remember(WELL) == NO_HISTORY


def test_a_partition_under_min_isr_stays_so_through_its_election() -> None:
    before = remember(UNDER)
    assert evaluate(ELECTION, history=before).health_index == evaluate(UNDER).health_index
    still = remember(ELECTION, before)
    assert evaluate(ELECTION, history=still).health_index == evaluate(UNDER).health_index


def test_it_is_remembered_while_offline_and_forgotten_with_a_leader() -> None:
    history = remember(OFFLINE, remember(UNDER))
    assert history.under_min_isr == {("t", 0)}
    assert remember(WELL, history) == NO_HISTORY


def test_what_was_offline_at_first_sight_is_not_taken_for_under_min_isr() -> None:
    assert remember(OFFLINE) == NO_HISTORY


def test_a_lost_majority_is_remembered_since_it_was_first_seen() -> None:
    lost = a_snapshot(quorum=a_quorum(2, 3))
    history = remember(later(lost, 4), remember(lost))
    assert history.majority_lost == MajorityLost(leader_id=1, since=NOON)
    severities = [
        next(check.severity for check in evaluate(snapshot, history=history).checks)
        for snapshot in (later(lost, 4), later(lost, 5))
    ]
    assert severities == [Severity.WARN, Severity.CRIT]


def test_another_leader_or_a_majority_begins_anew() -> None:
    lost = remember(a_snapshot(quorum=a_quorum(2, 3)))
    moved = remember(later(a_snapshot(quorum=a_quorum(1, 3, leader_id=2)), 9), lost)
    assert moved.majority_lost == MajorityLost(leader_id=2, since=NOON + timedelta(seconds=9))
    assert remember(a_snapshot(quorum=a_quorum(3)), lost).majority_lost is None
    assert remember(a_snapshot(quorum=None), lost).majority_lost is None
