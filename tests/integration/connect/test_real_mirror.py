"""A real MirrorMaker 2 and a real failing task: states change, and the checks say so."""

from __future__ import annotations

import urllib.request

import pytest
from support.connect_worker import FILE_SINK
from support.mirrored import MAX_BEHIND_SECONDS, Look, Mirror, Seen, until

from healthd.collect.dialect_mirror import FAMILIES
from healthd.model.codes import Severity


async def is_ready(look: Look) -> Seen:
    return await until(look, lambda seen: seen.flow["ready"] is True, "ready")


async def test_a_flow_that_keeps_up_is_ready_and_says_how_far_it_is_behind(
    mirror: Mirror, look: Look
) -> None:
    mirror.produce(50)
    seen = await is_ready(look)
    assert seen.flow["flow"] == "east->west"
    assert 0 <= seen.flow["behindSeconds"] <= MAX_BEHIND_SECONDS
    assert 0 <= seen.flow["lastSeenSeconds"] <= MAX_BEHIND_SECONDS
    assert (seen.flow["connectorState"], seen.flow["tasksFailed"]) == ("RUNNING", 0)
    assert seen.flow["replicationLatencySeconds"] is not None
    assert seen.check("MIRROR_LAG") is None
    assert seen.connect["down"] is False
    assert seen.connect["workers"][0]["version"] == "4.1.0"
    assert seen.connect["connectorStates"]["RUNNING"] >= 3


def test_the_shipped_rules_yield_what_is_read_and_nothing_more(mirror: Mirror) -> None:
    with urllib.request.urlopen(mirror.worker.page) as page:
        lines = page.read().decode().splitlines()
    names = {line.partition("{")[0] for line in lines if line.startswith("kafka_")}
    assert names == {
        *(family for family in FAMILIES if "mirror_mirrorsource" in family),
        *(
            f"kafka_connect_worker_connector_{state}_task_count"
            for state in ("failed", "paused", "running", "total", "unassigned")
        ),
    }


async def test_a_failed_task_is_named_with_its_error_until_it_is_restarted(
    mirror: Mirror, look: Look
) -> None:
    folder = mirror.worker.folder / "not-there-yet"
    config = {"connector.class": FILE_SINK, "tasks.max": "1", "topics": "orders-west"}
    mirror.worker.create("to-file", {**config, "file": str(folder / "out.txt")})
    seen = await until(look, lambda seen: seen.check("CONNECTOR_FAILED") is not None, "failed")
    check = seen.check("CONNECTOR_FAILED")
    assert check is not None
    assert check.severity is Severity.WARN
    assert (check.count, check.objects) == (1, ("connector:mirroring/to-file/0",))
    assert "Couldn't find or create file" in check.summary
    assert seen.connect["taskStates"]["FAILED"] == 1
    # Another connector's failure says nothing of the mirror.
    assert seen.flow["tasksFailed"] == 0

    folder.mkdir()
    mirror.worker.post("/connectors/to-file/restart?includeTasks=true&onlyFailed=true")
    seen = await until(look, lambda seen: seen.check("CONNECTOR_FAILED") is None, "well again")
    assert "FAILED" not in seen.connect["taskStates"]


async def test_a_paused_mirror_falls_behind_and_is_ready_again_when_it_caught_up(
    mirror: Mirror, look: Look
) -> None:
    await is_ready(look)
    mirror.worker.put("/connectors/east-mirror/pause")
    try:
        seen = await until(look, lambda seen: seen.flow["ready"] is False, "not ready")
        assert "a connector or task is PAUSED" in seen.flow["why"]
        seen = await until(look, lambda seen: seen.check("MIRROR_LAG") is not None, "behind")
    finally:
        mirror.worker.put("/connectors/east-mirror/resume")
    check = seen.check("MIRROR_LAG")
    assert check is not None
    assert (check.severity, check.objects) == (Severity.WARN, ("mirror:east->west",))
    assert seen.flow["behindSeconds"] > MAX_BEHIND_SECONDS
    seen = await is_ready(look)
    assert seen.check("MIRROR_LAG") is None


async def test_records_that_are_not_replicated_are_counted(mirror: Mirror, look: Look) -> None:
    mirror.worker.put("/connectors/east-mirror/pause")
    try:
        mirror.worker.wait_states("east-mirror", "PAUSED", "PAUSED")
        # Nothing of the second partition may have been replicated yet: its records count as well.
        mirror.produce(100, partition=0)
        mirror.produce(100, partition=1)
        # Offsets are asked for once a minute; a new collector asks at once.
        seen = await look()
        assert seen.flow["behindRecords"] >= 200
    finally:
        mirror.worker.put("/connectors/east-mirror/resume")


@pytest.mark.prove
async def test_a_frozen_source_is_a_mirror_that_falls_behind(mirror: Mirror, look: Look) -> None:
    await is_ready(look)
    mirror.east.node(1).freeze()
    try:
        seen = await until(look, lambda seen: seen.check("MIRROR_LAG") is not None, "behind")
        first = seen.flow["lastSeenSeconds"]
        assert first > MAX_BEHIND_SECONDS
        later = await until(
            look, lambda seen: seen.flow["lastSeenSeconds"] > first + 2, "longer ago"
        )
        assert later.flow["ready"] is False
    finally:
        mirror.east.node(1).thaw()
    seen = await is_ready(look)
    assert seen.check("MIRROR_LAG") is None


@pytest.mark.prove
async def test_a_frozen_worker_hides_no_lag_and_delays_no_snapshot(
    mirror: Mirror, look: Look
) -> None:
    await is_ready(look)
    mirror.worker.freeze()
    try:
        # Its REST API and its page are silent; the heartbeats on the target tell nevertheless.
        seen = await until(look, lambda seen: seen.check("MIRROR_LAG") is not None, "behind")
        assert seen.flow["ready"] is False
        assert seen.flow["connectorState"] is None
        reasons = {failure["reason"] for failure in seen.extra["collector"]["failures"]}
        assert "timeout" in reasons
        # Kafka itself answers us: that its workers do not is no fault of ours.
        check = seen.check("CONNECTOR_FAILED")
        assert check is not None
        assert check.objects == ("connect:mirroring",)
        # What was known of the connectors is kept, and says how old it is.
        assert seen.connect["connectorCount"] >= 3
        assert seen.connect["statesAgeSeconds"] > 0
    finally:
        mirror.worker.thaw()
    seen = await is_ready(look)
    assert seen.check("CONNECTOR_FAILED") is None
