"""Every playbook that healthd ships: nothing to complain of, a page, and its line in the list."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from healthd.cli.app import cli
from healthd.cli.exits import Exit
from healthd.config.playbooks import read_playbook, shipped
from healthd.waves.host_commands import host_commands_of
from healthd.waves.sudoers import command_line

FILES = sorted(shipped("playbooks").glob("*.yaml"))
DOCS = Path(__file__).parents[3] / "docs"
PAGES = {
    "config-change-dynamic": "config-change",
    "kafka-binaries": "kafka-upgrade",
    "kafka-finalize": "kafka-upgrade",
    "kafka-protocol-zookeeper": "kafka-upgrade-zookeeper",
}
"""Those that share a page with another one."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_has_no_mistakes_and_a_page(file: Path) -> None:
    result = CliRunner().invoke(cli, ["playbook", "lint", str(file)])
    assert (result.exit_code, result.output) == (Exit.OK, f"{file}: ok\n")
    book = read_playbook(file)
    assert book.name == file.stem
    listed = (DOCS / "playbooks.md").read_text("utf-8")
    assert f"`{file.stem}`" in listed
    if file.stem == "rolling-restart":
        return  # docs/waves.md is about it.
    page = (DOCS / "playbooks" / f"{PAGES.get(file.stem, file.stem)}.md").read_text("utf-8")
    assert file.stem in page
    if "(kafka-upgrade.md" in page:  # What is the same is said there.
        page += (DOCS / "playbooks" / "kafka-upgrade.md").read_text("utf-8")
    for variable in book.variables:
        assert f"`{variable.name}`" in page or f"{variable.name}:" in page, variable.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sudoers_file_can_say_what_it_runs_as_root(file: Path) -> None:
    for step in read_playbook(file).steps:
        checks = (*step.only_if, *step.observe, *step.verify)
        for command in host_commands_of(step.action, checks):
            assert not command.become or command_line(command.argv), step.name
