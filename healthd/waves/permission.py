"""Holds that say when a wave may work, as against holds that say how the cluster is.

Both start the clean run for taking again. The soak of what is in flight is judged by the cluster
alone: a window that closes, or a freeze that begins, must not keep a broker soaking until its
recovery time-out, when nothing is wrong with it.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.waves.calendar import window_hold
from healthd.waves.policy import WavePolicy

PERMISSION: Final = frozenset(
    {
        ReasonCode.WINDOW_CLOSED,
        ReasonCode.FREEZE,
        ReasonCode.APPROVAL_MISSING,
        ReasonCode.BUDGET_USED_UP,
        ReasonCode.LEASE_HELD,
    }
)
"""Reasons that are about permission; all others are about health, or about what is known of it."""


def of_health(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """The reasons that are more than a missing permission."""
    return tuple(reason for reason in reasons if reason.code not in PERMISSION)


def windows_closed(policy: WavePolicy, *, wall: float, cluster: str) -> Iterator[Reason]:
    """The hold of the policy's windows at `wall`, if they are closed."""
    found = window_hold(
        policy.windows, cutoff_seconds=policy.cutoff_seconds, wall=wall, cluster=cluster
    )
    if found is not None:
        yield found
