"""The state of a wave: plain values that are written to the journal after every change.

Times are seconds on the *wave clock*: it starts at 0 with the wave, is monotonic, and stands still
while no daemon runs. Wall-clock times are added by the journal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.safety.clean_run import CleanRun
from healthd.waves.pins import Pins
from healthd.waves.playbook import Playbook
from healthd.waves.policy import WavePolicy
from healthd.waves.step_run import NodeSteps
from healthd.waves.tally import Tally
from healthd.waves.variable_values import Secrets, Texts

DERIVED: Final = "derived"
"""Marks a field that is made from others: it is not part of what is stored or compared."""
SPARSE: Final = "sparse"
"""Marks a field that is only stored when it is another value than it has by default."""


class WaveStatus(StrEnum):
    """Where a wave is in its life (restart-safety.md section 4)."""

    PLANNED = "planned"
    AWAITING_APPROVAL = "awaiting_approval"
    """Only a wave over several stages or clusters: nobody has approved its first stage."""
    RUNNING = "running"
    HOLDING = "holding"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self in _ENDED


_ENDED = frozenset({WaveStatus.SUCCEEDED, WaveStatus.FAILED, WaveStatus.ABORTED})


class NodeStatus(StrEnum):
    """Where a node is in its life in a wave."""

    PENDING = "pending"
    PREPARING = "preparing"
    """The steps before its stop are being done, or all of a playbook that stops nothing."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    STARTING = "starting"
    RECOVERING = "recovering"
    SOAKING = "soaking"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def has_ended(self) -> bool:
        """Whether the wave is through with the node."""
        return self in {NodeStatus.DONE, NodeStatus.FAILED, NodeStatus.SKIPPED}


BETWEEN_STOP_AND_START = frozenset(
    {NodeStatus.STOPPING, NodeStatus.STOPPED, NodeStatus.STARTING},
)
"""A daemon may not go away while a node is in one of these."""

IN_FLIGHT = BETWEEN_STOP_AND_START | {NodeStatus.RECOVERING, NodeStatus.SOAKING}
"""From stopping to done: counts as down when the next is chosen."""

BEFORE_SOAK = IN_FLIGHT - {NodeStatus.SOAKING}

AT_WORK = IN_FLIGHT | {NodeStatus.PREPARING}
"""What time alone can do something to; so many at once as the wave's concurrency says."""

NOT_ENDED = AT_WORK | {NodeStatus.PENDING}
"""The wave is not through with a node in one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """One node of the wave."""

    node: int
    status: NodeStatus = NodeStatus.PENDING
    since: float = 0.0
    """When it entered the status."""
    repair: bool = False
    """It was down before it was taken."""
    attempt: int = 0
    """Counts the commands of this node; part of their ids."""
    command: str | None = None
    """The id of the command that is under way."""
    command_at: float | None = None
    """When its last command was sent."""
    start_effect: str | None = None
    """The id of the start, written together with the intent to stop."""
    is_stop_due: bool = False
    """The stop's intent was on disk when the daemon died: nobody knows if it was carried out."""
    started_before: str | None = None
    """What identified the process before the stop (its start time)."""
    started_after: str | None = None
    starting_since: float | None = None
    """When its start was first sent: the recovery time-out runs from here."""
    observed_at: float | None = None
    """When its host was last asked about the process."""
    is_watched: bool = False
    """Its stop timed out: when its process ends after all, it is started."""
    is_overdue: bool = False
    """It took longer than the recovery time-out."""
    soak: CleanRun = field(default_factory=CleanRun)
    """Snapshots of its soak on which the cluster was well, permission or not."""
    soak_since: float | None = None
    """Since when its soak has been clean time; None: from the next snapshot on."""
    steps: NodeSteps = field(default_factory=NodeSteps, metadata={SPARSE: True})
    """How far it is with the steps of its playbook beside its restart."""
    detail: str = ""
    history: tuple[tuple[str, float], ...] = ()
    """Every status it had, with the time it entered it."""

    def moved(self, status: NodeStatus, at: float, detail: str = "") -> "NodeRun":
        """The node in another status."""
        return replace(
            self,
            status=status,
            since=at,
            detail=detail,
            history=(*self.history, (status.value, at)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A reason for which the gate is closed, and since when."""

    reason: Reason
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Why the wave stands until a person lifts it."""

    by: str
    """A person's name, or ``healthd``."""
    reason: str
    since: float
    node: int | None = None
    """The node whose failure caused it; retry or skip of that node lifts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A hold that does not count for a while, because a second person has answered for it."""

    code: ReasonCode
    object: str
    by: str
    reason: str
    since: float
    ends_at: float
    """On the wave clock, which does not follow a clock that is set back."""
    until: float | None
    """Unix seconds UTC; None when the time of day was not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the planner expected when the wave was accepted; it binds nobody."""

    steps: tuple[tuple[int, ...], ...]
    """Nodes that would be down together, in their order."""
    blocked: tuple[int, ...]
    """Nodes that could not be taken then."""
    seconds: int
    measured_restarts: int
    """From so many measured restarts; 0: from the planner's model."""
    lower_bound: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A number that a hold waits for, over the last few snapshots."""

    code: ReasonCode
    object: str
    """Empty when it counts the objects of its code."""
    readings: tuple[tuple[float, float], ...]
    """When, on the wave clock, and how much."""
    lowest: float
    lowest_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where each node stands in a wave's nodes, by id and by status.

    It goes from one state to the next, so that an event of one node does not look at all of
    1,500.
    """

    nodes: tuple[NodeRun, ...]
    by_id: Mapping[int, int]
    by_status: Mapping[NodeStatus, frozenset[int]]
    watched: frozenset[int]

    @classmethod
    def of(cls, nodes: tuple[NodeRun, ...]) -> "_Places":
        """The places of these nodes."""
        by_status: dict[NodeStatus, set[int]] = {}
        for at, run in enumerate(nodes):
            by_status.setdefault(run.status, set()).add(at)
        return cls(
            nodes=nodes,
            by_id={run.node: at for at, run in enumerate(nodes)},
            by_status={status: frozenset(places) for status, places in by_status.items()},
            watched=frozenset(at for at, run in enumerate(nodes) if run.is_watched),
        )

    def changed(self, at: int, run: NodeRun) -> "_Places":
        """The places after the node at one of them is another value."""
        before = self.nodes[at]
        by_status = self.by_status
        if run.status is not before.status:
            by_status = {
                **by_status,
                before.status: by_status[before.status] - {at},
                run.status: by_status.get(run.status, frozenset()) | {at},
            }
        watched = self.watched
        if run.is_watched is not before.is_watched:
            watched = watched ^ {at}
        return _Places(
            nodes=(*self.nodes[:at], run, *self.nodes[at + 1 :]),
            by_id=self.by_id,
            by_status=by_status,
            watched=watched,
        )

    def having(self, statuses: Iterable[NodeStatus]) -> Iterable[int]:
        """The places of the nodes in one of these statuses."""
        return chain.from_iterable(self.by_status.get(status, ()) for status in statuses)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveState:
    """One run of a playbook over the nodes of one cluster."""

    wave: str
    cluster: str
    reason: str
    requested_by: str
    playbook: Playbook
    policy: WavePolicy
    nodes: tuple[NodeRun, ...]
    concurrency: int | None = 1
    """How many may be in flight together; None: as many as is safe."""
    variables: Texts = ()
    """What wave and stage give to the playbook's variables, by name."""
    secrets: Secrets = ()
    """Where the secrets are that wave and stage name."""
    status: WaveStatus = WaveStatus.PLANNED
    clock: float = 0.0
    """The latest time that the wave has seen."""
    wall: float | None = None
    """Unix seconds UTC of the last event that said it."""
    pauses: tuple[Pause, ...] = ()
    abort: Pause | None = None
    """Who wants it ended, and why; it ends when nothing is between stop and recovery."""
    candidates: tuple[int, ...] = ()
    """The nodes that are being looked at again right before their stops."""
    candidate_since: float = 0.0
    last_look: tuple[Reason, ...] = ()
    """What the last look at the candidates found; it stands while the next look is under way."""
    holds: tuple[Hold, ...] = ()
    tracks: tuple[Track, ...] = ()
    """How far holds are from opening."""
    overrides: tuple[Override, ...] = ()
    """What second persons have answered for, until it ends."""
    clean: CleanRun = field(default_factory=CleanRun)
    last_change: float = 0.0
    """When the wave last changed a broker; older evidence says nothing."""
    seen_up: frozenset[int] = frozenset()
    """Nodes of the wave that were up at some time during it."""
    died: tuple[int, ...] = ()
    """Nodes that went down by themselves and were taken as repairs."""
    is_draining: bool = False
    """The daemon that drives it is shutting down; nothing new is taken."""
    is_dry_run: bool = False
    """No command of it reaches a host."""
    pins: Pins | None = None
    """What it was accepted with; None: nothing is pinned."""
    pins_seen: Pins | None = None
    """What there is now, when that differs; a resume accepts it."""
    playbook_seen: Playbook | None = None
    """The playbook as it is now, when it differs."""
    index_before: float | None = None
    index_lowest: float | None = None
    index_last: float | None = None
    forecast: Forecast | None = None
    """None when the cluster had not been seen."""
    tally: Tally = field(default_factory=Tally)
    """What is added up for the report."""
    places: _Places | None = field(
        default=None, compare=False, repr=False, metadata={DERIVED: True}
    )
    """Where each node stands in `nodes`."""

    def __post_init__(self) -> None:
        if self.places is None or self.places.nodes is not self.nodes:
            object.__setattr__(self, "places", _Places.of(self.nodes))

    @property
    def _places(self) -> _Places:
        assert self.places is not None, "it is made with the state"
        return self.places

    def node(self, node: int) -> NodeRun | None:
        """The run of one node; None when the wave does not concern it."""
        at = self._places.by_id.get(node)
        return None if at is None else self.nodes[at]

    def having(self, statuses: Iterable[NodeStatus]) -> tuple[NodeRun, ...]:
        """The nodes in one of these statuses, in the order of the wave's nodes."""
        return tuple(self.nodes[at] for at in sorted(self._places.having(frozenset(statuses))))

    def has_any(self, statuses: Iterable[NodeStatus]) -> bool:
        """Whether any node is in one of these statuses."""
        return any(True for _ in self._places.having(statuses))

    @property
    def watched(self) -> tuple[NodeRun, ...]:
        """The nodes whose stop timed out and may still take effect."""
        return tuple(self.nodes[at] for at in sorted(self._places.watched))

    @property
    def busy(self) -> tuple[NodeRun, ...]:
        """The nodes that time alone can do something to: those at work, and those watched."""
        places = self._places
        return tuple(self.nodes[at] for at in sorted(places.watched.union(places.having(AT_WORK))))

    @property
    def in_flight(self) -> frozenset[int]:
        """Ids of the nodes from stopping to done."""
        return frozenset(run.node for run in self.having(IN_FLIGHT))

    @property
    def at_work(self) -> frozenset[int]:
        """Ids of the nodes in flight and of those that are being prepared."""
        return frozenset(run.node for run in self.having(AT_WORK))

    @property
    def away(self) -> frozenset[int]:
        """Ids of the nodes that may be out of the cluster by the wave's own doing."""
        return self.in_flight if self.playbook.restarts else frozenset()

    @property
    def soak_since(self) -> float | None:
        """Since when the soak that began last has been clean time; None when nobody soaks."""
        began = [run.soak_since for run in self.having({NodeStatus.SOAKING})]
        return max((since for since in began if since is not None), default=None)

    @property
    def is_paused(self) -> bool:
        """Whether a person, or a failure, keeps it from taking another node."""
        return bool(self.pauses)

    def with_node(self, changed: NodeRun) -> "WaveState":
        """The state with one node replaced."""
        at = self._places.by_id.get(changed.node)
        if at is None:
            return self
        places = self._places.changed(at, changed)
        return replace(self, nodes=places.nodes, places=places)
