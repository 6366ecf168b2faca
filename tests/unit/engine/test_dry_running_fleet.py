"""A dry run over several stages and clusters: every child is one, whenever it is made."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from support.engine import FaultyStore, request
from support.fleet_life import FleetLife, Site, fleet_request
from support.virtual_time import in_virtual_time

from healthd.engine.dry_running import fleet_of_kind, of_kind, require_one_kind
from healthd.engine.fleet_accepting import child_of
from healthd.engine.view import FleetView, OrderRefused, Refusal, WaveView
from healthd.serve.fleet_json import clusters_of, fleet_document
from healthd.store.records import JournalStep
from healthd.waves.fleet_report import fleet_markdown, fleet_report
from healthd.waves.fleet_state import MemberStatus

CANARY = {"name": "canary", "clusters": ["dev"], "approval": "two-person", "soakSeconds": 3600}
PROD = {"name": "prod", "match": {"env": "prod"}, "clustersAtOnce": 2}
CALM = {"cleanSeconds": 0, "cleanSnapshots": 1}


def sites() -> list[Site]:
    return [
        Site("dev", 1, {"env": "dev"}),
        Site("a", 11, {"env": "prod", "region": "x"}),
        Site("b", 21, {"env": "prod", "region": "x"}),
        Site("c", 31, {"env": "prod", "region": "y"}),
    ]


async def dry_run(life: FleetLife, *stages: dict[str, Any], **policy: Any) -> str:
    view = await life.waves.start(fleet_request(*stages, **policy) | {"dryRun": True}, by="ann")
    return view.state.wave


def sent(life: FleetLife) -> list[Any]:
    """Everything that was asked of any host."""
    return [command for executor in life.executor.of.values() for command in executor.asked]


@in_virtual_time
async def test_it_goes_through_every_stage_and_sends_nothing() -> None:
    life = await FleetLife(*sites()).begin()
    away: list[object] = []
    for loop in life.loops.values():
        loop.set_away = away.append  # type: ignore[method-assign,assignment]
    wave = await dry_run(life, CANARY, PROD)
    assert wave.startswith("dry-run-june-")
    begun: list[str] = []

    def has_ended() -> bool:
        begun.extend(name for name in life.view(wave).children if name not in begun)
        return life.view(wave).state.status.has_ended

    await life.until(has_ended)
    assert life.status(wave) == "succeeded"
    assert begun == [f"{wave}.1.dev", f"{wave}.2.a", f"{wave}.2.b", f"{wave}.2.c"]
    assert life.most_at_once == 2
    for name, child in life.view(wave).children.items():
        assert child.state.wave == name
        assert child.state.is_dry_run
        assert child.state.policy.soak_seconds == 0
        assert [len(run.history) for run in child.state.nodes] == [7, 7, 7]
    assert (sent(life), away, life.disk.leases()) == ([], [], ())
    assert life.starts == {name: [0, 0, 0] for name in ("dev", "a", "b", "c")}
    await life.die()


@in_virtual_time
async def test_it_is_counted_nowhere() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await dry_run(life, CANARY, PROD, silence=False)
    await life.until_ended(wave)
    assert not life.totals.restart_seconds
    assert not life.totals.deployments
    assert not life.totals.gate_closed_seconds
    assert {record.what for record in life.disk.audit_records()} == {"wave_dry_run"}
    assert life.disk.audit_records()[-1].target == f"wave:{wave}"
    await life.die()
    after = await FleetLife(*life.sites, store=life.disk).begin()
    assert not after.totals.deployments
    await after.die()


@in_virtual_time
async def test_approvals_and_soaks_are_left_out_and_told() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await dry_run(life, CANARY, PROD)
    began = life.now
    assert await life.until_ended(wave) == "succeeded"
    assert life.now - began < 3600
    view = life.view(wave)
    assert fleet_document(view)["dryRun"] is True
    canary, prod = fleet_document(view)["stages"]
    assert (canary["approval"], canary["soak"]["ofSeconds"]) == (None, 0)
    assert canary["leftOut"] == {"approval": "two-person", "soakSeconds": 3600}
    assert prod["leftOut"] is None
    with pytest.raises(OrderRefused, match="has ended"):
        await life.waves.fleet.approve(wave, stage="canary", by="ben", reason="x")
    report = fleet_report(view.state, [], clusters_of(view))
    assert report["dryRun"] is True
    page = fleet_markdown(report)
    assert page.startswith(f"# Dry run {wave}: succeeded\n")
    assert (
        "- **Stage canary** would have asked for an approval (two-person)"
        " and waited for 1 h 0 min of clean time after it\n"
    ) in page
    assert "Stage prod" not in page
    await life.die()


@in_virtual_time
async def test_a_wave_that_is_none_says_so() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await life.start(CANARY, PROD)
    await life.until_status(wave, "awaiting_approval")
    document = fleet_document(life.view(wave))
    assert document["dryRun"] is False
    assert [stage["leftOut"] for stage in document["stages"]] == [None, None]
    assert document["stages"][0]["approval"] == "two-person"
    await life.die()


@in_virtual_time
async def test_dry_runs_and_real_waves_do_not_see_each_other() -> None:
    life = await FleetLife(*sites()).begin()
    dry = await dry_run(life, PROD, cleanSeconds=1000)
    alone = request(cluster="c", cleanSeconds=1000) | {"dryRun": True}
    await life.waves.start(alone, by="eve")
    await life.until(lambda: len(life.view(dry).children) == 2)
    real = await life.start(PROD)
    assert await life.until_ended(real) == "succeeded"
    assert life.starts == {"dev": [0, 0, 0]} | {name: [1, 1, 1] for name in "abc"}
    assert not life.view(dry).state.status.has_ended
    other = await life.start(PROD, cleanSeconds=1000)
    await life.until(lambda: len(life.view(other).children) == 2)
    assert life.holds(other) == set()
    await life.die()


@in_virtual_time
async def test_a_real_wave_under_way_keeps_no_dry_run_from_its_clusters() -> None:
    life = await FleetLife(*sites()).begin()
    real = await life.start(PROD | {"clustersAtOnce": 3}, cleanSeconds=1700)
    await life.until(lambda: len(life.view(real).children) == 3)
    dry = await dry_run(life, PROD, **CALM)
    assert await life.until_ended(dry) == "succeeded"
    assert not life.view(real).state.status.has_ended
    assert sent(life) == []
    await life.die()


@in_virtual_time
async def test_two_dry_runs_on_one_cluster_exclude_each_other() -> None:
    life = await FleetLife(*sites()).begin()
    alone = (
        await life.waves.start(request(cluster="a", cleanSeconds=900) | {"dryRun": True}, by="eve")
    ).state.wave
    wave = await dry_run(life, PROD)
    await life.until(lambda: ("LEASE_HELD", "cluster:a") in life.holds(wave))
    await life.until(lambda: life.members(wave)["c"] == "succeeded")
    assert life.members(wave)["a"] == "pending"
    with pytest.raises(OrderRefused, match=r"cluster a \(dry run\) is leased") as refused:
        await dry_run(life, {"name": "x", "clusters": ["a"], "soakSeconds": 1})
    assert (refused.value.refusal, refused.value.facts["wave"]) == (Refusal.LEASED, alone)
    await life.waves.order(alone, "abort", by="eve", reason="done", node=None)
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_limits_for_each_label_count() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await dry_run(
        life, PROD | {"clustersAtOnce": 3}, clustersAtOncePer={"region": 1}, **CALM
    )
    together: set[frozenset[str]] = set()

    def has_ended() -> bool:
        active = (view.state.cluster for view in life.waves.active())
        together.add(frozenset(active))
        return life.view(wave).state.status.has_ended

    await life.until(has_ended)
    assert life.status(wave) == "succeeded"
    assert not any({"a", "b"} <= names for names in together)
    assert any("c" in names and len(names) == 2 for names in together)
    await life.die()


@in_virtual_time
async def test_the_real_gate_holds_one_cluster_and_no_other() -> None:
    places = sites()
    places[1].cluster.kill(11)
    places[1].host(11).is_running = False
    life = await FleetLife(*places).begin()
    wave = await dry_run(life, PROD | {"brokers": "all"}, recoveryTimeoutSeconds=200, **CALM)
    await life.until(lambda: life.members(wave)["c"] == "succeeded")
    child = f"{wave}.1.a"
    # In play it is repaired, and the real cluster never shows it back.
    await life.until(lambda: life.view(wave).children[child].state.status.value == "paused")
    assert life.view(wave).children[child].state.pauses[0].node == 11
    assert sent(life) == []
    await life.waves.fleet.order(wave, "skip", by="ben", reason="known", cluster="a", node=11)
    places[1].host(11).is_running = True
    places[1].follow_hosts()
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_failed_cluster_uses_up_the_budget() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await dry_run(life, PROD | {"clustersAtOnce": 1}, cleanSeconds=60)
    await life.until(lambda: bool(life.view(wave).children))
    await life.waves.order(f"{wave}.1.a", "abort", by="ben", reason="seen enough", node=None)
    await life.until_status(wave, "paused")
    assert ("BUDGET_USED_UP", "cluster:a") in life.holds(wave)
    assert life.members(wave)["b"] == "pending"
    await life.waves.fleet.order(wave, "resume", by="ben", reason="go on")
    assert await life.until_ended(wave) == "failed"
    assert life.members(wave) == {"a": "aborted", "b": "succeeded", "c": "succeeded"}
    await life.die()


@in_virtual_time
async def test_orders_work_on_it_and_the_emergency_stop_reaches_it() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await dry_run(life, PROD, cleanSeconds=60)
    await life.until(lambda: bool(life.view(wave).children))
    (paused,) = await life.waves.pause_all(by="ben", reason="fire")
    assert (paused.state.wave, paused.state.status.value) == (wave, "paused")
    await asyncio.sleep(500)
    states = [run for view in life.view(wave).children.values() for run in view.state.nodes]
    assert {run.status.value for run in states} == {"pending"}
    await life.waves.fleet.order(wave, "resume", by="ben", reason="out")
    await life.until(lambda: "succeeded" in life.members(wave).values())
    await life.waves.fleet.order(wave, "abort", by="ben", reason="enough")
    assert await life.until_ended(wave) == "aborted"
    assert (sent(life), life.disk.leases()) == ([], ())
    await life.die()


@in_virtual_time
async def test_a_daemon_killed_between_parent_and_child_makes_the_child_dry() -> None:
    disk = FaultyStore()

    def child_is_wanted(step: JournalStep) -> None:
        members = json.loads(step.state).get("members", ())
        if any(member["status"] == "starting" for member in members):
            disk.kill_after = disk.writes + 1

    disk.before_append = child_is_wanted
    life = await FleetLife(*sites(), store=disk).begin()
    wave = await dry_run(life, CANARY, PROD)
    await asyncio.wait_for(disk.died.wait(), 1000)
    await life.die()
    (record,) = disk.waves()
    assert json.loads(record.state)["members"][0]["status"] == MemberStatus.STARTING.value
    disk.before_append, disk.kill_after = (lambda _step: None), None
    after = await FleetLife(*life.sites, store=disk).begin()
    await after.until(lambda: bool(after.waves.active()))
    (child,) = after.waves.active()
    assert (child.state.wave, child.state.is_dry_run) == (f"{wave}.1.dev", True)
    assert [lease.cluster for lease in disk.leases()] == ["dev (dry run)"]
    assert await after.until_ended(wave) == "succeeded"
    assert sent(life) + sent(after) == []
    await after.die()


@pytest.mark.parametrize("is_dry_run", [True, False], ids=["dry run", "wave"])
@in_virtual_time
async def test_a_child_is_made_by_what_its_parent_is(is_dry_run: bool) -> None:  # noqa: FBT001
    life = await FleetLife(*sites()).begin()
    view = await life.waves.start(fleet_request(CANARY, PROD) | {"dryRun": is_dry_run}, by="ann")
    assert isinstance(view, FleetView)
    parent = view.state
    for member in parent.members:
        stage = parent.stages[member.stage]
        child = child_of(parent, member, stage, life.loops[member.cluster])
        assert (child.wave, child.is_dry_run) == (member.child, is_dry_run)
        assert child.policy.soak_seconds == (0 if is_dry_run else 20)
        require_one_kind(child)
    await life.die()


@in_virtual_time
async def test_a_parent_that_forgot_what_it_is_gets_no_child() -> None:
    disk = FaultyStore()
    life = await FleetLife(*sites(), store=disk).begin()
    wave = await dry_run(life, CANARY, PROD)
    await life.die()
    record = disk.wave(wave)
    assert record is not None
    state = json.loads(record.state)
    del state["is_dry_run"]
    disk._waves[wave] = replace(record, state=json.dumps(state))
    after = await FleetLife(*life.sites, store=disk).begin()
    await asyncio.sleep(300)
    await after.until(lambda: ("IDENTITY", "cluster:dev") in after.holds(wave))
    (hold,) = after.view(wave).state.holds
    assert f"{wave}.1.dev is not a dry run, though its id says otherwise" in hold.reason.detail
    assert (sent(after), after.waves.active(), disk.leases()) == ([], [], ())
    await after.waves.fleet.order(wave, "abort", by="ben", reason="odd")
    assert await after.until_ended(wave) == "aborted"
    await after.die()


@in_virtual_time
async def test_what_is_said_twice_is_said_alike() -> None:
    life = await FleetLife(*sites()).begin()
    view = await life.waves.start(request(cluster="dev"), by="ann")
    assert isinstance(view, WaveView)
    assert of_kind(view.state, is_dry_run=False) is view.state
    with pytest.raises(OrderRefused, match="is a dry run, though its id says otherwise"):
        require_one_kind(of_kind(view.state, is_dry_run=True))
    wave = await life.start(PROD)
    parent = life.view(wave).state
    assert fleet_of_kind(parent, is_dry_run=False) is parent
    await life.die()


@in_virtual_time
async def test_a_child_that_nobody_can_read_keeps_dry_runs_away_and_no_wave() -> None:
    disk = FaultyStore()
    life = await FleetLife(*sites(), store=disk).begin()
    stage = {"name": "x", "clusters": ["a", "b"], "clustersAtOnce": 2}
    wave = await dry_run(life, stage, cleanSeconds=900)
    await life.until(lambda: life.members(wave)["a"] == "running")
    await life.die()
    child = f"{wave}.1.a"
    record = disk.wave(child)
    assert record is not None
    disk._waves[child] = replace(record, state="{}", parts={})
    after = await FleetLife(*life.sites, store=disk).begin()
    await after.until(lambda: ("STORE_UNSAFE", "cluster:a") in after.holds(wave))
    with pytest.raises(OrderRefused, match="cannot be read"):
        await after.waves.start(request(cluster="a") | {"dryRun": True}, by="eve")
    real = (await after.waves.start(request(cluster="a", cleanSeconds=900), by="eve")).state.wave
    await after.waves.fleet.discard(child, by="ben", reason="written by another healthd")
    assert after.waves.view(real) is not None
    again = await after.waves.start(request(cluster="a") | {"dryRun": True}, by="eve")
    assert again.state.wave.startswith("dry-run-w-")
    await after.die()


@in_virtual_time
async def test_a_hundred_and_two_clusters_are_tried_in_one_command() -> None:
    places = [Site(f"c{at:03}", 10 * at, {"env": "prod"}) for at in range(1, 103)]
    life = await FleetLife(*places).begin()
    wave = await dry_run(life, PROD | {"clustersAtOnce": 102}, **CALM)
    assert await life.until_ended(wave) == "succeeded"
    children = life.view(wave).children
    assert len(children) == 102
    assert all(child.state.is_dry_run for child in children.values())
    assert (sent(life), life.disk.leases()) == ([], ())
    await life.die()
