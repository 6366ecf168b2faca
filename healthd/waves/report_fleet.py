"""The report of a wave over several stages or clusters: that of its parts, added up.

Each cluster's wave has a report of its own; here stands what is true of all of them together.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from healthd.waves.fleet_state import FleetState, Member, StageRun
from healthd.waves.report_story import Entry, people
from healthd.waves.report_text import cell, duration, markdown_timeline, moment

Report = Mapping[str, Any]


def fleet_report(
    state: FleetState,
    journal: Sequence[Entry],
    children: Mapping[str, Report],
    *,
    requested_at: str | None = None,
    dora: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report as plain values.

    Args:
        state: the wave over the fleet.
        journal: its own story, as `wave_report` takes it.
        children: the report of each cluster's wave, by its id; those that were begun.
        requested_at: when it was accepted.
        dora: the DORA figures, as for a wave on one cluster.
    """
    journal = [{"clock": 0.0, "data": {}, **entry} for entry in journal]
    reports = list(children.values())
    has_ended = state.status.has_ended
    return {
        "wave": state.wave,
        "playbook": state.playbook.name,
        "reason": state.reason,
        "requestedBy": state.requested_by,
        "requestedAt": requested_at,
        "status": state.status.value,
        "startedAt": journal[0]["at"] if journal else None,
        "endedAt": journal[-1]["at"] if journal and has_ended else None,
        "seconds": round(state.clock, 1),
        "stages": [_stage(state, at, run) for at, run in enumerate(state.stages)],
        "clusters": [_cluster(state, each, children.get(each.child)) for each in state.members],
        "brokers": _summed(Counter(broker["status"] for broker in report["brokers"])
                           for report in reports),
        "healthIndexLowest": min(_lowest(reports), default=None),
        "closedSeconds": _summed(report["closedSeconds"] for report in reports),
        "people": sorted(
            (*people(journal), *(each for report in reports for each in report["people"])),
            key=lambda each: str(each["at"]),
        ),
        "replication": _replication(reports),
        "dora": None if dora is None else dict(dora),
        "timeline": [
            {key: entry[key] for key in ("at", "event", "node", "detail")} for entry in journal
        ],
    }  # fmt: skip


def _stage(state: FleetState, at: int, run: StageRun) -> dict[str, Any]:
    approved = run.approved
    return {
        "stage": run.name,
        "status": run.status.value,
        "clusters": [member.cluster for member in state.of_stage(at)],
        "approvedBy": None if approved is None else approved.by,
        "approvedWhy": None if approved is None else approved.reason,
    }


def _cluster(state: FleetState, member: Member, report: Report | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cluster": member.cluster,
        "stage": state.stages[member.stage].name,
        "wave": member.child,
        "status": member.status.value,
        "brokers": len(member.nodes),
        "failed": list(member.failed),
        "seconds": None,
        "done": 0,
        "healthIndexLowest": None,
        "wentUnderMinIsr": 0,
    }
    if report is not None:
        row |= {
            "seconds": report["seconds"],
            "done": sum(broker["status"] == "done" for broker in report["brokers"]),
            "healthIndexLowest": report["healthIndex"]["lowest"],
            "wentUnderMinIsr": report["replication"]["wentUnderMinIsr"],
        }
    return row


def _summed(sums: Iterable[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in sums:
        for key, value in each.items():
            found[key] = found.get(key, 0) + value
    return {key: round(value, 1) for key, value in sorted(found.items())}


def _lowest(reports: Iterable[Report]) -> Iterable[float]:
    found = (report["healthIndex"]["lowest"] for report in reports)
    return (index for index in found if index is not None)


def _replication(reports: Sequence[Report]) -> dict[str, Any]:
    costs = [report["replication"] for report in reports]

    def total(key: str) -> float:
        return round(sum(float(cost[key]) for cost in costs), 1)

    return {
        "underReplicatedPartitionSeconds": total("underReplicatedPartitionSeconds"),
        "wentUnderMinIsr": sum(cost["wentUnderMinIsr"] for cost in costs),
        "underMinIsrPartitionSeconds": total("underMinIsrPartitionSeconds"),
        "snapshots": sum(cost["snapshots"] for cost in costs),
        "longestGapSeconds": max((cost["longestGapSeconds"] for cost in costs), default=0.0),
    }


def fleet_markdown(report: Report) -> str:
    """The report as a page; each cluster's own report says more."""
    cost = report["replication"]
    lines = [
        f"# Wave {report['wave']}: {report['status']}",
        "",
        f"- **What**: {report['playbook']} on {len(report['clusters'])} clusters",
        f"- **Who**: {report['requestedBy']}",
        f"- **Why**: {cell(report['reason'])}",
        (
            f"- **When**: {moment(report['startedAt'])} to {moment(report['endedAt'])}, "
            f"{duration(report['seconds'])}"
        ),
        f"- **Brokers**: {', '.join(f'{n:g} {word}' for word, n in report['brokers'].items())}",
        "",
        "## Stages",
        "",
        "| stage | status | clusters | approved by | why |",
        "|---|---|---|---|---|",
        *map(_stage_row, report["stages"]),
        "",
        "## Clusters",
        "",
        "| cluster | stage | status | done | failed | took | lowest index | under min ISR | wave |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(_cluster_row, report["clusters"]),
        "",
        "## What it cost the clusters",
        "",
        f"- **Times that a partition went under min ISR by its doing**: {cost['wentUnderMinIsr']}",
        (
            "- **Under-replicated by its doing**: "
            f"{cost['underReplicatedPartitionSeconds']:g} partition-seconds"
        ),
        *(f"- **Held by {code}**: {duration(each)}"
          for code, each in report["closedSeconds"].items()),
        "",
        *markdown_timeline(report["timeline"]),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _stage_row(stage: Report) -> str:
    cells = [
        stage["stage"],
        stage["status"],
        str(len(stage["clusters"])),
        stage["approvedBy"] or "-",
        stage["approvedWhy"] or "-",
    ]
    return f"| {' | '.join(map(cell, cells))} |"


def _cluster_row(row: Report) -> str:
    index = row["healthIndexLowest"]
    cells = [
        row["cluster"],
        row["stage"],
        row["status"],
        f"{row['done']} of {row['brokers']}",
        ", ".join(map(str, row["failed"])) or "-",
        "-" if row["seconds"] is None else duration(row["seconds"]),
        "-" if index is None else f"{index:.1f}",
        str(row["wentUnderMinIsr"]),
        row["wave"],
    ]
    return f"| {' | '.join(map(cell, cells))} |"
