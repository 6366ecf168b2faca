"""A whole wave in memory: what is written, what is done, in which order."""

from support.engine import Life, Plant
from support.virtual_time import in_virtual_time


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
    await life.die()
