"""A wave keeps what the planner expected of it."""

from support.engine import Life, Plant
from support.virtual_time import in_virtual_time

from healthd.waves.report import wave_report


@in_virtual_time
async def test_a_wave_keeps_what_was_expected_of_it_also_over_a_restart() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave()
    expected = life.view(wave).state.forecast
    assert expected is not None
    assert sorted(node for step in expected.steps for node in step) == [1, 2, 3]
    assert (expected.measured_restarts, expected.blocked) == (0, ())
    await life.until(lambda: life.status(wave, 2) == "starting")
    await life.die()
    again = await Life(plant).begin()
    assert again.view(wave).state.forecast == expected
    assert await again.until_ended(wave) == "succeeded"
    report = wave_report(again.view(wave).state, [])
    assert report["plan"]["estimatedSeconds"] == expected.seconds
    await again.die()


@in_virtual_time
async def test_a_later_wave_is_foreseen_from_what_restarts_took_before() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    await life.until_ended(await life.start_wave())
    expected = life.view(await life.start_wave([2])).state.forecast
    assert expected is not None
    assert expected.measured_restarts == 3
    await life.die()


@in_virtual_time
async def test_a_wave_over_a_cluster_that_nobody_has_seen_has_no_forecast() -> None:
    plant = Plant()
    life = Life(plant)
    wave = await life.start_wave([2])
    assert life.view(wave).state.forecast is None
    await life.die()
