"""Every playbook that healthd ships: it is read without a complaint."""

from __future__ import annotations

from pathlib import Path

import pytest

from healthd.config.playbooks import read_playbook, shipped
from healthd.waves.playbook import Playbook, StepKind
from healthd.waves.playbook_steps import RebootAction

FILES = sorted(shipped("playbooks").glob("*.yaml"))


@pytest.fixture(params=FILES, ids=[file.stem for file in FILES])
def file(request: pytest.FixtureRequest) -> Path:
    """Each of them in turn."""
    found: Path = request.param
    return found


@pytest.fixture
def playbook(file: Path) -> Playbook:
    """What it says."""
    return read_playbook(file)


def test_it_is_called_as_its_file_is(file: Path, playbook: Playbook) -> None:
    assert playbook.name == file.stem
    assert playbook.description


def test_every_variable_is_explained(playbook: Playbook) -> None:
    assert [each.name for each in playbook.variables if not each.description] == []


def test_what_was_begun_in_a_command_can_be_found_out_or_done_again(playbook: Playbook) -> None:
    for step in playbook.steps:
        if step.kind in {StepKind.COMMAND, StepKind.HTTP, StepKind.ANSIBLE}:
            assert step.repeatable or step.observe, step.name


def test_os_patch_installs_and_reboots_only_while_the_broker_is_away() -> None:
    steps = read_playbook(shipped("playbooks") / "os-patch.yaml").steps
    kinds = [step.kind for step in steps]
    between = steps[kinds.index(StepKind.LEFT) + 1 : kinds.index(StepKind.START)]
    assert [step.name for step in between] == ["install the packages", "boot the host anew"]
    assert isinstance(between[1].action, RebootAction)
    assert between[0].verify
