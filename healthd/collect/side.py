"""Further sources of one cluster, each optional, read beside Kafka's own answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from healthd.collect.observation import Address, LogDirsSeen, Source, SourceFailure
from healthd.model.snapshot import NOTHING, ClusterSnapshot, Probe

FURTHER_SOURCES: Final = frozenset(
    {
        Source.LOG_DIRS,
        Source.PROBE,
        Source.CERTIFICATES,
        Source.CONNECT,
        Source.MIRRORS,
        Source.REGISTRY,
    }
)
"""Every kind that there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideContext:
    """What a further source may know when it is read."""

    brokers: Mapping[int, Address] = field(default_factory=lambda: NOTHING)
    """The alive brokers by the last metadata, with their addresses; may be empty."""
    snapshot: ClusterSnapshot | None = None
    """The last one; None before the first."""
    now: float
    """Monotonic seconds."""
    wall: datetime
    """With a zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSeen:
    """What one read gave."""

    section: Mapping[str, Any] | None = None
    """JSON for the snapshot's `extra`; None: nothing new, the last one is kept and grows older."""
    failures: tuple[SourceFailure, ...] = ()
    probe: Probe | None = None
    """The last attempts, for the snapshot; None: nothing new."""
    log_dirs: Mapping[int, LogDirsSeen] | None = None
    """By broker id, of those that answered; None: nothing new."""


class SideSource(Protocol):
    """One further source of one cluster.

    It is read in the background: a slow one delays no snapshot, and its result is in a later one.
    """

    source: Source
    """What it is called in `extra`, in metrics and in failures."""
    interval_seconds: float | None
    """How often it is read; None: in every round."""
    timeout_seconds: float
    """The limit of one read; one that takes longer is cancelled and counted."""

    async def read(self, context: SideContext) -> SideSeen:
        """What is so now; trouble outside is in `failures`, and never raised.

        Precondition: no other read of this source is in flight. One that is cancelled leaves the
        source usable.
        """

    async def aclose(self) -> None:
        """Let go of connections and threads; may be called twice. No read afterwards."""
