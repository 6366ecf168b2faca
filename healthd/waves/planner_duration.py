"""How long a plan takes, from a model: no history is at hand where a plan is made from a file.

Before the first node the gate has to be clean for a while. Then each step is a stop, a start, the
catching up, which is noticed with the next snapshot, and the soak. Nodes of one step go side by
side. Controlled shutdowns and catching up differ from cluster to cluster: measure yours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from healthd.waves.policy import WavePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationModel:
    """Seconds that each part of a node's restart takes; as in the model of `rehearse`."""

    stop_seconds: float = 5.0
    """Controlled shutdown: 500 partitions took 5 s on a small cluster."""
    start_seconds: float = 15.0
    catch_up_seconds: float = 20.0
    """Until it is in every ISR again."""


DEFAULT_MODEL: Final = DurationModel()


def estimated_seconds(
    steps: Sequence[bool],
    interval_seconds: float,
    policy: WavePolicy,
    model: DurationModel = DEFAULT_MODEL,
) -> int:
    """The seconds of a wave without trouble, rounded up; 0 when it has no step.

    Args:
        steps: for each step whether a node of it has to be stopped; the others are only started.
        interval_seconds: between two snapshots.
        policy: how long the gate and the soak take.
        model: how long the nodes take.
    """
    if not steps:
        return 0
    total = _clean_run(policy, interval_seconds)
    for has_to_stop in steps:
        away = model.start_seconds + model.catch_up_seconds
        if has_to_stop:
            away += model.stop_seconds
        seen = math.ceil(away / interval_seconds) * interval_seconds
        total += seen + max(policy.soak_seconds, _clean_run(policy, interval_seconds))
    return math.ceil(total)


def _clean_run(policy: WavePolicy, interval_seconds: float) -> float:
    """The seconds that a clean run takes: so many snapshots, and so long."""
    return max(policy.clean_seconds, (policy.clean_snapshots - 1) * interval_seconds)
