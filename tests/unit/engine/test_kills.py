"""The daemon killed before and after every write: each broker restarts once, none stays stopped."""

import pytest
from support.engine import Life, Plant
from support.virtual_time import in_virtual_time

WRITES = 17
"""So many a wave over two brokers makes when nothing goes wrong; the first test counts them."""


@in_virtual_time
async def test_the_kill_points_are_all_the_writes_of_a_wave() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    assert await life.until_ended(await life.start_wave([1, 2])) == "succeeded"
    assert plant.store.writes == WRITES
    await life.die()


@pytest.mark.parametrize("number", range(1, WRITES + 1))
@pytest.mark.parametrize("when", ["before", "after"])
@in_virtual_time
async def test_a_daemon_killed_at_any_write_restarts_each_broker_exactly_once(
    when: str, number: int
) -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([1, 2])
    setattr(plant.store, f"kill_{when}", number)
    await life.until(lambda: plant.store.is_dead)
    await life.die()
    plant.store.kill_before = plant.store.kill_after = None
    risen = await Life(plant).begin()
    assert await risen.until_ended(wave) == "succeeded"
    assert plant.starts == {1: 1, 2: 1, 3: 0}
    assert all(host.is_running for host in plant.hosts.values())
    assert plant.most_down == 1
    await risen.die()
