"""The playbooks that healthd ships for upgrades of Kafka: one of both halves, and each half."""

from __future__ import annotations

from dataclasses import replace

import pytest

from healthd.config.playbooks import load_playbook
from healthd.waves.playbook import Playbook, StepKind
from healthd.waves.playbook_steps import PromptAction


@pytest.fixture(scope="module")
def upgrade() -> Playbook:
    """The whole of it."""
    return load_playbook("kafka-upgrade")


def test_the_first_half_is_the_upgrade_without_what_cannot_be_undone(upgrade: Playbook) -> None:
    half = load_playbook("kafka-binaries")
    assert half.steps == upgrade.steps[:-2]
    left_out = {variable for variable in upgrade.variables if variable not in half.variables}
    assert {variable.name for variable in left_out} == {"metadataVersion"}


def test_the_second_half_is_the_end_of_the_upgrade(upgrade: Playbook) -> None:
    *_, prompt, finalize = upgrade.steps
    assert prompt.kind is StepKind.PROMPT
    half = load_playbook("kafka-finalize")
    assert not half.restarts
    assert half.steps[1] == finalize
    assert replace(half.steps[0], action=prompt.action) == prompt
    for step in (prompt, half.steps[0]):
        assert isinstance(step.action, PromptAction)
        assert "point of no return" in step.action.question


def test_nothing_but_the_link_is_touched_while_a_broker_is_away(upgrade: Playbook) -> None:
    kinds = [step.kind for step in upgrade.steps]
    between = upgrade.steps[kinds.index(StepKind.LEFT) + 1 : kinds.index(StepKind.START)]
    assert [step.name for step in between] == [
        "make the new link beside the old one",
        "switch the link",
    ]


@pytest.mark.parametrize("name", ["kafka-upgrade", "kafka-binaries", "jvm-upgrade"])
def test_every_command_that_changes_a_host_may_be_repeated_or_can_be_observed(name: str) -> None:
    for step in load_playbook(name).steps:
        if step.kind is StepKind.COMMAND:
            assert step.repeatable or step.observe, step.name


def test_metadata_is_raised_by_one_broker_only(upgrade: Playbook) -> None:
    assert [step.kind for step in upgrade.steps if step.once] == [StepKind.PROMPT, StepKind.KAFKA]
