"""`healthd wave override`: a second person answers for one hold, for a while."""

import json
from pathlib import Path

import click

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.durations import Duration
from healthd.cli.files import output_option
from healthd.cli.terminal import console
from healthd.cli.wave_text import wave_view
from healthd.model.codes import ReasonCode


@click.command("override")
@click.argument("name", metavar="WAVE")
@click.argument("code", metavar="CODE")
@click.argument("subject", metavar="OBJECT")
@click.option(
    "--for",
    "seconds",
    type=Duration("8h"),
    required=True,
    metavar="DURATION",
    help="How long it lasts, such as 30m; at most 8h. Then the hold counts again.",
)
@click.option("--reason", required=True, help="Why; it goes into the journal and the audit log.")
@output_option
@daemon_options
def override(
    *,
    name: str,
    code: str,
    subject: str,
    seconds: float,
    reason: str,
    output: str,
    server: str,
    token_file: Path | None,
) -> None:
    """Let WAVE go on in spite of the hold CODE OBJECT, for a while.

    For a second person: somebody else than who started the wave, by a token of their own with the
    role approver. Refused for whatever protects data: partitions under min ISR or offline, the
    quorum, leases, the identity of hosts, the state file.
    """
    if code not in ReasonCode.__members__:
        raise click.BadParameter(f"{code} is no code that holds a wave", param_hint="CODE")
    if not reason.strip():
        raise click.BadParameter("say why", param_hint="--reason")
    found = DaemonClient(server, token_file).post(
        path_of("waves", name, "override"),
        {"code": code, "object": subject, "seconds": seconds, "reason": reason},
    )
    if output == "json":
        click.echo(json.dumps(found))
    else:
        console().print(wave_view(found))
