"""`healthd playbook lint`: everything that is wrong, or looks wrong, in playbooks."""

import re
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
    is_unreadable = has_findings = False
    for name in files:
        try:
            for file in _playbooks(name):
                found = lint_file(file)
                has_findings = has_findings or bool(found)
                print_findings(file, found, output)
        except OSError as error:
            is_unreadable = True
            print_unopened(name, error.strerror or str(error), output)
    if is_unreadable:
        context.exit(Exit.USAGE)
    context.exit(Exit.PROBLEMS if has_findings else Exit.OK)


def _playbooks(name: str) -> list[str]:
    """The file itself, or the playbooks in a folder.

    Raises:
        OSError: the folder cannot be read, or has no playbook.
    """
    folder = Path(name)
    if name == "-" or "\0" in name or not folder.is_dir():
        return [name]
    paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    found = [str(path) for path in paths if _KIND.search(path.read_bytes())]
    if not found:
        raise OSError("a folder without playbooks (files with kind: Playbook)")
    return found
