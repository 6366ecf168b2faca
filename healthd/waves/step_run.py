"""Where a node is in the steps of its playbook, as plain values of the wave's state."""

from dataclasses import dataclass
from enum import StrEnum


class StepPhase(StrEnum):
    """How far the step is whose turn it is."""

    WAITING = "waiting"
    """It is to be sent, as soon as it may be."""
    RUNNING = "running"
    """It was sent, and nobody has told how it ended."""
    OBSERVING = "observing"
    """Nobody knows what became of it: whoever should know is asked."""
    VERIFYING = "verifying"
    """It is done; whether it has worked is asked for."""
    ASKING = "asking"
    """A person is asked, and the node waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSteps:
    """How far one node is with the steps of its playbook that are not its restart."""

    at: int | None = None
    """The step whose turn it is, by its place in the playbook."""
    phase: StepPhase = StepPhase.WAITING
    effect: str = ""
    """The id under which it was last sent."""
    since: float = 0.0
    """When its turn came."""
    try_since: float = 0.0
    """When this try of it was first due."""
    sent_at: float = 0.0
    """When it was last sent; its deadline counts from here."""
    due_at: float = 0.0
    """While it waits: not before."""
    is_same: bool = False
    """While it waits: what was sent certainly did not begin, so it goes under the same id."""
    failures: int = 0
    """So many tries of it have failed."""
    asked_at: float | None = None
    """When somebody was last asked what became of it."""
    said: str = ""
    """What was last heard of it: the end of its output, or why it is not known."""
    over: tuple[int, ...] = ()
    """The steps that are over for this node: done, left out, or failed without harm."""
    returning_since: float | None = None
    """Since when steps have been done to the node that is back: not time of its recovery."""
    is_prepared: bool = False
    """The steps before the stop are over; it waits for its turn to be stopped."""
    is_worked: bool = False
    """It was stopped in this wave, and every step that belongs between stop and start is over."""
    cut: str = ""
    """Why the steps that are left before the stop are not begun any more."""
    broken: str = ""
    """Which step has failed: the node is brought back, and then counts as failed."""
