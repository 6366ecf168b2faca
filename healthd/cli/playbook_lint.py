"""`healthd playbook lint`: everything that is wrong, or looks wrong, in playbooks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from healthd.cli.exits import Exit
from healthd.cli.files import files_argument, output_option, print_findings, print_unopened
from healthd.config.playbook_lint import lint_file

_KIND: Final = re.compile(rb"""^["']?kind["']?:\s*["']?Playbook\b""", re.MULTILINE)
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


@click.command()
@output_option
@files_argument
@click.pass_context
def lint(context: click.Context, output: str, files: tuple[str, ...]) -> None:
    """Say what is wrong, or looks wrong, in playbooks, and what to do about each.

    FILE may be - for stdin, or a folder: then every playbook that lies in it. Needs no daemon and
    no network. A comment "# lint: ignore CODE" on the line, or alone on the line before it, answers
    a warning.

    Exits 0 when nothing was found, 3 when something was, 2 when a file cannot be opened.
    """
    codes = {code for name in files for code in _each(name, output)}
    if Exit.USAGE in codes:
        context.exit(Exit.USAGE)
    context.exit(Exit.PROBLEMS if Exit.PROBLEMS in codes else Exit.OK)


def _each(name: str, output: str) -> Iterator[Exit]:
    """What came of a file, or of each playbook in a folder, which is printed."""
    try:
        files = _playbooks(name)
    except OSError as error:
        print_unopened(name, error.strerror or str(error), output)
        yield Exit.USAGE
        return
    for file in files:
        try:
            found = lint_file(file)
        except OSError as error:
            print_unopened(file, error.strerror or str(error), output)
            yield Exit.USAGE
            continue
        print_findings(file, found, output)
        yield Exit.PROBLEMS if found else Exit.OK


def _playbooks(name: str) -> list[str]:
    """The file itself, or the playbooks in a folder.

    Raises:
        OSError: the folder cannot be read, or has no playbook.
    """
    folder = Path(name)
    if name == "-" or "\0" in name or not folder.is_dir():
        return [name]
    paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    found = [str(path) for path in paths if _may_be_playbook(path)]
    if not found:
        raise OSError("a folder without playbooks (files with kind: Playbook)")
    return found


def _may_be_playbook(path: Path) -> bool:
    """Whether a file in a folder is a playbook, or is none that can be opened."""
    if path.exists() and not path.is_file():
        return False
    try:
        return _KIND.search(path.read_bytes()) is not None
    except OSError:
        return True
