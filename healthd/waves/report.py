"""The report of a wave: who, what, why, plan against what happened, every broker and every hold."""

import itertools
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from healthd.waves.naming import NODE_WORDS, name_of
from healthd.waves.policy import policy_document
from healthd.waves.report_story import (
    Entry,
    held_intervals,
    lines_by_node,
    most_in_flight,
    order_taken,
    people,
    steps_done,
)
from healthd.waves.report_text import report_markdown
from healthd.waves.state import NodeRun, WaveState
from healthd.waves.tally import Tally

__all__ = ["report_markdown", "wave_report"]

_QUIET: Final = frozenset({"command_ended", "logs_seen"})
_LOG_LINES: Final = 20


def wave_report(
    state: WaveState,
    journal: Sequence[Entry],
    *,
    requested_at: str | None = None,
    dora: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report as plain values; docs/waves.md says what each of them means.

    Args:
        state: the wave as it stands.
        journal: its story in order, each with ``at`` (RFC 3339), ``event``, ``node``, ``detail``,
            and where there are ``clock`` (seconds on the wave clock) and ``data``.
        requested_at: when it was accepted.
        dora: the DORA figures of the fleet, and of this wave.
    """
    journal = [{"clock": 0.0, "data": {}, **entry} for entry in journal]
    has_ended = state.status.has_ended
    by_node = lines_by_node(journal)
    return {
        "wave": state.wave,
        "dryRun": state.is_dry_run,
        "cluster": state.cluster,
        "playbook": state.playbook.name,
        "target": state.playbook.target.value,
        "reason": state.reason,
        "requestedBy": state.requested_by,
        "requestedAt": requested_at,
        "status": state.status.value,
        "startedAt": journal[0]["at"] if journal else None,
        "endedAt": journal[-1]["at"] if journal and has_ended else None,
        "seconds": round(state.clock, 1),
        "concurrency": "safe" if state.concurrency is None else state.concurrency,
        "policy": policy_document(state.policy),
        "plan": _plan(state),
        "happened": _happened(state, journal),
        "healthIndex": {
            "before": state.index_before,
            "lowest": state.index_lowest,
            "after": state.index_last,
        },
        "order": _order(state, journal),
        "brokers": [_broker(run, by_node.get(run.node, ())) for run in state.nodes],
        "holds": held_intervals(journal, has_ended=has_ended),
        "closedSeconds": {code: round(sum_, 1) for code, sum_ in state.tally.closed_seconds},
        "people": people(journal),
        "replication": _replication(state, state.tally),
        "dora": None if dora is None else dict(dora),
        "commands": [
            # What an ordinary wave has sent is told by its timeline.
            _line(entry)
            for entry in journal
            if state.is_dry_run and entry["event"] == "command_ended" and entry["detail"]
        ],
        "timeline": [_line(entry) for entry in journal if entry["event"] not in _QUIET],
    }


def _plan(state: WaveState) -> dict[str, Any] | None:
    forecast = state.forecast
    if forecast is None:
        return None
    return {
        "steps": [list(step) for step in forecast.steps],
        "blocked": list(forecast.blocked),
        "estimatedSeconds": forecast.seconds,
        "measuredRestarts": forecast.measured_restarts,
        "lowerBound": forecast.lower_bound,
        "fingerprint": forecast.fingerprint,
    }


def _happened(state: WaveState, journal: Sequence[Entry]) -> dict[str, Any]:
    return {
        "seconds": round(state.clock, 1),
        "mostInFlight": most_in_flight(journal),
        "differences": list(_differences(state, journal)),
    }


def _differences(state: WaveState, journal: Sequence[Entry]) -> list[str]:
    """What was otherwise than planned, in words."""
    if state.forecast is None:
        return []
    place = {node: at for at, step in enumerate(state.forecast.steps) for node in step}
    taken = _order(state, journal)
    found: list[str] = []
    for before, after in itertools.pairwise(node for node in taken if node in place):
        if place[before] > place[after]:
            names = name_of(state, before), name_of(state, after)
            found.append("{} was taken before {}, planned after it".format(*names))
    found += [f"{name_of(state, node)} was blocked and was taken later" for node in taken
              if node in state.forecast.blocked]  # fmt: skip
    left = [node for node in place if node not in taken]
    if state.status.has_ended and left:
        named = ", ".join(map(str, sorted(left)))
        found.append(f"not taken: {NODE_WORDS[state.playbook.target]} {named}")
    return found


def _order(state: WaveState, journal: Sequence[Entry]) -> list[int]:
    return [node for node in order_taken(journal) if state.node(node) is not None]


def _broker(run: NodeRun, lines: Sequence[Entry]) -> dict[str, Any]:
    logs = [line["detail"] for line in lines if line["event"] == "logs_seen"]
    steps = steps_done(lines)
    phases: dict[str, float] = {}
    for (status, at), (_, until) in itertools.pairwise(run.history):
        phases[status] = round(phases.get(status, 0.0) + until - at, 1)
    return {
        "broker": run.node,
        "status": run.status.value,
        "repair": run.repair,
        "processBefore": run.started_before,
        "processAfter": run.started_after,
        "phaseSeconds": phases,
        "detail": run.detail,
        "timeline": [_line(line) for line in lines if line["event"] not in _QUIET],
        **({"steps": steps} if steps else {}),
        "logs": logs[-1].splitlines()[-_LOG_LINES:] if logs else [],
    }


def _line(entry: Entry) -> dict[str, Any]:
    return {key: entry[key] for key in ("at", "event", "node", "detail")}


def _replication(state: WaveState, tally: Tally) -> dict[str, Any]:
    """What the wave's own doing has cost, and how that is known."""
    patterns = (*state.policy.allow_rf_one, *state.policy.allow_rf_le_min_isr)
    acknowledged = [
        label
        for label in tally.went_under_names
        if any(fnmatchcase(label.rpartition("-")[0], pattern) for pattern in patterns)
    ]
    return {
        "underReplicatedPartitionSeconds": round(tally.under_replicated_seconds, 1),
        "mostUnderReplicated": tally.most_under_replicated,
        "wentUnderMinIsr": tally.went_under,
        "underMinIsrPartitionSeconds": round(tally.under_min_isr_seconds, 1),
        "underMinIsrPartitions": list(tally.went_under_names),
        "acknowledged": acknowledged,
        "snapshots": tally.looks,
        "longestGapSeconds": round(tally.longest_gap_seconds, 1),
    }
