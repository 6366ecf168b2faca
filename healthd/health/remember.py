"""What a snapshot adds to the history that the next one is judged with."""

from collections.abc import Iterable
from dataclasses import replace

from healthd.health.checks import Check
from healthd.health.history import NO_HISTORY, History, MajorityLost
from healthd.health.partitions import read_partitions
from healthd.health.scoring import DEFAULT, ScoringProfile
from healthd.health.tracks import advance
from healthd.health.words import PartitionState
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import QuorumMode
from healthd.safety.quorum import unjudgeable, voters_behind


def look_back(
    snapshot: ClusterSnapshot, before: History = NO_HISTORY, scoring: ScoringProfile = DEFAULT
) -> History:
    """The history with which a snapshot is judged: what goes on goes on until now."""
    return replace(before, tracks=advance(before.tracks, snapshot, scoring))


def remember(
    snapshot: ClusterSnapshot,
    before: History = NO_HISTORY,
    scoring: ScoringProfile = DEFAULT,
    *,
    raised: Iterable[Check] = (),
) -> History:
    """The history after a snapshot; call it once for each, in the order of their times.

    Args:
        snapshot: What was judged.
        before: What it was judged with.
        scoring: The numbers.
        raised: Its checks.
    """
    return History(
        under_min_isr=_under_min_isr(snapshot, before, scoring),
        majority_lost=_majority_lost(snapshot, before.majority_lost),
        tracks=before.tracks,
        since={check.code: before.since.get(check.code, snapshot.observed_at) for check in raised},
    )


def _under_min_isr(
    snapshot: ClusterSnapshot, before: History, scoring: ScoringProfile
) -> frozenset[tuple[str, int]]:
    """The partitions that are under min ISR, or were when they last had a leader."""
    facts = read_partitions(
        snapshot.topics, grace_seconds=scoring.risk.leaderless_grace_seconds, history=before
    )
    found = {
        (topic.name, topic.ids[at])
        for topic, positions in facts.places[PartitionState.UNDER_MIN_ISR]
        for at in positions
    }
    # One that went on to be OFFLINE keeps what it was; it may be in an election once more.
    found.update(
        (topic.name, topic.ids[at])
        for topic, positions in facts.places[PartitionState.OFFLINE]
        for at in positions
        if (topic.name, topic.ids[at]) in before.under_min_isr
    )
    return frozenset(found)


def _majority_lost(snapshot: ClusterSnapshot, before: MajorityLost | None) -> MajorityLost | None:
    quorum = snapshot.quorum
    if quorum is None or quorum.mode is not QuorumMode.KRAFT or unjudgeable(quorum) is not None:
        return None
    caught_up = len(quorum.voters) - len(voters_behind(quorum))
    if 2 * caught_up > len(quorum.voters):
        return None
    assert quorum.leader_id is not None
    if before is not None and before.leader_id == quorum.leader_id:
        return before
    return MajorityLost(leader_id=quorum.leader_id, since=snapshot.observed_at)
