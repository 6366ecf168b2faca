"""`healthd wave approve`: somebody agrees to a stage before it begins."""

import json
from pathlib import Path
from typing import Any

import click

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.files import output_option
from healthd.cli.terminal import console
from healthd.cli.wave_text import wave_view


@click.command("approve")
@click.argument("name", metavar="WAVE")
@click.option("--stage", metavar="NAME", help="Which stage; the one that waits when not named.")
@click.option("--reason", required=True, help="Why; it goes into the journal and the audit log.")
@output_option
@daemon_options
def approve(
    *,
    name: str,
    stage: str | None,
    reason: str,
    output: str,
    server: str,
    token_file: Path | None,
) -> None:
    """Let a stage begin that waits for an approval.

    Where two persons are wanted, whoever started the wave cannot be the second.
    """
    if not reason.strip():
        raise click.BadParameter("say why", param_hint="--reason")
    body: dict[str, Any] = {"reason": reason}
    if stage is not None:
        body["stage"] = stage
    found = DaemonClient(server, token_file).post(path_of("waves", name, "approve"), body)
    if output == "json":
        click.echo(json.dumps(found))
    else:
        console().print(wave_view(found))
