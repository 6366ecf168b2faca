"""Accepting waves, taking them up again, showing them, and what a person may order."""

import asyncio
import json
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import pytest
from support.engine import NOW, Life, Plant, request
from support.virtual_time import in_virtual_time

from healthd.engine.view import OrderRefused, Refusal
from healthd.store.errors import StoreFull, StoreLocked
from healthd.store.records import LeaseHeld, WaveRecord
from healthd.waves.codec import encode_state
from healthd.waves.state import WaveStatus

DAY = 24 * 3600.0
NEVER = {"days": [], "start": "01:00", "end": "02:00", "timezone": "UTC"}
FULL = StoreFull("the disk is full", where="/state", todo="make room")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"kind": "Wave"}, "apiVersion is missing"),
        (request() | {"colour": "red"}, "colour"),
        (request(reason=None), "needs a reason"),
        (request(cluster="paymints"), "there is no cluster paymints in the fleet file, which has"),
        (request(brokers=[9]), "cluster payments has no broker 9; it has 1, 2, 3"),
        (request() | {"playbook": "reboot"}, "there is no playbook reboot"),
        (request(windows=[NEVER]), "the policy can never be met"),
        (request(cleanSnapshots=0), "cleanSnapshots"),
    ],
    ids=["shape", "key", "reason", "cluster", "broker", "playbook", "policy", "value"],
)
@in_virtual_time
async def test_a_wave_that_is_not_valid_is_refused_and_nothing_is_leased(
    body: dict[str, Any], words: str
) -> None:
    plant = Plant()
    life = await Life(plant).begin()
    with pytest.raises(OrderRefused, match=words) as refused:
        await life.waves.start(body, by="ada")
    assert refused.value.refusal is Refusal.INVALID
    assert plant.store.leases() == ()
    assert plant.store.waves() == ()
    await life.die()


@in_virtual_time
async def test_every_mistake_of_a_wave_file_is_told_with_its_place() -> None:
    life = await Life(Plant()).begin()
    with pytest.raises(OrderRefused) as refused:
        await life.waves.start(request(soakSeconds=-1, cleanSnapshots=0), by="ada")
    paths = {problem["path"] for problem in refused.value.facts["problems"]}
    assert paths == {"policy.soakSeconds", "policy.cleanSnapshots"}
    await life.die()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ssh": None}, "cluster payments has no ssh access"),
        ({"service": None}, "cluster payments has no service commands"),
        ({"hosts": ()}, "the fleet file has no host for broker 1 of payments"),
    ],
    ids=["ssh", "service", "host"],
)
@in_virtual_time
async def test_a_cluster_that_cannot_be_acted_on_takes_no_wave(
    changes: dict[str, Any], words: str
) -> None:
    plant = Plant()
    life = await Life(plant, config=plant.config(**changes)).begin()
    with pytest.raises(OrderRefused, match=words):
        await life.start_wave()
    await life.die()


@in_virtual_time
async def test_a_second_wave_is_refused_with_who_holds_the_cluster_since_when_and_for_what() -> (
    None
):
    life = await Life(Plant()).begin()
    wave = await life.start_wave()
    with pytest.raises(OrderRefused) as refused:
        await life.start_wave()
    assert refused.value.refusal is Refusal.LEASED
    assert refused.value.facts == {
        "holder": "healthd here",
        "since": "2026-01-01T12:00:00Z",
        "wave": wave,
    }
    await life.die()


@in_virtual_time
async def test_of_two_waves_at_the_same_moment_one_is_refused_by_the_name_of_the_other() -> None:
    life = await Life(Plant()).begin()
    first, second = await asyncio.gather(
        life.start_wave(), life.start_wave(), return_exceptions=True
    )
    assert isinstance(second, OrderRefused)
    assert second.refusal is Refusal.LEASED
    assert second.facts["wave"] == first
    await life.die()


@in_virtual_time
async def test_a_cluster_that_another_daemon_holds_is_refused_by_its_name() -> None:
    plant = Plant()
    plant.store.acquire(
        "payments", wave_id="theirs", instance="there", holder="healthd there", now=NOW,
        ttl_seconds=3600,
    )  # fmt: skip
    life = await Life(plant).begin()
    with pytest.raises(OrderRefused, match=r"healthd there has it since .* for wave theirs"):
        await life.start_wave()
    assert plant.store.waves() == ()
    await life.die()


@in_virtual_time
async def test_a_wave_that_cannot_be_stored_is_not_started_and_holds_nothing() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    plant.store.create_wave = _raise_full  # type: ignore[method-assign]
    with pytest.raises(OrderRefused, match="nothing was started: the disk is full") as refused:
        await life.start_wave()
    assert refused.value.refusal is Refusal.STORE
    assert plant.store.leases() == ()
    del plant.store.create_wave
    await life.start_wave()
    await life.die()


def _raise_full(*_: Any, **__: Any) -> None:
    raise FULL


@in_virtual_time
async def test_a_wave_found_at_the_start_is_taken_up_again() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.die()
    risen = await Life(plant).begin()
    assert await risen.until_ended(wave) == "succeeded"
    story = [entry.event for entry in await risen.waves.journal(wave)]
    assert "wave_resumed_by_daemon" in story
    assert all(entry.at.year == 2026 for entry in await risen.waves.journal(wave))
    await risen.die()


@in_virtual_time
async def test_a_wave_is_shown_and_waits_while_another_daemon_holds_its_cluster() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.die()
    lease = plant.store.leases()[0]
    plant.store.release(lease.fence)
    held = plant.store.acquire(
        "payments", wave_id="theirs", instance="there", holder="healthd there",
        now=NOW + plant.now, ttl_seconds=100,
    )  # fmt: skip
    assert not isinstance(held, LeaseHeld)
    risen = await Life(plant).begin()
    await asyncio.sleep(20)
    assert risen.codes(wave) == {"LEASE_HELD"}
    assert risen.executor.asked == []
    with pytest.raises(OrderRefused, match="does not drive it now") as refused:
        await risen.waves.order(wave, "abort", by="ada", reason="enough", node=None)
    assert refused.value.refusal is Refusal.CONFLICT
    # A pause, though, is written for whoever takes it up.
    await risen.waves.order(wave, "pause", by="ada", reason="stop all", node=None)
    await risen.until(lambda: not risen.codes(wave) & {"LEASE_HELD"})
    assert risen.view(wave).state.pauses[0].reason == "stop all"
    assert plant.starts[2] == 0
    await risen.waves.order(wave, "resume", by="ada", reason="go on", node=None)
    assert await risen.until_ended(wave) == "succeeded"
    await risen.die()


@in_virtual_time
async def test_a_wave_whose_cluster_left_the_fleet_file_waits_until_it_is_back() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.die()
    risen = Life(plant)
    loop = risen.loops.pop(plant.name)
    await risen.waves.load()
    await risen.until(lambda: risen.codes(wave) == {"IDENTITY"})
    assert await risen.waves.drain(60)
    await risen.die()
    back = Life(plant)
    back.loops.pop(plant.name)
    await back.waves.load()
    back.loops[plant.name] = back.loop
    back.collect()
    assert await back.until_ended(wave) == "succeeded"
    assert loop.view.snapshot is None
    await back.die()


@in_virtual_time
async def test_a_store_that_fails_at_the_start_delays_a_wave_and_does_not_lose_it() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.die()
    plant.store.fail_writes_with = StoreLocked("locked", where="/state", todo="wait")
    risen = await Life(plant).begin()
    await asyncio.sleep(30)
    assert risen.codes(wave) == {"STORE_UNSAFE"}
    plant.store.fail_writes_with = None
    assert await risen.until_ended(wave) == "succeeded"
    await risen.die()


@in_virtual_time
async def test_a_wave_that_nobody_can_read_is_left_alone_and_blocks_its_cluster(
    logged: list[MutableMapping[str, Any]],
) -> None:
    plant = Plant()
    text = '{"from": "the future"}'
    plant.store.create_wave(_record("strange", text, status="running"))
    life = await Life(plant).begin()
    assert [e["wave"] for e in logged if e["event"] == "wave_unreadable"] == ["strange"]
    with pytest.raises(OrderRefused, match=r"wave strange on cluster payments .* cannot be read"):
        await life.start_wave()
    with pytest.raises(OrderRefused, match="cannot be read") as refused:
        await life.waves.order("strange", "abort", by="ada", reason="enough", node=None)
    assert refused.value.refusal is Refusal.CONFLICT
    assert life.waves.busy_with("payments") == "strange"
    await asyncio.sleep(60)
    record = plant.store.wave("strange")
    assert record is not None
    assert (record.state, record.version) == (text, 1)
    await life.die()


@in_virtual_time
async def test_a_wave_that_nobody_can_read_and_that_has_ended_blocks_nothing() -> None:
    plant = Plant()
    plant.store.create_wave(_record("strange", "{", status="succeeded"))
    life = await Life(plant).begin()
    assert await life.until_ended(await life.start_wave([2])) == "succeeded"
    await life.die()


@in_virtual_time
async def test_after_a_restored_backup_a_wave_is_paused_until_a_person_lifts_it() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.die()
    plant.store.when_restored = NOW + plant.now + 1
    await asyncio.sleep(2)
    risen = await Life(plant).begin()
    await asyncio.sleep(200)
    assert "restored from a backup" in risen.view(wave).state.pauses[0].reason
    assert risen.executor.changes() == []
    await risen.die()
    again = await Life(plant).begin()
    await asyncio.sleep(20)
    assert len(again.view(wave).state.pauses) == 1
    await again.waves.order(wave, "resume", by="ada", reason="looked", node=None)
    assert await again.until_ended(wave) == "succeeded"
    await again.die()


@in_virtual_time
async def test_a_wave_that_ended_a_day_ago_is_not_listed_and_still_found() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.until_ended(wave)
    assert [view.state.wave for view in life.waves.views()] == [wave]
    before = life.view(wave)
    await life.die()
    plant_now = plant.now
    await asyncio.sleep(DAY + 60)
    assert life.waves.views() == []
    assert life.view(wave) == before
    # The same after a restart, in which old waves are not even read.
    risen = Life(plant)
    await risen.waves.load()
    assert risen.waves.views() == []
    assert risen.view(wave).state == before.state
    assert risen.view(wave).updated_at.timestamp() <= NOW + plant_now
    await risen.die()


@in_virtual_time
async def test_an_old_wave_that_nobody_can_read_is_shown_nowhere() -> None:
    plant = Plant()
    plant.store.create_wave(_record("strange", "{", status="failed", at=NOW - 2 * DAY))
    life = await Life(plant).begin()
    assert life.waves.view("strange") is None
    await life.die()


@in_virtual_time
async def test_nothing_of_an_ended_wave_is_kept_running() -> None:
    life = await Life(Plant()).begin()
    for _ in range(3):
        await life.until_ended(await life.start_wave([2]))
    assert not life.waves._keepers
    assert not life.waves._tasks._tasks
    assert not life.waves._holders.starting
    await life.die()


@pytest.mark.parametrize(
    ("verb", "reason", "refusal", "words"),
    [
        ("explode", "why not", Refusal.INVALID, "there is no order explode, only pause, resume"),
        ("pause", "  ", Refusal.INVALID, "pause needs a reason"),
        ("resume", "go on", Refusal.CONFLICT, "is not paused"),
        ("skip", "no", Refusal.CONFLICT, "skip needs a broker"),
    ],
)
@in_virtual_time
async def test_an_order_that_makes_no_sense_is_refused_in_words(
    verb: str, reason: str, refusal: Refusal, words: str
) -> None:
    life = await Life(Plant()).begin()
    wave = await life.start_wave()
    with pytest.raises(OrderRefused, match=words) as refused:
        await life.waves.order(wave, verb, by="ada", reason=reason, node=None)
    assert refused.value.refusal is refusal
    await life.die()


@in_virtual_time
async def test_an_order_for_a_wave_that_is_not_there_is_refused() -> None:
    life = await Life(Plant()).begin()
    with pytest.raises(OrderRefused, match="there is no wave nothing") as refused:
        await life.waves.order("nothing", "pause", by="ada", reason="x", node=None)
    assert refused.value.refusal is Refusal.UNKNOWN
    await life.die()


@in_virtual_time
async def test_the_emergency_stop_pauses_what_it_can_and_then_tells_of_the_rest() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave()
    state = replace(life.view(wave).state, wave="lost", cluster="elsewhere")
    text = json.dumps(encode_state(state))
    life.waves._show(state, _record("lost", text, status="running"))
    with pytest.raises(OrderRefused, match=f"not paused: wave lost: .* Paused: {wave}"):
        await life.waves.pause_all(by="ada", reason="emergency")
    assert life.view(wave).state.status is WaveStatus.PAUSED
    await life.die()


@in_virtual_time
async def test_a_journal_that_cannot_be_read_is_refused_in_words() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    plant.store.journal = _raise_full  # type: ignore[method-assign, assignment]
    with pytest.raises(OrderRefused, match="the journal cannot be read") as refused:
        await life.waves.journal("w")
    assert refused.value.refusal is Refusal.STORE
    await life.die()


def _record(wave: str, state: str, *, status: str, at: float = NOW) -> WaveRecord:
    return WaveRecord(
        id=wave, cluster="payments", name=wave, reason="CHG-1", requested_by="ada",
        created_at=at, updated_at=at, status=status, state=state,
    )  # fmt: skip


@in_virtual_time
async def test_the_lease_of_a_wave_that_was_never_stored_is_given_back_at_the_start() -> None:
    plant = Plant()

    def leased(cluster: str, instance: str) -> None:
        plant.store.acquire(
            cluster, wave_id="never stored", instance=instance, holder="it", now=NOW,
            ttl_seconds=60.0,
        )  # fmt: skip

    leased("payments", "here")
    leased("orders", "another daemon")
    life = await Life(plant).begin()
    assert [lease.cluster for lease in plant.store.leases()] == ["orders"]
    wave = await life.start_wave([2])
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_lease_that_cannot_be_given_back_keeps_no_wave_from_being_read() -> None:
    plant = Plant()
    plant.store.create_wave(_record("strange", "{}", status="running"))
    plant.store.acquire(
        "payments", wave_id="never stored", instance="here", holder="it", now=NOW, ttl_seconds=60.0
    )
    plant.store.fail_writes_with = StoreFull("the disk is full", where="/state", todo="make room")
    life = Life(plant)
    await life.waves.load()
    assert life.waves.busy_with("payments") == "strange"
    await life.die()
