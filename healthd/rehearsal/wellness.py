"""A cluster in which all is well, for the model to begin with."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from healthd.model.snapshot import (
    NO_LEADER,
    Broker,
    ClusterSnapshot,
    Quorum,
    Topic,
    Voter,
)
from healthd.model.words import EvidenceGroup, QuorumMode

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When it was seen."""
_SEEN: Final = (
    EvidenceGroup.METADATA,
    EvidenceGroup.CONFIGS,
    EvidenceGroup.QUORUM,
    EvidenceGroup.METRICS,
)


def all_well(
    brokers: Iterable[Broker],
    topics: Iterable[Topic],
    *,
    voters: Sequence[int],
    interval_seconds: float,
) -> ClusterSnapshot:
    """A KRaft cluster that was seen as a whole just now; the first of its voters leads."""
    return ClusterSnapshot(
        cluster="model",
        observed_at=EPOCH,
        interval_seconds=interval_seconds,
        brokers=tuple(brokers),
        topics=tuple(topics),
        quorum=Quorum(
            mode=QuorumMode.KRAFT,
            leader_id=voters[0] if voters else NO_LEADER,
            fetch_timeout_ms=2000,
            absent_seconds=0.0,
            voters=tuple(Voter(id=node, last_caught_up_ms=0) for node in voters),
        ),
        reassignments=0,
        unclean_elections_24h=0,
        unreachable=False,
        ages=dict.fromkeys(_SEEN, 0.0),
    )
