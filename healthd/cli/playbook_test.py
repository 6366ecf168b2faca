"""`healthd playbook test`: playbooks in the model, with a fault at every step."""

import json
from pathlib import Path

import click

from healthd.cli.exits import Exit
from healthd.cli.files import encodable, files_argument, output_option
from healthd.cli.playbook_files import exit_of, print_error
from healthd.cli.playbook_values import given_values
from healthd.cli.terminal import console, rows_of, table
from healthd.config.playbooks import read_playbook
from healthd.config.problems import ConfigError
from healthd.model.json_reader import printable
from healthd.rehearsal.trial import TrialFault, Tried, try_out


@click.command("test")
@files_argument
@click.option(
    "--var",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="Check a variable's value, as a wave would; may be repeated.",
)
@output_option
@click.pass_context
def test(
    context: click.Context, files: tuple[str, ...], given: tuple[str, ...], output: str
) -> None:
    """Run playbooks in a model: once as they should go, and with each fault at every step.

    FILE may be - for stdin. Shows where each leaves the broker. Needs no daemon and no network, and
    touches no host: steps take a second in the model, and do what the playbook says of them.

    Exits 0 when no run leaves the broker stopped or restarts it twice, 3 when one does or a
    playbook has problems, 2 when a file cannot be opened.
    """
    several = len(files) > 1
    codes = {_tried(name, given, output, several=several) for name in files}
    if Exit.USAGE in codes:
        context.exit(Exit.USAGE)
    context.exit(Exit.PROBLEMS if Exit.PROBLEMS in codes else Exit.OK)


def _tried(name: str, given: tuple[str, ...], output: str, *, several: bool) -> Exit:
    """What came of one playbook, which is printed."""
    try:
        playbook = read_playbook(Path(name))
    except ConfigError as error:
        print_error(name, error, output)
        return exit_of(error)
    given_values(playbook, given)  # The model itself needs none.
    found = list(try_out(playbook))
    if output == "json":
        runs = [each.as_json() for each in found]
        head = {"file": encodable(name)} if several else {}
        click.echo(json.dumps({**head, "playbook": playbook.name, "runs": runs}))
    else:
        if several:
            click.echo(f"{printable(name)}:")
        _print(found)
        if several:
            click.echo()
    return Exit.PROBLEMS if any(each.problems for each in found) else Exit.OK


def _print(found: list[Tried]) -> None:
    columns = ("STEP", "FAULT", "BROKER", "NODE", "WAVE", "DONE", "STARTS", "AFTER", "")
    rows = [
        (
            each.step or "-",
            each.fault.value,
            each.broker,
            each.node,
            each.wave,
            "-" if each.fault is TrialFault.NONE else str(each.done),
            str(each.restarts),
            f"{each.seconds:.0f} s",
            "; ".join(f"PROBLEM: {told}" for told in each.problems) or each.detail,
        )
        for each in found
    ]
    out = console()
    out.print(rows_of(table(*columns), rows))
    bad = sum(bool(each.problems) for each in found)
    out.print(f"{len(found)} runs, {bad} with problems.")
