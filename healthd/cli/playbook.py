"""`healthd playbook`: what there is to do with playbooks before a wave uses them."""

from collections.abc import Mapping
from typing import Final

import click

from healthd.cli.app import LazyCommand, LazyGroup

COMMANDS: Final[Mapping[str, LazyCommand]] = {
    "lint": LazyCommand(
        target="healthd.cli.playbook_lint:lint", help="Say what is wrong, or looks wrong, in them."
    ),
    "digest": LazyCommand(
        target="healthd.cli.playbook_digest:digest",
        help="Print the lines that a list of allowed playbooks takes.",
    ),
    "test": LazyCommand(
        target="healthd.cli.playbook_test:test",
        help="Run one in a model, with a fault at every step.",
    ),
    "sudoers": LazyCommand(
        target="healthd.cli.playbook_sudoers:sudoers",
        help="Print a sudoers file with exactly what a playbook needs.",
    ),
}


@click.group("playbook", cls=LazyGroup, lazy=COMMANDS)
def playbook() -> None:
    """Work with playbooks: no daemon and no network is needed."""
