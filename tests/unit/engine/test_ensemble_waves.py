"""Waves over a ZooKeeper ensemble in the engine: its own hosts and ids, and never the brokers'."""

from dataclasses import replace
from typing import Any

import pytest
from support.ensemble_plant import EnsemblePlant, asked, begun, start
from support.virtual_time import in_virtual_time

from healthd.engine.plans import live_plan
from healthd.engine.view import OrderRefused, Refusal, WaveView
from healthd.waves.state import WaveStatus

WRITES = 15
"""So many a wave over two servers makes when nothing goes wrong; a test counts them."""


@in_virtual_time
async def test_a_wave_restarts_every_server_by_its_own_host_and_no_broker() -> None:
    plant = EnsemblePlant()
    life = await begun(plant)
    wave = await start(life)
    assert await life.until_ended(wave) == "succeeded"
    assert plant.server_starts == {1: 1, 2: 1, 3: 1}
    assert plant.starts == {1: 0, 2: 0, 3: 0}
    assert plant.order == [2, 3, 1]
    assert plant.fewest_up == 2
    commands = [each.argv for each in life.executor.asked if each.effect_id]
    assert commands[:2] == [("sv", "stop", "zookeeper-2"), ("sv", "start", "zookeeper-2")]
    assert {each.address for each in life.executor.asked} == {"zk1", "zk2", "zk3"}
    assert life.elector.elected == []
    await life.die()


@in_virtual_time
async def test_a_server_in_flight_makes_no_broker_of_that_id_count_as_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = EnsemblePlant()
    life = await begun(plant)
    away: set[int] = set()
    monkeypatch.setattr(life.loop, "set_away", away.update)
    assert await life.until_ended(await start(life)) == "succeeded"
    assert away == set()
    await life.die()


@pytest.mark.parametrize("concurrency", [1, "safe"])
@in_virtual_time
async def test_one_server_at_a_time_whatever_is_asked_for(concurrency: Any) -> None:
    life = await begun(EnsemblePlant())
    body = asked()
    body["stages"][0]["concurrency"] = concurrency
    view = await life.waves.start(body, by="ada")
    assert isinstance(view, WaveView)
    assert view.state.concurrency == 1
    await life.die()


@pytest.mark.parametrize(
    ("changes", "body", "words"),
    [
        ({"zookeeper": None}, {}, "cluster payments has no zookeeper.hosts and zookeeper.service"),
        ({"ssh": None}, {}, "cluster payments has no ssh access in the fleet file"),
        ({}, {"servers": [4]}, "cluster payments has no ZooKeeper server 4; it has 1, 2, 3"),
        ({}, {"servers": [1, 2], "concurrency": 2}, "can never be on cluster payments"),
    ],
    ids=["no hosts", "no ssh", "unknown", "two at a time"],
)
@in_virtual_time
async def test_what_cannot_be_done_is_refused_by_name(
    changes: dict[str, Any], body: dict[str, Any], words: str
) -> None:
    plant = EnsemblePlant()
    life = await begun(plant, plant.config(**changes))
    wanted = asked(body.get("servers", "all"))
    wanted["stages"][0]["concurrency"] = body.get("concurrency", 1)
    with pytest.raises(OrderRefused, match=words) as refused:
        await life.waves.start(wanted, by="ada")
    assert refused.value.refusal is Refusal.INVALID
    assert plant.store.leases() == ()
    await life.die()


@in_virtual_time
async def test_an_ensemble_and_its_brokers_are_never_in_two_waves() -> None:
    plant = EnsemblePlant()
    life = await begun(plant)
    await start(life, [1])
    with pytest.raises(OrderRefused) as refused:
        await life.waves.start(asked([2]), by="ada")
    assert refused.value.refusal is Refusal.LEASED
    await life.die()


@in_virtual_time
async def test_another_host_of_a_server_in_the_fleet_file_pauses_the_wave() -> None:
    plant = EnsemblePlant()
    life = await begun(plant)
    wave = await start(life, [2])
    await life.die()
    config = plant.config()
    assert config.zookeeper is not None
    first, *others = config.zookeeper.hosts
    hosts = (first, replace(others[0], address="zk9"), *others[1:])
    risen = await begun(plant, plant.config(zookeeper=replace(config.zookeeper, hosts=hosts)))
    await risen.until(lambda: risen.view(wave).state.status is WaveStatus.PAUSED)
    (pause,) = risen.view(wave).state.pauses
    assert "the fleet file has another host for ZooKeeper server 2" in pause.reason
    await risen.die()


@in_virtual_time
async def test_a_dry_run_sends_nothing_to_the_servers() -> None:
    plant = EnsemblePlant()
    life = await begun(plant)
    wave = await start(life, dryRun=True)
    assert await life.until_ended(wave) == "succeeded"
    assert life.executor.asked == []
    assert plant.order == []
    await life.die()


@in_virtual_time
async def test_the_plan_of_a_wave_has_the_servers_in_their_order_and_starts_it() -> None:
    life = await begun(EnsemblePlant())
    planned = await life.waves.plan(asked())
    steps = planned["stages"][0]["plans"][0]["steps"]
    assert [step["brokers"] for step in steps] == [[2], [3], [1]]
    view = await life.waves.start(asked(plan=planned), by="ada")
    assert isinstance(view, WaveView)
    assert [run.node for run in view.state.nodes] == [1, 2, 3]
    await life.die()


@in_virtual_time
async def test_a_plan_of_brokers_starts_no_wave_over_servers() -> None:
    life = await begun(EnsemblePlant())
    of_brokers = live_plan(life.loop.view, nodes=(1, 2), concurrency=1, given={})
    with pytest.raises(OrderRefused, match="the plan is of brokers") as refused:
        await life.waves.start(asked([1, 2], plan=of_brokers), by="ada")
    assert refused.value.refusal is Refusal.INVALID
    await life.die()


@pytest.mark.parametrize("state", ["kept", "unreadable"])
@in_virtual_time
async def test_a_wave_is_not_given_up_while_a_server_of_it_may_be_stopped(state: str) -> None:
    plant = EnsemblePlant()
    life = await begun(plant)
    wave = await start(life, [2])
    await life.until(lambda: bool(plant.store.effects_on_disk()))
    await life.die()
    plant.server(2).is_running = False
    record = plant.store.wave(wave)
    assert record is not None
    parts = record.parts if state == "kept" else {}
    plant.store._waves[wave] = replace(record, state='{"format": 99}', parts=parts)
    after = await begun(plant)
    with pytest.raises(OrderRefused, match="ZooKeeper server 2 of payments may be stopped"):
        await after.waves.discard(wave, by="ben", reason="x")
    plant.server(2).is_running = True
    await after.waves.discard(wave, by="ben", reason="x")
    await after.die()


@in_virtual_time
async def test_the_kill_points_are_all_the_writes_of_a_wave() -> None:
    plant = EnsemblePlant()
    life = await begun(plant)
    assert await life.until_ended(await start(life, [1, 2])) == "succeeded"
    assert plant.store.writes == WRITES
    await life.die()


@pytest.mark.parametrize("number", range(1, WRITES + 1))
@pytest.mark.parametrize("when", ["before", "after"])
@in_virtual_time
async def test_a_daemon_killed_at_any_write_restarts_each_server_exactly_once(
    when: str, number: int
) -> None:
    plant = EnsemblePlant()
    life = await begun(plant)
    wave = await start(life, [1, 2])
    setattr(plant.store, f"kill_{when}", number)
    await life.until(lambda: plant.store.is_dead)
    await life.die()
    plant.store.kill_before = plant.store.kill_after = None
    risen = await begun(plant)
    assert await risen.until_ended(wave) == "succeeded"
    assert plant.server_starts == {1: 1, 2: 1, 3: 0}
    assert plant.fewest_up == 2
    assert all(host.is_running for host in plant.hosts.values())
    await risen.die()
