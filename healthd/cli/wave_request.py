"""The document that starts a wave, from a file or from options, checked before it is sent."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

from healthd.cli.exits import Exit
from healthd.config.problems import FileUnopened
from healthd.config.yaml_source import read_document
from healthd.model.json_reader import LARGEST_ID, printable
from healthd.waves.policy import SpecProblem
from healthd.waves.spec import API_VERSION, parse_wave
from healthd.waves.spec_findings import Findings
from healthd.waves.spec_stage import parse_wave_values

_LISTS: Final = frozenset({"allowRfOne", "allowRfLeMinIsr", "baseline"})
"""Policy keys whose value on the command line is a list with commas between."""
_DIGITS: Final = len(str(LARGEST_ID))


class WaveRefusedError(click.ClickException):
    """A wave with mistakes in it, each on a line of its own."""

    exit_code = int(Exit.USAGE)

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__("\n".join(printable(line) for line in lines))

    def show(self, file: Any = None) -> None:
        """Print the mistakes on stderr, or on what click asks for."""
        click.echo(self.message, file=file, err=True)


def from_file(file: str, reason: str | None, *, needs_reason: bool = True) -> dict[str, Any]:
    """The document of a wave file; `-` is standard input.

    Args:
        file: its path.
        reason: takes the place of the file's own.
        needs_reason: whether one of the two has to say it.

    Raises:
        WaveRefusedError: It cannot be read or has mistakes: file, line, column and what to do.
    """
    try:
        document, problems = read_document(file)
    except OSError as error:
        raise WaveRefusedError([str(FileUnopened(file, error))]) from None
    found: list[str] = [str(problem) for problem in problems]
    if document is None:
        raise WaveRefusedError(found)
    data = dict(document.data)
    parsed = parse_wave(data)
    if isinstance(parsed, list):
        found += [str(document.located(problem)) for problem in parsed]
    if reason is not None:
        data["reason"] = reason
    elif needs_reason and not found and not data.get("reason"):
        found.append(f"{file}: no reason is given -> write reason: in the file, or use --reason")
    if found:
        raise WaveRefusedError(found)
    return data


def from_options(
    *, playbook: str, cluster: str, brokers: str, reason: str, policy: Sequence[str]
) -> dict[str, Any]:
    """The document of a wave that needs no file.

    Raises:
        WaveRefusedError: An option has a mistake.
    """
    data: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "Wave",
        "name": f"{playbook}-{cluster}",
        "reason": reason,
        "playbook": playbook,
        "stages": [{"name": "all", "clusters": [cluster], "brokers": parse_ids(brokers)}],
        "policy": policy_pairs(policy),
    }
    parsed = parse_wave(data)
    if isinstance(parsed, list):
        raise WaveRefusedError(f"healthd: {_option_line(problem)}" for problem in parsed)
    return data


variables_option: Final = click.option(
    "--var",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="A value for a variable of the playbook; may be given repeatedly.",
)
"""The decorator for ``--var``; a secret is named in a wave file or the fleet file."""


def with_variables(data: dict[str, Any], pairs: Iterable[str]) -> dict[str, Any]:
    """The document of a wave with the values of ``--var NAME=VALUE``.

    Raises:
        WaveRefusedError: one has a mistake.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            # What was meant as a value may be a secret.
            raise click.BadParameter("one is not NAME=VALUE", param_hint="--var")
        values[name] = value
    if not values:
        return data
    found = Findings()
    parse_wave_values(values, ("variables",), found)
    if found.problems:
        raise WaveRefusedError(f"healthd: {_option_line(problem)}" for problem in found.problems)
    return {**data, "variables": {**data.get("variables", {}), **values}}


def parse_ids(text: str) -> str | list[int]:
    """`all`, or the ids of `1,2`."""
    if text == "all":
        return text
    parts = [part.strip() for part in text.split(",")]
    # What is longer than the largest id is none, and int() refuses thousands of digits.
    if not all(part.isascii() and part.isdigit() and len(part) <= _DIGITS for part in parts):
        raise click.BadParameter("must be all, or ids such as 1,2", param_hint="--brokers")
    return [int(part) for part in parts]


def policy_pairs(policy: Iterable[str]) -> dict[str, Any]:
    """The policy that `--policy KEY=VALUE` describes, each once."""
    return dict(_policy_pair(pair) for pair in policy)


def _policy_pair(pair: str) -> tuple[str, Any]:
    key, equals, text = pair.partition("=")
    if not equals:
        raise click.BadParameter(f"{pair} is not KEY=VALUE", param_hint="--policy")
    if key in _LISTS:
        return key, [part.strip() for part in text.split(",") if part.strip()]
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text


def _option_line(problem: SpecProblem) -> str:
    option = "--policy " if problem.location[:1] == ("policy",) else ""
    shown = problem.location[1:] if option else problem.location
    path = SpecProblem(location=shown, message="", action="").path
    return f"{option}{path}: {problem.message} -> {problem.action}"
