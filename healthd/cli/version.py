"""`healthd version`."""

import json
import platform

import click

from healthd import __version__
from healthd.cli.files import output_option


@click.command("version")
@output_option
def version(output: str) -> None:
    """Print the version of healthd and of the Python that runs it."""
    found = {"version": __version__, "python": platform.python_version()}
    if output == "json":
        click.echo(json.dumps(found))
    else:
        click.echo(f"healthd {found['version']} (Python {found['python']})")
