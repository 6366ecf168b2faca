"""What the waves on single clusters add up to."""

from dataclasses import replace
from typing import Any

from support.waves import a_run, a_wave

from healthd.waves.report import wave_report
from healthd.waves.report_fleet import fleet_sums, fleet_sums_markdown
from healthd.waves.state import NodeStatus
from healthd.waves.tally import Tally


def child(cluster: str, *statuses: NodeStatus, lowest: float, **tally: Any) -> dict[str, Any]:
    state = replace(
        a_wave(*(a_run(node, status) for node, status in enumerate(statuses, 1))),
        cluster=cluster,
        wave=f"f.1.{cluster}",
        clock=90.0,
        index_lowest=lowest,
        tally=Tally(**tally),
    )
    skipped = {
        "at": "2026-01-01T12:00:30.5Z", "event": "order_skip", "node": 1, "detail": "gone | away",
        "data": {"by": "cleo"},
    }  # fmt: skip
    return wave_report(state, [skipped])


REPORTS = [
    child(
        "dev", NodeStatus.DONE, NodeStatus.DONE, lowest=80.5,
        closed_seconds=(("FREEZE", 10.0),), under_replicated_seconds=100.25, looks=4,
        longest_gap_seconds=16.0,
    ),
    child(
        "prod", NodeStatus.DONE, NodeStatus.FAILED, lowest=60.0,
        closed_seconds=(("BROKER_DOWN", 3.5), ("FREEZE", 5.0)), under_replicated_seconds=50.0,
        looks=3, went_under=1,
    ),
]  # fmt: skip


def test_the_sums_are_those_of_all_clusters() -> None:
    sums = fleet_sums(REPORTS)
    assert sums["brokers"] == {"done": 3, "failed": 1}
    assert sums["closedSeconds"] == {"BROKER_DOWN": 3.5, "FREEZE": 15.0}
    assert sums["healthIndexLowest"] == 60.0
    assert sums["replication"] == {
        "underReplicatedPartitionSeconds": 150.2,
        "wentUnderMinIsr": 1,
        "underMinIsrPartitionSeconds": 0.0,
        "snapshots": 7,
        "longestGapSeconds": 16.0,
    }
    assert [(each["by"], each["cluster"]) for each in sums["people"]] == [
        ("cleo", "dev"), ("cleo", "prod"),
    ]  # fmt: skip


def test_each_cluster_has_its_line() -> None:
    (_, row) = fleet_sums(REPORTS)["clusterReports"]
    assert row == {
        "cluster": "prod", "wave": "f.1.prod", "status": "running", "seconds": 90.0,
        "estimatedSeconds": None, "healthIndexLowest": 60.0, "wentUnderMinIsr": 1,
        "closedSeconds": 8.5,
    }  # fmt: skip


def test_the_page_of_a_fleet_can_be_read() -> None:
    page = fleet_sums_markdown(fleet_sums(REPORTS))
    for words in (
        "- **Brokers**: 3 done, 1 failed",
        "- **Held by FREEZE**: 15 s",
        "150.2 partition-seconds",
        "| prod | running | 1 min 30 s | - | 8.5 s | 60.0 | 1 |",
        "| 2026-01-01T12:00:30Z | cleo | skip | dev | gone \\| away |",
    ):
        assert words in page


def test_what_a_dry_run_would_have_done_is_told_with_its_clusters() -> None:
    commands = [
        {"at": "2026-01-01T12:00:30Z", "event": "command_ended", "node": node, "detail": "not sent"}
        for node in (1, 2)
    ]
    reports = [REPORTS[0] | {"commands": commands}, REPORTS[1] | {"commands": commands[:1]}]
    sums = fleet_sums(reports)
    assert [(row["cluster"], row["node"]) for row in sums["commands"]] == [
        ("dev", 1), ("dev", 2), ("prod", 1),
    ]  # fmt: skip
    told = (
        "- **Would have been done**: 3 commands on 2 clusters, each in the report of its own wave"
    )
    assert told in fleet_sums_markdown(sums)
    assert fleet_sums(REPORTS)["commands"] == []
    assert "Would have been done" not in fleet_sums_markdown(fleet_sums(REPORTS))


def test_a_fleet_of_which_nothing_was_begun_has_sums_too() -> None:
    sums = fleet_sums([])
    assert (sums["brokers"], sums["healthIndexLowest"], sums["people"]) == ({}, None, [])
    assert "none was taken" in fleet_sums_markdown(sums)
