"""`healthd route`: what a profile resolves to, every verdict, and an operator's word on one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.durations import Duration
from healthd.cli.files import output_option
from healthd.cli.terminal import console, duration, plain, rows_of, table, word

_STATES: Final = ("IN", "OUT")


def _forced(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    cluster, _, state = value.rpartition("=")
    if not cluster or state.upper() not in _STATES:
        raise click.BadParameter("write CLUSTER=IN or CLUSTER=OUT")
    return cluster, state.upper()


@click.command("route")
@click.argument("profile", required=False)
@click.option("--force", callback=_forced, metavar="CLUSTER=IN|OUT", help="Overrule the verdict.")
@click.option("--for", "seconds", type=Duration("30d"), help="How long --force counts, such as 1h.")
@click.option("--unforce", metavar="CLUSTER", help="Take back what was forced.")
@click.option("--reason", help="Why; it goes into the audit log.")
@output_option
@daemon_options
def route(  # One option each.
    *,
    profile: str | None,
    force: tuple[str, str] | None,
    seconds: float | None,
    unforce: str | None,
    reason: str | None,
    output: str,
    server: str,
    token_file: Path | None,
) -> None:
    """Show which clusters clients of PROFILE use now; without it, all profiles and verdicts.

    A verdict of HOLD says that nothing is known now: the cluster stays where it was.
    """
    order = _order(profile=profile, force=force, seconds=seconds, unforce=unforce, reason=reason)
    client = DaemonClient(server, token_file)
    if order is not None:
        found = client.post(*order)
        if output == "json":
            click.echo(json.dumps(found))
        else:
            console().print(plain(_told(found)))
        return
    found = client.get(path_of("routes", *([] if profile is None else [profile])))
    if output == "json":
        click.echo(json.dumps(found))
    elif profile is not None:
        _print_route(found)
    else:
        _print_all(found)


def _order(
    *,
    profile: str | None,
    force: tuple[str, str] | None,
    seconds: float | None,
    unforce: str | None,
    reason: str | None,
) -> tuple[str, dict[str, Any]] | None:
    """The path and the body of an order; None when something is only to be shown.

    Raises:
        UsageError: The options do not go together.
    """
    if force is None and unforce is None:
        if seconds is not None or reason is not None:
            raise click.UsageError("--for and --reason go with --force or --unforce")
        return None
    if profile is not None or (force is not None and unforce is not None):
        raise click.UsageError("give one of PROFILE, --force and --unforce")
    if not reason:
        raise click.UsageError("--reason is missing: it goes into the audit log")
    if force is None:
        if seconds is not None:
            raise click.UsageError("--for goes with --force")
        return path_of("overrides", str(unforce), "lift"), {"reason": reason}
    if seconds is None:
        raise click.UsageError("--for is missing: what is forced needs an end, such as --for 1h")
    cluster, state = force
    body = {"cluster": cluster, "state": state, "seconds": seconds, "reason": reason}
    return path_of("overrides"), body


def _print_route(found: dict[str, Any]) -> None:
    out = console()
    if not found["members"]:
        out.print(plain(f"{found['profile']}: no cluster is in; clients keep what they have"))
        return
    out.print(plain(f"{found['profile']}  ({found['order']})"))
    out.print(
        rows_of(
            table("CLUSTER", "VERDICT", "WEIGHT", "SECURITY", "BOOTSTRAP SERVERS"),
            [
                (
                    member["cluster"],
                    word(member["verdict"]),
                    f"{member['weight']:g}%",
                    member["securityProtocol"],
                    ",".join(member["bootstrapServers"]),
                )
                for member in found["members"]
            ],
        )
    )


def _print_all(found: dict[str, Any]) -> None:
    out = console()
    if found["dryRun"]:
        out.print(plain("DRY RUN: verdicts are shown and take nobody out"))
    if found["suspect"]:
        names = ", ".join(found["suspect"][:5])
        out.print(plain(f"MONITOR_SUSPECT: every verdict is frozen; dark: {names}"))
    rows = [
        (row["cluster"], word(row["verdict"]), f"{row['weight']:g}%", "; ".join(_why(row)) or "-")
        for row in found["verdicts"]
    ]
    out.print(rows_of(table("CLUSTER", "VERDICT", "WEIGHT", "WHY"), rows))
    if found["profiles"]:
        out.print()
        profiles = [
            (
                row["profile"],
                row["order"],
                ", ".join(f"{m['cluster']} {m['weight']:g}%" for m in row["members"]) or "none",
            )
            for row in found["profiles"]
        ]
        out.print(rows_of(table("PROFILE", "ORDER", "MEMBERS"), profiles))


def _why(row: dict[str, Any]) -> Iterator[str]:
    """What keeps a cluster where it is, as far as it is not plainly IN."""
    forced = row["forced"]
    if forced is not None:
        left = duration(forced["secondsLeft"])
        yield f"forced {forced['state']} by {forced['by']} for {left} more: {forced['reason']}"
    if row["verdict"] == "HOLD":
        yield f"nothing is known now; it stays {row['state']}"
    if row["panic"]:
        yield "would be out, were it not the last of its profile"
    if row["heldBack"]:
        yield "would be out, were not too many out already"
    if row["state"] == "OUT":
        times = "once" if row["ejections"] == 1 else f"{row['ejections']} times"
        left = duration(row["dwellSecondsLeft"])
        healthy = duration(row["healthySeconds"])
        needed = duration(row["healthySecondsNeeded"])
        yield f"ejected {times}; dwell {left} more; healthy for {healthy} of {needed}"
    if row["state"] == "PROBATION":
        yield f"on its way back, at {row['weight']:g}%"


def _told(row: dict[str, Any]) -> str:
    return f"{row['cluster']} is {row['verdict']}: " + ("; ".join(_why(row)) or "as the index says")
