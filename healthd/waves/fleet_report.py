"""The report of a wave over a fleet: who, what, why, each stage and cluster, and the timeline."""

from collections.abc import Mapping, Sequence
from typing import Any

from healthd.waves.fleet_state import FleetState, LeftOut
from healthd.waves.report_text import duration


def fleet_report(
    state: FleetState, journal: Sequence[Mapping[str, Any]], clusters: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The report as plain values.

    Args:
        state: the wave as it stands.
        journal: its story in order, each with ``at`` (RFC 3339), ``event``, ``node``, ``detail``.
        clusters: each cluster as it is shown, in the order of the stages.
    """
    return {
        "wave": state.wave,
        "kind": "fleet",
        "dryRun": state.is_dry_run,
        "playbook": state.playbook.name,
        "reason": state.reason,
        "requestedBy": state.requested_by,
        "status": state.status.value,
        "startedAt": journal[0]["at"] if journal else None,
        "endedAt": journal[-1]["at"] if journal and state.status.has_ended else None,
        "seconds": round(state.clock, 1),
        "stages": [
            {
                "name": stage.name,
                "status": stage.status.value,
                "approval": None if stage.approval is None else stage.approval.value,
                "approvedBy": None if stage.approved is None else stage.approved.by,
                "approvedWhy": None if stage.approved is None else stage.approved.reason,
                "leftOut": left_out_json(stage.left_out),
            }
            for stage in state.stages
        ],
        "clusters": [dict(cluster) for cluster in clusters],
        "timeline": [
            {key: entry[key] for key in ("at", "event", "node", "detail")} for entry in journal
        ],
    }


def left_out_json(left_out: LeftOut | None) -> dict[str, Any] | None:
    """What a stage leaves out, as plain values; None for one that leaves nothing out."""
    if left_out is None or left_out == LeftOut():
        return None
    approval = left_out.approval
    return {
        "approval": None if approval is None else approval.value,
        "soakSeconds": left_out.soak_seconds,
    }


def fleet_markdown(report: Mapping[str, Any]) -> str:
    """The report as a page that one can read."""
    lines = [
        f"# {'Dry run' if report['dryRun'] else 'Wave'} {report['wave']}: {report['status']}",
        "",
        f"- **What**: {report['playbook']} on {len(report['clusters'])} clusters",
        f"- **Who**: {report['requestedBy']}",
        f"- **Why**: {report['reason']}",
        (
            f"- **When**: {report['startedAt']} to {report['endedAt'] or 'now'}, "
            f"{report['seconds']:g} s"
        ),
        "",
        "## Stages",
        "",
        "| stage | status | approved by | why |",
        "|---|---|---|---|",
        *(
            f"| {stage['name']} | {stage['status']} | {stage['approvedBy'] or '-'} |"
            f" {_cell(stage['approvedWhy'] or '-')} |"
            for stage in report["stages"]
        ),
        "",
        *_left_out(report["stages"]),
        "## Clusters",
        "",
        "| cluster | stage | status | done | failed | its own wave |",
        "|---|---|---|---|---|---|",
        *(_row(cluster) for cluster in report["clusters"]),
        "",
        "## Timeline",
        "",
        *(_sentence(entry) for entry in report["timeline"]),
    ]
    return "\n".join(lines) + "\n"


def _left_out(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each stage of a dry run that would have asked for more than its clusters."""
    lines = []
    for stage in stages:
        left_out = stage["leftOut"] or {"approval": None, "soakSeconds": 0.0}
        words = []
        if left_out["approval"] is not None:
            words.append(f"asked for an approval ({left_out['approval']})")
        if left_out["soakSeconds"]:
            words.append(f"waited for {duration(left_out['soakSeconds'])} of clean time after it")
        if words:
            lines.append(f"- **Stage {stage['name']}** would have {' and '.join(words)}")
    return [*lines, ""] if lines else []


def _row(cluster: Mapping[str, Any]) -> str:
    counts = cluster["nodeCounts"]
    failed = ", ".join(map(str, cluster["failed"])) or "-"
    return (
        f"| {cluster['cluster']} | {cluster['stage']} | {cluster['status']} |"
        f" {counts['done'] + counts['skipped']}/{sum(counts.values())} | {failed} |"
        f" {cluster['wave']} |"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _sentence(entry: Mapping[str, Any]) -> str:
    detail = f": {' '.join(entry['detail'].split())}" if entry["detail"] else ""
    return f"- {entry['at']} {entry['event'].replace('_', ' ')}{detail}"
