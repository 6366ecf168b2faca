"""`healthd status`: how every cluster is, for somebody who has just been woken up."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.evaluate import table as print_report
from healthd.cli.files import output_option
from healthd.cli.moments import Moment
from healthd.cli.status_at import print_cluster_at, print_fleet_at
from healthd.cli.status_parts import can_lose, gate, since, tenants
from healthd.cli.status_sources import sources
from healthd.cli.terminal import console, plain, rows_of, score, table, word

_WORST_FIRST: Final = ("CRIT", "UNKNOWN", "WARN", "OK")


@click.command("status")
@click.argument("cluster", required=False)
@click.option("--at", type=Moment(), help="As it was then: 2026-01-31T14:05:00Z, or 2h ago: 2h.")
@output_option
@daemon_options
def status(
    cluster: str | None, at: str | None, output: str, server: str, token_file: Path | None
) -> None:
    """Show how every cluster is, the worst first, and what to do; with CLUSTER, that one in full.

    An index of - says that the cluster's metadata was never seen.
    """
    client = DaemonClient(server, token_file)
    if at is not None:
        _was(client, at, cluster, output)
        return
    if cluster is not None:
        found = client.get(path_of("clusters", cluster))
        if output == "json":
            click.echo(json.dumps(found))
        else:
            print_cluster(found)
        return
    found = client.get(path_of("clusters"))
    if output == "json":
        click.echo(json.dumps(found))
    else:
        print_clusters(found["clusters"])


def _was(client: DaemonClient, at: str, cluster: str | None, output: str) -> None:
    """Show the fleet, or one cluster, as it was at a moment."""
    only = {} if cluster is None else {"cluster": cluster}
    found = client.get(path_of("history"), at=at, **only)
    if output == "json":
        click.echo(json.dumps(found))
    elif cluster is None:
        print_fleet_at(found)
    else:
        print_cluster_at(found)


def print_clusters(clusters: list[dict[str, Any]]) -> None:
    """One row a cluster, then what to do about each that is not OK."""
    out = console()
    if not clusters:
        out.print("The fleet file has no clusters.")
        return
    ordered = sorted(clusters, key=_urgency)
    out.print(
        rows_of(
            table("CLUSTER", "CLASS", "INDEX", "HELD DOWN BY", "WORST CHECK", "WAVE"),
            [_row(found) for found in ordered],
        )
    )
    for found in ordered:
        advice = list(_advice(found))
        if advice:
            out.print()
            _print_lines(out, [f"{found['cluster']}: {advice[0]}", *advice[1:]])


def _urgency(found: dict[str, Any]) -> tuple[int, float, str]:
    index = found["healthIndex"]
    return _WORST_FIRST.index(found["class"]), -1.0 if index is None else index, found["cluster"]


def _row(found: dict[str, Any]) -> tuple[Any, ...]:
    checks = found["checks"]
    more = f" +{found['checkCount'] - 1}" if found["checkCount"] > 1 else ""
    return (
        found["cluster"],
        word(found["class"]),
        _index(found),
        found["bindingCap"] or "-",
        f"{checks[0]['summary']}{more}" if checks else "-",
        ", ".join(f"{wave['wave']} {wave['status']}" for wave in found["waves"]) or "-",
    )


def _index(found: dict[str, Any]) -> str:
    text = score(found["healthIndex"])
    if found["lower"] == found["upper"]:
        return text
    return f"{text} ({score(found['lower'])} to {score(found['upper'])})"


def _advice(found: dict[str, Any]) -> Iterator[str]:
    """What to do first, and what comes after it."""
    checks = [check for check in found["checks"] if not check.get("muted")]
    if found["class"] == "OK":
        if found["failures"]:
            sources = dict.fromkeys(failure.get("source", "?") for failure in found["failures"])
            yield f"not everything could be read: {', '.join(sources)}"
            yield f"  see:    healthd status {found['cluster']}"
        return
    if checks:
        where = ", ".join(checks[0]["objects"][:5])
        began = since(checks[0], found["observedAt"])
        yield f"{checks[0]['code']} {where} {began}".rstrip()
        yield f"  impact: {checks[0]['impact']}"
        yield f"  do:     {checks[0]['action']}"
        for check in checks[1:]:
            if check["severity"] != "INFO":
                yield f"  also:   {check['code']} {', '.join(check['objects'][:5])}"
    if found["nextCap"] is not None and found["bindingCap"] is not None:
        following = found["nextCap"]
        yield f"  then:   {following['code']} still holds it at {score(following['cap'])} at most"
    if found["class"] == "UNKNOWN":
        if not checks:
            yield "too little is known of it"
        yield from (f"  {line}" for line in _failures(found))


def _failures(found: dict[str, Any]) -> Iterator[str]:
    for failure in found["failures"]:
        whose = {"ours": "our side", "theirs": "the cluster's side"}.get(failure.get("origin", ""))
        line = f"{failure.get('source', '?')}: {failure.get('detail') or failure.get('reason')}"
        yield f"{line} ({whose})" if whose else line


def print_cluster(found: dict[str, Any]) -> None:
    """One cluster in full: the report, what could not be read, the gate, its waves."""
    out = console()
    if found["healthIndex"] is None:
        out.print(plain(found["cluster"]), word(found["class"]), " Health Index -")
        out.print("Its metadata was never seen.")
        for check in found["health"]["checks"]:
            lines = [f"{check['code']}: {check['summary']}", f"  do:     {check['action']}"]
            _print_lines(out, lines)
    else:
        for check in found["health"]["checks"]:
            check["began"] = since(check, found["observedAt"])
        print_report(found["health"])
    failures = list(_failures(found))
    if failures:
        _print_lines(out, ["", "NOT READ", *(f"  {line}" for line in failures)])
    parts = (
        can_lose(found["canLose"]),
        tenants(found["tenants"]),
        sources(found.get("extra") or {}),
    )
    for part in parts:
        lines = list(part)
        if lines:
            _print_lines(out, ["", *lines])
    if found["gate"] is not None:
        _print_lines(out, ["", *gate(found["gate"])])
    for wave in found["waves"]:
        _print_lines(out, ["", f"wave {wave['wave']} is {wave['status']}:"])
        _print_lines(out, [f"  healthd wave show {wave['wave']}"])


def _print_lines(out: Console, lines: list[str]) -> None:
    for line in lines:
        out.print(plain(line))
