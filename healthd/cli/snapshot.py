"""`healthd snapshot CLUSTER`: everything known of a cluster, as JSON."""

import json
from pathlib import Path

import click

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.direct import direct_options, read_now
from healthd.cli.exits import Exit
from healthd.cli.files import output_option
from healthd.model.render import render_snapshot


@click.command("snapshot")
@click.argument("cluster", required=False)
@output_option
@direct_options
@daemon_options
@click.pass_context
def snapshot(
    context: click.Context,
    *,
    cluster: str | None,
    output: str,
    direct: bool,
    fleet_file: Path,
    bootstrap: str | None,
    server: str,
    token_file: Path | None,
) -> None:
    """Print everything known of CLUSTER as a ClusterSnapshot: always JSON.

    The daemon's latest snapshot, unless --direct or --bootstrap says to read the cluster now: then
    stderr says what could not be read, and the exit code is 1 when the cluster does not answer.
    """
    del output  # A snapshot has no other form.
    if direct and bootstrap is not None:
        raise click.UsageError("--direct and --bootstrap exclude each other")
    if cluster is None and bootstrap is None:
        raise click.UsageError("say which CLUSTER")
    if direct or bootstrap is not None:
        found = read_now(context, cluster=cluster, fleet_file=fleet_file, bootstrap=bootstrap)
        click.echo(json.dumps(render_snapshot(found)))
        context.exit(Exit.OK if found.is_metadata_known else Exit.FAILED)
    document = DaemonClient(server, token_file).get(path_of("clusters", cluster or "", "snapshot"))
    click.echo(json.dumps(document))
