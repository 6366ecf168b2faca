"""`healthd doctor CLUSTER`: what healthd may and may not see, and what would change that."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.direct import direct_options, found_now, playbook_dir_option
from healthd.cli.doctor_hosts import show_hosts
from healthd.cli.exits import Exit
from healthd.cli.files import output_option
from healthd.cli.terminal import console, plain, rows_of, table

EXAMINATION_SECONDS: Final = 120.0
"""So long the daemon may take; a healthy cluster takes three."""
_FACTORY: Final = "healthd.main"
"""Where the composition root is; it is named and not imported, for it imports this."""
_STYLES: Final = {
    "allowed": "green",
    "denied": "bold red",
    "unreachable": "bold red",
    "failed": "bold red",
    "unknown": "magenta",
    "not configured": "dim",
}
_AUTHORIZER: Final = {
    "on": "It asks an authorizer who may do what.",
    "off": "No authorizer is on: everybody may do everything, and no ACL is needed.",
    "unknown": "Whether an authorizer is on is not known.",
}


@click.command("doctor")
@click.argument("cluster", required=False)
@direct_options
@daemon_options
@click.option(
    "--hosts/--no-hosts",
    default=True,
    help="Log in on each host as well and look at it; nothing is changed there.",
)
@click.option(
    "--playbook",
    metavar="NAME",
    help="Ask sudo on each host for what this playbook runs with become, too; with --direct.",
)
@playbook_dir_option
@click.option(
    "--acls",
    is_flag=True,
    help="Print the ACLs that healthd needs, by what they are for; reads the fleet file only.",
)
@output_option
@click.pass_context
def doctor(
    context: click.Context,
    *,
    cluster: str | None,
    direct: bool,
    fleet_file: Path,
    bootstrap: str | None,
    server: str,
    token_file: Path | None,
    hosts: bool,
    playbook: str | None,
    playbook_dir: Path | None,
    acls: bool,
    output: str,
) -> None:
    """Say what healthd may and may not see of CLUSTER, what that costs, and what would grant it.

    Where the fleet file says how the hosts are reached, each is logged in on and asked: its key and
    ours, sudo, the service and whether it is this very broker, a second one, clock, disks, a reboot
    that is due. The daemon looks, unless --direct or --bootstrap says to look from here. Exits 0
    when nothing is in the way, 3 when something is.
    """
    if direct and bootstrap is not None:
        raise click.UsageError("--direct and --bootstrap exclude each other")
    if cluster is None and bootstrap is None:
        raise click.UsageError("say which CLUSTER")
    if acls:
        if bootstrap is not None:
            raise click.UsageError("--acls reads the fleet file: it excludes --bootstrap")
        _show_acls(context, cluster, fleet_file, output)
        return
    if playbook is not None and not direct:
        raise click.UsageError("--playbook needs --direct")
    if direct or bootstrap is not None:
        examined: Mapping[str, Any] = found_now(
            context,
            lambda: importlib.import_module(_FACTORY).direct_examination(
                cluster=cluster,
                fleet_file=fleet_file,
                bootstrap=bootstrap,
                hosts=hosts,
                playbook=playbook,
                playbook_dir=playbook_dir,
            ),
        )
    else:
        client = DaemonClient(server, token_file, read_seconds=EXAMINATION_SECONDS)
        examined = client.get(path_of("clusters", cluster or "", "doctor"))
    if not hosts:
        examined = _without_hosts(examined)
    if output == "json":
        click.echo(json.dumps(examined))
    else:
        _show(examined)
    if examined["problems"]:
        context.exit(Exit.PROBLEMS)


def _show_acls(context: click.Context, cluster: str | None, fleet_file: Path, output: str) -> None:
    """Print what has to be granted, as commands for somebody who may."""
    needed: Mapping[str, Any] = found_now(
        context,
        lambda: importlib.import_module(_FACTORY).needed_acls(
            cluster=cluster, fleet_file=fleet_file
        ),
    )
    if output == "json":
        click.echo(json.dumps(needed))
        return
    for need in needed["purposes"]:
        click.echo(f"# {need['purpose']}: {need['why']}")
        for command in need["commands"]:
            click.echo(command)
        click.echo()


def _without_hosts(examined: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was found without what its hosts have to do with."""
    of_hosts = sum(host["problems"] for host in examined.get("hosts", ()))
    return {**examined, "hosts": [], "problems": examined["problems"] - of_hosts}


def _show(examined: Mapping[str, Any]) -> None:
    out = console()
    who = examined["principal"] or "somebody that the configuration does not name"
    out.print(plain(f"{examined['cluster']}: brokers take healthd for {who}."))
    out.print(plain(_AUTHORIZER[examined["authorizer"]]))
    out.print()
    found = rows_of(
        table("SOURCE", "WHAT", "", "COSTS"),
        [
            (
                finding["source"],
                finding["subject"],
                Text(finding["outcome"], style=_STYLES.get(finding["outcome"], "")),
                _costs(finding),
            )
            for finding in examined["findings"]
        ],
    )
    out.print(found)
    for finding in examined["findings"]:
        if finding["detail"]:
            out.print()
            out.print(plain(f"{finding['source']}, {finding['subject']}: {finding['detail']}"))
    show_hosts(out, examined.get("hosts", ()))
    out.print()
    out.print(
        plain(
            f"Class {examined['class']}, completeness {100 * examined['completeness']:.0f} %; "
            f"{_many(examined['problems'])}."
        )
    )
    if examined["grants"]:
        out.print()
        out.print("Somebody who may grant runs:")
        for command in examined["grants"]:
            # Not through the table: a command is copied whole.
            click.echo(f"  {command}")


def _many(problems: int) -> str:
    if problems == 1:
        return "1 problem"
    return f"{problems or 'no'} problems"


def _costs(finding: Mapping[str, Any]) -> str:
    if not finding["terms"]:
        return ""
    lost = 100 * finding["completenessLost"]
    return f"{', '.join(finding['terms'])}: {lost:.0f} % of completeness"
