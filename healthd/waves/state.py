"""The state of a wave: plain values that are written to the journal after every change.

Times are seconds on the *wave clock*: it starts at 0 with the wave, is monotonic, and stands still
while no daemon runs. Wall-clock times are added by the journal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from healthd.model.reason import Reason
from healthd.safety.clean_run import CleanRun
from healthd.waves.playbook import Playbook
from healthd.waves.policy import WavePolicy


class WaveStatus(StrEnum):
    """Where a wave is in its life (restart-safety.md section 4)."""

    PLANNED = "planned"
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
    """When its start was first sent: the recovery time-out runs from here until it is done."""
    observed_at: float | None = None
    """When its host was last asked about the process."""
    is_watched: bool = False
    """Its stop timed out: when its process ends after all, it is started."""
    is_overdue: bool = False
    """It took longer than the recovery time-out."""
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
    clean: CleanRun = field(default_factory=CleanRun)
    soak_since: float | None = None
    """Since when the soak has been clean time."""
    last_change: float = 0.0
    """When the wave last changed a broker; older evidence says nothing."""
    seen_up: frozenset[int] = frozenset()
    """Nodes of the wave that were up at some time during it."""
    died: tuple[int, ...] = ()
    """Nodes that went down by themselves and were taken as repairs."""
    is_draining: bool = False
    """The daemon that drives it is shutting down; nothing new is taken."""
    index_before: float | None = None
    index_lowest: float | None = None
    index_last: float | None = None

    def node(self, node: int) -> NodeRun | None:
        """The run of one node; None when the wave does not concern it."""
        return next((run for run in self.nodes if run.node == node), None)

    def having(self, statuses: Iterable[NodeStatus]) -> tuple[NodeRun, ...]:
        """The nodes in one of these statuses."""
        wanted = frozenset(statuses)
        return tuple(run for run in self.nodes if run.status in wanted)

    @property
    def in_flight(self) -> frozenset[int]:
        """Ids of the nodes from stopping to done."""
        return frozenset(run.node for run in self.having(IN_FLIGHT))

    @property
    def is_paused(self) -> bool:
        """Whether a person, or a failure, keeps it from taking another node."""
        return bool(self.pauses)

    def with_node(self, changed: NodeRun) -> "WaveState":
        """The state with one node replaced."""
        return replace(
            self,
            nodes=tuple(changed if run.node == changed.node else run for run in self.nodes),
        )
