"""`healthd history`: how a cluster was, and what changed, for somebody who looks back."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.files import output_option
from healthd.cli.moments import Moment
from healthd.cli.terminal import console, duration, first_of, plain, rows_of, score, table, word

_MOST_LINES = 40


@click.command("history")
@click.argument("cluster")
@click.option("--since", type=Moment(), help="From then on, such as 2h.  [default: 24h]")
@click.option("--from", "first", type=Moment(), help="The same as --since.")
@click.option("--to", "last", type=Moment(), help="Until then.  [default: now]")
@output_option
@daemon_options
def history(  # One option each.
    *,
    cluster: str,
    since: str | None,
    first: str | None,
    last: str | None,
    output: str,
    server: str,
    token_file: Path | None,
) -> None:
    """Show how CLUSTER was between two moments, and what changed.

    A moment is a time with its zone (2026-01-31T14:05:00Z) or how long ago (90s, 30m, 2h, 7d).
    Times are shown in UTC.
    """
    if since is not None and first is not None:
        raise click.UsageError("give one of --since and --from")
    client = DaemonClient(server, token_file)
    span = {"from": since or first or "24h"} | ({} if last is None else {"to": last})
    changes = client.get(path_of("history", cluster, "changes"), **span)
    is_json = output == "json"
    limit = 10_000 if is_json else 1000
    outline = {} if is_json else {"outline": "true"}
    found = client.get(path_of("history", cluster), limit=limit, **outline, **span)
    if is_json:
        click.echo(json.dumps(found | {"changes": changes}))
        return
    print_changes(changes)
    print_rows(found)


def print_changes(found: dict[str, Any]) -> None:
    """How it began and ended, how low it went, and the story between."""
    out = console()
    for line in _head(found):
        out.print(plain(line))
    shown = found["changes"][:_MOST_LINES]
    if not shown:
        out.print()
        out.print(plain("Nothing changed."))
        return
    form = _form(found)
    out.print()
    out.print(
        rows_of(
            table("WHEN (UTC)", "FOR", "WHAT"),
            [(_at(each["at"], form), _for(each["seconds"]), each["text"]) for each in shown],
        )
    )
    more = found["more"] + len(found["changes"]) - len(shown)
    if more:
        out.print(plain(f"and {more} more changes; -o json has {len(found['changes'])}"))


def _head(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['cluster']}  {long_time(found['from'])} to {long_time(found['to'])}"
    first, last, lowest = found["first"], found["last"], found["lowest"]
    if first is None:
        yield "  nobody looked at it in all that time"
        return
    deep = (
        ""
        if lowest is None
        else f", lowest {score(lowest['healthIndex'])} at {long_time(lowest['at'])}"
    )
    yield f"  index   {score(first['healthIndex'])} -> {score(last['healthIndex'])}{deep}"
    yield f"  class   {first['class']} -> {last['class']}"
    if last["verdict"]:
        yield f"  routing {first['verdict']} -> {last['verdict']}"
    for check in found["checks"]:
        yield f"  {_check(check)}"
    yield f"  {_looked(found)}"


def _check(check: dict[str, Any]) -> str:
    times = f", {check['times']} times" if check["times"] > 1 else ""
    end = "still raised" if check["endedAt"] is None else f"ended {long_time(check['endedAt'])}"
    return (
        f"{check['code']} {check['severity']} for {duration(check['seconds'])}{times}, first "
        f"{long_time(check['firstRaisedAt'])}, {end}"
    )


def _looked(found: dict[str, Any]) -> str:
    if not found["gaps"]:
        return "looked at all the time"
    longest = max(found["gaps"], key=lambda gap: gap["seconds"])
    return (
        f"nobody looked for {duration(found['unseenSeconds'])} in all; longest from "
        f"{long_time(longest['from'])} to {long_time(longest['to'])}"
    )


def print_rows(found: dict[str, Any]) -> None:
    """The rows in which nothing changed, the newest last."""
    rows = found["rows"]
    if not rows:
        return
    out = console()
    out.print()
    # What is looked for is mostly at the end.
    shown, rest = first_of(list(reversed(rows)), "rows before these")
    form = _form({"from": shown[-1]["from"], "to": found["to"]})
    out.print(
        rows_of(
            table(
                "FROM (UTC)", "FOR", "CLASS", "INDEX", "LOWEST", "HELD DOWN BY", "CHECKS", "ROUTING"
            ),
            [_row(row, form) for row in reversed(shown)],
        )
    )
    if rest:
        out.print(plain(rest))


def _row(row: dict[str, Any], form: str) -> tuple[Any, ...]:
    seconds = (_read(row["to"]) - _read(row["from"])).total_seconds()
    verdict = row["verdict"] or "-"
    return (
        _at(row["from"], form),
        duration(seconds),
        word(row["class"]),
        score(row["healthIndex"]),
        score(row["lowest"]),
        row["bindingCap"] or "-",
        ", ".join(f"{each['code']} {each['count']}" for each in row["checks"]) or "-",
        f"{verdict} ({row['state']})" if verdict == "HOLD" else word(verdict),
    )


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _form(found: dict[str, Any]) -> str:
    """Only the time where everything was on one day."""
    is_one_day = _read(found["from"]).date() == _read(found["to"]).date()
    return "%H:%M:%S" if is_one_day else "%Y-%m-%d %H:%M:%S"


def _at(text: str, form: str) -> str:
    return _read(text).strftime(form)


def long_time(text: str) -> str:
    """A moment of the API for a person."""
    return f"{_read(text):%Y-%m-%d %H:%M:%S} UTC"


def _for(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)
