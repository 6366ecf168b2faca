"""The report of a wave: who, what, why, and the timeline of every broker with every hold."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from healthd.waves.state import NodeRun, WaveState

_QUIET = frozenset({"command_ended", "logs_seen"})


def wave_report(state: WaveState, journal: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The report as plain values.

    Args:
        state: the wave as it stands.
        journal: its story in order, each with ``at`` (RFC 3339), ``event``, ``node``, ``detail``.
    """
    return {
        "wave": state.wave,
        "dryRun": state.is_dry_run,
        "cluster": state.cluster,
        "playbook": state.playbook.name,
        "reason": state.reason,
        "requestedBy": state.requested_by,
        "status": state.status.value,
        "startedAt": journal[0]["at"] if journal else None,
        "endedAt": journal[-1]["at"] if journal and state.status.has_ended else None,
        "seconds": round(state.clock, 1),
        "healthIndex": {
            "before": state.index_before,
            "lowest": state.index_lowest,
            "after": state.index_last,
        },
        "order": _order(state, journal),
        "brokers": [_broker(run, journal) for run in state.nodes],
        "commands": [
            # What an ordinary wave has sent is told by its timeline.
            _line(entry)
            for entry in journal
            if state.is_dry_run and entry["event"] == "command_ended" and entry["detail"]
        ],
        "holds": [_line(entry) for entry in journal if entry["event"].startswith("gate_")],
        "timeline": [_line(entry) for entry in journal if entry["event"] not in _QUIET],
    }


def _order(state: WaveState, journal: Sequence[Mapping[str, Any]]) -> list[int]:
    taken: dict[int, None] = {}
    for entry in journal:
        if entry["event"] in {"node_stopping", "node_starting"} and entry["node"] is not None:
            taken.setdefault(entry["node"])
    known = {run.node for run in state.nodes}
    return [node for node in taken if node in known]


def _broker(run: NodeRun, journal: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    logs = [entry["detail"] for entry in journal if _is_log_of(entry, run.node)]
    entries = run.history
    phases: dict[str, float] = {}
    for (status, at), (_, until) in itertools.pairwise(entries):
        phases[status] = round(phases.get(status, 0.0) + until - at, 1)
    return {
        "broker": run.node,
        "status": run.status.value,
        "repair": run.repair,
        "processBefore": run.started_before,
        "processAfter": run.started_after,
        "phaseSeconds": phases,
        "detail": run.detail,
        "logs": logs[-1].splitlines()[-20:] if logs else [],
    }


def _is_log_of(entry: Mapping[str, Any], node: int) -> bool:
    return bool(entry["event"] == "logs_seen" and entry["node"] == node)


def _line(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("at", "event", "node", "detail")}


def report_markdown(report: Mapping[str, Any]) -> str:
    """The report as a page that one can read."""
    lines = [
        f"# {'Dry run' if report['dryRun'] else 'Wave'} {report['wave']}: {report['status']}",
        "",
        f"- **What**: {report['playbook']} on cluster {report['cluster']}",
        f"- **Who**: {report['requestedBy']}",
        f"- **Why**: {report['reason']}",
        (
            f"- **When**: {report['startedAt']} to {report['endedAt'] or 'now'}, "
            f"{report['seconds']:g} s"
        ),
        f"- **Health Index**: {_indices(report['healthIndex'])}",
        f"- **Order**: {', '.join(map(str, report['order'])) or 'none was taken'}",
        "",
        "## Brokers",
        "",
        "| broker | status | stopping s | starting s | recovering s | soaking s | remark |",
        "|---|---|---|---|---|---|---|",
        *(_row(broker) for broker in report["brokers"]),
        "",
        "## Timeline",
        "",
        *(_sentence(entry) for entry in report["timeline"]),
    ]
    if report["commands"]:
        lines += ["", "## What would have been done", "", *map(_sentence, report["commands"])]
    for broker in report["brokers"]:
        if broker["logs"]:
            lines += ["", f"## Last log lines of broker {broker['broker']}", "", "```"]
            lines += [*broker["logs"], "```"]
    return "\n".join(lines) + "\n"


def _indices(index: Mapping[str, float | None]) -> str:
    words = {"before": "before", "lowest": "lowest", "after": "after"}
    return ", ".join(
        f"{word} {'-' if index[key] is None else format(index[key], '.1f')}"
        for key, word in words.items()
    )


def _row(broker: Mapping[str, Any]) -> str:
    phases = broker["phaseSeconds"]
    cells = [str(broker["broker"]), broker["status"]]
    cells += [
        f"{phases[phase]:g}" if phase in phases else "-"
        for phase in ("stopping", "starting", "recovering", "soaking")
    ]
    remark = ("repair; " if broker["repair"] else "") + _cell(broker["detail"])
    return f"| {' | '.join([*cells, remark])} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _sentence(entry: Mapping[str, Any]) -> str:
    who = "" if entry["node"] is None else f" broker {entry['node']}"
    event = entry["event"].replace("_", " ")
    detail = f": {' '.join(entry['detail'].split())}" if entry["detail"] else ""
    return f"- {entry['at']}{who} {event}{detail}"
