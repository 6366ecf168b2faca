"""How long a cluster has been clean (restart-safety.md section 2).

One clean reading proves little: a broker can come back into the ISR and be fenced 20 to 50 s
later. So a wave asks for several distinct snapshots over some time, and starts again after a
single bad one. Times are monotonic seconds that the caller gives.
"""

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
    since: float | None = None
    """When the first of them was judged."""
    last_snapshot: str | None = None
    """The last one that was judged, clean or not: it never counts twice."""
    last_at: float | None = None
    highest_index: float | None = None
    """The best Health Index in this run."""

    @property
    def seconds(self) -> float:
        """How long it had lasted when it was last judged."""
        return 0.0 if self.since is None or self.last_at is None else self.last_at - self.since


def observe(run: CleanRun, *, key: str, at: float, is_clean: bool, index: float | None) -> CleanRun:
    """The run after a snapshot was judged.

    Args:
        run: the run so far; a new `CleanRun` when the daemon has just started.
        key: tells distinct snapshots apart.
        at: monotonic seconds of the judgement.
        is_clean: whether nothing is in the way; `index_holds` of this run was asked too.
        index: the Health Index with the wave's own brokers counted as alive and in sync.
    """
    went_back = run.last_at is not None and at < run.last_at
    if not is_clean or index is None or went_back:
        return CleanRun(last_snapshot=key, last_at=at)
    if key == run.last_snapshot:
        # Judged already, whatever has changed around it: it needs a new one to count further.
        return replace(run, last_at=at)
    return CleanRun(
        snapshots=run.snapshots + 1,
        since=at if run.since is None else run.since,
        last_snapshot=key,
        last_at=at,
        highest_index=index if run.highest_index is None else max(run.highest_index, index),
    )


def clean_enough(
    run: CleanRun, *, at: float, snapshots: int, seconds: float, cluster: str
) -> tuple[Reason, ...]:
    """Empty when the run is long enough, else what it still lacks."""
    lasted = 0.0 if run.since is None else at - run.since
    if run.snapshots >= snapshots and lasted >= seconds:
        return ()
    return (
        Reason(
            code=ReasonCode.NOT_CLEAN_LONG_ENOUGH,
            object=f"cluster:{cluster}",
            detail=f"clean on {run.snapshots} of {snapshots} snapshots"
            f" and for {int(lasted)} of {seconds:g} s",
        ),
    )


def index_holds(
    run: CleanRun, *, index: float | None, minimum: float, cluster: str
) -> tuple[Reason, ...]:
    """What the Health Index has against the next broker: too low, or falling.

    Args:
        run: the clean run before the snapshot that the index belongs to.
        index: None when there is none yet.
        minimum: the wave's `minHealthIndex`.
        cluster: its name.
    """
    detail = None
    if index is None:
        detail = "the Health Index is not known"
    elif index < minimum - _TOLERANCE:
        detail = f"the Health Index is {index:.2f}, the wave asks for {minimum:g}"
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
