"""What the store keeps, as frozen values. Times are Unix seconds of the wall clock (UTC)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

ENDED_STATUSES: Final = frozenset({"succeeded", "failed", "aborted"})
"""The statuses (restart-safety.md section 4) in which a wave never changes again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveRecord:
    """A wave as it was last stored.

    Attributes:
        id: Unique for ever.
        cluster: The cluster whose lease guards this wave's writes.
        status: The wave's state by name; `ENDED_STATUSES` are final.
        state: The state as JSON; only the core knows what is in it.
        version: 1 when created, one more with every append.
        parts: What of the state is kept apart, by name; empty when `state` is all of it. A wave
            that has ended has none.
    """

    id: str
    cluster: str
    name: str
    reason: str
    requested_by: str
    created_at: float
    updated_at: float
    status: str
    state: str
    version: int = 1
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        """Whether the wave never changes again."""
        return self.status in ENDED_STATUSES


class EntryKind(StrEnum):
    """What a line of the journal tells."""

    EVENT = "event"
    EFFECT = "effect"
    OBSERVATION = "observation"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One line to be written: an event, an observation, or an effect that is intended.

    An effect carries the id under which its outcome is recorded; nothing else has one.
    """

    kind: EntryKind
    body: str
    effect_id: str | None = None

    def __post_init__(self) -> None:
        if self.kind is EntryKind.OUTCOME:
            raise ValueError("an outcome is written by finishing its effect")
        if (self.kind is EntryKind.EFFECT) != bool(self.effect_id):
            raise ValueError("an effect needs an effect id, and nothing else has one")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One line as it was written; `seq` grows over all waves and is never used again."""

    seq: int
    wave_id: str
    at: float
    kind: EntryKind
    body: str
    effect_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedEffect:
    """How an effect that was intended before has ended, as JSON."""

    effect_id: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEffect:
    """An effect that was intended and whose end nobody has recorded: observe, never repeat."""

    wave_id: str
    effect_id: str
    intended_at: float
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """The proof of holding a cluster's lease that goes with every write of a wave."""

    cluster: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A cluster's lease as it is held.

    Attributes:
        instance: The id of the state folder's daemon; a restarted daemon keeps it.
        holder: Who holds it, for people.
        since: When this wave first got it.
        took_over: The wave whose lease had expired without being released. What that wave has
            in flight must be observed before anything is done to the cluster.
    """

    cluster: str
    token: int
    instance: str
    holder: str
    wave_id: str
    since: float
    expires_at: float
    took_over: str | None = None

    @property
    def fence(self) -> Fence:
        """What a write of this lease's wave carries."""
        return Fence(cluster=self.cluster, token=self.token)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseHeld:
    """The answer to who asks for a lease that somebody else holds (exit code 6)."""

    cluster: str
    instance: str
    holder: str
    wave_id: str
    since: float
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who did what, to what, and why."""

    at: float
    who: str
    what: str
    why: str
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSnapshot:
    """The last snapshot of a cluster that was saved, as JSON."""

    cluster: str
    at: float
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalStep:
    """One transaction of a wave: everything in it is written, or nothing.

    Attributes:
        expected_version: The version that the decision was made from.
        state: The new state as JSON: all of it, or what is not in parts.
        parts: The parts that have changed, by name; the others stay as they were written. None:
            `state` is all of it, and the parts of earlier steps are dropped.
        entries: What happened and what is intended, in this order.
        finished: Effects of earlier steps that have ended.
        fence: Required when an effect is intended. A step without one (a person pauses a wave
            that nobody drives) is guarded by the version alone.
        audit: Records of a person's part in this step.
        releases_lease: Gives the fence's lease back in the same transaction (the last step).
    """

    wave_id: str
    expected_version: int
    at: float
    status: str
    state: str
    entries: tuple[JournalEntry, ...] = ()
    finished: tuple[FinishedEffect, ...] = ()
    fence: Fence | None = None
    audit: tuple[AuditRecord, ...] = ()
    releases_lease: bool = False
    parts: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.fence is None:
            if any(entry.kind is EntryKind.EFFECT for entry in self.entries):
                raise ValueError("an effect may only be intended under a lease's fence")
            if self.releases_lease:
                raise ValueError("a lease can only be released with its fence")
