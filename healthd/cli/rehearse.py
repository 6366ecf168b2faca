"""`healthd rehearse FILE...`: a wave in virtual time, before it is done for real."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from healthd.cli.files import answer_named_files, files_argument, output_option
from healthd.config.problems import ConfigError
from healthd.model.json_reader import InputError
from healthd.rehearsal.files import problem_text, read_rehearsal
from healthd.rehearsal.running import rehearse


@click.command("rehearse")
@files_argument
@output_option
@click.option(
    "--playbook-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Your own playbooks; those that healthd ships when absent.",
)
@click.pass_context
def rehearse_command(
    context: click.Context, /, *, files: tuple[str, ...], output: str, playbook_dir: Path | None
) -> None:
    """Run waves in virtual time against a model of the cluster, with faults.

    FILE is a Rehearsal, YAML or JSON; - is standard input. The answer is always JSON. The exit
    code is 0 whatever the outcome, and 2 when a file cannot be used.
    """
    del output  # A rehearsal has no other form.
    answer = partial(_answer, playbooks=playbook_dir)
    context.exit(answer_named_files(files, "json", answer, _no_table))


def _answer(name: str, data: bytes, *, playbooks: Path | None) -> tuple[dict[str, Any], int]:
    """What comes of one file.

    Raises:
        InputError: it is no rehearsal.
    """
    try:
        found = read_rehearsal(data, name, playbooks=playbooks)
    except ConfigError as error:
        raise InputError("", problem_text(error)) from None
    return rehearse(found).as_json(), 0


def _no_table(_found: dict[str, Any]) -> None:
    raise NotImplementedError("a rehearsal is always printed as JSON")
