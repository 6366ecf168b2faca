"""What the daemon shows to HTTP: values that are published whole, and a door for orders.

Requests only read what was published last; nothing here but `examine` waits for Kafka.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from healthd.config.fleet import ClusterConfig
from healthd.engine.printed import Printed
from healthd.engine.route_table import Answer
from healthd.health.changes import Changes
from healthd.health.index import HealthReport
from healthd.health.losses import Loss
from healthd.health.mutes import Mute
from healthd.health.scoring import RoutingScoring
from healthd.health.timeline import HistoryFound, HistoryRow
from healthd.model.codes import CheckCode
from healthd.model.snapshot import ClusterSnapshot
from healthd.routing.fleet import FleetRouting
from healthd.routing.verdict import Forced
from healthd.waves.dora import Deployment
from healthd.waves.events import OverrideAsked
from healthd.waves.fleet_state import FleetState
from healthd.waves.freezes import Freeze
from healthd.waves.planner_duration import MeasuredRestarts
from healthd.waves.state import WaveState


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """The latest that is known of one cluster."""

    config: ClusterConfig
    snapshot: ClusterSnapshot | None = None
    """None until the first collection has ended."""
    report: HealthReport | None = None
    index_without_wave: float | None = None
    """The index with the brokers that a wave has in flight counted as alive and in sync."""
    tolerated_racks: tuple[str, ...] = ()
    """Racks that could go as a whole without a blocker."""
    losses: tuple[Loss, ...] = ()
    """What the loss of each broker that is up, each rack and each controller would break."""
    tenants: Mapping[str, HealthReport] = field(default_factory=dict)
    """The report of each tenant, by its name."""
    since: Mapping[CheckCode, datetime] = field(default_factory=dict)
    """Since when each check has been raised."""
    failures: tuple[Mapping[str, str], ...] = ()
    """The last collection's failures: source, origin (ours, theirs), reason, detail."""
    seen_at: Mapping[str, float] = field(default_factory=dict)
    """When each source was last seen, in seconds since the epoch, by evidence group."""
    durations: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each source took in the last collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One line of a wave's story."""

    at: datetime
    event: str
    node: int | None
    detail: str
    clock: float = 0.0
    """Seconds on the wave clock."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it: who, and the reasons of a closed gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveView:
    """One wave as it stands."""

    state: WaveState
    created_at: datetime
    updated_at: datetime
    printed: Mapping[int, Printed] = field(default_factory=dict)
    """What commands of its steps have printed so far; it goes on while the view is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """One wave over several stages or clusters as it stands, with its waves on single clusters."""

    state: FleetState
    created_at: datetime
    updated_at: datetime
    children: Mapping[str, WaveView]
    """By id; those that were begun."""
    trouble: str | None = None
    """Why nobody drives it now."""


class Refusal(StrEnum):
    """Why an order was not taken."""

    INVALID = "invalid"
    UNKNOWN = "unknown"
    LEASED = "leased"
    CONFLICT = "conflict"
    STORE = "store"
    STALE = "stale"
    """A plan that was made before does not fit the cluster any more."""


class OrderRefused(Exception):  # noqa: N818  # It says what happened; it is no defect.
    """An order that was not taken: why, in words for the person who gave it."""

    def __init__(self, refusal: Refusal, message: str, **facts: Any) -> None:
        self.refusal = refusal
        self.facts = facts
        """For LEASED: holder, since, wave. For INVALID: problems, a list of path and message.
        For STALE: differences, each with change, brokers, detail."""
        super().__init__(message)


class RehearsalsView(Protocol):
    """Rehearsals that are kept with their waves."""

    async def keep(self, wave: str, found: Mapping[str, Any]) -> None:
        """Attach what came of a rehearsal to a wave."""

    async def of(self, wave: str) -> Mapping[str, Any] | None:
        """What was attached to a wave; None without a rehearsal."""


class Counters(Protocol):
    """Totals since the daemon started."""

    @property
    def collections(self) -> Mapping[str, Mapping[str, int]]:
        """By cluster and source."""

    @property
    def failures(self) -> Mapping[str, Mapping[tuple[str, str, str], int]]:
        """By cluster and (source, origin, reason)."""

    @property
    def gate_closed_seconds(self) -> Mapping[str, float]:
        """By reason code."""

    @property
    def restart_seconds(self) -> Mapping[str, Sequence[float]]:
        """By phase (stopping, starting, recovering, soaking): finished ones, newest last."""

    @property
    def loop_ticks(self) -> Mapping[str, float]:
        """By loop: seconds since the epoch of its last turn."""

    @property
    def deployments(self) -> Mapping[str, int]:
        """Ended waves by outcome."""

    @property
    def deployed(self) -> Mapping[str, Deployment]:
        """Ended waves by id, those of before the daemon's start included."""


class RoutingView(Protocol):
    """The routing as HTTP sees it; reads answer from memory."""

    @property
    def fleet(self) -> FleetRouting:
        """The verdicts as they stand."""

    @property
    def is_dry_run(self) -> bool:
        """Whether verdicts take nobody out."""

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What every profile resolves to now, by its name."""

    @property
    def transitions(self) -> Mapping[tuple[str, str], int]:
        """How often clusters moved, by cluster and state."""

    @property
    def lost_events(self) -> int:
        """Transitions that were never written."""

    def numbers(self, cluster: str) -> RoutingScoring:
        """The routing numbers of a cluster."""

    async def wait(self, profile: str, etag: str, seconds: float) -> Answer | None:
        """The profile's answer once it is another one, or when time is up; None: no such one."""

    async def force(self, cluster: str, forced: Forced | None, *, by: str, reason: str) -> None:
        """Set or take back an operator's word; it is on disk when this returns.

        Raises:
            StoreError: it could not be written; nothing has changed.
        """


class HistoryView(Protocol):
    """What was, as HTTP asks for it. Every method but the count waits for the store's file.

    Raises from every method: `StoreError`, the history cannot be read.
    """

    @property
    def lost_rows(self) -> int:
        """Rows that were never written."""

    async def clusters(self) -> frozenset[str]:
        """Every cluster of which something is recorded, also those that left the fleet."""

    async def rows(
        self, cluster: str, *, since: float, until: float, limit: int, is_outline: bool = False
    ) -> HistoryFound:
        """How a cluster was between two moments; rows that tell the same are one when asked so."""

    async def changes(self, cluster: str, *, since: float, until: float) -> Changes:
        """What changed in a cluster between two moments."""

    async def at(self, moment: float) -> Mapping[str, HistoryRow]:
        """The last row of every cluster that began at or before a moment."""


class FleetWavesView(Protocol):
    """Waves over several stages or clusters as HTTP sees them; orders as in `Daemon`."""

    def views(self) -> Sequence[FleetView]:
        """Those that run, and those that ended in the last 24 hours, newest first."""

    def view(self, wave: str) -> FleetView | None:
        """One of them, however old; None when there is none."""

    def parent_of(self, child: str) -> str | None:
        """The one that a wave on one cluster belongs to."""

    async def approve(self, wave: str, *, stage: str | None, by: str, reason: str) -> FleetView:
        """Approve a stage; the one that waits when none is named."""

    async def discard(self, wave: str, *, by: str, reason: str) -> None:
        """Give up a wave, on one cluster or several, whose state cannot be read."""

    async def order(
        self,
        wave: str,
        verb: str,
        *,
        by: str,
        reason: str,
        cluster: str | None = None,
        node: int | None = None,
    ) -> FleetView:
        """Give an order: to the whole wave, about a cluster that waits, or about a broker."""


class FreezesView(Protocol):
    """Change freezes as HTTP sees them; reads answer from memory."""

    @property
    def now(self) -> float:
        """The time by which freezes begin and end, in seconds since the epoch."""

    def all(self) -> Sequence[Freeze]:
        """Every freeze: the fleet file's, and those made by command, also when they are over."""

    async def add(self, request: Mapping[str, Any], *, by: str) -> Freeze:
        """Freeze clusters; `request` as in docs/reference/http.md."""

    async def remove(self, name: str, *, by: str, reason: str) -> Freeze:
        """Remove a freeze that was made by command."""


class Daemon(Protocol):
    """The running daemon as HTTP sees it. Every method may be called on the event loop.

    Reads answer from memory at once. Orders are async, are on disk when they return, and raise
    `OrderRefused` with nothing done.
    """

    @property
    def started_at(self) -> datetime:
        """When the daemon started."""

    @property
    def is_ready(self) -> bool:
        """Whether every loop runs and every cluster was looked at once, well or badly."""

    @property
    def counters(self) -> Counters:
        """Totals for /metrics."""

    @property
    def last_reload(self) -> tuple[bool, float, str]:
        """Whether the last (re)load of the fleet file worked, when, and what was wrong."""

    def clusters(self) -> Mapping[str, ClusterView]:
        """Every cluster of the fleet file by name."""

    @property
    def router(self) -> RoutingView:
        """Verdicts, and what profiles resolve to."""

    @property
    def history(self) -> HistoryView:
        """How clusters were."""

    @property
    def freezer(self) -> FreezesView:
        """What is frozen."""

    @property
    def rehearsals(self) -> RehearsalsView:
        """What waves were rehearsed before they were started."""

    async def examine(self, config: ClusterConfig) -> Mapping[str, Any]:
        """What `healthd doctor` prints of it, looked at now: this one waits for Kafka."""

    def mutes(self) -> Sequence[Mute]:
        """Every mute that counts, the one that ends first in front."""

    async def mute(self, request: Mapping[str, Any], *, by: str) -> Mute:
        """Silence a check of one cluster; `request` as in docs/reference/http.md."""

    async def unmute(self, mute: str, *, by: str, reason: str) -> Mute:
        """Lift a mute."""

    def waves(self) -> Sequence[WaveView]:
        """Waves that run, and those that ended in the last 24 hours, newest first."""

    def wave(self, wave: str) -> WaveView | None:
        """One wave, however old; None when there is none."""

    async def journal(self, wave: str) -> Sequence[JournalEntry]:
        """The whole story of a wave."""

    @property
    def fleet_waves(self) -> FleetWavesView:
        """Waves over several stages or clusters."""

    async def start_wave(self, request: Mapping[str, Any], *, by: str) -> WaveView | FleetView:
        """Start the wave that a `kind: Wave` document (as parsed JSON) describes."""

    async def order(
        self,
        wave: str,
        verb: str,
        *,
        by: str,
        reason: str,
        node: int | None = None,
        override: OverrideAsked | None = None,
    ) -> WaveView:
        """Give one of the orders pause, resume, retry, skip, abort, override."""

    async def plan_wave(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The plan of the wave that a `kind: Wave` document (as parsed JSON) describes."""

    async def measured(self, cluster: str) -> MeasuredRestarts | None:
        """How long restarts took in the last waves on a cluster; None when there were none."""

    async def pause_all(self, *, by: str, reason: str) -> Sequence[WaveView | FleetView]:
        """Pause every wave that has not ended: the emergency stop."""

    async def audit(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """The newest audit records, newest first."""

    async def reload(self, *, by: str) -> tuple[bool, str]:
        """Read the fleet file again; a bad one leaves the old one running. (worked, message)."""
