"""`healthd playbook lint`: everything that is wrong, or looks wrong, in playbooks."""

import json
import re
from pathlib import Path
from typing import Final

import click

from healthd.cli.exits import Exit
from healthd.cli.files import files_argument, output_option
from healthd.config.playbook_lint import LintFinding, lint_file
from healthd.model.json_reader import printable

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
                _print_findings(file, found, output)
        except OSError as error:
            is_unreadable = True
            _print_unreadable(name, error.strerror or str(error), output)
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


def _print_findings(file: str, found: list[LintFinding], output: str) -> None:
    if output == "json":
        listed = [each.document() for each in found]
        click.echo(json.dumps({"file": _encodable(file), "problems": listed}))
        return
    for each in found:
        click.echo(printable(str(each)))
    if not found:
        click.echo(f"{printable(file)}: ok")


def _print_unreadable(file: str, reason: str, output: str) -> None:
    message = f"cannot be opened: {reason}"
    if output == "json":
        click.echo(json.dumps({"file": _encodable(file), "error": message}))
    else:
        click.echo(f"{printable(file)}: {message} -> check the path and its permissions", err=True)


def _encodable(file: str) -> str:
    return file.encode("utf-8", "backslashreplace").decode("utf-8")
