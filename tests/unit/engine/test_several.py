"""Several brokers in flight in the engine: one write for all their stops, and a kill at each."""

import asyncio
from typing import Any

import pytest
from support.engine import Life, Plant, request
from support.virtual_time import in_virtual_time

from healthd.execute.protocol import Command
from healthd.store.records import JournalStep
from healthd.waves.events import Verb

PLAIN = (4, 5, 6, 7)
WRITES = 27
"""So many a wave over the four makes, two at a time; the first test counts them."""
SAMPLE = 3


class Wide(Plant):
    """Three controllers and four plain brokers: 4 and 5, and 6 and 7, share no partition."""

    def __init__(self) -> None:
        super().__init__(brokers=(1, 2, 3, *PLAIN))
        rows = [(4, 6, 1), (5, 7, 2), (4, 7, 3), (5, 6, 1)]
        self.cluster.create_topic("wide", rows, min_insync_replicas=2)


async def start(life: Life, concurrency: Any = "safe", **policy: Any) -> str:
    body = request(brokers=list(PLAIN), **policy)
    body["stages"][0]["concurrency"] = concurrency
    view = await life.waves.start(body, by="ada")
    return view.state.wave


@in_virtual_time
async def test_all_stops_of_one_decision_are_on_disk_in_one_write_before_any_is_sent() -> None:
    plant = Wide()
    life = await Life(plant).begin()
    written: list[list[str]] = []
    sent: list[tuple[str, set[str]]] = []

    def note(step: JournalStep) -> None:
        written.append([entry.effect_id for entry in step.entries if entry.effect_id])

    def look(command: Command) -> None:
        if command.effect_id:
            sent.append((command.effect_id, plant.store.effects_on_disk()))

    plant.store.before_append = note
    life.executor.before_run = look
    wave = await start(life)
    assert await life.until_ended(wave) == "succeeded"
    assert ["4.1.stop", "4.1.start", "5.1.stop", "5.1.start"] in written
    assert all({"4.1.start", "5.1.start"} <= on_disk for _, on_disk in sent)
    assert [effect for effect, _ in sent[:2]] == ["4.1.stop", "5.1.stop"]
    assert plant.most_down == 2
    assert {node: plant.starts[node] for node in PLAIN} == dict.fromkeys(PLAIN, 1)
    assert plant.store.writes == WRITES
    await life.die()


@pytest.mark.parametrize("concurrency", [1, 2])
@in_virtual_time
async def test_no_more_are_down_than_the_wave_allows(concurrency: int) -> None:
    plant = Wide()
    life = await Life(plant).begin()
    assert await life.until_ended(await start(life, concurrency)) == "succeeded"
    assert plant.most_down == concurrency
    await life.die()


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=() if number % SAMPLE == 1 else pytest.mark.prove)
        for number in range(1, WRITES + 1)
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
@in_virtual_time
async def test_a_daemon_killed_at_any_write_with_two_in_flight_restarts_each_exactly_once(
    when: str, number: int
) -> None:
    plant = Wide()
    life = await Life(plant).begin()
    wave = await start(life)
    setattr(plant.store, f"kill_{when}", number)
    await life.until(lambda: plant.store.is_dead)
    await life.die()
    plant.store.kill_before = plant.store.kill_after = None
    risen = await Life(plant).begin()
    assert await risen.until_ended(wave) == "succeeded"
    assert {node: plant.starts[node] for node in PLAIN} == dict.fromkeys(PLAIN, 1)
    assert all(host.is_running for host in plant.hosts.values())
    assert plant.most_down <= 2
    await risen.die()


@in_virtual_time
async def test_a_daemon_that_drains_brings_all_in_flight_back() -> None:
    plant = Wide()
    life = await Life(plant).begin()
    wave = await start(life)
    await life.until(lambda: life.status(wave, 5) == "stopping")
    await life.waves.drain(timeout_seconds=600)
    assert all(host.is_running for host in plant.hosts.values())
    assert {life.status(wave, node) for node in (4, 5)} == {"recovering"}
    assert {life.status(wave, node) for node in (6, 7)} == {"pending"}
    await life.die()


@in_virtual_time
async def test_a_wave_that_is_aborted_with_two_in_flight_leaves_none_stopped() -> None:
    plant = Wide()
    life = await Life(plant).begin()
    wave = await start(life)
    await life.until(lambda: life.status(wave, 5) == "stopping")
    await life.waves.order(wave, Verb.ABORT, by="ada", reason="enough", node=None)
    assert await life.until_ended(wave) == "aborted"
    await asyncio.sleep(60)
    assert all(host.is_running for host in plant.hosts.values())
    assert {node: plant.starts[node] for node in PLAIN} == {4: 1, 5: 1, 6: 0, 7: 0}
    await life.die()
