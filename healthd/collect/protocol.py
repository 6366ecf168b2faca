"""The door through which the engine gets snapshots, and its contract."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from healthd.collect.observation import SourceFailure
from healthd.model.snapshot import ClusterSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one collection gave."""

    snapshot: ClusterSnapshot
    durations: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each source took, by its name; only those that were asked."""
    failures: tuple[SourceFailure, ...] = ()
    """What could not be read, or was read and does not count; the same as in the snapshot's
    `extra.collector.failures`."""
    cluster_id: str | None = None
    """What the brokers call their cluster; None: none of them has said it yet."""
    addresses: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """Where each known broker says that clients find it, dead ones included."""


class ClusterSource(Protocol):
    """One cluster as a source of snapshots.

    Every snapshot is of the cluster that the source was made for. A value that was in one snapshot
    is in all later ones: what cannot be read keeps its last value, and only its age grows. A group
    that was seen is never `null` again in `ages`. Trouble of the cluster, the network or our own
    rights is never raised: it is in `failures`, and the snapshot is what is known.
    """

    async def collect(self, *, read_configs: bool = False) -> Collected:
        """What is known after one round of asking; ends within the cluster's deadline.

        Precondition: no other collection of this source is in flight. A collection that is
        cancelled leaves the source usable: the next one works, or says BUSY for what still hangs.

        Args:
            read_configs: Read the configs of all topics now, whatever their age: right before a
                stop.
        """

    async def aclose(self) -> None:
        """Let go of all connections and threads; may be called twice. No collection afterwards."""
