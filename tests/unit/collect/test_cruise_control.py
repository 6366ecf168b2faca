"""Cruise Control's state, as a fake one tells it."""

from typing import Any

import pytest
from support.fake_cruise_control import FakeCruiseControl
from support.http_server import says, serving

from healthd.collect.cruise_control import CruiseControl, CruiseControlState, parse_state
from healthd.collect.rest import RestError
from healthd.config.source_rest import RestConfig
from healthd.config.source_server import ServerConfig

MOVES = (
    "STARTING_EXECUTION",
    "INITIALIZING_PROPOSAL_EXECUTION",
    "GENERATING_PROPOSALS_FOR_EXECUTION",
    "INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS",
    "INTRA_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS",
    "LEADER_MOVEMENT_TASK_IN_PROGRESS",
    "STOPPING_EXECUTION",
)


async def state_at(url: str) -> CruiseControlState:
    """What one at that address says."""
    reader = CruiseControl(ServerConfig(rest=RestConfig(urls=(url,)), timeout_seconds=2))
    try:
        return await reader.state()
    finally:
        await reader.aclose()


async def state_of(fake: FakeCruiseControl) -> CruiseControlState:
    """What a fake one says."""
    async with serving(fake.answer) as url:
        return await state_at(url)


async def test_one_that_executes_nothing_is_idle_and_says_what_it_heals() -> None:
    fake = FakeCruiseControl(heals=("GOAL_VIOLATION", "BROKER_FAILURE"))
    found = await state_of(fake)
    assert found.is_idle
    assert found.heals == ("BROKER_FAILURE", "GOAL_VIOLATION")
    assert fake.asked == ["/kafkacruisecontrol/state?substates=executor,anomaly_detector&json=true"]


@pytest.mark.parametrize("executor", MOVES)
async def test_one_that_moves_or_is_about_to_is_not_idle(executor: str) -> None:
    found = await state_of(FakeCruiseControl(executor=executor, reason="add broker 7"))
    assert not found.is_idle
    assert str(found) == f"Cruise Control: {executor} (add broker 7)"


async def test_one_that_heals_is_not_idle() -> None:
    found = await state_of(FakeCruiseControl(healing="a-1"))
    assert not found.is_idle
    assert "healing anomaly a-1" in str(found)


def test_a_state_of_a_later_version_is_not_idle() -> None:
    assert not parse_state({"ExecutorState": {"state": "SOMETHING_NEW"}}).is_idle


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"ExecutorState": None},
        {"ExecutorState": {"error": "ILLEGAL_STATE_EXCEPTION"}},
        {"ExecutorState": {"state": ""}},
        {"ExecutorState": {"state": 1}},
        {"errorMessage": "busy"},
    ],
)
def test_an_answer_without_a_state_is_not_believed(answer: Any) -> None:
    with pytest.raises(RestError, match="did not tell"):
        parse_state(answer)


async def test_one_that_fails_or_is_none_is_not_believed() -> None:
    with pytest.raises(RestError, match="HTTP status 500"):
        await state_of(FakeCruiseControl(status=500))
    async with serving(says("<html>", kind="text/html")) as url:
        with pytest.raises(RestError, match="HTML"):
            await state_at(url)
