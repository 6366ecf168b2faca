"""`healthd mute`: silence a check for a while, list what is silenced, and lift it."""

import json
from pathlib import Path
from typing import Any

import click

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.durations import Duration
from healthd.cli.files import output_option
from healthd.cli.terminal import console, plain, rows_of, table
from healthd.model.codes import CheckCode


def _check(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and value.upper() not in CheckCode.__members__:
        raise click.BadParameter(f"{value} is no check; docs/codes/checks has them all")
    return None if value is None else value.upper()


@click.command("mute")
@click.argument("cluster", required=False)
@click.argument("check", required=False, callback=_check)
@click.argument("objects", nargs=-1)
@click.option("--for", "seconds", type=Duration("30d"), help="How long, such as 2h; needed.")
@click.option("--reason", help="Why; it goes into the audit log; needed.")
@click.option("--owner", help="Who looks after it; whoever asks when absent.")
@click.option("--even-if-not-raised", is_flag=True, help="Mute it before it is raised.")
@click.option("--lift", metavar="ID", help="Lift a mute.")
@output_option
@daemon_options
def mute(  # One option each.
    *,
    cluster: str | None,
    check: str | None,
    objects: tuple[str, ...],
    seconds: float | None,
    reason: str | None,
    owner: str | None,
    even_if_not_raised: bool,
    lift: str | None,
    output: str,
    server: str,
    token_file: Path | None,
) -> None:
    """Silence CHECK of CLUSTER, all of it or some OBJECTS; without arguments, list the mutes.

    A mute changes the class that people are told, never the index and never routing. It lifts
    itself when more objects are concerned than were muted.
    """
    client = DaemonClient(server, token_file)
    if cluster is None and lift is None:
        if seconds is not None or reason is not None:
            raise click.UsageError("name a CLUSTER and a CHECK to mute, or --lift ID")
        _show(client.get(path_of("mutes"))["mutes"], output)
        return
    if check is None and lift is None:
        raise click.UsageError("name the CHECK to mute; 'healthd status CLUSTER' shows them")
    if not reason:
        raise click.UsageError("--reason is missing: it goes into the audit log")
    if lift is not None:
        if cluster is not None:
            raise click.UsageError("give CLUSTER and CHECK, or --lift ID")
        lifted = client.post(path_of("mutes", lift, "lift"), {"reason": reason})
        if output == "json":
            click.echo(json.dumps({"mutes": [lifted]}))
        else:
            # In the table it would look like one that counts.
            what = f"Mute {lifted['id']} of {lifted['check']} on {lifted['cluster']}"
            click.echo(f"{plain(what).plain} is lifted.")
        return
    if seconds is None:
        raise click.UsageError("--for is missing: a mute needs an end, such as --for 2h")
    body = {
        "cluster": cluster,
        "check": check,
        "objects": list(objects),
        "seconds": seconds,
        "reason": reason,
        "owner": owner,
        "evenIfNotRaised": even_if_not_raised,
    }
    _show([client.post(path_of("mutes"), body)], output)


def _show(found: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        click.echo(json.dumps({"mutes": found}))
        return
    out = console()
    if not found:
        out.print(plain("Nothing is muted."))
        return
    rows = [
        (
            row["id"],
            row["cluster"],
            row["check"],
            ", ".join(row["objects"]) or "all",
            row["until"],
            row["owner"],
            row["reason"],
        )
        for row in found
    ]
    columns = ("ID", "CLUSTER", "CHECK", "OBJECTS", "UNTIL", "OWNER", "REASON")
    out.print(rows_of(table(*columns), rows))
