"""What waves that have ended were as deployments, for the DORA figures."""

import json
from typing import Any

from healthd.engine.dry_running import is_id_of_dry_run
from healthd.store.records import WaveRecord
from healthd.waves.dora import Deployment
from healthd.waves.state import WaveState, WaveStatus


def deployment_of(state: WaveState, record: WaveRecord, ended_at: float) -> Deployment | None:
    """The deployment that a wave was; None for a dry run, and for one that has not ended."""
    if state.is_dry_run or not state.status.has_ended:
        return None
    return Deployment(
        wave=state.wave,
        cluster=state.cluster,
        requested_at=record.created_at,
        ended_at=ended_at,
        outcome=state.status,
        restores=state.tally.restores,
    )


def remembered(record: WaveRecord) -> Deployment | None:
    """The deployment that a stored wave was, without reading all of its state; None as above."""
    if not (record.has_ended and record.cluster) or is_id_of_dry_run(record.id):
        return None
    return Deployment(
        wave=record.id,
        cluster=record.cluster,
        requested_at=record.created_at,
        ended_at=record.updated_at,
        outcome=WaveStatus(record.status),
        restores=_restores(record.state),
    )


def _restores(text: str) -> tuple[float, ...]:
    """How long the troubles of a stored wave lasted; none for one that nobody can read."""
    try:
        state: Any = json.loads(text)
        return tuple(float(each) for each in state["tally"]["restores"])
    except (ValueError, TypeError, KeyError):
        return ()
