"""`healthd state`: back up, restore and check what the daemon keeps on disk."""

import getpass
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from healthd.cli.exits import Exit
from healthd.cli.files import output_option
from healthd.store import backup as work
from healthd.store.errors import (
    SchemaTooNew,
    StateHeld,
    StoreDamaged,
    StoreError,
    StoreUnusable,
)

_DEFAULT_FOLDER: Final = "/var/lib/healthd"

state_dir_option = click.option(
    "--state-dir",
    envvar="HEALTHD_STATE_DIR",
    default=_DEFAULT_FOLDER,
    show_default=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="The daemon's state folder.",
)


@click.group()
def state() -> None:
    """Back up, restore and check the daemon's state."""


@state.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@state_dir_option
@output_option
def backup(file: Path, state_dir: Path, output: str) -> None:
    """Write the state as it is now to FILE, which must not be there yet. The daemon may run."""
    with _errors():
        work.backup(state_dir, file)
    _tell(output, {"backup": str(file)}, f"the state is in {file}")


@state.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@state_dir_option
@output_option
def restore(file: Path, state_dir: Path, output: str) -> None:
    """Put the backup FILE in the state's place; the daemon must be stopped.

    The former state is kept. Waves that were active in the backup are paused at the next start:
    brokers may have been restarted since.
    """
    with _errors():
        kept = work.restore(state_dir, file, who=getpass.getuser(), now=time.time())
    told = f"restored from {file}"
    if kept is not None:
        told += f"; the former state is in {kept}"
    _tell(output, {"restored": str(file), "former": None if kept is None else str(kept)}, told)


@state.command()
@state_dir_option
@output_option
@click.pass_context
def check(context: click.Context, state_dir: Path, output: str) -> None:
    """Say whether the state is sound, and what is open in it. Nothing is changed.

    Exits 0 when it is sound, 3 when it has problems, 2 when there is none or it is unreadable.
    """
    with _errors():
        report = work.check(state_dir)
    document = {
        "file": str(report.file),
        "schema": report.schema,
        "newestSchema": report.newest_schema,
        "heldBy": None if report.held_by is None else str(report.held_by),
        "waves": report.waves,
        "activeWaves": list(report.active_waves),
        "openEffects": list(report.open_effects),
        "leases": list(report.leases),
        "problems": list(report.problems),
    }
    _tell(output, document, _as_text(report))
    if report.problems:
        context.exit(Exit.PROBLEMS)


def _as_text(report: work.StateReport) -> str:
    schema = "unknown" if report.schema is None else str(report.schema)
    lines = [
        f"file          {report.file}",
        f"schema        {schema} (this healthd: {report.newest_schema})",
        f"held by       {report.held_by or 'nobody'}",
        f"waves         {report.waves}, active: {', '.join(report.active_waves) or 'none'}",
        f"open effects  {', '.join(report.open_effects) or 'none'}",
        f"leases        {'; '.join(report.leases) or 'none'}",
    ]
    lines += [f"problem       {one}" for one in report.problems] or ["sound"]
    return "\n".join(lines)


def _tell(output: str, document: dict[str, Any], text: str) -> None:
    click.echo(json.dumps(document) if output == "json" else text)


@contextmanager
def _errors() -> Iterator[None]:
    """Ends the command with the exit code of what went wrong (contract.md section 1)."""
    try:
        yield
    except StoreError as error:
        click.echo(f"healthd: {error}", err=True)
        if isinstance(error, StateHeld):
            code = Exit.LEASE_HELD
        elif isinstance(error, (StoreUnusable, StoreDamaged, SchemaTooNew)):
            code = Exit.USAGE
        else:
            code = Exit.FAILED
        raise click.exceptions.Exit(code) from error
