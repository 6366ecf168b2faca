"""What the waves on single clusters add up to, for the report of the wave over all of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from healthd.waves.report_text import cell, duration, moment

Report = Mapping[str, Any]


def fleet_sums(reports: Sequence[Report]) -> dict[str, Any]:
    """The sums of the reports of each cluster's wave, as plain values; those that were begun."""
    return {
        "brokers": _summed(
            Counter(broker["status"] for broker in report["brokers"]) for report in reports
        ),
        "healthIndexLowest": min(_lowest(reports), default=None),
        "closedSeconds": _summed(report["closedSeconds"] for report in reports),
        "people": sorted(
            ({**each, "cluster": report["cluster"]} for report in reports
             for each in report["people"]),
            key=lambda each: str(each["at"]),
        ),
        "replication": _replication(reports),
        "clusterReports": [_cluster(report) for report in reports],
        "commands": [
            {"cluster": report["cluster"], **command}
            for report in reports
            for command in report["commands"]
        ],
    }  # fmt: skip


def _cluster(report: Report) -> dict[str, Any]:
    return {
        "cluster": report["cluster"],
        "wave": report["wave"],
        "status": report["status"],
        "seconds": report["seconds"],
        "estimatedSeconds": None if report["plan"] is None else report["plan"]["estimatedSeconds"],
        "healthIndexLowest": report["healthIndex"]["lowest"],
        "wentUnderMinIsr": report["replication"]["wentUnderMinIsr"],
        "closedSeconds": round(sum(report["closedSeconds"].values()), 1),
    }


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


def fleet_sums_markdown(sums: Report) -> str:
    """The sums as sections of a page; each cluster's own report says more."""
    cost = sums["replication"]
    brokers = ", ".join(f"{count:g} {word}" for word, count in sums["brokers"].items())
    lines = [
        "",
        "## All clusters together",
        "",
        f"- **Brokers**: {brokers or 'none was taken'}",
        f"- **Times that a partition went under min ISR by its doing**: {cost['wentUnderMinIsr']}",
        (
            "- **Under-replicated by its doing**: "
            f"{cost['underReplicatedPartitionSeconds']:g} partition-seconds"
        ),
        *(
            f"- **Held by {code}**: {duration(seconds)}"
            for code, seconds in sums["closedSeconds"].items()
        ),
        *_commands(sums["commands"]),
        "",
        "| cluster | status | took | planned | held | lowest index | under min ISR |",
        "|---|---|---|---|---|---|---|",
        *map(_cluster_row, sums["clusterReports"]),
        *_people(sums["people"]),
    ]
    return "\n".join(lines) + "\n"


def _commands(commands: Sequence[Report]) -> list[str]:
    """How much a dry run would have done; what, is in the report of each cluster's own."""
    if not commands:
        return []
    clusters = len({command["cluster"] for command in commands})
    told = f"{len(commands)} commands on {clusters} clusters, each in the report of its own wave"
    return [f"- **Would have been done**: {told}"]


def _cluster_row(row: Report) -> str:
    index, planned = row["healthIndexLowest"], row["estimatedSeconds"]
    cells = [
        row["cluster"],
        row["status"],
        duration(row["seconds"]),
        "-" if planned is None else duration(planned),
        duration(row["closedSeconds"]),
        "-" if index is None else f"{index:.1f}",
        str(row["wentUnderMinIsr"]),
    ]
    return f"| {' | '.join(map(cell, cells))} |"


def _people(people: Sequence[Report]) -> list[str]:
    if not people:
        return []
    return [
        "",
        "| when | who | what | cluster | why |",
        "|---|---|---|---|---|",
        *(
            f"| {moment(each['at'])} | {cell(each['by'])} | {each['what'].replace('_', ' ')} "
            f"| {each['cluster']} | {cell(each['why'])} |"
            for each in people
        ),
    ]
