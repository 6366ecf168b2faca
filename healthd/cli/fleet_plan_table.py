"""The plan of a wave file as a person reads it: stages, clusters, and what is in the way."""

from typing import Any, Final

import click

from healthd.cli.ok_to_stop_table import blockers_cell, print_columns
from healthd.cli.plan_table import counted, duration
from healthd.model.json_reader import printable

_HEADING: Final = ("CLUSTER", "NODES", "STEPS", "AT LEAST", "BLOCKED", "ABOUT")


def print_fleet_plan(found: dict[str, Any]) -> None:
    """Print the JSON object of a fleet's plan."""
    click.echo(
        f"{printable(found['name'])}: {printable(found['playbook'])} on"
        f" {counted(found['nodes'], 'node')} of {counted(found['clusters'], 'cluster')} in"
        f" {counted(len(found['stages']), 'stage')}; about"
        f" {duration(found['estimatedSeconds'])} by {found['estimatedFrom']}"
    )
    for number, stage in enumerate(found["stages"], start=1):
        click.echo()
        click.echo(_stage_line(number, stage))
        print_columns([_HEADING, *map(_row, stage["plans"])])
    if found["blocked"]:
        click.echo()
        click.echo("Cannot be taken now:")
        rows = [
            (row["stage"], row["cluster"], str(row["broker"]), blockers_cell(row["blockers"]))
            for row in found["blocked"]
        ]
        print_columns([("STAGE", "CLUSTER", "BROKER", "BLOCKERS"), *rows])
    click.echo()
    click.echo(f"fingerprint {found['fingerprint']}")
    for row in found["notPlanned"]:
        click.echo(f"not planned: {row['cluster']} of stage {row['stage']}: {row['error']}")
    for note in found["notes"]:
        click.echo(f"note: {printable(note)}")


def _stage_line(number: int, stage: dict[str, Any]) -> str:
    words = [f"stage {number}, {stage['name']}: {counted(len(stage['plans']), 'cluster')}"]
    words.append(f"at most {stage['clustersAtOnce']} at a time")
    if stage["approval"] is not None:
        people = "two people approve" if stage["approval"] == "two-person" else "somebody approves"
        words.append(f"after {people}")
    words.append(f"about {duration(stage['estimatedSeconds'])}")
    if stage["soakSeconds"]:
        words.append(f"{duration(int(stage['soakSeconds']))} of that are its soak")
    return ", ".join(words)


def _row(plan: dict[str, Any]) -> tuple[str, ...]:
    if "error" in plan:
        return plan["cluster"], "-", "-", "-", "-", "-"
    nodes = sum(len(step["brokers"]) for step in plan["steps"])
    return (
        plan["cluster"],
        str(nodes),
        str(len(plan["steps"])),
        str(plan["lowerBound"]),
        str(len(plan["blocked"])) if plan["blocked"] else "-",
        duration(plan["estimatedSeconds"]),
    )
