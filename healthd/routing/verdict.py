"""The routing verdict of one cluster: a state machine with hysteresis (health-index.md section 5).

Time is handed over as the seconds since the last reading, taken from a clock that never jumps; what
passed while nobody looked releases nothing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from healthd.health.scoring import RoutingScoring

WHOLE_PERCENT: Final = 100.0


class RoutingState(StrEnum):
    """What the machine holds of a cluster."""

    IN = "IN"
    OUT = "OUT"
    PROBATION = "PROBATION"


class Verdict(StrEnum):
    """What clients and people are told; HOLD: nothing is known now, it stays as it was."""

    IN = "IN"
    OUT = "OUT"
    PROBATION = "PROBATION"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One judged snapshot, as routing sees it."""

    index: float | None
    """The raw Health Index, whatever is muted; None: nothing was ever seen."""
    is_known: bool
    """Fresh, and its class is not UNKNOWN; an unreachable cluster is known."""
    binding_cap: str | None = None

    @property
    def value(self) -> float | None:
        """The index when it counts, None when it is skipped."""
        return self.index if self.is_known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forced:
    """An operator's word, with an end."""

    state: RoutingState
    """IN or OUT."""
    by: str
    reason: str
    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What is held of one cluster between two readings."""

    state: RoutingState = RoutingState.IN
    is_known: bool = False
    """The last reading counted."""
    low: int = 0
    """Fresh values in a row that are low enough for `out_after`."""
    very_low: int = 0
    ejections: int = 0
    """n: how often it was ejected, less what was forgiven."""
    healthy_seconds: float = 0.0
    """In the state that it is in, so long at `back_from` or more without a break."""
    is_healthy: bool = False
    """The last reading that counted was at `back_from` or more."""
    out_seconds: float = 0.0
    step: int = 0
    """Which weight of the probation."""
    step_seconds: float = 0.0
    forced: Forced | None = None

    @property
    def effective(self) -> RoutingState:
        """The state that clients get: what an operator forced, else the machine's own."""
        return self.state if self.forced is None else self.forced.state

    @property
    def verdict(self) -> Verdict:
        """What is shown: HOLD while nothing is known, unless an operator has spoken."""
        if self.forced is None and not self.is_known:
            return Verdict.HOLD
        return Verdict(self.effective.value)

    def weight_percent(self, numbers: RoutingScoring) -> float:
        """The advised share of its load: 0 when it is out."""
        if self.effective is RoutingState.OUT:
            return 0.0
        if self.effective is RoutingState.IN:
            return WHOLE_PERCENT
        return _weights(numbers)[self.step]

    def dwell_seconds(self, numbers: RoutingScoring) -> float:
        """How long it stays out at least after its last ejection."""
        # 2 to the power of many ejections is more seconds than a float can hold.
        doubled = numbers.dwell_seconds * 2.0 ** min(30, max(0, self.ejections - 1))
        return min(numbers.dwell_longest_seconds, doubled)


NEW: Final = Routing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One move of the machine, for the journal and for people."""

    before: RoutingState
    after: RoutingState
    index: float
    binding_cap: str | None
    ejections: int
    dwell_seconds: float


def read(
    before: Routing,
    reading: Reading,
    step_seconds: float,
    numbers: RoutingScoring,
    *,
    may_eject: bool = True,
    is_break: bool = False,
) -> tuple[Routing, Transition | None]:
    """The routing after one reading, and the transition that it made.

    Args:
        before: After the reading before.
        reading: What was judged now.
        step_seconds: Since the reading before, on a clock that never jumps; 0 for the first one.
        numbers: When to move.
        may_eject: The fleet's guards allow that this cluster is taken out.
        is_break: Readings are missing in between: a time without a break begins anew.
    """
    now = _without_expired_force(before, step_seconds)
    value = reading.value
    if now.state is RoutingState.OUT:
        now = replace(now, out_seconds=now.out_seconds + step_seconds)
    if value is None:
        # Skipped by the counts, and the end of every time without a break.
        return replace(now, is_known=False, is_healthy=False, healthy_seconds=0.0), None
    now = _counted(now, value, step_seconds, numbers, is_break=is_break)
    after = _moved(now, value, numbers, may_eject=may_eject)
    if after.state is now.state:
        return after, None
    return after, Transition(
        before=now.state,
        after=after.state,
        index=value,
        binding_cap=reading.binding_cap,
        ejections=after.ejections,
        dwell_seconds=after.dwell_seconds(numbers) if after.state is RoutingState.OUT else 0.0,
    )


def wants_out(routing: Routing, reading: Reading, numbers: RoutingScoring) -> bool:
    """Whether this reading would take the cluster out, if the fleet's guards allow it."""
    value = reading.value
    if value is None or routing.state is RoutingState.OUT:
        return False
    low, very_low = _lows(routing, value, numbers)
    return low >= numbers.out_after or very_low >= numbers.out_at_once_after


def force(routing: Routing, forced: Forced | None) -> Routing:
    """The routing with an operator's word, or with that taken back."""
    return replace(routing, forced=forced)


def _without_expired_force(routing: Routing, step_seconds: float) -> Routing:
    forced = routing.forced
    if forced is None:
        return routing
    left = forced.seconds_left - step_seconds
    return replace(routing, forced=None if left <= 0 else replace(forced, seconds_left=left))


def _lows(routing: Routing, value: float, numbers: RoutingScoring) -> tuple[int, int]:
    low = routing.low + 1 if value < numbers.out_below else 0
    very_low = routing.very_low + 1 if value <= numbers.out_at_once_from else 0
    return low, very_low


def _counted(
    now: Routing, value: float, step_seconds: float, numbers: RoutingScoring, *, is_break: bool
) -> Routing:
    low, very_low = _lows(now, value, numbers)
    is_healthy = value >= numbers.back_from
    goes_on = is_healthy and now.is_healthy and not is_break
    step = now.step_seconds
    if now.state is RoutingState.PROBATION and goes_on:
        step += step_seconds
    return replace(
        now,
        is_known=True,
        low=low,
        very_low=very_low,
        is_healthy=is_healthy,
        healthy_seconds=now.healthy_seconds + step_seconds if goes_on else 0.0,
        step_seconds=step,
    )


def _moved(now: Routing, value: float, numbers: RoutingScoring, *, may_eject: bool) -> Routing:
    if now.state is RoutingState.OUT:
        return _perhaps_back(now, numbers)
    if now.low >= numbers.out_after or now.very_low >= numbers.out_at_once_after:
        if not may_eject:
            return now
        return replace(
            now,
            state=RoutingState.OUT,
            ejections=now.ejections + 1,
            out_seconds=0.0,
            healthy_seconds=0.0,
            low=0,
            very_low=0,
            step=0,
            step_seconds=0.0,
        )
    if now.state is RoutingState.PROBATION:
        return _further(now, numbers)
    del value
    return _forgiven(now, numbers)


def _perhaps_back(now: Routing, numbers: RoutingScoring) -> Routing:
    is_long_enough = now.is_healthy and now.healthy_seconds >= numbers.healthy_seconds
    if not is_long_enough or now.out_seconds < now.dwell_seconds(numbers):
        return now
    return replace(
        now,
        state=RoutingState.PROBATION,
        step=0,
        step_seconds=0.0,
        healthy_seconds=0.0,
        low=0,
        very_low=0,
    )


def _further(now: Routing, numbers: RoutingScoring) -> Routing:
    if now.step_seconds < numbers.probation_step_seconds:
        return now
    if now.step + 1 < len(_weights(numbers)):
        return replace(now, step=now.step + 1, step_seconds=0.0)
    return replace(now, state=RoutingState.IN, step=0, step_seconds=0.0, healthy_seconds=0.0)


def _forgiven(now: Routing, numbers: RoutingScoring) -> Routing:
    if now.ejections == 0 or now.healthy_seconds < numbers.forgive_seconds:
        return now
    left = now.healthy_seconds - numbers.forgive_seconds
    return replace(now, ejections=now.ejections - 1, healthy_seconds=left)


def _weights(numbers: RoutingScoring) -> tuple[float, float, float]:
    return (
        numbers.probation_first_percent,
        numbers.probation_second_percent,
        WHOLE_PERCENT,
    )
