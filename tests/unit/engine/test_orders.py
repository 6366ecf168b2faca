"""What a person orders of a running wave, and when the daemon is told to stop."""

import asyncio
import json

import pytest
from support.engine import Life, Plant
from support.virtual_time import in_virtual_time

from healthd.engine.view import OrderRefused, Refusal
from healthd.execute.memory import Verb
from healthd.store.errors import StoreFull, StoreLocked
from healthd.waves.stored import read_stored

FULL = StoreFull("the disk is full", where="/state", todo="make room")
LOCKED = StoreLocked("the file is locked", where="/state", todo="see who has it")


def stored_status(plant: Plant, wave: str, node: int) -> str:
    record = plant.store.wave(wave)
    assert record is not None
    run = read_stored(record.state, record.parts).node(node)
    assert run is not None
    return run.status.value


def events(plant: Plant) -> list[str]:
    return [json.loads(body)["event"] for body in plant.store.notes()]


@in_virtual_time
async def test_an_order_that_cannot_be_written_is_refused_and_not_carried_out() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2], cleanSeconds=1000)
    plant.store.fail_writes_with = FULL
    with pytest.raises(OrderRefused) as refused:
        await life.waves.order(wave, "abort", by="ada", reason="enough", node=None)
    assert refused.value.refusal is Refusal.STORE
    assert life.view(wave).state.abort is None
    plant.store.fail_writes_with = None
    await asyncio.sleep(30)
    assert "order_abort" not in events(plant)
    assert [record.what for record in plant.store.audit_records()] == ["wave_start"]
    await life.die()


@in_virtual_time
async def test_an_order_is_on_disk_with_who_and_why_when_it_is_answered() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2], cleanSeconds=1000)
    await life.waves.order(wave, "pause", by="bob", reason="lunch", node=None)
    newest = plant.store.audit_records()[0]
    assert (newest.who, newest.what, newest.why) == ("bob", "wave_pause", "lunch")
    assert '"lunch"' in plant.store.wave(wave).state  # type: ignore[union-attr]
    await life.die()


@in_virtual_time
async def test_of_two_orders_at_a_time_the_one_that_came_too_late_is_refused() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2], cleanSeconds=1000)
    first, second = await asyncio.gather(
        life.waves.order(wave, "abort", by="ada", reason="enough", node=None),
        life.waves.order(wave, "abort", by="bob", reason="enough", node=None),
        return_exceptions=True,
    )
    assert not isinstance(first, BaseException)
    assert isinstance(second, OrderRefused)
    assert second.refusal is Refusal.CONFLICT
    assert [record.who for record in plant.store.audit_records()].count("bob") == 0
    await life.die()


@in_virtual_time
async def test_an_order_after_the_end_is_refused() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.until_ended(wave)
    with pytest.raises(OrderRefused, match="has ended: succeeded") as refused:
        await life.waves.order(wave, "pause", by="ada", reason="late", node=None)
    assert refused.value.refusal is Refusal.CONFLICT
    await life.die()


@in_virtual_time
async def test_a_client_that_goes_away_does_not_break_the_wave() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    order = asyncio.create_task(
        life.waves.order(wave, "pause", by="ada", reason="lunch", node=None)
    )
    await asyncio.sleep(0)
    order.cancel()
    await life.until(lambda: life.view(wave).state.is_paused)
    await life.waves.order(wave, "resume", by="ada", reason="back", node=None)
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@pytest.mark.parametrize("status", ["pending", "stopping", "starting", "recovering", "soaking"])
@in_virtual_time
async def test_a_daemon_that_stops_takes_nothing_new_and_leaves_no_broker_stopped(
    status: str,
) -> None:
    plant = Plant(seconds={Verb.STOP: 30.0, Verb.START: 20.0})
    life = await Life(plant).begin()
    wave = await life.start_wave([2, 3])
    await life.until(lambda: life.status(wave, 2) == status)
    assert await life.waves.drain(1260)
    assert all(host.is_running for host in plant.hosts.values())
    expected = "recovering" if status in {"stopping", "starting"} else status
    assert life.status(wave, 2) == expected
    assert life.status(wave, 3) == "pending"
    assert stored_status(plant, wave, 2) == expected
    assert plant.store.leases() == ()
    with pytest.raises(OrderRefused, match="stopping"):
        await life.start_wave([1])
    await life.die()
    risen = await Life(plant).begin()
    assert await risen.until_ended(wave) == "succeeded"
    assert plant.starts == {1: 0, 2: 1, 3: 1}
    await risen.die()


@in_virtual_time
async def test_a_daemon_that_has_no_more_time_writes_and_says_that_it_is_not_clean() -> None:
    plant = Plant(seconds={Verb.STOP: 100.0})
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.until(lambda: life.status(wave, 2) == "stopping")
    before = plant.now
    assert not await life.waves.drain(10)
    assert plant.now - before < 11
    assert stored_status(plant, wave, 2) == "stopping"
    await life.die()
    risen = await Life(plant).begin()
    assert await risen.until_ended(wave) == "succeeded"
    assert plant.starts[2] == 1
    await risen.die()


@in_virtual_time
async def test_a_daemon_that_is_stopped_as_soon_as_it_started_still_brings_a_broker_back() -> None:
    plant = Plant(seconds={Verb.STOP: 4.0, Verb.START: 20.0})
    life = await Life(plant).begin()
    wave = await life.start_wave([2, 3])
    await life.until(lambda: life.status(wave, 2) == "starting")
    await life.die()
    assert not plant.host(2).is_running
    risen = Life(plant)
    await risen.waves.load()
    assert await risen.waves.drain(1260)
    assert plant.host(2).is_running
    assert plant.starts == {1: 0, 2: 1, 3: 0}
    assert stored_status(plant, wave, 2) == "recovering"
    assert plant.store.leases() == ()
    await risen.die()
