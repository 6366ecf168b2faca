"""What earlier snapshots add to the judgement of the next one.

The daemon carries a `History` from snapshot to snapshot; `evaluate` on a file has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from healthd.health.tracks import NO_TRACKS, Tracks
from healthd.model.codes import CheckCode


@dataclass(frozen=True, slots=True, kw_only=True)
class MajorityLost:
    """Since when one and the same quorum leader has shown no majority caught up."""

    leader_id: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What has to be remembered of the snapshots before."""

    under_min_isr: frozenset[tuple[str, int]] = frozenset()
    """Topic and id of partitions that were UNDER_MIN_ISR with their last leader."""
    majority_lost: MajorityLost | None = None
    tracks: Tracks = NO_TRACKS
    since: Mapping[CheckCode, datetime] = field(default_factory=dict)
    """Since when each check that is raised has been raised without a break."""


NO_HISTORY: Final = History()
"""Nothing was seen before."""
