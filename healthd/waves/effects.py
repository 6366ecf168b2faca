"""What the reducer wants done. The shell carries effects out and answers with events."""

from dataclasses import dataclass, field
from typing import Any

from healthd.waves.state import WaveState


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Something to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEffect(Effect):
    """Something to do for one node."""

    node: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(NodeEffect):
    """An effect that changes something: its id is on disk before it is carried out."""

    effect_id: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopService(Command):
    """Stop the node's service in an orderly way, never by SIGKILL."""

    start_effect_id: str
    """The id under which the start is written together with this stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartService(Command):
    """Start the node's service. Its first intent was written with the stop's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectLeaders(Command):
    """Elect the preferred leaders of the partitions that the node leads by preference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep(Command):
    """Do a step of the playbook, `only_if` first; answered by `CommandEnded`.

    Sent a second time under the same id, what had begun is not begun again.
    """

    step: int
    """Which of the playbook's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveStep(NodeEffect):
    """Ask what became of a step; answered by `StepObserved`."""

    effect_id: str
    step: int
    is_verify: bool = False
    """Whether its `verify` is asked for: it is done, and has it worked?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe(NodeEffect):
    """Ask the host about the node's process; answered by `Observed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm(Effect):
    """Look at the candidates once more, configs and hosts included; answered by `Confirmed`."""

    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLogs(NodeEffect):
    """Fetch the last log lines; answered by `LogsSeen`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of the wave's story, for the journal and the report."""

    event: str
    """Constant and in the past tense: ``node_stopping``, ``gate_closed``, ..."""
    node: int | None = None
    detail: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one event led to."""

    state: WaveState
    effects: tuple[Effect, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def commands(self) -> tuple[Command, ...]:
        """The effects that must be on disk before they are carried out."""
        return tuple(effect for effect in self.effects if isinstance(effect, Command))

    @property
    def must_be_written(self) -> bool:
        """Whether the journal has to take this step before anything is done."""
        return bool(self.notes or self.commands)
