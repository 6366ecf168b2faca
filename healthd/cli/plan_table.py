"""A plan as a person reads it: how long it takes first, then the steps, then what is in the way."""

from typing import Any, Final

import click

from healthd.cli.ok_to_stop_table import blockers_cell, print_columns
from healthd.model.json_reader import printable
from healthd.waves.plan_json import SAFE

_MOST_NAMED: Final = 12
"""Ids of a step in the table; JSON has them all."""
_HEADING: Final = ("STEP", "ROLE", "BROKERS", "WHY")
_MINUTE: Final = 60
_HOUR: Final = 3600


def print_plan(found: dict[str, Any]) -> None:
    """Print the JSON object of a plan."""
    click.echo(f"{printable(found['cluster'])}: {_summary(found)}")
    if found["steps"]:
        rows = [
            (str(number), step["role"], _ids(step["brokers"]), printable(step["reason"]))
            for number, step in enumerate(found["steps"], start=1)
        ]
        print_columns([_HEADING, *rows])
    if found["blocked"]:
        click.echo("Cannot be taken now:")
        blocked = [(str(row["broker"]), blockers_cell(row["blockers"])) for row in found["blocked"]]
        print_columns([("BROKER", "BLOCKERS"), *blocked])
    click.echo(f"fingerprint {found['fingerprint']}")
    for note in found["notes"]:
        click.echo(f"note: {printable(note)}")
    if found["madeFrom"] == "kcat":
        click.echo("controllers not checked")


def _summary(found: dict[str, Any]) -> str:
    many = sum(len(step["brokers"]) for step in found["steps"])
    if not many:
        return "nobody can be taken now"
    limit = found["concurrency"]
    pace = "as many at a time as is safe" if limit == SAFE else f"at most {limit} at a time"
    steps = counted(len(found["steps"]), "step")
    lasts = duration(found["estimatedSeconds"])
    return (
        f"{counted(many, 'node')} in {steps}, {pace}; no plan needs fewer than"
        f" {found['lowerBound']}; about {lasts} by {_origin(found)}"
    )


def _origin(found: dict[str, Any]) -> str:
    """Where the expected duration comes from."""
    if found["estimatedFrom"] != "history":
        return f"the {found['estimatedFrom']}"
    return counted(found["measuredRestarts"], "measured restart")


def _ids(nodes: list[int]) -> str:
    shown = ",".join(map(str, nodes[:_MOST_NAMED]))
    more = len(nodes) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def counted(many: int, what: str) -> str:
    """A number with its noun."""
    return f"{many} {what}" if many == 1 else f"{many} {what}s"


def duration(seconds: int) -> str:
    """Seconds as minutes, or hours and minutes."""
    if seconds < _HOUR:
        return f"{-(-seconds // _MINUTE)} min"
    hours, minutes = divmod(-(-seconds // _MINUTE), _MINUTE)
    return f"{hours} h {minutes} min"
