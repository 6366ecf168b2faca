"""What can happen to a wave over a fleet, and what it wants done."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from healthd.model.reason import Reason
from healthd.waves.effects import Note
from healthd.waves.events import Event, Verb
from healthd.waves.fleet_state import FleetState, Member
from healthd.waves.state import WaveStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Began(Event):
    """The wave was accepted and is on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A daemon took the wave up again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSeen:
    """What the parent needs to know of a child."""

    status: WaveStatus
    failed: tuple[int, ...] = ()
    """Its nodes that have failed."""
    is_aborting: bool = False
    has_nodes_in_flight: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked(Event):
    """Time has passed, and this is what the daemon sees now."""

    children: Mapping[str, ChildSeen] = field(default_factory=dict)
    """By id, of every active member whose child there is."""
    blocked: Mapping[str, Reason] = field(default_factory=dict)
    """Why no child can be begun on a cluster now: leased, gone from the fleet file, ..."""
    troubles: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
    """Of the clusters of the stage that soaks: what each one's latest snapshot is held for.
    One that is not in here was not looked at, and that is a trouble, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRefused(Event):
    """A child could not be made; nothing was done, and it is tried again."""

    child: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGiven(Event):
    """Somebody agreed to a stage; `approval_refusal` has said that it counts."""

    stage: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOrdered(Event):
    """A person gave an order to the whole wave, or left a cluster out."""

    verb: Verb
    by: str
    reason: str
    cluster: str | None = None
    """Only with skip: the cluster that is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDraining(Event):
    """The daemon is asked to stop: no child is begun any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChild:
    """Make the child and let it begin; harmless when it is there already."""

    member: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChild:
    """Give a child an order; one that it refuses changes nothing."""

    child: str
    verb: Verb
    by: str
    reason: str


FleetEffect = StartChild | OrderChild


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStep:
    """What one event led to."""

    state: FleetState
    effects: tuple[FleetEffect, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def must_be_written(self) -> bool:
        """Whether the journal has to take this step before anything of it is done."""
        return bool(self.notes) or any(isinstance(each, StartChild) for each in self.effects)
