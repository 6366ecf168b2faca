"""A playbook named on a command line: what is wrong with it, and the exit code that says so."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from healthd.cli.exits import Exit
from healthd.cli.files import STDIN, encodable
from healthd.config.playbooks import PlaybookNotFound, load_playbook, read_playbook
from healthd.config.problems import ConfigError, FileUnopened
from healthd.model.json_reader import printable
from healthd.waves.playbook import Playbook

_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


def exit_of(error: ConfigError) -> Exit:
    """2 for a file that cannot be opened, 3 for one with problems (contract.md section 1)."""
    return Exit.USAGE if isinstance(error, FileUnopened) else Exit.PROBLEMS


def print_error(file: str, error: ConfigError, output: str = "table") -> None:
    """Each problem on a line of its own, or the file's object for programs."""
    if output == "json":
        click.echo(json.dumps({"file": encodable(file), "error": error_text(error)}))
        return
    for problem in error.problems:
        click.echo(printable(str(problem)), err=True)


def error_text(error: ConfigError) -> str:
    """What is wrong, for programs, which have the file's name already where there is no line."""
    return error.reason if isinstance(error, FileUnopened) else str(error)


def found_playbook(context: click.Context, read: Callable[[], Playbook], *, name: str) -> Playbook:
    """The playbook that is read; whatever is wrong with it ends the command.

    Args:
        context: of the command.
        read: reads it.
        name: what was given on the command line.
    """
    try:
        return read()
    except ConfigError as error:
        print_error(name, error)
        context.exit(exit_of(error))
    except PlaybookNotFound as error:
        click.echo(f"healthd: {printable(str(error))} -> name one, or a file", err=True)
        context.exit(Exit.USAGE)


def read_named(name: str, folder: Path | None) -> Playbook:
    """The playbook in a file, or the one of a name.

    A name is looked for among the playbooks first: a folder beside it may have the same.

    Raises:
        PlaybookNotFound: it is neither.
        ConfigError: it cannot be read, or is not valid.
    """
    path = Path(name)
    if name == STDIN or path.suffix in _SUFFIXES or path.name != name:
        return read_playbook(path)
    try:
        return load_playbook(name, folder)
    except PlaybookNotFound:
        if not os.path.lexists(path):  # Unlike Path.exists it refuses no name.
            raise
        return read_playbook(path)
