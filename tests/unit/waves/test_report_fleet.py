"""The report of a wave over a fleet: the sum of its clusters, and each of them in a line."""

from dataclasses import replace
from typing import Any

from support.waves import a_run, a_wave

from healthd.waves.fleet_state import Approved, FleetState, Member, MemberStatus, StageRun
from healthd.waves.policy import WavePolicy
from healthd.waves.report import wave_report
from healthd.waves.report_fleet import fleet_markdown, fleet_report
from healthd.waves.state import NodeStatus, WaveStatus
from healthd.waves.tally import Tally

MEMBERS = (
    Member(cluster="dev", stage=0, child="f.1.dev", nodes=(1, 2), status=MemberStatus.SUCCEEDED),
    Member(cluster="a", stage=1, child="f.2.a", nodes=(1, 2), status=MemberStatus.FAILED,
           failed=(2,)),
    Member(cluster="b", stage=1, child="f.2.b", nodes=(1,)),
)  # fmt: skip
STATE = FleetState(
    wave="f",
    reason="CHG-1",
    requested_by="ada",
    playbook=a_wave().playbook,
    policies=(WavePolicy(),),
    stages=(
        StageRun(name="canary"),
        StageRun(name="prod", approved=Approved(by="bob", reason="canary was fine", at=9.0)),
    ),
    members=MEMBERS,
    status=WaveStatus.PAUSED,
    clock=5_000.0,
)


def line(second: int, event: str, **more: Any) -> dict[str, Any]:
    at = f"2026-01-01T12:00:{second:02}.5Z"
    return {"at": at, "event": event, "node": None, "detail": "", "data": {}, "clock": 0.0} | more


def child(name: str, *statuses: NodeStatus, lowest: float, **tally: Any) -> dict[str, Any]:
    state = replace(
        a_wave(*(a_run(node, status) for node, status in enumerate(statuses, 1))),
        wave=name,
        index_lowest=lowest,
        tally=Tally(**tally),
    )
    return wave_report(state, [line(30, "order_skip", data={"by": "cleo"}, node=1)])


CHILDREN = {
    "f.1.dev": child(
        "f.1.dev", NodeStatus.DONE, NodeStatus.DONE, lowest=80.5,
        closed_seconds=(("FREEZE", 10.0),), under_replicated_seconds=100.25, looks=4,
        longest_gap_seconds=16.0,
    ),
    "f.2.a": child(
        "f.2.a", NodeStatus.DONE, NodeStatus.FAILED, lowest=60.0,
        closed_seconds=(("BROKER_DOWN", 3.5), ("FREEZE", 5.0)), under_replicated_seconds=50.0,
        looks=3, went_under=1,
    ),
}  # fmt: skip
STORY = [line(1, "wave_started"), line(40, "stage_approved", data={"by": "bob"}, detail="fine")]


def test_the_sums_are_those_of_all_clusters() -> None:
    report = fleet_report(STATE, STORY, CHILDREN)
    assert report["brokers"] == {"done": 3, "failed": 1}
    assert report["closedSeconds"] == {"BROKER_DOWN": 3.5, "FREEZE": 15.0}
    assert report["healthIndexLowest"] == 60.0
    assert report["replication"] == {
        "underReplicatedPartitionSeconds": 150.2,
        "wentUnderMinIsr": 1,
        "underMinIsrPartitionSeconds": 0.0,
        "snapshots": 7,
        "longestGapSeconds": 16.0,
    }
    assert [each["by"] for each in report["people"]] == ["cleo", "cleo", "bob"]
    assert (report["startedAt"], report["endedAt"]) == ("2026-01-01T12:00:01.5Z", None)


def test_each_cluster_and_stage_has_its_line_also_one_that_was_never_begun() -> None:
    report = fleet_report(STATE, STORY, CHILDREN)
    assert [(row["cluster"], row["done"], row["failed"]) for row in report["clusters"]] == [
        ("dev", 2, []), ("a", 1, [2]), ("b", 0, []),
    ]  # fmt: skip
    assert report["stages"][1] == {
        "stage": "prod", "status": "pending", "clusters": ["a", "b"], "approvedBy": "bob",
        "approvedWhy": "canary was fine",
    }  # fmt: skip


def test_the_page_of_a_fleet_can_be_read() -> None:
    page = fleet_markdown(fleet_report(STATE, STORY, CHILDREN))
    for words in (
        "# Wave f: paused",
        "rolling-restart on 3 clusters",
        "2026-01-01T12:00:01Z to now, 1 h 23 min",
        "- **Brokers**: 3 done, 1 failed",
        "| prod | pending | 2 | bob | canary was fine |",
        "| a | prod | failed | 1 of 2 | 2 | 0 s | 60.0 | 1 | f.2.a |",
        "| b | prod | pending | 0 of 1 | - | - | - | 0 | f.2.b |",
        "- **Held by FREEZE**: 15 s",
        "stage approved: fine",
    ):
        assert words in page


def test_a_fleet_of_which_nothing_was_begun_has_a_report_too() -> None:
    report = fleet_report(STATE, [], {})
    assert (report["brokers"], report["healthIndexLowest"], report["people"]) == ({}, None, [])
    assert "| dev | canary | succeeded | 0 of 2 |" in fleet_markdown(report)
