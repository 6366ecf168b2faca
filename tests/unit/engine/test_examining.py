"""Examinations are shared, kept for a moment, and few."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from healthd.config.fleet import ClusterConfig
from healthd.config.problems import ConfigError, Problem
from healthd.engine.clock import Clock
from healthd.engine.examining import AT_ONCE, KEPT_SECONDS, Examiner, not_offered
from healthd.engine.view import OrderRefused

PAYMENTS = ClusterConfig(name="payments", bootstrap_servers=("b1:9092",))


NOW = Clock(monotonic=lambda: 0.0)


class Doctor:
    """Examines for as long as it is told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = asyncio.Event()

    async def examine(self, config: ClusterConfig) -> Mapping[str, Any]:
        self.begun.append(config.name)
        await self.may_end.wait()
        return {"cluster": config.name, "number": len(self.begun)}


@pytest.fixture
def doctor() -> Doctor:
    return Doctor()


async def test_those_who_ask_together_share_one(doctor: Doctor) -> None:
    examiner = Examiner(doctor.examine, NOW)
    asked = [asyncio.create_task(examiner.of(PAYMENTS)) for _ in range(3)]
    await asyncio.sleep(0)
    asked[0].cancel()
    doctor.may_end.set()
    assert await asked[1] == await asked[2] == {"cluster": "payments", "number": 1}
    assert doctor.begun == ["payments"]


async def test_the_answer_is_kept_for_a_moment(doctor: Doctor) -> None:
    now = [0.0]
    examiner = Examiner(doctor.examine, Clock(monotonic=lambda: now[0]))
    doctor.may_end.set()
    first = await examiner.of(PAYMENTS)
    now[0] = KEPT_SECONDS - 0.1
    assert await examiner.of(PAYMENTS) is first
    now[0] = KEPT_SECONDS
    assert (await examiner.of(PAYMENTS))["number"] == 2


async def test_a_cluster_that_was_changed_is_examined_anew(doctor: Doctor) -> None:
    examiner = Examiner(doctor.examine, NOW)
    doctor.may_end.set()
    await examiner.of(PAYMENTS)
    changed = replace(PAYMENTS, bootstrap_servers=("b2:9092",))
    assert (await examiner.of(changed))["number"] == 2


async def test_only_a_few_run_at_a_time(doctor: Doctor) -> None:
    examiner = Examiner(doctor.examine, NOW)
    names = [f"cluster-{number}" for number in range(AT_ONCE + 1)]
    asked = [asyncio.create_task(examiner.of(replace(PAYMENTS, name=name))) for name in names]
    for _ in range(5):
        await asyncio.sleep(0)
    assert doctor.begun == names[:AT_ONCE]
    doctor.may_end.set()
    await asyncio.gather(*asked)
    assert doctor.begun == names


async def test_a_secret_that_cannot_be_read_is_told() -> None:
    async def broken(_config: ClusterConfig) -> Mapping[str, Any]:
        raise ConfigError([Problem(file="fleet.yaml", message="no such file", action="make it")])

    with pytest.raises(OrderRefused, match="no such file"):
        await Examiner(broken, NOW).of(PAYMENTS)


async def test_the_end_of_the_daemon_abandons_what_is_under_way(doctor: Doctor) -> None:
    examiner = Examiner(doctor.examine, NOW)
    asked = asyncio.create_task(examiner.of(PAYMENTS))
    await asyncio.sleep(0)
    await examiner.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_a_daemon_without_examinations_says_so() -> None:
    with pytest.raises(OrderRefused, match="cannot be examined"):
        await Examiner(not_offered, NOW).of(PAYMENTS)
