"""Waves whose playbook or fleet file changes under them."""

from dataclasses import replace
from pathlib import Path

from support.engine import Life, Plant, request
from support.virtual_time import in_virtual_time
from support.wave_model import rolling_restart

from healthd.config.fleet import HostConfig, ServiceCommands
from healthd.config.playbooks import load_playbook, read_playbook_file
from healthd.config.problems import ConfigError
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


PLAYBOOK = """\
apiVersion: healthd/v1
kind: Playbook
name: restart-slowly
description: A restart.
steps:
  - {{name: stop, service: stop, timeoutSeconds: {stop}}}
  - {{name: has left, waitFor: left, timeoutSeconds: 60}}
  - {{name: start, service: start, timeoutSeconds: 60}}
  - {{name: is back, waitFor: back, timeoutSeconds: 600}}
"""


@in_virtual_time
async def test_a_resume_puts_no_other_playbook_in_the_place_of_one_asked_for_by_its_digest(
    tmp_path: Path,
) -> None:
    file = tmp_path / "restart-slowly.yaml"
    file.write_text(PLAYBOOK.format(stop=60))
    digest = read_playbook_file(file).digest

    def shelf(name: str) -> Playbook:
        try:
            return load_playbook(name, tmp_path)
        except ConfigError as error:
            raise OrderRefused(Refusal.INVALID, str(error)) from None

    life = await Life(Plant(), playbooks=shelf).begin()
    asked = request() | {"playbook": f"restart-slowly@sha256:{digest}"}
    wave = (await life.waves.start(asked, by="ada")).state.wave
    file.write_text(PLAYBOOK.format(stop=61))
    await life.waves.look_again()
    await life.until(lambda: life.view(wave).state.status.value == "paused")
    (reason,) = reasons(life, wave)
    assert f"not {digest}" in reason
    assert "the wave has it as it was" in reason
    await life.waves.order(wave, "resume", by="ada", reason="I have seen it", node=None)
    assert life.view(wave).state.playbook.steps[0].timeout == 60
    await life.waves.look_again()
    assert await life.until_ended(wave) == "succeeded"
    assert life.view(wave).state.playbook.steps[0].timeout == 60
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
