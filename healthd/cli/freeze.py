"""`healthd freeze`: keep waves from beginning anything on some clusters, for a while."""

import json
from pathlib import Path
from typing import Any

import click

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.durations import Duration
from healthd.cli.files import output_option
from healthd.cli.terminal import console, plain, rows_of, table
from healthd.model.moments import NoMoment
from healthd.waves.freezes import freeze_moment


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            freeze_moment(value, None, is_end=False)
        except NoMoment as error:
            raise click.BadParameter(str(error)) from None
    return value


def _labels(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in values:
        label, equals, value = text.partition("=")
        if not equals or not label:
            raise click.BadParameter("write LABEL=VALUE, such as env=prod")
        if found.setdefault(label, value) != value:
            raise click.BadParameter(f"{label} is given twice: no cluster has both values")
    return found


@click.group("freeze")
def freeze() -> None:
    """Freeze clusters: waves begin nothing there. What is in flight is finished."""


@freeze.command("add")
@click.argument("name")
@click.option("--cluster", "clusters", multiple=True, help="A cluster; may be repeated.")
@click.option(
    "--match",
    multiple=True,
    callback=_labels,
    metavar="LABEL=VALUE",
    help="Clusters with this label; repeated: with all of them.",
)
@click.option("--all", "is_for_all", is_flag=True, help="Every cluster of the fleet.")
@click.option("--from", "begins", callback=_moment, metavar="TIME", help="When; now when absent.")
@click.option("--until", callback=_moment, metavar="TIME", help="Its end.")
@click.option("--for", "seconds", type=Duration("366d"), help="How long instead, such as 2h.")
@click.option("--reason", required=True, help="Why; shown with every hold.")
@output_option
@daemon_options
def add(  # One option each.
    *,
    name: str,
    clusters: tuple[str, ...],
    match: dict[str, str],
    is_for_all: bool,
    begins: str | None,
    until: str | None,
    seconds: float | None,
    reason: str,
    output: str,
    server: str,
    token_file: Path | None,
) -> None:
    """Make the freeze NAME. Without an end it lasts until it is removed.

    A TIME is RFC 3339 with its zone, such as 2026-12-18T18:00:00Z.
    """
    if sum((bool(clusters), bool(match), is_for_all)) != 1:
        raise click.UsageError("say which clusters: --cluster, --match or --all, one of them")
    if until is not None and seconds is not None:
        raise click.UsageError("give --until or --for, not both")
    body = {
        "name": name,
        "reason": reason,
        "clusters": list(clusters),
        "match": match,
        "all": is_for_all,
        "from": begins,
        "until": until,
        "seconds": seconds,
    }
    client = DaemonClient(server, token_file)
    _show([client.post(path_of("freezes"), body)], output)


@freeze.command("list")
@output_option
@daemon_options
def list_freezes(*, output: str, server: str, token_file: Path | None) -> None:
    """List every freeze, those of the fleet file too."""
    client = DaemonClient(server, token_file)
    _show(client.get(path_of("freezes"))["freezes"], output)


@freeze.command("remove")
@click.argument("name")
@click.option("--reason", required=True, help="Why; it goes into the audit log.")
@output_option
@daemon_options
def remove(*, name: str, reason: str, output: str, server: str, token_file: Path | None) -> None:
    """Remove the freeze NAME; one of the fleet file is removed there."""
    client = DaemonClient(server, token_file)
    found = client.post(path_of("freezes", name, "remove"), {"reason": reason})
    if output == "json":
        click.echo(json.dumps({"freezes": [found]}))
    else:
        console().print(plain(f"Freeze {name} is removed."))


def _show(found: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        click.echo(json.dumps({"freezes": found}))
        return
    out = console()
    if not found:
        out.print(plain("Nothing is frozen."))
        return
    rows = [
        (
            row["name"],
            row["state"],
            _selection(row),
            row["from"] or "-",
            row["until"] or "-",
            row["by"],
            row["reason"],
        )
        for row in found
    ]
    columns = ("NAME", "STATE", "CLUSTERS", "FROM", "UNTIL", "BY", "REASON")
    out.print(rows_of(table(*columns), rows))


def _selection(row: dict[str, Any]) -> str:
    if row["all"]:
        return "all"
    labels = (f"{label}={value}" for label, value in row["match"].items())
    return ", ".join([*row["clusters"], *labels])
