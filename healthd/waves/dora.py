"""The DORA figures: how often changes are made, what they take, how many fail, and for how long.

A deployment is a wave on one cluster that has ended; a dry run is none.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from healthd.waves.state import WaveStatus

DAYS: Final = 30
"""So many days back the fleet's figures go."""
_DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A wave on one cluster that has ended."""

    wave: str
    cluster: str
    requested_at: float
    """Unix seconds."""
    ended_at: float
    outcome: WaveStatus
    restores: tuple[float, ...] = ()
    """How long each of its troubles lasted, from the first broker that failed or was overdue
    until the cluster had all of them back."""

    @property
    def lead_seconds(self) -> float | None:
        """From the request to the end of one that succeeded; None for any other."""
        if self.outcome is not WaveStatus.SUCCEEDED:
            return None
        return max(0.0, self.ended_at - self.requested_at)


def fleet_figures(deployments: Iterable[Deployment], now: float) -> dict[str, Any]:
    """The figures of the last `DAYS` days, as plain values; a median of nothing is None.

    The change failure rate is the share of waves that ended failed: the same as from
    `healthd_deployments_total`.
    """
    recent = [each for each in deployments if now - each.ended_at <= DAYS * _DAY_SECONDS]
    failed = sum(each.outcome is WaveStatus.FAILED for each in recent)
    leads = [each.lead_seconds for each in recent if each.lead_seconds is not None]
    return {
        "days": DAYS,
        "deployments": len(recent),
        "deploymentsPerDay": round(len(recent) / DAYS, 2),
        "leadTimeSeconds": _median(leads),
        "changeFailureRate": round(failed / len(recent), 4) if recent else None,
        "timeToRestoreSeconds": _median([sum_ for each in recent for sum_ in each.restores]),
    }


def wave_figures(
    own: Deployment | None, deployments: Iterable[Deployment], now: float
) -> dict[str, Any]:
    """The figures for a wave's report; `own` is None while it has not ended."""
    return {
        "leadTimeSeconds": None if own is None else _rounded(own.lead_seconds),
        "timeToRestoreSeconds": [] if own is None else [round(each, 1) for each in own.restores],
        "fleet": fleet_figures(deployments, now),
    }


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 1) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
