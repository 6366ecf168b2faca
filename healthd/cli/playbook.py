"""`healthd playbook`: what there is to do with playbooks before a wave uses them."""

from typing import Final

import click

from healthd.cli.app import LazyCommand, LazyGroup

COMMANDS: Final = {
    "sudoers": LazyCommand(
        target="healthd.cli.playbook_sudoers:sudoers",
        help="Print a sudoers file with exactly what a playbook needs.",
    ),
}


@click.group("playbook", cls=LazyGroup, lazy=COMMANDS)
def playbook() -> None:
    """Work with playbooks: no daemon and no network is needed."""
