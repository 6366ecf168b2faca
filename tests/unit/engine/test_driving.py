"""A whole wave in memory: what is written, what is done, in which order."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from support.engine import INTERVAL, NOW, Life, Plant
from support.virtual_time import in_virtual_time

from healthd.execute.memory import HostFault, Verb
from healthd.execute.protocol import Command
from healthd.store.errors import StoreFull, StoreLocked
from healthd.store.records import JournalStep
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
async def test_a_wave_restarts_every_broker_once_and_ends() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave()
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts == {1: 1, 2: 1, 3: 1}
    assert plant.most_down == 1
    assert plant.store.leases() == ()
    assert plant.store.effects_open(wave) == ()
    assert life.totals.deployments == {"succeeded": 1}
    assert {
        phase: len(all_) for phase, all_ in life.totals.restart_seconds.items()
    } == dict.fromkeys(("stopping", "stopped", "starting", "recovering", "soaking"), 3)
    assert f"wave:{wave}" not in life.totals.loop_ticks
    await life.die()


@in_virtual_time
async def test_the_intents_of_a_stop_and_its_start_are_on_disk_before_a_host_is_asked() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    seen: list[tuple[str, set[str]]] = []

    def look(command: Command) -> None:
        if command.effect_id:
            seen.append((command.effect_id, plant.store.effects_on_disk()))

    life.executor.before_run = look
    wave = await life.start_wave([2])
    assert await life.until_ended(wave) == "succeeded"
    assert [effect for effect, _ in seen] == ["2.1.stop", "2.1.start"]
    assert all({"2.1.stop", "2.1.start"} <= on_disk for _, on_disk in seen)
    await life.die()


@pytest.mark.parametrize("trouble", [FULL, LOCKED], ids=["full", "locked"])
@in_virtual_time
async def test_a_store_that_cannot_take_the_stop_pauses_the_wave_and_nothing_is_stopped(
    trouble: Exception,
) -> None:
    plant = Plant()
    life = await Life(plant).begin()

    def no_stops(step: JournalStep) -> None:
        if any(entry.effect_id for entry in step.entries):
            raise trouble

    plant.store.before_append = no_stops
    wave = await life.start_wave([2])
    await life.until(lambda: life.view(wave).state.is_paused)
    await asyncio.sleep(300)
    assert life.executor.changes() == []
    assert life.status(wave, 2) == "pending"
    assert str(trouble) in life.view(wave).state.pauses[0].reason
    # What was not done is not told either, once the disk is well again.
    plant.store.before_append = lambda _step: None
    await asyncio.sleep(20)
    assert "node_stopping" not in events(plant)
    assert events(plant).count("wave_paused") == 1
    await life.waves.order(wave, "resume", by="ada", reason="room was made", node=None)
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts[2] == 1
    await life.die()


@in_virtual_time
async def test_without_space_for_the_records_of_a_stop_the_wave_pauses_before_it() -> None:
    plant = Plant()
    plant.store.space_ok = lambda: False  # type: ignore[method-assign]
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.until(lambda: life.view(wave).state.is_paused)
    assert "no space" in life.view(wave).state.pauses[0].reason
    assert life.executor.changes() == []
    await life.die()


@pytest.mark.parametrize("trouble", [FULL, LOCKED], ids=["full", "locked"])
@in_virtual_time
async def test_a_store_that_fails_after_the_stop_does_not_keep_the_start(
    trouble: StoreFull | StoreLocked,
) -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2, 3])

    def fail_once_stopped(command: Command) -> None:
        if command.effect_id == "2.1.stop":
            plant.store.fail_writes_with = trouble

    life.executor.before_run = fail_once_stopped
    await life.until(lambda: plant.host(2).starts == 1)
    await asyncio.sleep(100)
    assert plant.host(2).is_running
    assert life.view(wave).state.is_paused
    assert life.status(wave, 2) == "recovering"
    assert plant.starts == {1: 0, 2: 1, 3: 0}
    plant.store.fail_writes_with = None
    await life.until(lambda: life.status(wave, 2) == "done")
    told = events(plant)
    order = ["node_stopping", "node_stopped", "node_starting", "node_recovering", "node_soaking"]
    assert [event for event in told if event in order] == order
    await life.waves.order(wave, "resume", by="ada", reason="room was made", node=None)
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts == {1: 0, 2: 1, 3: 1}
    assert plant.store.effects_open(wave) == ()
    await life.die()


@in_virtual_time
async def test_a_dead_broker_is_not_started_while_the_start_cannot_be_written() -> None:
    plant = Plant()
    plant.host(2).is_running = False
    plant.follow_hosts()
    life = await Life(plant).begin()

    def no_starts(step: JournalStep) -> None:
        if any(entry.effect_id for entry in step.entries):
            raise FULL

    plant.store.before_append = no_starts
    wave = await life.start_wave([2])
    await life.until(lambda: life.view(wave).state.is_paused)
    await asyncio.sleep(60)
    assert life.executor.changes() == []
    await life.die()


@in_virtual_time
async def test_the_end_of_a_wave_is_written_once_the_store_takes_it() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])

    def no_end(step: JournalStep) -> None:
        if step.status == "succeeded":
            raise FULL

    plant.store.before_append = no_end
    await life.until(lambda: life.view(wave).state.status.has_ended)
    await asyncio.sleep(60)
    assert plant.store.wave(wave).status == "running"  # type: ignore[union-attr]
    assert plant.store.leases()
    plant.store.before_append = lambda _step: None
    assert await life.until_ended(wave) == "succeeded"
    assert plant.store.wave(wave).status == "succeeded"  # type: ignore[union-attr]
    assert plant.store.leases() == ()
    await life.die()


@in_virtual_time
async def test_a_wave_whose_lease_was_lost_stops_acting_says_so_and_observes_before_it_goes_on(
    logged: list[MutableMapping[str, Any]],
) -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.until(lambda: life.status(wave, 2) == "stopping")
    lease = plant.store.leases()[0]
    plant.store.release(lease.fence)
    plant.store.acquire(
        "payments", wave_id="other", instance="there", holder="healthd there",
        now=NOW + plant.now, ttl_seconds=120,
    )  # fmt: skip
    await life.until(lambda: life.codes(wave) == {"LEASE_LOST"})
    await life.until(lambda: life.codes(wave) == {"LEASE_HELD"})
    asked = list(life.executor.asked)
    await asyncio.sleep(60)
    assert life.executor.asked == asked
    assert life.view(wave).state.status.value == "holding"
    assert [entry["code"] for entry in logged if entry["event"] == "wave_not_driven"] == [
        "LEASE_LOST",
        "LEASE_HELD",
    ]
    # The other's lease runs out, and the broker is brought back.
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts[2] == 1
    assert life.executor.asked[len(asked)].argv == ("sv", "status", "kafka")
    await life.die()


@in_virtual_time
async def test_a_wave_that_somebody_else_changed_is_read_again() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    record = plant.store.wave(wave)
    assert record is not None
    plant.store.append(
        JournalStep(
            wave_id=wave, expected_version=record.version, at=NOW,
            status=record.status, state=record.state, parts={},
        )
    )  # fmt: skip
    await life.until(lambda: "LEASE_LOST" in life.codes(wave))
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts[2] == 1
    await life.die()


@pytest.mark.parametrize(
    ("fault", "verb"),
    [
        (fault, verb)
        for fault in (HostFault.ANSWER_LOST, HostFault.HANG, HostFault.UNREACHABLE)
        for verb in ("stop", "start")
    ],
)
@in_virtual_time
async def test_a_command_without_an_answer_is_observed_and_never_repeated_blindly(
    fault: HostFault, verb: str
) -> None:
    plant = Plant()
    life = await Life(plant).begin()
    begun: list[str] = []

    def spoil(command: Command) -> None:
        if command.effect_id == f"2.1.{verb}" and not begun:
            begun.append(verb)
            plant.host(2).faults.append(fault)

    life.executor.before_run = spoil
    wave = await life.start_wave([2], stopTimeoutSeconds=60, startTimeoutSeconds=60)
    await life.until(
        lambda: life.view(wave).state.status.has_ended or life.view(wave).state.is_paused
    )
    assert plant.host(2).is_running
    if verb == "stop" and fault is HostFault.HANG:
        # Nobody knows what became of the stop: it is not sent twice, a person decides.
        assert plant.starts[2] == 0
        assert life.status(wave, 2) == "failed"
    else:
        assert life.view(wave).state.status.value == "succeeded"
        assert plant.starts[2] == 1
    await life.die()


@in_virtual_time
async def test_a_broker_that_does_not_come_back_pauses_the_wave_and_its_last_words_are_kept() -> (
    None
):
    plant = Plant()
    life = await Life(plant).begin()

    def never_starts(command: Command) -> None:
        if command.argv[1] == "start":
            plant.host(2).faults.append(HostFault.NOT_DONE)

    life.executor.before_run = never_starts
    wave = await life.start_wave(startTimeoutSeconds=60)
    await life.until(lambda: life.status(wave, 2) == "failed")
    await asyncio.sleep(200)
    state = life.view(wave).state
    assert state.pauses[0].reason.startswith("broker 2 failed")
    assert "last words" in " ".join(plant.store.notes())
    assert plant.starts == {1: 0, 2: 0, 3: 0}
    assert plant.cluster.dead == {2}
    await life.die()


@in_virtual_time
async def test_a_driver_that_breaks_is_logged_shown_paused_and_still_starts_what_is_stopped(
    logged: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2, 3])
    await life.until(lambda: life.status(wave, 2) == "stopping")
    real = life.waves._keepers[wave].driver
    assert real is not None

    def break_down(*_: Any) -> None:
        raise ArithmeticError("a defect")

    monkeypatch.setattr(real, "_is_to_be_written", break_down)
    await life.until(lambda: any(e["event"] == "wave_driver_broke" for e in logged))
    assert "a defect" in life.view(wave).state.pauses[0].reason
    await life.until(lambda: life.status(wave, 2) == "done")
    await asyncio.sleep(100)
    assert plant.starts == {1: 0, 2: 1, 3: 0}
    assert "a defect" in plant.store.wave(wave).state  # type: ignore[union-attr]
    await life.waves.order(wave, "resume", by="ada", reason="seen", node=None)
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_the_wave_clock_is_written_while_nothing_else_happens() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2], cleanSeconds=1000)
    await asyncio.sleep(500)
    state = json.loads(plant.store.wave(wave).state)  # type: ignore[union-attr]
    assert state["clock"] > 500 - 60 - 2 * INTERVAL
    await life.die()


@in_virtual_time
async def test_the_index_without_the_wave_is_published_while_a_broker_is_away() -> None:
    plant = Plant(seconds={Verb.STOP: 4.0, Verb.START: 30.0})
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.until(lambda: life.status(wave, 2) == "starting")
    await asyncio.sleep(2 * INTERVAL)
    view = life.loop.view
    assert view.report is not None
    assert view.index_without_wave is not None
    assert view.index_without_wave > view.report.health_index
    await life.until_ended(wave)
    await asyncio.sleep(2 * INTERVAL)
    report = life.loop.view.report
    assert report is not None
    assert life.loop.view.index_without_wave == report.health_index
    await life.die()


@in_virtual_time
async def test_a_wave_whose_clock_stops_is_taken_up_again(
    logged: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2, 3])
    await life.until(lambda: life.status(wave, 2) == "stopping")
    driver = life.waves._keepers[wave].driver
    assert driver is not None

    def no_clock() -> None:
        raise ArithmeticError("no clock")

    monkeypatch.setattr(driver, "_count_closed_gate", no_clock)
    await life.until(lambda: life.status(wave, 2) == "done")
    assert "wave_driver_broke" in [entry["event"] for entry in logged]
    assert "no clock" in life.view(wave).state.pauses[0].reason
    assert plant.starts[2] == 1
    await life.die()


@in_virtual_time
async def test_a_lease_is_renewed_while_nothing_else_is_written() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    await life.start_wave([2], cleanSeconds=1000)
    for _ in range(10):
        await asyncio.sleep(50)
        (lease,) = plant.store.leases()
        assert lease.expires_at > NOW + plant.now
    await life.die()


@in_virtual_time
async def test_a_lease_that_is_renewed_while_its_wave_ends_is_not_lost(
    logged: list[MutableMapping[str, Any]],
) -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    await life.until(lambda: life.status(wave, 2) == "soaking")
    driver = life.waves._keepers[wave].driver
    assert driver is not None

    def renew_right_after(step: JournalStep) -> None:
        if step.releases_lease:
            driver._tasks.spawn(driver._renew(), name="renew lease")

    plant.store.before_append = renew_right_after
    await life.until(lambda: life.view(wave).state.status.has_ended)
    ended = plant.now
    await life.until(lambda: not life.waves._keepers)
    assert plant.now - ended < 1
    assert not {"wave_lease_lost", "wave_not_driven"} & {entry["event"] for entry in logged}
    assert plant.store.leases() == ()
    await life.die()
