"""Whole waves in memory that are held from outside."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.engine import INTERVAL, NOW, Life, Plant, request
from support.outside import ALERTS, SERVER, OutsideWorld
from support.virtual_time import in_virtual_time

from healthd.config.fleet import Fleet
from healthd.engine.clock import Clock
from healthd.engine.view import OrderRefused, Refusal
from healthd.execute.protocol import Command

CRITICAL = {"alertname": "DiskFull", "severity": "critical"}
LISTENS = {"alerts": ['severity="critical"']}


class Night:
    """A plant with a daemon, and a world outside it."""

    def __init__(self, **config: Any) -> None:
        self.plant = Plant()
        self.config = self.plant.config(**({"alerts": ALERTS} | config))
        now = asyncio.get_running_loop().time
        self.outside = OutsideWorld(
            clock=Clock(monotonic=now, wall=lambda: NOW + now()),
            fleet=Fleet(clusters=(self.config,)),
            interval_seconds=INTERVAL,
        )

    async def life(self) -> Life:
        """A life of the daemon over it."""
        return await Life(self.plant, config=self.config, guards=self.outside.guards).begin()

    def events(self) -> list[str]:
        """The story so far."""
        return self.plant.store.notes()


def never(night: Night) -> Callable[[], bool]:
    """Whether no broker was stopped so far."""
    return lambda: night.plant.starts == {1: 0, 2: 0, 3: 0} and night.plant.most_down == 0


@in_virtual_time
async def test_an_alert_holds_a_wave_until_it_fires_no_more() -> None:
    night = Night()
    night.outside.alertmanager.alerts = [CRITICAL]
    life = await night.life()
    wave = await life.start_wave(**LISTENS)
    await life.until(lambda: "ALERT_FIRING" in life.codes(wave))
    await asyncio.sleep(300)
    assert never(night)()
    assert life.view(wave).state.status.value == "holding"
    assert life.totals.gate_closed_seconds["ALERT_FIRING"] > 250
    night.outside.alertmanager.alerts = []
    assert await life.until_ended(wave) == "succeeded"
    assert night.plant.starts == {1: 1, 2: 1, 3: 1}
    await life.die()


@pytest.mark.parametrize("code", ["ALERT_QUERY_FAILED", "CRUISE_CONTROL"])
@in_virtual_time
async def test_a_wave_holds_while_a_guard_cannot_be_asked(code: str) -> None:
    night = Night(cruise_control=SERVER)
    night.outside.alertmanager.trouble = code == "ALERT_QUERY_FAILED"
    night.outside.cruise_control.trouble = code == "CRUISE_CONTROL"
    life = await night.life()
    wave = await life.start_wave(**LISTENS)
    await asyncio.sleep(200)
    assert life.codes(wave) >= {code}
    assert never(night)()
    night.outside.alertmanager.trouble = night.outside.cruise_control.trouble = False
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


def at_the_last_look(life: Life, strike: Callable[[], None]) -> None:
    """Let something happen after the choice of a broker, before it is looked at once more."""
    collect_now = life.loop.collect_now

    async def struck(*, read_configs: bool = False) -> Any:
        life.loop.collect_now = collect_now  # type: ignore[method-assign]
        strike()
        return await collect_now(read_configs=read_configs)

    life.loop.collect_now = struck  # type: ignore[method-assign]


@in_virtual_time
async def test_what_begins_between_the_choice_and_the_stop_is_seen_by_the_last_look() -> None:
    night = Night(cruise_control=SERVER)
    life = await night.life()

    def strike() -> None:
        night.outside.alertmanager.alerts = [CRITICAL]
        night.outside.cruise_control.executor = "STARTING_EXECUTION"

    at_the_last_look(life, strike)
    wave = await life.start_wave([2], **LISTENS)
    await life.until(lambda: {"ALERT_FIRING", "CRUISE_CONTROL"} <= life.codes(wave))
    assert never(night)()
    night.outside.alertmanager.alerts = []
    night.outside.cruise_control.executor = "NO_TASK_IN_PROGRESS"
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_reassignment_that_begins_then_is_seen_by_the_last_look_too() -> None:
    night = Night()
    life = await night.life()
    partition = night.plant.cluster.partition("orders", 0)
    before = partition.replicas

    def strike() -> None:
        partition.replicas, partition.adding = (1, 2, 3), frozenset({3})

    at_the_last_look(life, strike)
    wave = await life.start_wave([2])
    await life.until(lambda: "REASSIGNMENT" in life.codes(wave))
    assert never(night)()
    partition.replicas, partition.adding = before, frozenset()
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_guard_that_hangs_delays_no_broker_in_flight_and_keeps_the_next() -> None:
    night = Night()
    life = await night.life()
    wave = await life.start_wave([1, 2], **LISTENS)
    await life.until(lambda: night.plant.most_down == 1)
    night.outside.alertmanager.hangs = True
    began = night.plant.now
    await life.until(lambda: "soaking" in {life.status(wave, 1), life.status(wave, 2)})
    assert night.plant.now - began < 30
    await asyncio.sleep(300)
    assert sorted(night.plant.starts.values()) == [0, 0, 1]
    assert "ALERT_QUERY_FAILED" in life.codes(wave)
    night.outside.alertmanager.hangs = False
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_an_alertmanager_that_hangs_delays_a_stop_no_longer_than_its_limit() -> None:
    night = Night()
    night.outside.alertmanager.hangs = True
    life = await night.life()
    wave = await life.start_wave([2], silence=True)
    await life.until(lambda: life.status(wave, 2) == "stopping")
    began = night.plant.now
    await life.until(lambda: night.plant.most_down == 1)
    assert night.plant.now - began < 6  # The stop itself takes 4 of them.
    assert await life.until_ended(wave) == "succeeded"
    (story,) = [note for note in night.events() if "silence_not_made" in note]
    assert "gave no answer within 10 s" in story
    await life.die()


@in_virtual_time
async def test_a_freeze_in_mid_wave_takes_nobody_else_and_finishes_who_is_in_work() -> None:
    night = Night()
    life = await night.life()
    wave = await life.start_wave()
    await life.until(lambda: night.plant.most_down == 1)
    freeze = {"name": "stop", "reason": "incident", "all": True}
    await night.outside.freezer.add(freeze, by="ann")
    await asyncio.sleep(600)
    assert sorted(night.plant.starts.values()) == [0, 0, 1]
    assert not night.plant.cluster.dead
    assert "FREEZE" in life.codes(wave)
    assert "done" in {life.status(wave, node) for node in (1, 2, 3)}
    await night.outside.freezer.remove("stop", by="ann", reason="over")
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_host_is_silenced_from_before_its_stop_until_it_is_done() -> None:
    night = Night()
    life = await night.life()
    silenced: list[tuple[str, list[str]]] = []

    def look(command: Command) -> None:
        if command.effect_id:
            comments = [body["comment"] for body in night.outside.alertmanager.silences.values()]
            silenced.append((command.effect_id, comments))

    life.executor.before_run = look
    wave = await life.start_wave([2, 3], silence=True)
    assert await life.until_ended(wave) == "succeeded"
    assert [effect for effect, _ in silenced] == ["2.1.stop", "2.1.start", "3.1.stop", "3.1.start"]
    for effect, comments in silenced:
        assert len(comments) == 1
        assert comments[0].endswith(f"[wave {wave}, node {effect[0]}]")
    await asyncio.sleep(1)
    assert night.outside.alertmanager.silences == {}
    assert night.outside.alertmanager.posts == 2
    await life.die()


@in_virtual_time
async def test_a_silence_that_cannot_be_made_is_told_and_stops_nothing() -> None:
    night = Night()
    night.outside.alertmanager.trouble = True
    life = await night.life()
    wave = await life.start_wave([2], silence=True)
    assert await life.until_ended(wave) == "succeeded"
    story = [note for note in night.events() if "silence_not_made" in note]
    assert len(story) == 1
    assert "Alertmanager refused the connection" in story[0]
    await life.die()


@in_virtual_time
async def test_a_killed_daemons_silence_is_taken_over_by_the_next() -> None:
    night = Night()
    life = await night.life()
    wave = await life.start_wave([2], silence=True)
    await life.until(lambda: life.status(wave, 2) == "recovering")
    await life.die()
    assert len(night.outside.alertmanager.silences) == 1
    again = await night.life()
    assert await again.until_ended(wave) == "succeeded"
    await asyncio.sleep(1)
    assert night.outside.alertmanager.silences == {}
    assert night.outside.alertmanager.posts == 1
    await again.die()


@pytest.mark.parametrize(
    ("config", "policy", "path"),
    [
        ({"alerts": None}, LISTENS, "alerts"),
        ({"alerts": None}, {"silence": True}, "silence"),
        ({"alerts": replace(ALERTS, alertmanager=None, prometheus=SERVER)}, {"silence": True},
         "silence"),
    ],
)  # fmt: skip
@in_virtual_time
async def test_a_policy_that_nobody_can_act_on_is_refused_by_name_and_nothing_is_leased(
    config: dict[str, Any], policy: dict[str, Any], path: str
) -> None:
    night = Night(**config)
    life = await night.life()
    with pytest.raises(OrderRefused, match=f"policy.{path}: ") as refused:
        await life.waves.start(request(**policy), by="ada")
    assert refused.value.refusal is Refusal.INVALID
    assert refused.value.facts["problems"][0]["path"] == path
    assert night.plant.store.leases() == ()
    await life.die()
