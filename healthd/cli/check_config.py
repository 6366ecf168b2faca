"""`healthd check-config`: says what is wrong with configuration files before the daemon does."""

import click

from healthd.cli.files import print_findings, print_unopened
from healthd.config.checkers import CHECKERS, check_file

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
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.pass_context
def check_config(context: click.Context, kind: str, output: str, files: tuple[str, ...]) -> None:
    """Check fleet, wave, playbook and settings files, and say what to do about each problem.

    FILE may be - for stdin. Needs no daemon and no network.

    Exits 0 when all is well, 3 when a file has problems, 2 when one cannot be opened.
    """
    wanted = _wanted(kind)
    is_unreadable = has_problems = False
    for file in files:
        try:
            problems = check_file(file, wanted)
        except OSError as error:
            is_unreadable = True
            print_unopened(file, error.strerror or str(error), output)
            continue
        has_problems = has_problems or bool(problems)
        print_findings(file, problems, output)
    if is_unreadable:
        context.exit(EXIT_UNREADABLE)
    context.exit(EXIT_PROBLEMS if has_problems else 0)


def _wanted(kind: str) -> str | None:
    """The checker's name for `--kind`, in any case; None for auto."""
    if kind.lower() == "auto":
        return None
    for name in CHECKERS:
        if name.lower() == kind.lower():
            return name
    known = ", ".join(["auto", *CHECKERS])
    raise click.BadParameter(f"{kind!r} is not one of {known}", param_hint="--kind")
