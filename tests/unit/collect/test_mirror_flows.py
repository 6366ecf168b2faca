"""What a MirrorMaker 2 flow is worth for a failover, from what was seen of it."""

import pytest

from healthd.collect.connect_words import ConnectorSeen, TaskSeen
from healthd.collect.dialect_mirror import FlowPage
from healthd.collect.mirror_flows import (
    FlowEvidence,
    FlowMemory,
    FlowState,
    connectors_of_flow,
    flow_json,
    judge_flow,
    memory_of,
)
from healthd.config.source_mirrors import MirrorConfig

NOW = 1_000_000.0
FLOW = MirrorConfig(
    source="east",
    target="west",
    connect="mirroring",
    heartbeats_topic="east.heartbeats",
    max_behind_seconds=60,
)
NOTHING_KNOWN = FlowMemory()


def connector(state: str = "RUNNING", *tasks: str) -> ConnectorSeen:
    return ConnectorSeen(
        name="mm",
        kind="source",
        state=state,
        tasks=tuple(TaskSeen(id=number, state=task) for number, task in enumerate(tasks)),
        source_alias="east",
        target_alias="west",
    )


def judged(
    *,
    heartbeat_age: float | None = 2.0,
    is_read: bool = True,
    connectors: tuple[ConnectorSeen, ...] | None = (connector("RUNNING", "RUNNING"),),
    pages: tuple[FlowPage, ...] = (),
    memory: FlowMemory = NOTHING_KNOWN,
    flow: MirrorConfig = FLOW,
) -> FlowState:
    evidence = FlowEvidence(
        now=NOW,
        is_heartbeat_read=is_read,
        heartbeat=None if heartbeat_age is None or not is_read else NOW - heartbeat_age,
        pages=pages,
        connectors=connectors,
    )
    return judge_flow(flow, evidence, memory)


def test_a_flow_whose_heartbeat_is_young_and_whose_tasks_run_is_ready() -> None:
    state = judged()
    assert (state.ready, state.why) == (True, ())
    assert (state.behind_seconds, state.last_seen_seconds) == (2.0, 2.0)
    assert state.memory.lagging is False


@pytest.mark.parametrize(
    ("age", "ready"),
    [
        pytest.param(60.0, True, id="at-the-limit"),
        pytest.param(61.0, False, id="above"),
        pytest.param(-5.0, True, id="a-worker's-clock-ahead-of-ours"),
    ],
)
def test_the_limit_is_that_of_the_fleet_file(age: float, *, ready: bool) -> None:
    state = judged(heartbeat_age=age)
    assert state.ready is ready
    assert state.memory.lagging is not ready
    assert state.behind_seconds == max(0.0, age)


def test_a_source_that_was_never_seen_is_behind_though_nobody_knows_how_far() -> None:
    state = judged(heartbeat_age=None)
    assert (state.ready, state.behind_seconds) == (False, None)
    assert state.memory.lagging is True
    assert "ever seen" in state.why[0]


def test_slow_replication_counts_though_heartbeats_are_young() -> None:
    state = judged(pages=(FlowPage(latency_seconds=3.0), FlowPage(latency_seconds=75.0)))
    assert (state.ready, state.behind_seconds) == (False, 75.0)


def test_an_average_latency_of_the_past_does_not_make_a_source_seen() -> None:
    state = judged(heartbeat_age=None, pages=(FlowPage(latency_seconds=0.1),))
    assert (state.ready, state.behind_seconds) == (False, None)


def test_what_cannot_be_read_makes_a_well_flow_unknown_not_behind() -> None:
    memory = FlowMemory(last_seen=NOW - 300, lagging=False)
    state = judged(is_read=False, memory=memory)
    assert (state.ready, state.memory.lagging) == (None, None)
    assert state.behind_seconds is None
    assert state.last_seen_seconds == 300
    assert state.why == ("how far it is behind is not known now",)


def test_what_cannot_be_read_leaves_a_flow_behind_that_was_behind() -> None:
    state = judged(is_read=False, memory=FlowMemory(last_seen=NOW - 300, lagging=True))
    assert (state.ready, state.memory.lagging) == (False, True)


def test_an_older_heartbeat_than_was_seen_before_takes_nothing_back() -> None:
    # The topic was made again, or its end was lost: the source was seen when it was seen.
    state = judged(heartbeat_age=500, memory=FlowMemory(last_seen=NOW - 10))
    assert state.last_seen_seconds == 10


def test_records_that_went_through_show_the_source_without_heartbeats() -> None:
    memory = FlowMemory(last_seen=NOW - 500, records=10.0)
    moved = judged(heartbeat_age=None, memory=memory, pages=(FlowPage(records=11.0),))
    assert (moved.last_seen_seconds, moved.ready) == (0.0, True)
    still = judged(heartbeat_age=None, memory=memory, pages=(FlowPage(records=10.0),))
    assert (still.last_seen_seconds, still.ready) == (500, False)
    # Tasks were restarted and count from nothing.
    reset = judged(heartbeat_age=None, memory=memory, pages=(FlowPage(records=1.0),))
    assert (reset.last_seen_seconds, reset.memory.records) == (500, 1.0)


@pytest.mark.parametrize(
    ("connectors", "state", "failed", "ready"),
    [
        pytest.param((connector("RUNNING"),), "RUNNING", 0, True, id="no-tasks-yet"),
        pytest.param((connector("PAUSED", "PAUSED"),), "PAUSED", 0, False, id="paused"),
        pytest.param((connector("STOPPED"),), "STOPPED", 0, False, id="stopped"),
        pytest.param((connector("FAILED"),), "FAILED", 0, False, id="failed"),
        pytest.param(
            (connector("RUNNING", "RUNNING", "FAILED"),), "RUNNING", 1, False, id="task-failed"
        ),
        pytest.param((connector("RUNNING", "UNASSIGNED"),), "UNASSIGNED", 0, False, id="homeless"),
        pytest.param((connector("ODD"),), "UNKNOWN", 0, None, id="a-state-of-a-later-version"),
        pytest.param((), "MISSING", 0, False, id="there-is-none"),
        pytest.param(None, None, None, None, id="nobody-told"),
    ],
)
def test_the_worst_state_of_its_connectors_decides(
    connectors: tuple[ConnectorSeen, ...] | None,
    state: str | None,
    failed: int | None,
    *,
    ready: bool | None,
) -> None:
    found = judged(connectors=connectors)
    assert (found.connector_state, found.tasks_failed, found.ready) == (state, failed, ready)


def test_without_connect_the_heartbeats_alone_decide_and_pages_tell_of_failed_tasks() -> None:
    flow = MirrorConfig(source="east", target="west", heartbeats_topic="east.heartbeats")
    assert judged(flow=flow, connectors=None).ready is True
    failed = judged(flow=flow, connectors=None, pages=(FlowPage(failed_tasks=2),))
    assert (failed.tasks_failed, failed.ready) == (2, False)


def test_connectors_are_found_by_their_aliases_or_by_the_names_that_are_given() -> None:
    other = ConnectorSeen(name="other", kind="source", state="RUNNING", source_alias="south")
    mine = connector()
    assert connectors_of_flow(FLOW, (other, mine)) == [mine]
    named = MirrorConfig(
        source="east", target="west", heartbeats_topic="t", connectors=("other", "gone")
    )
    found = connectors_of_flow(named, (other, mine))
    assert found == [other]
    state = judge_flow(named, FlowEvidence(now=NOW, connectors=found), FlowMemory())
    assert state.connector_state == "MISSING"


def test_what_was_known_survives_a_restart_through_the_stored_section() -> None:
    state = judged(heartbeat_age=100)
    memory = memory_of(flow_json(FLOW, state))
    assert (memory.last_seen, memory.lagging) == (NOW - 100, True)


@pytest.mark.parametrize("odd", [None, [], {"lastSeenUnixSeconds": True, "lagging": "yes"}, "x"])
def test_a_section_of_another_form_is_no_memory(odd: object) -> None:
    assert memory_of(odd) == FlowMemory()
