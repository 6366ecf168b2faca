"""Waves whose playbooks have steps, driven by the engine: what is on disk, sent and asked."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.engine import INTERVAL, Life, Plant
from support.step_playbooks import a_prompt, a_restart, a_step
from support.virtual_time import in_virtual_time

from healthd.engine.acting import Actor
from healthd.store.errors import StoreFull
from healthd.store.records import JournalStep
from healthd.waves.effects import ObserveStep, RunStep
from healthd.waves.events import Outcome, StepState
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_steps import CommandCheck
from healthd.waves.state import NodeStatus, WaveState

VERIFY = (CommandCheck(command=("true",)),)
FULL = StoreFull("the disk is full", where="/state", todo="make room")


class Performer:
    """Answers for the steps of every node, and keeps what it was asked."""

    def __init__(self, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plant = plant
        self.begun: list[str] = []
        self.on_disk: list[bool] = []
        self.asked: list[ObserveStep] = []
        self.run: Callable[[RunStep], tuple[Outcome, str]] = lambda _effect: (Outcome.OK, "well")
        performer = self

        async def run_step(_self: Actor, effect: RunStep, state: WaveState) -> tuple[Outcome, str]:
            assert state.node(effect.node) is not None
            performer.begun.append(effect.effect_id)
            performer.on_disk.append(effect.effect_id in plant.store.effects_on_disk())
            await asyncio.sleep(1.0)
            return performer.run(effect)

        async def observe_step(
            _self: Actor, effect: ObserveStep, _state: WaveState
        ) -> tuple[StepState, str]:
            performer.asked.append(effect)
            return StepState.DONE, ""

        monkeypatch.setattr(Actor, "run_step", run_step)
        monkeypatch.setattr(Actor, "observe_step", observe_step)


def given(playbook: Playbook) -> dict[str, Any]:
    return {"playbooks": lambda _name: playbook}


@in_virtual_time
async def test_a_step_is_on_disk_before_it_is_performed_and_its_verify_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = Plant()
    performer = Performer(plant, monkeypatch)
    playbook = a_restart(between=(a_step("patch", verify=VERIFY),), after=(a_step("smoke"),))
    life = await Life(plant, **given(playbook)).begin()
    wave = await life.start_wave()
    assert await life.until_ended(wave) == "succeeded"
    assert len(performer.begun) == 6
    assert all(performer.on_disk)
    assert [effect.is_verify for effect in performer.asked] == [True, True, True]
    assert plant.starts == {1: 1, 2: 1, 3: 1}
    assert plant.store.effects_open(wave) == ()
    await life.die()


@in_virtual_time
async def test_a_performer_that_breaks_is_asked_what_became_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = Plant()
    performer = Performer(plant, monkeypatch)

    def breaks(_effect: RunStep) -> tuple[Outcome, str]:
        raise ValueError("a defect")

    performer.run = breaks
    life = await Life(plant, **given(a_restart(between=(a_step("patch"),)))).begin()
    wave = await life.start_wave([2])
    assert await life.until_ended(wave) == "succeeded"
    assert [effect.is_verify for effect in performer.asked] == [False]
    await life.die()


@in_virtual_time
async def test_a_question_waits_across_a_restart_of_the_daemon_for_its_audited_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = Plant()
    Performer(plant, monkeypatch)
    playbook = a_restart(after=(a_prompt(), a_step("finalize")))
    life = await Life(plant, **given(playbook)).begin()
    wave = await life.start_wave([2])
    await life.until(lambda: holds(life, wave) == ["APPROVAL_MISSING broker:2"])
    await life.die()
    life = await Life(plant, **given(playbook)).begin()
    await life.until(lambda: holds(life, wave) == ["APPROVAL_MISSING broker:2"])
    await life.waves.order(wave, "confirm", by="bob", reason="CHG-7", node=2)
    assert await life.until_ended(wave) == "succeeded"
    (record,) = [row for row in plant.store.audit_records() if row.what == "wave_confirm"]
    assert (record.who, record.why, record.target) == ("bob", "CHG-7", f"wave:{wave}/broker:2")
    await life.die()


def holds(life: Life, wave: str) -> list[str]:
    state = life.view(wave).state
    return [
        f"{hold.reason.code.value} {hold.reason.object}"
        for hold in state.holds
        if hold.reason.code.value == "APPROVAL_MISSING"
    ]


@in_virtual_time
async def test_a_disk_that_is_full_between_stop_and_start_leaves_no_broker_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = Plant()
    performer = Performer(plant, monkeypatch)
    playbook = a_restart(between=(a_step("patch"), a_step("clean")))
    life = await Life(plant, **given(playbook)).begin()

    def full(_effect: RunStep) -> tuple[Outcome, str]:
        def refuse(step: JournalStep) -> None:
            if step.entries:
                raise FULL

        plant.store.before_append = refuse
        return Outcome.OK, ""

    performer.run = full
    wave = await life.start_wave([2])
    await life.until(lambda: not plant.host(2).is_running)
    await life.until(lambda: plant.host(2).is_running)
    assert len(performer.begun) == 1
    plant.store.before_append = lambda _step: None
    await asyncio.sleep(10 * INTERVAL)
    run = life.view(wave).state.node(2)
    assert run is not None
    assert run.status is NodeStatus.FAILED
    assert plant.starts[2] == 1
    await life.die()


@in_virtual_time
async def test_a_shutdown_waits_for_the_steps_of_a_stopped_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = Plant()
    performer = Performer(plant, monkeypatch)
    playbook = a_restart(between=(a_step("patch"), a_step("clean")), after=(a_step("smoke"),))
    life = await Life(plant, **given(playbook)).begin()
    await life.start_wave([2])
    await life.until(lambda: bool(performer.begun))
    assert await life.waves.drain(300.0)
    assert plant.host(2).is_running
    assert [each.rsplit("-", 1)[1] for each in performer.begun] == ["2", "3"]
    await life.die()
