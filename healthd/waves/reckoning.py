"""Keeping a wave's tally: which event adds what to the sums of its report."""

from dataclasses import replace

from healthd.waves.effects import Step
from healthd.waves.events import SnapshotSeen
from healthd.waves.holding import held
from healthd.waves.state import NodeStatus, WaveState, WaveStatus
from healthd.waves.tally import Tally


def time_passed(state: WaveState, at: float) -> Tally:
    """The tally after the time since the last event, for which the holds then stood."""
    if state.status is not WaveStatus.HOLDING:
        return state.tally
    codes = {hold.reason.code.value for hold in held(state.holds)}
    return state.tally.held(codes, at - state.clock)


def snapshot_seen(state: WaveState, event: SnapshotSeen) -> Tally:
    """The tally after a snapshot, with the nodes that are in flight as it is seen."""
    return state.tally.looked(event.snapshot, event.previous, own=state.away, at=event.at).restored(
        event.snapshot, collected_since=event.collected_since, at=event.at
    )


def reckoned(step: Step, at: float) -> Step:
    """The step with the nodes that are in trouble after it in its tally."""
    state = step.state
    stuck = [run.node for run in state.having({NodeStatus.FAILED})]
    stuck += [run.node for run in state.busy if run.is_overdue]
    tally = state.tally.with_troubled(set(stuck), at)
    return step if tally is state.tally else replace(step, state=replace(state, tally=tally))
