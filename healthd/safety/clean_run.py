"""How long a cluster has been clean (restart-safety.md section 2).

One clean reading proves little: a broker can come back into the ISR and be fenced 20 to 50 s
later. So a wave asks for several distinct snapshots over some time, and starts again after a
single bad one. Times are monotonic seconds that the caller gives.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason

INDEX_MAY_FALL_BY: Final = 2.0
"""Points below its highest in the run at which the Health Index is still good enough."""
_TOLERANCE: Final = 1e-9
"""Within this of a limit meets it, as for the bands of the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRun:
    """Clean snapshots in a row; `CleanRun()` has none."""

    snapshots: int = 0
    since_seconds: float | None = None
    """When the first of them was judged."""
    last_snapshot: Hashable = None
    """The last one that was judged, clean or not: it never counts twice."""
    last_seconds: float | None = None
    highest_index: float | None = None
    """The best Health Index in this run."""

    def seconds(self, now: float) -> float:
        """How long the run has lasted."""
        return 0.0 if self.since_seconds is None else max(0.0, now - self.since_seconds)


def observe(
    run: CleanRun,
    *,
    snapshot: Hashable,
    at_seconds: float,
    holds: Collection[Reason],
    index: float | None,
) -> CleanRun:
    """The run after a snapshot was judged.

    Args:
        run: the run so far; a new `CleanRun` when the daemon has just started.
        snapshot: tells distinct snapshots apart.
        at_seconds: monotonic time of the judgement.
        holds: everything that is in the way, `index_holds` of this run included.
        index: the Health Index with the wave's own brokers counted as alive and in sync.
    """
    went_back = run.last_seconds is not None and at_seconds < run.last_seconds
    if holds or index is None or went_back:
        return CleanRun(last_snapshot=snapshot, last_seconds=at_seconds)
    if run.last_snapshot is not None and snapshot == run.last_snapshot:
        # Judged already, whatever has changed around it: it needs a new one to count further.
        return replace(run, last_seconds=at_seconds)
    return CleanRun(
        snapshots=run.snapshots + 1,
        since_seconds=at_seconds if run.since_seconds is None else run.since_seconds,
        last_snapshot=snapshot,
        last_seconds=at_seconds,
        highest_index=index if run.highest_index is None else max(run.highest_index, index),
    )


def clean_enough(
    run: CleanRun, now: float, *, cluster: str, clean_snapshots: int, clean_seconds: float
) -> tuple[Reason, ...]:
    """Empty when the run is long enough, else what it still lacks."""
    lasted = run.seconds(now)
    if run.snapshots >= clean_snapshots and lasted >= clean_seconds:
        return ()
    return (
        Reason(
            code=ReasonCode.NOT_CLEAN_LONG_ENOUGH,
            object=f"cluster:{cluster}",
            detail=f"clean on {run.snapshots} of {clean_snapshots} snapshots"
            f" and for {int(lasted)} of {clean_seconds:g} s",
        ),
    )


def index_holds(
    run: CleanRun, index: float | None, *, cluster: str, lowest: float
) -> tuple[Reason, ...]:
    """What the Health Index has against the next broker: too low, or falling.

    Args:
        run: the clean run before the snapshot that the index belongs to.
        index: None when there is none yet.
        cluster: its name.
        lowest: the wave's `minHealthIndex`.
    """
    detail = None
    if index is None:
        detail = "the Health Index is not known"
    elif index < lowest - _TOLERANCE:
        detail = f"the Health Index is {index:.2f}, the wave asks for {lowest:g}"
    elif (
        run.highest_index is not None and index < run.highest_index - INDEX_MAY_FALL_BY - _TOLERANCE
    ):
        detail = (
            f"the Health Index fell to {index:.2f} from {run.highest_index:.2f}"
            f" in this clean run, {INDEX_MAY_FALL_BY:g} points are allowed"
        )
    if detail is None:
        return ()
    return (Reason(code=ReasonCode.HEALTH_INDEX_LOW, object=f"cluster:{cluster}", detail=detail),)
