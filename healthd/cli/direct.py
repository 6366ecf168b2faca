"""Reading a cluster now, without a daemon: the options, and the errors as a person reads them."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from healthd.cli.exits import Exit
from healthd.config.problems import ConfigError
from healthd.model.json_reader import printable
from healthd.model.snapshot import ClusterSnapshot

DEFAULT_FLEET_FILE: Final = Path("/etc/healthd/fleet.yaml")
"""As in the daemon's settings."""
_FACTORY: Final = "healthd.main"
"""Where the composition root is; it is named and not imported, for it imports this."""

ResultT = TypeVar("ResultT")
CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def fleet_file_option(words: str) -> Callable[[CommandT], CommandT]:
    """The option `fleet_file`, with what it is for."""
    return click.option(
        "--fleet-file",
        "--fleet",
        envvar="HEALTHD_FLEET_FILE",
        type=click.Path(path_type=Path),
        default=DEFAULT_FLEET_FILE,
        show_default=True,
        metavar="FILE",
        help=f"{words}  [env: HEALTHD_FLEET_FILE]",
    )


def playbook_dir_option(command: CommandT) -> CommandT:
    """The option `playbook_dir`: a folder that is there, or none."""
    return click.option(
        "--playbook-dir",
        envvar="HEALTHD_PLAYBOOK_DIR",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="FOLDER",
        help="Where your own playbooks are.  [env: HEALTHD_PLAYBOOK_DIR]",
    )(command)


def direct_options(command: CommandT) -> CommandT:
    """The options of reading a cluster now: `direct`, `fleet_file` and `bootstrap`."""
    for option in (
        click.option(
            "--bootstrap",
            metavar="HOST:PORT",
            help="Read a cluster that is in no fleet file now, without a daemon.",
        ),
        fleet_file_option("The fleet file, for --direct."),
        click.option("--direct", is_flag=True, help="Read the cluster now, without a daemon."),
    ):
        command = option(command)
    return command


def read_now(
    context: click.Context, *, cluster: str | None, fleet_file: Path, bootstrap: str | None
) -> ClusterSnapshot:
    """The cluster as it is now; whatever is wrong with the fleet file ends the command.

    What could not be read is said on stderr; the snapshot does not know it.
    """
    direct_snapshot = importlib.import_module(_FACTORY).direct_snapshot
    found = found_now(
        context,
        lambda: direct_snapshot(cluster=cluster, fleet_file=fleet_file, bootstrap=bootstrap),
    )
    assert isinstance(found, ClusterSnapshot)
    tell_unread(found)
    return found


def tell_unread(snapshot: ClusterSnapshot) -> None:
    """Say on stderr what could not be read of a cluster that was read just now."""
    rows = (snapshot.extra or {}).get("collector", {}).get("failures", ())
    for row in rows:
        words = f"{snapshot.cluster}: {row['source']} was not read: {row['detail']}"
        click.echo(f"healthd: {printable(words)}", err=True)
    if not snapshot.is_metadata_known and not rows:
        click.echo(f"healthd: {printable(snapshot.cluster)}: nothing was read of it", err=True)


def found_now(context: click.Context, look: Callable[[], ResultT]) -> ResultT:
    """What looking gives; whatever is wrong with the fleet file ends the command."""
    try:
        return look()
    except ConfigError as error:
        for problem in error.problems:
            click.echo(printable(str(problem)), err=True)
        context.exit(Exit.USAGE)
    except LookupError as error:
        raise click.UsageError(str(error.args[0]) if error.args else str(error)) from None
