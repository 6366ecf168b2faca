"""One node of the model: its process, and what the cluster thinks of it."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import prod

from healthd.model.snapshot import Broker


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds (the `model` of a rehearsal)."""

    stop: float = 5.0
    """From the order to stop until the process has ended; it leaves its ISRs at the begin."""
    start: float = 15.0
    """From the start of the process until the broker registers, or the controller votes."""
    catch_up: float = 20.0
    """From there until it is back in every ISR."""
    collect: float = 15.0
    """Between two snapshots."""
    session_timeout: float = 9.0
    """After so long a dead or frozen broker leaves the ISRs and the broker list."""
    replica_lag: float = 30.0
    """After so long a broker that only lags leaves the ISRs of the partitions it follows."""
    election: float = 1.0
    """Until another controller is active."""
    shutdown_without_controller: float = 300.0
    """So long a controlled shutdown tries when no controller can move its leaders."""


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    RECOVERY = "recovery"
    RUNNING = "running"
    STOPPING = "pending_controlled_shutdown"
    DOWN = "not_running"


@dataclass(slots=True, kw_only=True)
class Node:
    """One node: its process, and what the cluster thinks of it."""

    id: int
    is_broker: bool = True
    is_voter: bool = False
    is_listed: bool = True
    """The snapshot lists it; a voter that it does not list is only known to the quorum."""
    given: Broker | None = None
    """How the snapshot shows it."""
    is_as_given: bool = False
    """Nothing has happened to it since the snapshot: it is shown exactly as it was."""
    phase: Phase = Phase.RUNNING
    starts: int = 1
    """Counts the processes that it had; the last one's number is its start time."""
    is_registered: bool = True
    """The controller has an unfenced registration of it: Metadata lists it."""
    is_frozen: bool = False
    freezes: int = 0
    """Counts the times that it was frozen."""
    stops_when_thawed: bool = False
    is_fenced: bool = False
    """Something keeps it from registering, although its process runs."""
    is_lagging: bool = False
    """It follows too slowly."""
    is_stop_by_wave: bool = False
    behind: int = 0
    """How many things keep it, as a voter, from following the quorum's leader."""
    is_behind_as_given: bool = False
    """The snapshot shows it behind, until it is started anew."""
    log_recovery: float = 0.0
    """The next start recovers its logs for so long."""
    start_factors: list[float] = field(default_factory=list)
    catch_up_factors: list[float] = field(default_factory=list)
    caught_up_at: float = 0.0
    """When it last followed the quorum's leader, if it does not now."""

    @property
    def runs(self) -> bool:
        """Whether it has a process."""
        return self.phase is not Phase.DOWN

    @property
    def serves(self) -> bool:
        """Whether it can be in an ISR and lead."""
        return self.phase is Phase.RUNNING and self.is_registered and not self.is_frozen

    @property
    def votes(self) -> bool:
        """Whether its vote counts: a controller answers until its process ends."""
        is_up = self.phase in {Phase.RUNNING, Phase.STOPPING}
        return self.is_voter and is_up and not self.is_frozen and not self.is_behind

    @property
    def is_behind(self) -> bool:
        """Whether something keeps it from following the quorum's leader."""
        return self.behind > 0 or self.is_behind_as_given

    @property
    def start_factor(self) -> float:
        """How much longer than usual its start takes."""
        return prod(self.start_factors)

    @property
    def catch_up_factor(self) -> float:
        """How much longer than usual it takes to catch up."""
        return prod(self.catch_up_factors)
