"""`healthd playbook test`: a playbook in the model, with a fault at every step."""

import json
from functools import partial
from pathlib import Path

import click

from healthd.cli.exits import Exit
from healthd.cli.files import output_option
from healthd.cli.playbook_files import found_playbook
from healthd.cli.playbook_values import given_values
from healthd.cli.terminal import console, rows_of, table
from healthd.config.playbooks import read_playbook
from healthd.rehearsal.trial import TrialFault, Tried, try_out


@click.command("test")
@click.argument("file")
@click.option(
    "--var",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="Check a variable's value, as a wave would; may be repeated.",
)
@output_option
@click.pass_context
def test(context: click.Context, file: str, given: tuple[str, ...], output: str) -> None:
    """Run a playbook in a model: once as it should go, and with each fault at every step.

    FILE may be - for stdin. Shows where each leaves the broker. Needs no daemon and no network, and
    touches no host: steps take a second in the model, and do what the playbook says of them.

    Exits 0 when no run leaves the broker stopped or restarts it twice, 3 when one does or the
    playbook has problems, 2 when the file cannot be opened.
    """
    read = partial(read_playbook, Path(file))
    playbook = found_playbook(context, read, name=file, output=output)
    given_values(playbook, given)  # The model itself needs none.
    found = list(try_out(playbook))
    if output == "json":
        runs = [each.as_json() for each in found]
        click.echo(json.dumps({"playbook": playbook.name, "runs": runs}))
    else:
        _print(found)
    context.exit(Exit.PROBLEMS if any(each.problems for each in found) else Exit.OK)


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
