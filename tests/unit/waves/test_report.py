"""The report of a wave: what it says, and that a person can read it."""

from dataclasses import replace
from typing import Any

import pytest
from support.waves import a_run, a_wave

from healthd.waves.dora import Deployment, fleet_figures, wave_figures
from healthd.waves.policy import WavePolicy
from healthd.waves.report import report_markdown, wave_report
from healthd.waves.report_text import duration
from healthd.waves.state import Forecast, NodeStatus, WaveState, WaveStatus
from healthd.waves.tally import Tally

DAY = 86_400.0


def line(clock: float, event: str, node: int | None = None, **more: Any) -> dict[str, Any]:
    """A line of the journal; its wall clock began at noon."""
    minutes, seconds = divmod(int(clock), 60)
    at = f"2026-01-01T12:{minutes:02}:{seconds:02}Z"
    return {"at": at, "clock": clock, "event": event, "node": node, "detail": "", "data": {}} | more


def closed(clock: float, *reasons: tuple[str, str]) -> dict[str, Any]:
    named = [{"code": code, "object": what, "detail": "why"} for code, what in reasons]
    return line(clock, "gate_closed", data={"reasons": named})


FREEZE, DOWN = ("FREEZE", "cluster:payments"), ("BROKER_DOWN", "broker:4")
STORY = [
    line(0, "wave_started", detail="CHG-1"),
    closed(10, FREEZE),
    closed(20, FREEZE, DOWN),
    closed(50, DOWN),
    line(60, "gate_clear"),
    line(61, "order_pause", detail="lunch | break", data={"by": "bob"}),
    line(70, "node_stopping", 2),
    line(75, "node_stopped", 2, detail="its process has left"),
    line(75, "node_starting", 2),
    line(76, "command_ended", 2, detail="exit code 0"),
    line(80, "node_recovering", 2),
    line(85, "node_starting", 3, detail="it was not running"),
    line(90, "node_done", 2),
    line(95, "logs_seen", 3, detail="one\ntwo\n"),
    line(99, "node_failed", 3),
    closed(100, DOWN),
    line(120, "wave_failed"),
]
FORECAST = Forecast(
    steps=((3,), (2, 1)),
    blocked=(),
    seconds=600,
    measured_restarts=12,
    lower_bound=2,
    fingerprint="f",
)
TALLY = Tally(
    closed_seconds=(("BROKER_DOWN", 60.0), ("FREEZE", 40.0)),
    looks=7,
    longest_gap_seconds=15.25,
    under_replicated_seconds=123.44,
    most_under_replicated=9,
    went_under=2,
    under_min_isr_seconds=8.0,
    went_under_names=("orders-0", "audit-log-1"),
)


def failed_wave() -> WaveState:
    history = (("pending", 0.0), ("stopping", 70.0), ("starting", 75.0), ("recovering", 80.0),
               ("soaking", 85.0), ("done", 90.0))  # fmt: skip
    return replace(
        a_wave(
            1,
            replace(a_run(2, NodeStatus.DONE), history=history),
            replace(a_run(3, NodeStatus.FAILED), detail="its process | did not start"),
        ),
        status=WaveStatus.FAILED,
        clock=120.0,
        policy=WavePolicy(allow_rf_le_min_isr=("audit*",)),
        forecast=FORECAST,
        tally=TALLY,
        index_before=100.0,
        index_lowest=71.25,
        index_last=88.0,
    )


def the_report(state: WaveState | None = None, **more: Any) -> dict[str, Any]:
    return wave_report(state or failed_wave(), STORY, requested_at="2026-01-01T11:59:00Z", **more)


def test_every_hold_has_its_reason_and_since_when_and_until_when() -> None:
    found = [
        (hold["code"], hold["since"][-6:], (hold["until"] or "")[-6:], hold["seconds"])
        for hold in the_report()["holds"]
    ]
    assert found == [
        ("FREEZE", "00:10Z", "00:50Z", 40.0),
        ("BROKER_DOWN", "00:20Z", "01:00Z", 40.0),
        ("BROKER_DOWN", "01:40Z", "02:00Z", 20.0),
    ]


def test_a_hold_that_still_stands_has_no_end() -> None:
    running = replace(failed_wave(), status=WaveStatus.HOLDING)
    last = the_report(running)["holds"][-1]
    assert (last["until"], last["seconds"]) == (None, 20.0)


def test_how_long_each_reason_held_is_summed_up() -> None:
    assert the_report()["closedSeconds"] == {"BROKER_DOWN": 60.0, "FREEZE": 40.0}


def test_the_plan_stands_beside_what_happened() -> None:
    report = the_report()
    assert report["plan"]["steps"] == [[3], [2, 1]]
    assert report["order"] == [2, 3]
    assert report["happened"] == {
        "seconds": 120.0,
        "mostInFlight": 2,
        "differences": [
            "broker 2 was taken before broker 3, planned after it",
            "not taken: broker 1",
        ],
    }
    blocked = replace(failed_wave(), forecast=replace(FORECAST, steps=((2,),), blocked=(3,)))
    assert the_report(blocked)["happened"]["differences"] == [
        "broker 3 was blocked and was taken later"
    ]


def test_without_a_forecast_nothing_is_said_of_a_plan() -> None:
    report = the_report(replace(failed_wave(), forecast=None))
    assert (report["plan"], report["happened"]["differences"]) == (None, [])
    assert "## Plan" not in report_markdown(report)


def test_what_people_did_is_told_with_who_and_why() -> None:
    assert the_report()["people"] == [
        {"at": "2026-01-01T12:01:01Z", "what": "pause", "by": "bob", "why": "lunch | break",
         "broker": None, "data": {}},
    ]  # fmt: skip


def test_what_the_wave_itself_has_cost_is_told_with_how_that_is_known() -> None:
    assert the_report()["replication"] == {
        "underReplicatedPartitionSeconds": 123.4,
        "mostUnderReplicated": 9,
        "wentUnderMinIsr": 2,
        "underMinIsrPartitionSeconds": 8.0,
        "underMinIsrPartitions": ["orders-0", "audit-log-1"],
        "acknowledged": ["audit-log-1"],
        "snapshots": 7,
        "longestGapSeconds": 15.2,
    }


def test_each_broker_has_its_own_timeline_phases_and_last_log_lines() -> None:
    brokers = {each["broker"]: each for each in the_report()["brokers"]}
    assert brokers[2]["phaseSeconds"] == {
        "pending": 70.0, "stopping": 5.0, "starting": 5.0, "recovering": 5.0, "soaking": 5.0,
    }  # fmt: skip
    assert [entry["event"] for entry in brokers[2]["timeline"]] == [
        "node_stopping", "node_stopped", "node_starting", "node_recovering", "node_done",
    ]  # fmt: skip
    assert (brokers[3]["logs"], brokers[1]["timeline"]) == (["one", "two"], [])


def test_the_page_says_it_all_and_a_pipe_in_a_text_breaks_no_table() -> None:
    own = Deployment(
        wave="w", cluster="payments", requested_at=0.0, ended_at=180.0, outcome=WaveStatus.FAILED,
        restores=(61.0,),
    )  # fmt: skip
    page = report_markdown(the_report(dora=wave_figures(own, [own], 180.0)))
    for words in (
        "# Wave w: failed",
        "- **Health Index**: before 100.0, lowest 71.2, after 88.0",
        "| duration | 10 min 0 s (from 12 measured restarts) | 2 min 0 s |",
        "| order | 3, (2 1) | 2, 3 |",
        "- not taken: broker 1",
        "| its process \\| did not start |",
        "| BROKER_DOWN | 1 min 0 s |",
        "| FREEZE | cluster:payments | 2026-01-01T12:00:10Z | 2026-01-01T12:00:50Z | why |",
        "| 2026-01-01T12:01:01Z | bob | pause | - | lunch \\| break |",
        "min ISR by its doing**: 2, for 8 s in all: orders-0, audit-log-1; acknowledged by the",
        "123.4 partition-seconds, 9 partitions at most",
        "7 snapshots while a broker was in flight, at most 15.2 s apart",
        "| change failure rate | - | 100.0% |",
        "| time to restore | 1 min 1 s | 1 min 1 s (median) |",
        "- 2026-01-01T12:01:15Z broker 2 node stopped: its process has left",
        "## Last log lines of broker 3",
    ):
        assert words in page


def test_a_calm_wave_says_that_it_was_never_held_and_took_nothing_under() -> None:
    page = report_markdown(wave_report(a_wave(1), [line(0, "wave_started")]))
    assert "It was never held." in page
    assert "- **Partitions under min ISR by its doing**: none" in page
    assert "## What people did" not in page


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (42.5, "42.5 s"),
        (60, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_a_time_is_said_as_a_person_says_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def deployment(
    outcome: WaveStatus, *, lead: float = 100.0, ended_at: float = 100 * DAY, **more: Any
) -> Deployment:
    return Deployment(
        wave="w", cluster="c", requested_at=ended_at - lead, ended_at=ended_at, outcome=outcome,
        **more,
    )  # fmt: skip


def test_the_figures_of_the_fleet_are_those_of_the_last_thirty_days() -> None:
    done = WaveStatus.SUCCEEDED
    all_ = [
        deployment(done, lead=100.0),
        deployment(done, lead=300.0, restores=(50.0, 70.0)),
        deployment(WaveStatus.FAILED, lead=9_000.0, restores=(90.0,)),
        deployment(WaveStatus.ABORTED, lead=9_000.0),
        deployment(WaveStatus.FAILED, ended_at=69 * DAY, restores=(9_999.0,)),
    ]
    assert fleet_figures(all_, 100 * DAY) == {
        "days": 30,
        "deployments": 4,
        "deploymentsPerDay": 0.13,
        "leadTimeSeconds": 200.0,
        "changeFailureRate": 0.25,
        "timeToRestoreSeconds": 70.0,
    }


def test_a_fleet_without_a_deployment_has_no_figures_and_divides_by_nothing() -> None:
    found = wave_figures(None, [], 0.0)
    assert found["leadTimeSeconds"] is None
    assert found["fleet"] == {
        "days": 30, "deployments": 0, "deploymentsPerDay": 0.0, "leadTimeSeconds": None,
        "changeFailureRate": None, "timeToRestoreSeconds": None,
    }  # fmt: skip


def test_each_step_of_the_playbook_is_told_with_how_it_ended_and_how_long_it_took() -> None:
    story = [
        line(0, "node_stopping", 2),
        line(5, "step_begun", 2, detail="patch", data={"step": 2, "name": "patch"}),
        line(
            9,
            "step_failed",
            2,
            detail="patch: exit code 1",
            data={"step": 2, "name": "patch", "outcome": "again", "seconds": 4.0},
        ),
        line(
            20,
            "step_done",
            2,
            detail="patch: one\nall done",
            data={"step": 2, "name": "patch", "outcome": "done", "seconds": 15.0},
        ),
        line(21, "step_left_out", 2, detail="last: broker 1 is failed", data={"name": "last"}),
    ]
    state = a_wave(a_run(2, NodeStatus.DONE))
    (broker,) = wave_report(state, story)["brokers"]
    assert [(each["step"], each["outcome"], each["seconds"]) for each in broker["steps"]] == [
        ("patch", "again", 4.0),
        ("patch", "done", 15.0),
        ("last", "left out", 0.0),
    ]
    page = report_markdown(wave_report(state, story))
    assert "| 2 | patch | done | 15 s | all done |" in page
    assert "## Steps" not in report_markdown(wave_report(state, STORY))
