"""Waves over several stages and clusters, driven: approvals, orders, leases, crashes, a hundred."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from support.engine import FaultyStore, Killed, request
from support.fleet_life import FleetLife, Site, fleet_request, slow
from support.virtual_time import in_virtual_time

from healthd.engine.view import FleetView, OrderRefused, Refusal, WaveView
from healthd.store.errors import StoreFull
from healthd.waves.events import Verb

CANARY = {"name": "canary", "clusters": ["dev"]}
PROD = {"name": "prod", "match": {"env": "prod"}, "clustersAtOnce": 2}
FULL = StoreFull("the disk is full", where="/state", todo="make room")


def sites() -> list[Site]:
    return [
        Site("dev", 1, {"env": "dev"}),
        Site("a", 11, {"env": "prod", "region": "x"}),
        Site("b", 21, {"env": "prod", "region": "x"}),
        Site("c", 31, {"env": "prod", "region": "y"}),
    ]


@in_virtual_time
async def test_a_wave_goes_through_its_stages_and_restarts_every_broker_once() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await life.start(CANARY, PROD)
    assert await life.until_ended(wave) == "succeeded"
    assert life.starts == {name: [1, 1, 1] for name in ("dev", "a", "b", "c")}
    assert life.most_at_once == 2
    view = life.view(wave)
    assert list(view.children) == [f"{wave}.1.dev", f"{wave}.2.a", f"{wave}.2.b", f"{wave}.2.c"]
    assert life.disk.leases() == ()
    await life.die()


@in_virtual_time
async def test_a_wave_on_one_cluster_has_no_parent() -> None:
    life = await FleetLife(*sites()).begin()
    by_label = fleet_request({"name": "only", "match": {"env": "dev"}})
    view = await life.waves.start(by_label, by="ann")
    assert isinstance(view, WaveView)
    assert life.waves.fleet.views() == []
    await life.die()


@in_virtual_time
async def test_nothing_is_touched_before_the_approval_and_then_all_is() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await life.start(CANARY | {"approval": "two-person"})
    await life.until_status(wave, "awaiting_approval")
    assert life.holds(wave) == {("APPROVAL_MISSING", "stage:canary")}
    with pytest.raises(OrderRefused, match="two people"):
        await life.waves.fleet.approve(wave, stage="canary", by="ann", reason="me")
    with pytest.raises(OrderRefused, match="needs a reason"):
        await life.waves.fleet.approve(wave, stage="canary", by="ben", reason=" ")
    await life.waves.fleet.approve(wave, stage=None, by="ben", reason="I have read it")
    assert await life.until_ended(wave) == "succeeded"
    audit = [(r.who, r.what, r.why, r.target) for r in life.disk.audit_records()]
    assert ("ben", "wave_approve", "I have read it", f"wave:{wave}/stage:canary") in audit
    assert sum(what == "wave_approve" for _, what, _, _ in audit) == 1
    await life.die()


@in_virtual_time
async def test_the_next_stage_waits_until_the_soak_is_clean() -> None:
    places = sites()
    life = await FleetLife(*places).begin()
    wave = await life.start(CANARY | {"soakSeconds": 120}, PROD)
    await life.until(lambda: life.members(wave)["dev"] == "succeeded")
    ended = life.now
    await asyncio.sleep(60)
    places[0].cluster.kill(1)
    await life.until(lambda: ("BROKER_DOWN", "cluster:dev") in life.holds(wave))
    assert life.status(wave) == "holding"
    await asyncio.sleep(200)
    assert life.members(wave)["a"] == "pending"
    places[0].cluster.start(1)
    await life.until(lambda: life.members(wave)["a"] != "pending")
    assert life.now - ended > 260 + 120
    await life.die()


@in_virtual_time
async def test_a_leased_cluster_is_waited_for_while_others_go_on() -> None:
    life = await FleetLife(*sites()).begin()
    alone = (await life.waves.start(request(cluster="a"), by="eve")).state.wave
    await life.waves.order(alone, "pause", by="eve", reason="mine", node=None)
    wave = await life.start(PROD)
    await life.until(lambda: ("LEASE_HELD", "cluster:a") in life.holds(wave))
    await life.until(lambda: life.members(wave)["c"] == "succeeded")
    await life.until(lambda: life.members(wave)["b"] == "succeeded")
    assert life.status(wave) == "holding"
    await life.waves.order(alone, "abort", by="eve", reason="done", node=None)
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_wave_of_which_every_cluster_is_leased_is_refused() -> None:
    life = await FleetLife(*sites()).begin()
    for cluster in ("a", "b"):
        await life.waves.start(request(cluster=cluster), by="eve")
    stage = {"name": "both", "clusters": ["a", "b"]}
    with pytest.raises(
        OrderRefused, match=r"cluster a is leased: .*; cluster b is leased"
    ) as error:
        await life.start(stage)
    assert error.value.refusal is Refusal.LEASED
    assert {"holder", "since", "wave"} <= error.value.facts.keys()
    assert all(record.cluster for record in life.disk.waves())
    await life.die()


@in_virtual_time
async def test_a_pause_stops_every_cluster_and_a_resume_lets_all_go_on() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await life.start(PROD)
    await life.until(lambda: sum(map(sum, life.starts.values())) > 1)
    view = await life.waves.fleet.order(wave, "pause", by="ben", reason="the vendor looks")
    assert view.state.status.value == "paused"
    await asyncio.sleep(100)
    begun = life.starts
    await asyncio.sleep(500)
    assert life.starts == begun
    for child in life.view(wave).children.values():
        holds = {(hold.reason.code.value, hold.reason.object) for hold in child.state.holds}
        assert ("WAVE_PAUSED", f"wave:{wave}") in holds or child.state.status.has_ended
    await life.waves.fleet.order(wave, "resume", by="ben", reason="he has gone")
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_failed_broker_stops_the_fleet_until_it_is_skipped() -> None:
    places = sites()
    places[1].seconds = slow(1000)
    life = await FleetLife(*places).begin()
    wave = await life.start(PROD, stopTimeoutSeconds=30)
    await life.until(lambda: ("BUDGET_USED_UP", "cluster:a") in life.holds(wave))
    assert life.status(wave) == "paused"
    with pytest.raises(OrderRefused, match="cluster a failed"):
        await life.waves.fleet.order(wave, "resume", by="ben", reason="go on")
    with pytest.raises(OrderRefused, match="it has no broker 99"):
        await life.waves.fleet.order(wave, "skip", by="ben", reason="x", node=99)
    (node,) = life.view(wave).state.members[0].failed
    await life.waves.fleet.order(wave, "skip", by="ben", reason="vendor", cluster="a", node=node)
    await life.until_status(wave, "running", "holding")
    await life.die()


@in_virtual_time
async def test_an_abort_ends_every_cluster_and_begins_no_other() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await life.start(PROD)
    await life.until(lambda: sum(map(sum, life.starts.values())) > 1)
    await life.waves.fleet.order(wave, "abort", by="ben", reason="wrong kernel")
    assert await life.until_ended(wave) == "aborted"
    assert life.members(wave)["c"] == "pending"
    assert all(view.state.status.has_ended for view in life.view(wave).children.values())
    assert all(host.is_running for site in life.sites for host in site.hosts.values())
    await life.die()


@pytest.mark.parametrize("write", range(1, 60, 12))
@in_virtual_time
async def test_a_daemon_killed_at_any_write_goes_on_and_restarts_nobody_twice(write: int) -> None:
    places, disk = sites()[:3], FaultyStore()
    disk.kill_after = write
    life = await FleetLife(*places, store=disk).begin()
    request_ = fleet_request(CANARY | {"soakSeconds": 30}, PROD)
    try:
        await life.waves.start(request_, by="ann")
        await asyncio.wait_for(disk.died.wait(), 5000)
    except (Killed, TimeoutError):
        pass
    await life.die()
    disk.kill_after = None
    await asyncio.sleep(90)
    after = await FleetLife(*places, store=disk).begin()
    (view,) = after.waves.fleet.views()
    assert await after.until_ended(view.state.wave) == "succeeded"
    assert after.starts == {name: [1, 1, 1] for name in ("dev", "a", "b")}
    await after.die()


@in_virtual_time
async def test_a_cluster_that_leaves_the_fleet_file_is_held_by_name_and_can_be_skipped() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await life.start(CANARY, {"name": "rest", "clusters": ["a", "c"]})
    del life.loops["c"]
    await life.until(lambda: ("IDENTITY", "cluster:c") in life.holds(wave))
    await life.until(lambda: life.members(wave)["a"] == "succeeded")
    assert life.status(wave) == "holding"
    await life.waves.fleet.order(wave, "skip", by="ben", reason="sold", cluster="c")
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_full_disk_begins_nothing_and_is_told() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await life.start(CANARY | {"approval": "required"})
    await life.until_status(wave, "awaiting_approval")

    def full(_step: object) -> None:
        raise FULL

    life.disk.before_append = full
    with pytest.raises(OrderRefused, match="the disk is full") as error:
        await life.waves.fleet.approve(wave, stage=None, by="ben", reason="x")
    assert error.value.refusal is Refusal.STORE
    await asyncio.sleep(60)
    assert life.status(wave) == "awaiting_approval"
    assert not life.view(wave).children
    life.disk.before_append = lambda _step: None
    await life.waves.fleet.approve(wave, stage=None, by="ben", reason="x")
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        pytest.param([{"name": "x", "match": {"env": "qa"}}],
                     "stage x selects nothing: no cluster of the fleet file has env: qa",
                     id="no cluster matches"),
        pytest.param([CANARY, CANARY | {"name": "again"}],
                     "stage again selects nothing: earlier stages have dev", id="nothing is left"),
        pytest.param([{"name": "x", "clusters": ["dev", "z"]}], "there is no cluster z",
                     id="an unknown cluster"),
        pytest.param([{"name": "x", "clusters": ["dev", "a"], "brokers": [1]}],
                     "cluster a has no broker 1; it has 11, 12, 13", id="another cluster's broker"),
        pytest.param([{"name": "x", "match": {"env": "prod"}, "brokers": [11]},
                      {"name": "y", "clusters": ["a"], "brokers": [11]}],
                     "cluster b has no broker 11", id="ids over several clusters"),
    ],
)  # fmt: skip
@in_virtual_time
async def test_a_selection_that_makes_no_sense_is_refused_and_nothing_is_written(
    stages: list[dict[str, Any]], words: str
) -> None:
    life = await FleetLife(*sites()).begin()
    with pytest.raises(OrderRefused, match=words) as error:
        await life.start(*stages)
    assert error.value.refusal is Refusal.INVALID
    assert life.disk.waves() == ()
    await life.die()


@in_virtual_time
async def test_a_canary_broker_is_left_out_of_the_stage_that_takes_its_cluster() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await life.start(
        {"name": "canary", "clusters": ["a"], "brokers": [12]},
        {"name": "rest", "clusters": ["a"]},
    )
    assert [member.nodes for member in life.view(wave).state.members] == [(12,), (11, 13)]
    assert await life.until_ended(wave) == "succeeded"
    assert life.starts["a"] == [1, 1, 1]
    await life.die()


@in_virtual_time
async def test_the_emergency_stop_pauses_parents_and_lone_waves() -> None:
    life = await FleetLife(*sites()).begin()
    wave = await life.start(PROD)
    alone = (await life.waves.start(request(cluster="dev"), by="eve")).state.wave
    paused = await life.waves.pause_all(by="ben", reason="fire")
    assert [view.state.wave for view in paused] == [wave, alone]
    assert {view.state.status.value for view in paused} == {"paused"}
    await life.die()


@in_virtual_time
async def test_a_daemon_that_stops_lets_a_wave_wait_for_the_next() -> None:
    places, disk = sites(), FaultyStore()
    life = await FleetLife(*places, store=disk).begin()
    wave = await life.start(CANARY, PROD)
    await life.until(lambda: sum(life.starts["dev"]) > 0)
    assert await life.waves.drain(1000)
    await life.die()
    after = await FleetLife(*places, store=disk).begin()
    assert await after.until_ended(wave) == "succeeded"
    assert after.starts == {name: [1, 1, 1] for name in ("dev", "a", "b", "c")}
    await after.die()


@in_virtual_time
async def test_children_of_a_parent_that_nobody_can_read_take_nothing_new() -> None:
    places, disk = sites(), FaultyStore()
    life = await FleetLife(*places, store=disk).begin()
    wave = await life.start(CANARY, PROD)
    await life.until(lambda: bool(life.view(wave).children))
    await life.die()
    record = disk.wave(wave)
    assert record is not None
    disk._waves[wave] = replace(record, state="{}")
    after = await FleetLife(*places, store=disk).begin()
    (child,) = after.waves.active()
    await after.until(
        lambda: any(
            hold.reason.object == f"wave:{wave}"
            for view in after.waves.active()
            for hold in view.state.holds
        )
    )
    begun = after.starts
    await asyncio.sleep(600)
    assert after.starts == begun, child.state.wave
    with pytest.raises(OrderRefused, match="cannot be read"):
        await after.waves.fleet.order(wave, "pause", by="ben", reason="x")
    await after.die()


@in_virtual_time
async def test_a_hundred_and_two_clusters_in_one_command() -> None:
    places = [Site(f"c{at:03}", 10 * at, {"env": "prod"}) for at in range(1, 103)]
    life = await FleetLife(*places).begin()
    wave = await life.start(PROD | {"clustersAtOnce": 102, "brokers": "all"})
    await life.until(lambda: len(life.view(wave).children) == 102)
    await life.waves.fleet.order(wave, Verb.ABORT.value, by="ben", reason="enough")
    assert await life.until_ended(wave) == "aborted"
    assert isinstance(life.view(wave), FleetView)
    await life.die()
