"""`healthd snapshot CLUSTER`: everything known of a cluster, as JSON."""

import importlib
import json
from pathlib import Path
from typing import Any, Final

import click

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.exits import Exit
from healthd.config.problems import ConfigError
from healthd.model.render import render_snapshot

DEFAULT_FLEET_FILE: Final = Path("/etc/healthd/fleet.yaml")
"""As in the daemon's settings."""
_FACTORY: Final = "healthd.main"
"""Where the composition root is; it is named and not imported, for it imports this."""


@click.command("snapshot")
@click.argument("cluster", required=False)
@click.option("--direct", is_flag=True, help="Read the cluster now, without a daemon.")
@click.option(
    "--fleet-file",
    "--fleet",
    envvar="HEALTHD_FLEET_FILE",
    type=click.Path(path_type=Path),
    default=DEFAULT_FLEET_FILE,
    show_default=True,
    metavar="FILE",
    help="The fleet file, for --direct.  [env: HEALTHD_FLEET_FILE]",
)
@click.option(
    "--bootstrap",
    metavar="HOST:PORT",
    help="Read a cluster that is in no fleet file now, without a daemon.",
)
@daemon_options
@click.pass_context
def snapshot(
    context: click.Context,
    *,
    cluster: str | None,
    direct: bool,
    fleet_file: Path,
    bootstrap: str | None,
    server: str,
    token_file: Path | None,
) -> None:
    """Print everything known of CLUSTER as a ClusterSnapshot (JSON).

    The daemon's latest snapshot, unless --direct or --bootstrap says to read the cluster now.
    """
    if direct and bootstrap is not None:
        raise click.UsageError("--direct and --bootstrap exclude each other")
    if cluster is None and bootstrap is None:
        raise click.UsageError("say which CLUSTER")
    if direct or bootstrap is not None:
        document = _read_now(context, cluster=cluster, fleet_file=fleet_file, bootstrap=bootstrap)
    else:
        document = DaemonClient(server, token_file).get(
            path_of("clusters", cluster or "", "snapshot")
        )
    click.echo(json.dumps(document))


def _read_now(context: click.Context, **what: Any) -> dict[str, Any]:
    direct_snapshot = importlib.import_module(_FACTORY).direct_snapshot
    try:
        return render_snapshot(direct_snapshot(**what))
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        context.exit(Exit.USAGE)
    except LookupError as error:
        raise click.UsageError(str(error.args[0]) if error.args else str(error)) from None
