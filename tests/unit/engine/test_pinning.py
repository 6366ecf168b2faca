"""Waves whose playbook or fleet file changes under them."""

from dataclasses import replace

from support.engine import Life, Plant
from support.virtual_time import in_virtual_time
from support.wave_model import rolling_restart

from healthd.config.fleet import HostConfig, ServiceCommands
from healthd.engine.pinning import inventory_of
from healthd.engine.view import OrderRefused, Refusal
from healthd.waves.playbook import Playbook


class Shelf:
    """A folder with one playbook, which somebody edits."""

    def __init__(self) -> None:
        self.playbook: Playbook | None = rolling_restart()

    def __call__(self, name: str) -> Playbook:
        if self.playbook is None:
            raise OrderRefused(Refusal.INVALID, f"there is no playbook {name}")
        return self.playbook

    def edit(self) -> None:
        assert self.playbook is not None
        first, *others = self.playbook.steps
        self.playbook = replace(self.playbook, steps=(replace(first, timeout=77.0), *others))


def reasons(life: Life, wave: str) -> list[str]:
    return [pause.reason for pause in life.view(wave).state.pauses]


@in_virtual_time
async def test_a_playbook_that_is_edited_pauses_the_wave_at_the_next_reload() -> None:
    plant, shelf = Plant(), Shelf()
    life = await Life(plant, playbooks=shelf).begin()
    wave = await life.start_wave()
    shelf.edit()
    await life.waves.look_again()
    await life.until(lambda: life.view(wave).state.status.value == "paused")
    assert reasons(life, wave) == [
        "not as it was accepted: the playbook rolling-restart does something else now"
    ]
    await life.waves.order(wave, "resume", by="ada", reason="I did it", node=None)
    assert life.view(wave).state.playbook == shelf.playbook
    await life.waves.look_again()
    assert await life.until_ended(wave) == "succeeded"
    assert any("pins_accepted" in note for note in plant.store.notes())
    await life.die()


@in_virtual_time
async def test_a_fleet_file_that_changed_while_no_daemon_ran_pauses_the_wave() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave()
    await life.until(lambda: life.status(wave, 2) == "stopping")
    await life.die()
    hosts = (*plant.config().hosts[:2], HostConfig(broker=3, address="other"))
    again = await Life(plant, config=plant.config(hosts=hosts)).begin()
    await again.until(lambda: again.view(wave).state.status.value == "paused")
    assert reasons(again, wave) == [
        "not as it was accepted: the fleet file has another host for broker 3"
    ]
    await again.until(lambda: again.status(wave, 2) == "done")
    assert plant.host(2).is_running
    await again.die()


@in_virtual_time
async def test_a_restart_of_the_daemon_alone_pauses_nothing() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave()
    await life.until(lambda: life.status(wave, 2) == "starting")
    await life.die()
    again = await Life(plant).begin()
    assert await again.until_ended(wave) == "succeeded"
    assert not any("pins_changed" in note for note in plant.store.notes())
    await again.die()


def test_the_parts_of_the_inventory_change_with_what_they_are_about() -> None:
    config = Plant().config()
    before = dict(inventory_of(config))
    assert list(before) == ["ssh", "service", "broker:1", "broker:2", "broker:3"]
    other = Plant().config(
        service=ServiceCommands(stop=("a",), start=("b",), status=("c",)),
        hosts=(replace(config.hosts[0], rack="az9"), *config.hosts[1:]),
    )
    now = dict(inventory_of(other))
    assert {key for key in now if now[key] != before[key]} == {"service", "broker:1"}
    moved = Plant().config(hosts=(replace(config.hosts[0], ssh_port=2022), *config.hosts[1:]))
    now_moved = dict(inventory_of(moved))
    assert {key for key in before if now_moved[key] != before[key]} == {"broker:1"}
    assert (before == now) is (config.inventory_digest() == other.inventory_digest())
