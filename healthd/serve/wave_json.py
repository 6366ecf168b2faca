"""A wave as JSON, for the API and through it for the command line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from healthd.engine.printed import Printed
from healthd.engine.view import JournalEntry, WaveView
from healthd.model.render import render_time
from healthd.serve.step_json import step_json
from healthd.waves.outlook import outlook_of
from healthd.waves.policy import policy_document
from healthd.waves.state import Hold, NodeRun, NodeStatus, Override, Pause, WaveState, WaveStatus
from healthd.waves.variable_values import joined, plain_values

_GATED = frozenset({WaveStatus.RUNNING, WaveStatus.HOLDING, WaveStatus.PAUSED})
"""While a wave is in one of these it looks at the gate."""


def is_gate_open(state: WaveState) -> bool:
    """Whether nothing but a person's pause keeps the wave from its next node."""
    return state.status in _GATED and not state.holds


def in_flight(state: WaveState) -> list[int]:
    """Nodes that the wave has in flight, by rising id; none once it has ended.

    An abort does not wait for soaks: a node may stay `soaking` in the story of a wave that is over,
    and what happens to it afterwards is no planned work.
    """
    return [] if state.status.has_ended else sorted(state.in_flight)


def wave_summary(view: WaveView) -> dict[str, Any]:
    """What a list of waves shows of each."""
    state = view.state
    return {
        "wave": state.wave,
        "dryRun": state.is_dry_run,
        "cluster": state.cluster,
        "playbook": state.playbook.name,
        "reason": state.reason,
        "requestedBy": state.requested_by,
        "status": state.status.value,
        "nodeCounts": node_counts(state),
        "inFlight": in_flight(state),
        "createdAt": render_time(view.created_at),
        "updatedAt": render_time(view.updated_at),
    }


def wave_document(view: WaveView) -> dict[str, Any]:
    """Everything about one wave that helps a person or a program to follow it.

    `seconds` are on the wave clock, which stands still while no daemon runs; `since` is that
    translated to the wall clock, counted back from `updatedAt`.
    """
    state = view.state
    clock = _Clock(view)
    return {
        **wave_summary(view),
        "variables": plain_values(joined(state.variables, state.secrets)),
        "concurrency": "safe" if state.concurrency is None else state.concurrency,
        "clockSeconds": state.clock,
        "policy": policy_document(state.policy),
        "nodes": [_node(state, run, clock, view.printed.get(run.node)) for run in state.nodes],
        "candidates": list(state.candidates),
        "gate": {
            "open": is_gate_open(state),
            "holds": [_hold(hold, state, clock) for hold in state.holds],
        },
        "clean": {
            "snapshots": state.clean.snapshots,
            "ofSnapshots": state.policy.clean_snapshots,
            "seconds": state.clean.seconds,
            "ofSeconds": state.policy.clean_seconds,
        },
        "soak": {
            "seconds": 0.0 if state.soak_since is None else clock.seconds_since(state.soak_since),
            "ofSeconds": state.policy.soak_seconds,
        },
        "overrides": [_override(each, clock) for each in state.overrides],
        "pauses": [_pause(pause, clock) for pause in state.pauses],
        "abort": None if state.abort is None else _pause(state.abort, clock),
        "repairs": list(state.died),
        "healthIndex": {
            "before": state.index_before,
            "lowest": state.index_lowest,
            "last": state.index_last,
        },
    }


def node_counts(state: WaveState) -> dict[str, int]:
    """How many nodes are in each status, those with none included."""
    found = Counter(run.status for run in state.nodes)
    return {status.value: found.get(status, 0) for status in NodeStatus}


def journal_entries(entries: Sequence[JournalEntry]) -> list[dict[str, Any]]:
    """The story of a wave, oldest first."""
    return [
        {
            "at": render_time(entry.at),
            "event": entry.event,
            "node": entry.node,
            "detail": entry.detail,
            "clock": entry.clock,
            "data": dict(entry.data),
        }
        for entry in entries
    ]


class _Clock:
    """Turns times of the wave clock into seconds ago and wall-clock times."""

    def __init__(self, view: WaveView) -> None:
        self._now: datetime = view.updated_at
        self._clock = view.state.clock

    def seconds_since(self, at: float) -> float:
        return round(max(0.0, self._clock - at), 3)

    def seconds_until(self, at: float) -> float:
        return round(max(0.0, at - self._clock), 3)

    def moment(self, wall: float | None, at: float) -> str:
        if wall is not None:
            return render_time(datetime.fromtimestamp(wall, UTC))
        return render_time(self._now + timedelta(seconds=self.seconds_until(at)))

    def span(self, since: float) -> Mapping[str, Any]:
        seconds = self.seconds_since(since)
        return {"since": render_time(self._now - timedelta(seconds=seconds)), "seconds": seconds}


def _node(state: WaveState, run: NodeRun, clock: _Clock, printed: Printed | None) -> dict[str, Any]:
    return {
        "node": run.node,
        "status": run.status.value,
        **clock.span(run.since),
        "repair": run.repair,
        "overdue": run.is_overdue,
        "attempt": run.attempt,
        "detail": run.detail,
        **step_json(state, run, clock.span(run.steps.since), printed),
    }


def _hold(hold: Hold, state: WaveState, clock: _Clock) -> dict[str, Any]:
    found = outlook_of(state, hold)
    outlook = None
    if found is not None:
        outlook = {
            "text": found.text,
            "seconds": found.seconds,
            "value": found.value,
            "target": found.target,
            "perSecond": found.per_second,
        }
    return {**hold.reason.as_json(), **clock.span(hold.since), "outlook": outlook}


def _override(override: Override, clock: _Clock) -> dict[str, Any]:
    return {
        "code": override.code.value,
        "object": override.object,
        "by": override.by,
        "reason": override.reason,
        **clock.span(override.since),
        "until": clock.moment(override.until, override.ends_at),
        "secondsLeft": clock.seconds_until(override.ends_at),
    }


def _pause(pause: Pause, clock: _Clock) -> dict[str, Any]:
    return {
        "by": pause.by,
        "reason": pause.reason,
        "node": pause.node,
        **clock.span(pause.since),
    }
