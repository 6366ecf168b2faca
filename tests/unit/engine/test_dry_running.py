"""A dry run: the whole wave through the real gate, and no command reaches a host."""

import json
from typing import Any

import pytest
from support.engine import Life, Plant, request
from support.virtual_time import in_virtual_time

from healthd.engine.view import OrderRefused, Refusal
from healthd.waves.report import report_markdown, wave_report


async def dry_run(life: Life, brokers: Any = "all", **policy: Any) -> str:
    asked = request(brokers=brokers, **policy) | {"dryRun": True}
    return (await life.waves.start(asked, by="ada")).state.wave


@in_virtual_time
async def test_a_dry_run_passes_through_every_state_and_sends_nothing() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await dry_run(life)
    assert wave.startswith("dry-run-w-")
    assert await life.until_ended(wave) == "succeeded"
    assert life.executor.asked == []
    assert plant.starts == {1: 0, 2: 0, 3: 0}
    assert life.elector.elected == []
    for run in life.view(wave).state.nodes:
        states = [status for status, _ in run.history]
        assert states == ["pending", "stopping", "stopped", "starting", "recovering", "soaking",
                          "done"]  # fmt: skip
    await life.die()


@in_virtual_time
async def test_the_report_says_what_would_have_been_sent_and_where() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await dry_run(life, [2])
    await life.until_ended(wave)
    entries = [
        {"at": row.at.isoformat(), "event": row.event, "node": row.node, "detail": row.detail}
        for row in await life.waves.journal(wave)
    ]
    report = wave_report(life.view(wave).state, entries)
    assert report["dryRun"]
    told = [(row["node"], row["detail"]) for row in report["commands"]]
    assert told[:2] == [
        (2, "dry run: not sent to ops@b2:22: sv stop kafka"),
        (2, "dry run: not sent to ops@b2:22: sv start kafka"),
    ]
    page = report_markdown(report)
    assert page.startswith(f"# Dry run {wave}: succeeded\n")
    assert "## What would have been done" in page
    await life.die()


@in_virtual_time
async def test_a_dry_run_keeps_no_real_wave_from_its_cluster_and_the_other_way_round() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    dry = await dry_run(life, cleanSeconds=1000)
    real = await life.start_wave([2])
    await life.until(lambda: life.view(real).state.status.has_ended)
    assert life.view(real).state.status.value == "succeeded"
    assert plant.starts == {1: 0, 2: 1, 3: 0}
    other = await life.start_wave([3], cleanSeconds=1000)
    with pytest.raises(OrderRefused) as refused:
        await dry_run(life)
    assert refused.value.refusal is Refusal.LEASED
    assert refused.value.facts["wave"] == dry
    assert not life.view(other).state.status.has_ended
    await life.die()


@in_virtual_time
async def test_a_dry_run_is_counted_nowhere_and_takes_no_broker_away() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    away: list[frozenset[int]] = []
    life.loop.set_away = away.append  # type: ignore[method-assign,assignment]
    await life.until_ended(await dry_run(life))
    assert away == []
    assert not life.totals.restart_seconds
    assert not life.totals.deployments
    assert [row.what for row in plant.store.audit_records()] == ["wave_dry_run"]
    await life.die()


@in_virtual_time
async def test_the_real_gate_holds_a_dry_run() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    plant.host(3).is_running = False
    plant.follow_hosts()
    wave = await dry_run(life, [1, 2])
    await life.until(lambda: "BROKER_DOWN" in life.codes(wave))
    assert life.view(wave).state.status.value == "holding"
    plant.host(3).is_running = True
    plant.follow_hosts()
    assert await life.until_ended(wave) == "succeeded"
    await life.die()


@in_virtual_time
async def test_a_dry_run_goes_on_after_the_daemon_died() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await dry_run(life)
    await life.until(lambda: life.status(wave, 3) in {"recovering", "soaking"})
    await life.die()
    again = await Life(plant).begin()
    assert await again.until_ended(wave) == "succeeded"
    assert again.executor.asked == []
    assert json.loads(json.dumps(plant.starts)) == {"1": 0, "2": 0, "3": 0}
    await again.die()


@in_virtual_time
async def test_only_true_and_false_are_understood() -> None:
    life = await Life(Plant()).begin()
    with pytest.raises(OrderRefused, match="dryRun: must be true or false"):
        await life.waves.start(request() | {"dryRun": "yes"}, by="ada")
    await life.die()
