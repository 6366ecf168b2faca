"""How long a plan takes: from restarts that were measured, else from a model.

Before the first node the gate has to be clean for a while. Then each step is a stop, a start, the
catching up, which is noticed with the next snapshot, and the soak. Nodes of one step go side by
side, and the slowest of them counts. Controlled shutdowns and catching up differ from cluster to
cluster, so what was measured on this one is worth more than any model.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

from healthd.model.snapshot import LONGEST_INTERVAL_SECONDS
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeStatus

_STOP: Final = frozenset({NodeStatus.STOPPING.value, NodeStatus.STOPPED.value})
_BACK: Final = frozenset({NodeStatus.STARTING.value, NodeStatus.RECOVERING.value})

History = Iterable[tuple[str, float]]
"""Every status of a node in a wave, with the time it entered it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPace:
    """What the duration of one step depends on."""

    nodes: int
    has_to_stop: bool
    """Whether a node of it has to be stopped; otherwise all are only started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationModel:
    """Seconds that each part of a node's restart takes; as in the model of `rehearse`."""

    stop_seconds: float = 5.0
    """Controlled shutdown: 500 partitions took 5 s on a small cluster."""
    start_seconds: float = 15.0
    catch_up_seconds: float = 20.0
    """Until it is in every ISR again."""

    def away_seconds(self, pace: PlannedPace, interval_seconds: float) -> float:
        """From the first stop until all nodes of a step are seen back."""
        away = self.start_seconds + self.catch_up_seconds
        if pace.has_to_stop:
            away += self.stop_seconds
        rounds = away / interval_seconds
        # Snapshots that come faster than a float can count notice it at once.
        return math.ceil(rounds) * interval_seconds if math.isfinite(rounds) else away


DEFAULT_MODEL: Final = DurationModel()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRestarts:
    """How long restarts took on a cluster; at least one."""

    restarts: tuple[float, ...]
    """Seconds from the stop until it was seen back, rising."""
    starts: tuple[float, ...]
    """The same from the start, rising."""

    @classmethod
    def of(cls, histories: Iterable[History]) -> Self | None:
        """What the histories of nodes tell; None when none of them was restarted in one go."""
        found = [pair for history in histories if (pair := _restart(history)) is not None]
        if not found:
            return None
        return cls(
            restarts=tuple(sorted(stop + back for stop, back in found)),
            starts=tuple(sorted(back for _, back in found)),
        )

    def away_seconds(self, pace: PlannedPace) -> float:
        """From the first stop until all nodes of a step are seen back."""
        return _slowest_of(self.restarts if pace.has_to_stop else self.starts, pace.nodes)


def _restart(history: History) -> tuple[float, float] | None:
    """The seconds of its stop and of its way back; None when it was tried twice, or not at all."""
    seconds: dict[str, float] = {}
    for (status, at), (_, until) in pairwise(history):
        if status in seconds and status not in {NodeStatus.RECOVERING, NodeStatus.SOAKING}:
            return None
        seconds[status] = seconds.get(status, 0.0) + until - at
    if NodeStatus.STOPPING not in seconds or NodeStatus.SOAKING not in seconds:
        return None
    return _sum(seconds, _STOP), _sum(seconds, _BACK)


def _sum(seconds: Mapping[str, float], statuses: Iterable[str]) -> float:
    return sum(seconds.get(status, 0.0) for status in statuses)


def _slowest_of(sample: Sequence[float], many: int) -> float:
    """What the slowest of so many takes, as far as a sample tells: one takes the median.

    The largest of n draws lies on the average at the quantile n / (n + 1).
    """
    at = many / (many + 1) * (len(sample) - 1)
    low = math.floor(at)
    high = min(low + 1, len(sample) - 1)
    return sample[low] + (sample[high] - sample[low]) * (at - low)


def estimated_seconds(
    steps: Sequence[PlannedPace],
    interval_seconds: float,
    policy: WavePolicy,
    *,
    model: DurationModel = DEFAULT_MODEL,
    measured: MeasuredRestarts | None = None,
) -> int:
    """The seconds of a wave without trouble, rounded up; 0 when it has no step.

    Args:
        steps: one after the other.
        interval_seconds: between two snapshots.
        policy: how long the gate and the soak take.
        model: how long the nodes take.
        measured: how long they took; counts instead of the model.
    """
    if not steps:
        return 0
    interval = min(interval_seconds, LONGEST_INTERVAL_SECONDS)
    clean = _clean_run(policy, interval)
    total = clean
    for pace in steps:
        if measured is None:
            total += model.away_seconds(pace, interval)
        else:
            total += measured.away_seconds(pace)
        total += max(policy.soak_seconds, clean)
    return math.ceil(total)


def _clean_run(policy: WavePolicy, interval_seconds: float) -> float:
    """The seconds that a clean run takes: so many snapshots, and so long."""
    return max(policy.clean_seconds, (policy.clean_snapshots - 1) * interval_seconds)
