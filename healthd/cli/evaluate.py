"""`healthd evaluate FILE...`: the Health Index of snapshots, without a daemon."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import click

from healthd.cli.exits import Exit
from healthd.cli.files import answer_files, files_argument, output_option
from healthd.health.index import evaluate as evaluate_snapshot
from healthd.health.report_json import as_json
from healthd.health.scoring import DEFAULT, ScoringProfile
from healthd.health.words import HealthClass
from healthd.model.json_reader import InputError, load_json, printable
from healthd.model.kcat import is_kcat
from healthd.model.parse import snapshot_of

_OBJECTS_IN_TABLE: Final = 5
"""Names beside a check for a person; `-o json` has up to 20."""
_NOISE: Final = 1e-6
"""Above what sums of floats are off by, below anything that is shown."""
_STYLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "OK": {"fg": "green"},
    "WARN": {"fg": "yellow"},
    "CRIT": {"fg": "red", "bold": True},
    "UNKNOWN": {"fg": "magenta"},
    "INFO": {"dim": True},
}


@click.command("evaluate")
@files_argument
@output_option
@click.option(
    "--scoring-profile",
    "scoring_file",
    metavar="PROFILE",
    help="A scoring profile file whose numbers are used; the built-in ones when absent.",
)
@click.pass_context
def evaluate(
    ctx: click.Context, files: tuple[str, ...], output: str, scoring_file: str | None
) -> None:
    """Work out the Health Index of snapshots: the number, why it is that, and what to do.

    FILE is what `healthd snapshot` prints; - is standard input. With one FILE the exit code is 3
    when the class is not OK; with several it is 2 when one cannot be read, else 0.
    """
    scoring = DEFAULT if scoring_file is None else _scoring(scoring_file)
    ctx.exit(answer_files(files, output, partial(answer, scoring=scoring), table))


def _scoring(path: str) -> ScoringProfile:
    # Imported late: reading YAML takes longer than evaluating a small file does.
    from healthd.config.problems import ConfigError  # noqa: PLC0415
    from healthd.config.scoring_file import load_scoring  # noqa: PLC0415

    try:
        return load_scoring(path)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(Exit.USAGE)


def answer(data: bytes, *, scoring: ScoringProfile = DEFAULT) -> tuple[dict[str, Any], int]:
    """The report of one document as JSON, and the exit code.

    Raises:
        InputError: it is no snapshot.
    """
    value = load_json(data)
    if is_kcat(value):
        raise InputError(
            "",
            "is a kcat listing, which shows too little for a Health Index; give it to"
            " `healthd ok-to-stop` or `healthd plan`, or let `healthd snapshot` read the cluster",
        )
    report = evaluate_snapshot(snapshot_of(value), scoring)
    is_ok = report.health_class is HealthClass.OK
    return as_json(report), Exit.OK if is_ok else Exit.PROBLEMS


def table(found: dict[str, Any]) -> None:
    """Print a report for a person: the verdict first, then what to do, then the arithmetic."""
    lines = [*_head(found)]
    for check in found["checks"]:
        lines += ["", *_check(check)]
    # click drops the colours when stdout is no terminal; rich would take ten times as long.
    click.echo("\n".join([*lines, "", *_arithmetic(found)]))


def _head(found: dict[str, Any]) -> Iterator[str]:
    verdict = f"{printable(found['cluster'])}  {_word(found['class'])}"
    verdict += f"  Health Index {_score(found['healthIndex'])}"
    if found["lower"] != found["upper"]:
        verdict += f" (between {_score(found['lower'])} and {_score(found['upper'])})"
    # Rounded down: 99.96 % known is not everything, and what is missing matters.
    yield f"{verdict}, {int(found['completeness'] * 100 + _NOISE)}% known"
    caps = [f"{row['code']} ({_score(row['cap'])})" for row in found["caps"]]
    if found["bindingCap"] is not None:
        yield f"held down by {caps[0]}{_next(caps[1:])}"
    elif caps:
        yield f"not held down by a cap{_next(caps)}"
    profile = found["profile"]
    if profile["name"] != DEFAULT.name:
        yield f"scored by {printable(profile['name'])} version {printable(profile['version'])}"
    if found["notObserved"]:
        yield f"not observed: {', '.join(found['notObserved'])}"


def _next(caps: Sequence[str]) -> str:
    return f", then by {', '.join(caps)}" if caps else ""


def _check(check: dict[str, Any]) -> Iterator[str]:
    names = check["objects"][:_OBJECTS_IN_TABLE]
    more = check["count"] - len(names)
    tail = f" and {more} more" if more else ""
    quiet = " (muted)" if check.get("muted") else ""
    yield f"{_word(check['severity'])} {check['code']}: {printable(check['summary'])}{quiet}"
    yield f"  where:  {printable(', '.join(names))}{tail}"
    if check.get("began"):
        yield f"  since:  {check['began'].removeprefix('since ')}"
    yield f"  impact: {check['impact']}"
    yield f"  do:     {check['action']}"


def _arithmetic(found: dict[str, Any]) -> Iterator[str]:
    """How 100 becomes the index, line by line."""
    yield f"{'POINTS':>6}  {'TERM':<10}  WHY"
    for row in found["contributions"]:
        yield f"{_points(row['points']):>6}  {row['term']:<10}  {printable(row['detail'])}"
    if found["bindingCap"] is not None:
        yield f"{_points(found['capPenalty']):>6}  {'cap':<10}  {found['bindingCap']}"


def _points(points: float) -> str:
    return f"-{points:.2f}" if points else "0"


def _word(text: str) -> str:
    return click.style(text, **_STYLES[text])


def _score(value: float) -> str:
    """An index with one decimal, rounded down: 89.97 is WARN and must not read 90."""
    return f"{math.floor(value * 10 + _NOISE) / 10:g}"
