"""What the planner expected of a wave when it was accepted, for its report to be held against."""

import math
from dataclasses import replace

from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.ok_to_stop import UnknownBroker
from healthd.waves.ensemble import for_target
from healthd.waves.gate import acknowledged
from healthd.waves.planner import plan
from healthd.waves.planner_duration import MeasuredRestarts
from healthd.waves.state import Forecast, WaveState
from healthd.waves.step_durations import forecast_seconds


def with_forecast(
    state: WaveState,
    snapshot: ClusterSnapshot | None,
    measured: MeasuredRestarts | None = None,
) -> WaveState:
    """The wave with what the planner expects of it on this snapshot; without one, as it is."""
    if snapshot is None:
        return state
    try:
        found = plan(
            for_target(state.playbook.target, snapshot),
            nodes=[run.node for run in state.nodes],
            concurrency=state.concurrency,
            acknowledged=acknowledged(state),
            policy=state.policy,
            measured=measured,
        )
    except UnknownBroker:
        return state  # A node that is configured and was never seen: the gate will say so.
    return replace(
        state,
        forecast=Forecast(
            steps=tuple(step.nodes for step in found.steps),
            blocked=tuple(each.node for each in found.blocked),
            seconds=forecast_seconds(
                state.playbook,
                state.policy,
                restart_seconds=found.estimated_seconds,
                rounds=_rounds(state, len(found.steps)),
            ),
            measured_restarts=found.measured_restarts,
            lower_bound=found.lower_bound,
            fingerprint=found.fingerprint,
        ),
    )


def _rounds(state: WaveState, planned: int) -> int:
    """How many times somebody is taken: by the plan, or by number where nothing is stopped."""
    if state.playbook.restarts:
        return planned
    return math.ceil(len(state.nodes) / (state.concurrency or len(state.nodes) or 1))
