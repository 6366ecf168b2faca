"""What waves were as deployments, counted once and remembered over a restart."""

import json
from dataclasses import replace
from typing import Any

import pytest
from support.engine import NOW, Life, Plant
from support.virtual_time import in_virtual_time
from support.waves import a_wave

from healthd.engine.deploying import deployment_of, remembered
from healthd.execute.memory import Verb
from healthd.store.records import WaveRecord
from healthd.waves.state import WaveStatus
from healthd.waves.stored import whole
from healthd.waves.tally import Tally

RECORD = WaveRecord(
    id="w", cluster="payments", name="w", reason="CHG", requested_by="ada", created_at=NOW,
    updated_at=NOW + 90.0, status="failed", state="{}",
)  # fmt: skip
ENDED = replace(a_wave(1), status=WaveStatus.FAILED, tally=Tally(restores=(7.5,)))


def test_a_stored_wave_is_the_deployment_that_it_was_when_it_ended() -> None:
    as_it_ended = deployment_of(ENDED, RECORD, RECORD.updated_at)
    assert as_it_ended is not None
    assert remembered(replace(RECORD, state=whole(ENDED))) == as_it_ended
    assert as_it_ended.restores == (7.5,)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tally": {"restores": 3}}'])
def test_a_stored_wave_that_nobody_can_read_still_counts(text: str) -> None:
    found = remembered(replace(RECORD, state=text))
    assert found is not None
    assert (found.outcome, found.restores) == (WaveStatus.FAILED, ())


def test_what_has_not_ended_a_dry_run_and_a_wave_over_a_fleet_are_no_deployments() -> None:
    running = replace(a_wave(1), status=WaveStatus.RUNNING)
    assert deployment_of(running, RECORD, NOW) is None
    assert deployment_of(replace(ENDED, is_dry_run=True), RECORD, NOW) is None
    others: list[dict[str, Any]] = [{"status": "running"}, {"cluster": ""}, {"id": "dry-run-1"}]
    for changes in others:
        assert remembered(replace(RECORD, **changes)) is None


@in_virtual_time
async def test_a_deployment_is_counted_when_its_wave_ends_and_remembered_after_a_restart() -> None:
    plant = Plant(seconds={Verb.STOP: 4.0, Verb.START: 2.0})
    life = await Life(plant).begin()
    wave = await life.start_wave([2])
    assert life.totals.deployments == {}
    assert await life.until_ended(wave) == "succeeded"
    assert life.totals.deployments == {"succeeded": 1}
    counted = life.totals.deployed[wave]
    assert counted.lead_seconds is not None
    assert counted.lead_seconds > 10
    await life.die()
    again = await Life(plant).begin()
    assert again.totals.deployments == {"succeeded": 1}
    remembered_ = again.totals.deployed[wave]
    assert remembered_.ended_at == pytest.approx(counted.ended_at, abs=1.0)
    assert json.loads(plant.store.waves()[0].state)["status"] == "succeeded"
    await again.die()
