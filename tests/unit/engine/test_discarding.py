"""Giving up a wave that nobody can read: only when nothing of it can be stopped."""

from dataclasses import replace

import pytest
from support.engine import FaultyStore, request
from support.fleet_life import FleetLife, Site, slow
from support.virtual_time import in_virtual_time

from healthd.engine.view import OrderRefused, Refusal


async def unreadable(*, is_running: bool = True) -> tuple[FleetLife, Site, str]:
    """A wave that a daemon was killed in, and whose state another healthd has written."""
    site, disk = Site("payments", 1), FaultyStore()
    site.seconds = slow(20)
    life = await FleetLife(site, store=disk).begin()
    wave = (await life.waves.start(request(), by="ann")).state.wave
    await life.until(lambda: any(row.effect_id for row in disk._journal))
    await life.die()
    for host in site.hosts.values():
        host.is_running = is_running
    record = disk.wave(wave)
    assert record is not None
    disk._waves[wave] = replace(record, state='{"format": 99}', parts={})
    after = await FleetLife(site, store=disk).begin()
    return after, site, wave


@in_virtual_time
async def test_a_wave_of_which_every_broker_runs_is_given_up_and_its_cluster_is_free() -> None:
    life, _, wave = await unreadable()
    with pytest.raises(OrderRefused, match="cannot be read"):
        await life.waves.start(request(), by="ann")
    await life.waves.fleet.discard(wave, by="ben", reason="the old healthd is gone")
    record = life.disk.wave(wave)
    assert record is not None
    assert record.status == "aborted"
    assert life.disk.leases() == ()
    assert life.disk.audit_records()[0].what == "wave_discard"
    await life.waves.start(request(), by="ann")
    await life.die()


@in_virtual_time
async def test_a_wave_with_a_broker_that_may_be_stopped_is_kept() -> None:
    life, site, wave = await unreadable(is_running=False)
    with pytest.raises(OrderRefused, match=r"broker \d of payments may be stopped") as error:
        await life.waves.fleet.discard(wave, by="ben", reason="x")
    assert error.value.refusal is Refusal.CONFLICT
    for host in site.hosts.values():
        host.is_running = True
    await life.waves.fleet.discard(wave, by="ben", reason="all run")
    await life.die()


@in_virtual_time
async def test_a_cluster_that_left_the_fleet_file_keeps_its_wave() -> None:
    life, _, wave = await unreadable()
    life.loops.clear()
    with pytest.raises(OrderRefused, match="the fleet file has no cluster payments"):
        await life.waves.fleet.discard(wave, by="ben", reason="x")
    await life.die()


@pytest.mark.parametrize(("reason", "words"), [(" ", "needs a reason")])
@in_virtual_time
async def test_to_give_up_needs_a_reason(reason: str, words: str) -> None:
    life, _, wave = await unreadable()
    with pytest.raises(OrderRefused, match=words):
        await life.waves.fleet.discard(wave, by="ben", reason=reason)
    await life.die()


@in_virtual_time
async def test_a_wave_that_can_be_read_is_aborted_instead_and_an_unknown_one_is_unknown() -> None:
    life = await FleetLife(Site("payments", 1)).begin()
    wave = (await life.waves.start(request(), by="ann")).state.wave
    with pytest.raises(OrderRefused, match="abort it instead"):
        await life.waves.fleet.discard(wave, by="ben", reason="x")
    with pytest.raises(OrderRefused, match="there is no wave nope"):
        await life.waves.fleet.discard("nope", by="ben", reason="x")
    await life.die()


@in_virtual_time
async def test_a_wave_over_a_fleet_is_given_up_after_its_clusters_own_waves() -> None:
    site, disk = Site("payments", 1), FaultyStore()
    life = await FleetLife(site, store=disk).begin()
    wave = await life.start({"name": "x", "clusters": ["payments"], "soakSeconds": 1})
    await life.until(lambda: bool(life.view(wave).children))
    await life.die()
    record = disk.wave(wave)
    assert record is not None
    disk._waves[wave] = replace(record, state="{}")
    after = await FleetLife(site, store=disk).begin()
    with pytest.raises(OrderRefused, match="abort its waves on single clusters first"):
        await after.waves.fleet.discard(wave, by="ben", reason="x")
    (child,) = after.waves.active()
    await after.waves.order(child.state.wave, "abort", by="ben", reason="x", node=None)
    await after.until(lambda: not after.waves.active())
    await after.waves.fleet.discard(wave, by="ben", reason="x")
    ended = disk.wave(wave)
    assert ended is not None
    assert ended.status == "aborted"
    await after.die()
