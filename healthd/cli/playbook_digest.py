"""`healthd playbook digest`: the lines that a list of allowed playbooks takes."""

import json
from pathlib import Path

import click

from healthd.cli.exits import Exit
from healthd.cli.files import encodable, files_argument, output_option
from healthd.cli.playbook_files import exit_of, print_error
from healthd.config.playbooks import read_playbook_file
from healthd.config.problems import ConfigError
from healthd.model.json_reader import printable


@click.command()
@output_option
@files_argument
@click.pass_context
def digest(context: click.Context, output: str, files: tuple[str, ...]) -> None:
    """Print the SHA-256 of playbooks, each with the files that its steps send.

    FILE may be - for stdin. The lines are those of the file that the setting playbookDigests names.
    Of a playbook that sends no files the digest is what sha256sum prints.

    Exits 0, or 2 when a file cannot be opened, else 3 when one is no valid playbook.
    """
    code = Exit.OK
    for name in files:
        try:
            found = read_playbook_file(Path(name))
        except ConfigError as error:
            code = max(code, exit_of(error), key=_SERIOUS.index)
            print_error(name, error, output)
            continue
        if output == "json":
            line = {"file": encodable(name), "name": found.playbook.name, "digest": found.digest}
            click.echo(json.dumps(line))
        else:
            click.echo(f"{found.digest}  {printable(found.playbook.name)}")
    context.exit(code)


_SERIOUS = [Exit.OK, Exit.PROBLEMS, Exit.USAGE]
