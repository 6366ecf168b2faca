"""`healthd check-config`: says what is wrong with configuration files before the daemon does."""

from functools import cache, partial
from pathlib import Path

import click
from click.core import ParameterSource

from healthd.cli.direct import fleet_file_option, playbook_dir_option
from healthd.cli.files import print_findings, print_unopened
from healthd.config.checkers import CHECKERS, check_file
from healthd.config.fleet_file import load_fleet
from healthd.config.wave_check import WaveContext

EXIT_UNREADABLE = 2
EXIT_PROBLEMS = 3


@click.command(name="check-config")
@click.option(
    "--kind",
    default="auto",
    metavar="KIND",
    help="What the files are: auto (their own kind), or Fleet, Wave, Playbook, Settings, Tokens.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the answer.",
)
@fleet_file_option("The fleet file, for what waves leave to it.")
@playbook_dir_option
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.pass_context
def check_config(
    context: click.Context,
    *,
    kind: str,
    output: str,
    fleet_file: Path,
    playbook_dir: Path | None,
    files: tuple[str, ...],
) -> None:
    """Check fleet, wave, playbook and settings files, and say what to do about each problem.

    FILE may be - for stdin. Needs no daemon and no network. The variables of a wave are held
    against the playbook that it names and the clusters that it selects; what cannot be found is
    said on stderr, and is no problem.

    Exits 0 when all is well, 3 when a file has problems, 2 when one cannot be opened.
    """
    wanted = _wanted(kind)
    if context.get_parameter_source("fleet_file") is ParameterSource.COMMANDLINE:
        _require_opened(context, fleet_file)
    waves = WaveContext(
        fleet=cache(partial(load_fleet, fleet_file)),
        playbook_dir=playbook_dir,
        is_complete=playbook_dir is not None,
    )
    is_unreadable = has_problems = False
    for file in files:
        try:
            found = check_file(file, wanted, waves)
        except OSError as error:
            is_unreadable = True
            print_unopened(file, error.strerror or str(error), output)
            continue
        has_problems = has_problems or bool(found.problems)
        print_findings(file, found.problems, output, found.unchecked)
    if is_unreadable:
        context.exit(EXIT_UNREADABLE)
    context.exit(EXIT_PROBLEMS if has_problems else 0)


def _require_opened(context: click.Context, file: Path) -> None:
    """End the command when a file cannot be opened that was asked for by its name."""
    try:
        file.open("rb").close()
    except OSError as error:
        print_unopened(str(file), error.strerror or str(error), "table")
        context.exit(EXIT_UNREADABLE)


def _wanted(kind: str) -> str | None:
    """The checker's name for `--kind`, in any case; None for auto."""
    if kind.lower() == "auto":
        return None
    for name in CHECKERS:
        if name.lower() == kind.lower():
            return name
    known = ", ".join(["auto", *CHECKERS])
    raise click.BadParameter(f"{kind!r} is not one of {known}", param_hint="--kind")
