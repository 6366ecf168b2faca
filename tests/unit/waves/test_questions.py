"""What a person is asked by a step: with the values of the wave itself, and with no other."""

from __future__ import annotations

import pytest
from support.step_playbooks import a_prompt, a_step
from support.waves import a_run, a_wave

from healthd.waves.questions import question_of
from healthd.waves.state import NodeStatus, WaveState


@pytest.fixture
def wave() -> WaveState:
    """A wave that was given a version."""
    return a_wave(2, variables=(("toVersion", "4.1.0"),))


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Go on?", "Go on?"),
        ("Does ${cluster} run ${toVersion}?", "Does payments run 4.1.0?"),
        ("Broker ${broker_id} of it?", "Broker 2 of it?"),
        # What the fleet file may say otherwise is not guessed.
        ("${host} has ${link}?", "${host} has ${link}?"),
        ("$${cluster} for $5?", "${cluster} for $5?"),
    ],
)
def test_a_question_has_what_the_wave_was_given(wave: WaveState, question: str, told: str) -> None:
    run = a_run(2, NodeStatus.RECOVERING)
    assert question_of(wave, run, a_prompt(question)) == told


def test_a_step_that_asks_nobody_has_no_question(wave: WaveState) -> None:
    assert question_of(wave, a_run(2, NodeStatus.RECOVERING), a_step("patch")) == ""
