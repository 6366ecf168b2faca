"""A daemon that stood still stops nothing on what it knew before."""

import asyncio
import json

import pytest
from support.engine import INTERVAL, NOW, Life, Plant
from support.snapshots import a_snapshot
from support.virtual_time import VirtualLoop, in_virtual_time

from healthd.engine.clock import Clock
from healthd.engine.deadman import DeadMan, LastLook, Moment
from healthd.execute.protocol import Command
from healthd.model.codes import ReasonCode
from healthd.store.records import JournalStep

LONG = 600.0


def stand_still(seconds: float = LONG) -> None:
    """The loop does nothing for so long: the process was stopped, or a disk hung."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._now += seconds


def held(plant: Plant) -> str:
    """Every reason in the story of the wave."""
    return " ".join(body for body in plant.store.notes() if "gate_closed" in body)


@in_virtual_time
async def test_a_daemon_that_stands_still_after_the_write_does_not_send_the_stop() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    stalls: list[float] = []

    def stall(step: JournalStep) -> None:
        if not stalls and any("2.1.stop" in (entry.effect_id or "") for entry in step.entries):
            stalls.append(plant.now)
            stand_still()

    plant.store.before_append = stall
    wave = await life.start_wave([2])
    await life.until(lambda: bool(stalls))
    await asyncio.sleep(1)
    assert life.executor.changes() == []
    assert life.status(wave, 2) == "pending"
    told = [json.loads(body) for body in plant.store.notes()]
    assert any("its stop was not sent: DAEMON_STALLED" in row.get("detail", "") for row in told)
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts[2] == 1
    # It was taken through a whole clean run once more.
    assert plant.now - stalls[0] > LONG + INTERVAL
    await life.die()


@in_virtual_time
async def test_a_daemon_that_stands_still_in_the_last_look_decides_nothing_on_it() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    stalls: list[float] = []

    def space_ok() -> bool:
        if not stalls:
            stalls.append(plant.now)
            stand_still(3 * INTERVAL)
        return True

    plant.store.space_ok = space_ok  # type: ignore[method-assign]
    wave = await life.start_wave([2])
    await life.until(lambda: bool(stalls))
    await asyncio.sleep(0.5)
    assert "2.1.stop" not in plant.store.effects_on_disk()
    assert "DAEMON_STALLED" in held(plant)
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts[2] == 1
    await life.die()


@in_virtual_time
async def test_a_time_in_which_nothing_was_seen_starts_the_clean_run_again() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2], cleanSnapshots=4)
    await life.until(lambda: life.view(wave).state.clean.snapshots == 3)
    stand_still()
    await asyncio.sleep(0.5)
    assert life.view(wave).state.clean.snapshots <= 1
    assert life.executor.changes() == []
    assert f"DAEMON_STALLED wave:{wave}" in held(plant)
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_collection_loop_that_hangs_holds_the_wave_and_nothing_is_taken() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2], cleanSeconds=60)
    await asyncio.sleep(3 * INTERVAL)
    assert life._sweeping is not None
    life._sweeping.cancel()
    await asyncio.sleep(20 * INTERVAL)
    assert {"DAEMON_STALLED", "EVIDENCE_STALE"} <= life.codes(wave)
    assert life.view(wave).state.status.value == "holding"
    assert life.executor.changes() == []
    life.collect()
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@pytest.mark.parametrize("jump", [LONG, -LONG])
@in_virtual_time
async def test_a_clock_that_jumps_starts_the_clean_run_again(jump: float) -> None:
    plant = Plant()
    life = Life(plant)
    offset = [0.0]
    clock = Clock(monotonic=lambda: plant.now, wall=lambda: NOW + plant.now + offset[0])
    object.__setattr__(life.waves._tools, "clock", clock)
    await life.begin()
    wave = await life.start_wave([2], cleanSnapshots=4)
    await life.until(lambda: life.view(wave).state.clean.snapshots == 3)
    offset[0] = jump
    await asyncio.sleep(INTERVAL + 0.5)
    assert life.view(wave).state.clean.snapshots <= 1
    assert "DAEMON_STALLED" in held(plant)
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


def at(seconds: float, *, wall: float = 0.0) -> Moment:
    return Moment(monotonic=seconds, wall=NOW + seconds + wall)


@pytest.mark.parametrize(
    ("told", "now", "is_too_old"),
    [
        pytest.param(at(2), at(17), False, id="an interval after it was told"),
        pytest.param(at(2), at(18), True, id="more than an interval after it was told"),
        pytest.param(at(20), at(30), False, id="two intervals after it began"),
        pytest.param(at(20), at(31), True, id="more than two intervals after it began"),
        pytest.param(at(2), at(3, wall=60), True, id="the machine slept a minute"),
        pytest.param(at(2), at(3, wall=-60), True, id="the wall clock was set back"),
    ],
)
def test_a_last_look_grows_old_by_both_clocks(
    told: Moment, now: Moment, *, is_too_old: bool
) -> None:
    look = LastLook.of(at(0), told, a_snapshot(interval_seconds=15.0))
    assert (look.too_old(now) is not None) is is_too_old


def test_snapshots_that_come_in_time_are_no_reason_to_hold() -> None:
    now = [0.0]
    deadman = DeadMan("w", Clock(monotonic=lambda: now[0], wall=lambda: NOW + now[0]))
    snapshot = a_snapshot(interval_seconds=15.0)
    assert not deadman.is_overdue()
    for seconds in (0.0, 15.0, 44.0, 45.0):
        now[0] += seconds
        assert deadman.snapshot_came(snapshot) == ()
    now[0] += 46.0
    assert deadman.is_overdue()
    (reason,) = deadman.snapshot_came(snapshot)
    assert (reason.code, reason.object) == (ReasonCode.DAEMON_STALLED, "wave:w")
    assert not deadman.is_overdue()


@in_virtual_time
async def test_a_stop_that_waits_too_long_for_a_connection_is_not_sent() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    waits: dict[str, float | None] = {}

    def look(command: Command) -> None:
        if command.effect_id:
            waits[command.effect_id] = command.wait_seconds

    life.executor.before_run = look
    wave = await life.start_wave([2])
    assert await life.until_ended(wave) == "succeeded"
    stop = waits["2.1.stop"]
    assert stop is not None
    assert 0 < stop <= INTERVAL
    assert waits["2.1.start"] is None  # A start is sent however late it is.
    await life.die()
