"""How long restarts took, from the waves that the store keeps."""

from support.engine import Life, Plant, request
from support.virtual_time import in_virtual_time

from healthd.engine.journal import StoreThread
from healthd.engine.measured import measured_on
from healthd.store.errors import StoreLocked


@in_virtual_time
async def test_the_last_waves_of_a_cluster_tell_how_long_its_restarts_take() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    assert await measured_on(life.store, "payments") is None
    await life.until_ended(await life.start_wave())
    measured = await measured_on(life.store, "payments")
    assert measured is not None
    assert len(measured.restarts) == 3
    assert all(6.0 <= seconds <= 30.0 for seconds in measured.restarts)
    assert await measured_on(life.store, "orders") is None
    await life.die()


@in_virtual_time
async def test_a_dry_run_and_a_wave_under_way_measure_nothing() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    view = await life.waves.start(request() | {"dryRun": True}, by="ada")
    await life.until_ended(view.state.wave)
    wave = await life.start_wave()
    await life.until(lambda: life.status(wave, 2) == "done")
    assert await measured_on(life.store, "payments") is None
    await life.die()


@in_virtual_time
async def test_a_store_that_cannot_be_read_leaves_it_to_the_model() -> None:
    plant = Plant()

    def broken(*, active_only: bool = False) -> None:
        raise StoreLocked("the file is locked", where="/state", todo="see who has it")

    plant.store.waves = broken  # type: ignore[method-assign,assignment]
    assert await measured_on(StoreThread(plant.store), "payments") is None
