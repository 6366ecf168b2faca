"""Windows and overrides in the running engine: the wall clock, the journal, the audit log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.engine import NOW, Life, Plant
from support.virtual_time import in_virtual_time

from healthd.engine.view import OrderRefused, Refusal
from healthd.model.codes import ReasonCode
from healthd.waves.events import OverrideAsked


def window(*, opens_in: float, minutes: float) -> dict[str, Any]:
    """A policy with one window, so many seconds from the beginning, of every day."""
    start = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=opens_in)
    end = start + timedelta(minutes=minutes)
    return {"windows": [{"start": f"{start:%H:%M}", "end": f"{end:%H:%M}", "timezone": "UTC"}]}


def closed(seconds: float = 600.0) -> OverrideAsked:
    return OverrideAsked(code=ReasonCode.WINDOW_CLOSED, object="cluster:payments", seconds=seconds)


@in_virtual_time
async def test_a_wave_waits_for_its_window_and_works_in_it() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2], **window(opens_in=1_800, minutes=30))
    await life.until(lambda: "WINDOW_CLOSED" in life.codes(wave))
    await life.until(lambda: plant.now > 1_600)
    assert plant.starts[2] == 0
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts[2] == 1
    assert plant.now >= 1_740


@in_virtual_time
async def test_a_second_person_opens_it_and_it_is_written_who_and_why() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2], **window(opens_in=36_000, minutes=30))
    await life.until(lambda: "WINDOW_CLOSED" in life.codes(wave))
    with pytest.raises(OrderRefused, match="ada started the wave") as refused:
        await life.waves.order(
            wave, "override", by="ada", reason="INC-7", node=None, override=closed()
        )
    assert refused.value.refusal is Refusal.CONFLICT
    await life.waves.order(wave, "override", by="ben", reason="INC-7", node=None, override=closed())
    newest = plant.store.audit_records()[0]
    assert (newest.who, newest.what) == ("ben", "wave_override")
    assert newest.why == "WINDOW_CLOSED cluster:payments for 10 min: INC-7"
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts[2] == 1


@in_virtual_time
async def test_it_ends_by_itself_and_survives_a_restart_of_the_daemon() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    wave = await life.start_wave([2], cleanSeconds=300, **window(opens_in=36_000, minutes=30))
    await life.until(lambda: "WINDOW_CLOSED" in life.codes(wave))
    await life.waves.order(
        wave, "override", by="ben", reason="INC-7", node=None, override=closed(60.0)
    )
    await life.die()
    second = await Life(plant).begin()
    assert [each.by for each in second.view(wave).state.overrides] == ["ben"]
    await second.until(lambda: "WINDOW_CLOSED" not in second.codes(wave))
    await second.until(lambda: "WINDOW_CLOSED" in second.codes(wave))
    assert second.view(wave).state.overrides == ()
    assert plant.starts[2] == 0
    await second.die()
