"""The waves of the store as they are read at a start, and who holds a cluster, in words."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from healthd.engine.deploying import remembered
from healthd.engine.journal import note_of
from healthd.engine.view import JournalEntry, OrderRefused, Refusal
from healthd.store.protocol import Store
from healthd.store.records import JournalRow, WaveRecord
from healthd.waves.codec import StateUnreadable
from healthd.waves.dora import Deployment
from healthd.waves.state import WaveState
from healthd.waves.stored import read_stored


@dataclass(slots=True)
class StoredWaves:
    """The waves of the store: what is at hand, what is only kept, and what nobody understands."""

    readable: list[tuple[WaveState, WaveRecord]] = field(default_factory=list)
    old: list[WaveRecord] = field(default_factory=list)
    unreadable: list[tuple[WaveRecord, str]] = field(default_factory=list)
    fleets: list[WaveRecord] = field(default_factory=list)
    """Those over several stages or clusters, readable or not."""
    deployed: list[Deployment | None] = field(default_factory=list)
    """What those that have ended were as deployments."""


def read_waves(store: Store, oldest: float) -> StoredWaves:
    """The waves of the store; runs on the store's own thread."""
    found = StoredWaves()
    for record in store.waves():
        if not record.cluster:
            found.fleets.append(record)
            continue
        found.deployed.append(remembered(record))
        if record.has_ended and record.updated_at <= oldest:
            found.old.append(record)
            continue
        try:
            found.readable.append((read_stored(record.state, record.parts), record))
        except StateUnreadable as error:
            found.unreadable.append((record, str(error)))
    return found


def story_of(rows: Iterable[JournalRow]) -> list[JournalEntry]:
    """What the rows of a journal tell of its wave, in their order."""
    return [
        JournalEntry(
            at=datetime.fromtimestamp(row.at, UTC),
            event=str(note["event"]),
            node=note.get("node"),
            detail=str(note.get("detail", "")),
            clock=float(note.get("clock", 0.0)),
            data=note.get("data", {}),
        )
        for row in rows
        if (note := note_of(row)) is not None
    ]


def held_by(cluster: str, holder: str, since: datetime, wave: str) -> OrderRefused:
    """The refusal of a wave whose cluster somebody has."""
    text = since.isoformat(timespec="seconds").replace("+00:00", "Z")
    return OrderRefused(
        Refusal.LEASED,
        f"cluster {cluster} is leased: {holder} has it since {text} for wave {wave}",
        holder=holder,
        since=text,
        wave=wave,
    )


def held_unread(cluster: str, wave: str, detail: str) -> OrderRefused:
    """The refusal of a wave on a cluster that a wave has which nobody can read."""
    return OrderRefused(
        Refusal.CONFLICT,
        f"wave {wave} on cluster {cluster} has not ended, and its state cannot be read "
        f"({detail}): nobody knows what it has under way. Run the healthd that wrote it, "
        "or restore a backup with 'healthd state restore'",
    )
