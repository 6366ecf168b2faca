"""The daemon's own dead-man: nothing is stopped on what was known before the daemon stood still.

A process can be stopped (SIGSTOP), its loop can hang on a disk, its machine can sleep or be moved.
It notices nothing of that but the time: by the monotonic clock, which goes on while a process is
stopped, and by the wall clock, which goes on while a machine sleeps.
"""

from dataclasses import dataclass
from typing import Final

from healthd.engine.clock import Clock
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot

_INTERVALS: Final = 3
"""So many without a snapshot are no late collection: it ends by its deadline and is published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment by both clocks."""

    monotonic: float
    wall: float

    @classmethod
    def of(cls, clock: Clock) -> "Moment":
        """Now."""
        return cls(monotonic=clock.monotonic(), wall=clock.wall())

    def seconds_to(self, later: "Moment") -> float:
        """How much time has gone by, by whichever clock says more."""
        by_wall = abs(later.wall - self.wall)
        return max(later.monotonic - self.monotonic, by_wall)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLook:
    """What a stop rests on."""

    began: Moment
    """When its snapshot was begun; its hosts were asked right before."""
    told: Moment
    """When all of it was known."""
    interval_seconds: float

    @classmethod
    def of(cls, began: Moment, told: Moment, snapshot: ClusterSnapshot | None) -> "LastLook":
        """The look that gave this snapshot."""
        interval = 0.0 if snapshot is None else snapshot.fresh_limit_seconds / 2
        return cls(began=began, told=told, interval_seconds=interval)

    def seconds_left(self, now: Moment) -> float:
        """How long something may still be stopped on it."""
        waited, age = self.told.seconds_to(now), self.began.seconds_to(now)
        return min(self.interval_seconds - waited, 2 * self.interval_seconds - age)

    def too_old(self, now: Moment) -> str | None:
        """Why nothing may be stopped on it any more, in words; None while it may."""
        waited, age = self.told.seconds_to(now), self.began.seconds_to(now)
        if waited > self.interval_seconds:
            return (
                f"{waited:.0f} s went by between the last look and its stop, more than"
                f" {self.interval_seconds:g} s are too many"
            )
        if age > 2 * self.interval_seconds:
            return (
                f"what the stop rests on is {age:.0f} s old, more than"
                f" {2 * self.interval_seconds:g} s are too many"
            )
        return None


class DeadMan:
    """Watches over the snapshots that one wave sees."""

    def __init__(self, wave: str, clock: Clock) -> None:
        self._wave = wave
        self._clock = clock
        self._last: Moment | None = None
        self._limit = 0.0

    def snapshot_came(self, snapshot: ClusterSnapshot) -> tuple[Reason, ...]:
        """Note a snapshot; the reason to hold when none had come for too long before it."""
        missed = self._missed()
        self._last = Moment.of(self._clock)
        self._limit = _INTERVALS * snapshot.fresh_limit_seconds / 2
        if missed is None:
            return ()
        return (self.reason(f"nothing was seen for {missed:.0f} s, or a clock jumped"),)

    def is_overdue(self) -> bool:
        """Whether a snapshot should have come long ago."""
        return self._missed() is not None

    def _missed(self) -> float | None:
        if self._last is None:
            return None
        gone = self._last.seconds_to(Moment.of(self._clock))
        return gone if gone > self._limit else None

    def reason(self, detail: str) -> Reason:
        """A reason of the wave to hold."""
        return Reason(code=ReasonCode.DAEMON_STALLED, object=f"wave:{self._wave}", detail=detail)
