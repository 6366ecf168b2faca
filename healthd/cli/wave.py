"""`healthd wave`: start rolling work, follow it, and give it orders; all through the daemon."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.markdown import Markdown

from healthd.cli.client import DaemonClient, daemon_options, path_of
from healthd.cli.files import output_option
from healthd.cli.fleet_text import place_of, scheduled_lines
from healthd.cli.plan_file import from_plan
from healthd.cli.terminal import console
from healthd.cli.watching import INTERVAL_SECONDS, watch_wave
from healthd.cli.wave_approve import approve
from healthd.cli.wave_override import override
from healthd.cli.wave_request import (
    from_file,
    from_options,
    variables_option,
    with_variables,
)
from healthd.cli.wave_text import print_waves, rehearsal_line, wave_view

REHEARSAL_SECONDS: Final = 620.0
"""The daemon gives up after 600."""

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

reason_option: Final = click.option(
    "--reason", required=True, help="Why; it goes into the journal and the audit log."
)


@click.group("wave")
def wave() -> None:
    """Start, follow and steer rolling work on the brokers of a cluster."""


@wave.command("start")
@click.argument("file", required=False)
@click.option("--playbook", metavar="NAME", help="What to do to each broker.")
@click.option("--cluster", metavar="NAME", help="Where.")
@click.option("--brokers", metavar="all|1,2", help="On which nodes.")
@click.option("--reason", help="Why; with FILE it takes the place of the file's own.")
@click.option(
    "--policy",
    multiple=True,
    metavar="KEY=VALUE",
    help="A policy key such as soakSeconds=60; may be given repeatedly.",
)
@variables_option
@click.option(
    "--plan",
    metavar="PLAN",
    help="A plan that `healthd plan CLUSTER -o json` has printed: do that, or exit 7 when stale.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="The whole wave through the real gate; no command reaches a host.",
)
@click.option(
    "--rehearse",
    is_flag=True,
    help="Rehearse it on the live snapshots first: exit 3 when that does not end well.",
)
@click.option("--even-so", is_flag=True, help="With --rehearse: start it whatever comes of that.")
@click.option("--watch", is_flag=True, help="Follow it until it ends.")
@output_option
@daemon_options
@click.pass_context
def start(context: click.Context, /, *, file: str | None, dry_run: bool, rehearse: bool,
          even_so: bool, watch: bool, output: str, server: str, token_file: Path | None,
          **given: Any) -> None:  # fmt: skip
    """Start a wave: from FILE (kind: Wave, - for stdin), from a PLAN, or from the options alone.

    Exits 6 when another wave holds the cluster: the message says who, since when and for which
    wave. Exits 3 when its rehearsal does not end well: nothing was started. Exits 7 when the plan
    does not fit the cluster any more, and says how. With --watch it exits 5 when the wave fails or
    is aborted.
    """
    request = _request(file, **given)
    if dry_run:
        request["dryRun"] = True
    client = DaemonClient(server, token_file)
    if rehearse or even_so:
        request |= {"rehearse": rehearse, "evenSo": even_so}
        client = DaemonClient(server, token_file, read_seconds=REHEARSAL_SECONDS)
    found = client.post(path_of("waves"), request)
    if output == "json":
        click.echo(json.dumps(found))
    else:
        what = "a dry run" if found.get("dryRun") else "wave"
        for row in found.get("rehearsal", {}).get("clusters", ()):
            click.echo(f"Rehearsed {rehearsal_line(row)}")
        click.echo(f"Started {what} {found['wave']} on {place_of(found)}.")
        if not watch:
            click.echo(f"Follow it:  healthd wave watch {found['wave']}")
    if watch:
        wave_id = found["wave"]
        context.exit(watch_wave(client, wave_id, interval_seconds=INTERVAL_SECONDS, output=output))


def _request(
    file: str | None,
    *,
    playbook: str | None,
    cluster: str | None,
    brokers: str | None,
    reason: str | None,
    policy: tuple[str, ...],
    variables: tuple[str, ...],
    plan: str | None,
) -> dict[str, Any]:
    """The document of the wave that the command line describes."""
    if plan is not None:
        named = {"FILE": file, "--cluster": cluster, "--brokers": brokers}
        extra = [name for name, value in named.items() if value is not None]
        if extra:
            raise click.UsageError(f"the plan says it: leave out {', '.join(extra)}")
        found = from_plan(plan, playbook=playbook, reason=reason, policy=policy)
        return with_variables(found, variables)
    named = {"--playbook": playbook, "--cluster": cluster, "--brokers": brokers}
    if file is not None:
        extra = [name for name, value in named.items() if value is not None]
        extra += ["--policy"] if policy else []
        extra += ["--var"] if variables else []
        if extra:
            raise click.UsageError(f"the file says it all: leave out {', '.join(extra)}")
        return from_file(file, reason)
    missing = [name for name, value in {**named, "--reason": reason}.items() if not value]
    if missing:
        raise click.UsageError(f"give a wave FILE, or add {', '.join(missing)}")
    found = from_options(
        playbook=playbook or "",
        cluster=cluster or "",
        brokers=brokers or "",
        reason=reason or "",
        policy=policy,
    )
    return with_variables(found, variables)


@wave.command("list")
@output_option
@daemon_options
def list_waves(output: str, server: str, token_file: Path | None) -> None:
    """List the waves that run, and those that ended in the last 24 hours."""
    found = DaemonClient(server, token_file).get(path_of("waves"))
    if output == "json":
        click.echo(json.dumps(found))
    else:
        print_waves(console(), found["waves"])
        for line in scheduled_lines(found.get("scheduled", [])):
            click.echo(line)


@wave.command("show")
@click.argument("name", metavar="WAVE")
@output_option
@daemon_options
def show(name: str, output: str, server: str, token_file: Path | None) -> None:
    """Show where a wave stands and what it waits for."""
    _print_wave(DaemonClient(server, token_file).get(path_of("waves", name)), output)


@wave.command("watch")
@click.argument("name", metavar="WAVE")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05, max=3600),
    default=INTERVAL_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@output_option
@daemon_options
@click.pass_context
def watch_command(context: click.Context, *, name: str, interval: float, output: str, server: str,
                  token_file: Path | None) -> None:  # fmt: skip
    """Follow a wave until it ends: exits 0 when it succeeded, 5 when it failed or was aborted.

    With -o json every change is a line: the wave as `wave show -o json` prints it then.
    """
    client = DaemonClient(server, token_file)
    context.exit(watch_wave(client, name, interval_seconds=interval, output=output))


@wave.command("report")
@click.argument("name", metavar="WAVE")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="For people, for programs, or for a ticket.",
)
@daemon_options
def report(name: str, output: str, server: str, token_file: Path | None) -> None:
    """Print the report of a wave: what, who, why, and the timeline of every node."""
    client = DaemonClient(server, token_file)
    path = path_of("waves", name, "report")
    if output == "json":
        click.echo(json.dumps(client.get(path)))
        return
    text = client.text(path, format="markdown")
    out = console()
    if output == "table" and out.is_terminal:
        out.print(Markdown(text))
    else:
        click.echo(text.rstrip("\n"))


@wave.command("pause")
@click.argument("name", metavar="WAVE", required=False)
@click.option("--all", "is_all", is_flag=True, help="Every wave: the emergency stop.")
@reason_option
@output_option
@daemon_options
def pause(*, name: str | None, is_all: bool, reason: str, output: str, server: str,
          token_file: Path | None) -> None:  # fmt: skip
    """Take no further broker until `wave resume`; what is in flight is finished first."""
    if is_all == (name is not None):
        raise click.UsageError("name one WAVE, or say --all")
    client = DaemonClient(server, token_file)
    if name is not None:
        _print_wave(_order(client, name, "pause", reason), output)
        return
    found = client.post(path_of("waves", "pause-all"), {"reason": reason})
    if output == "json":
        click.echo(json.dumps(found))
        return
    for each in found["waves"]:
        click.echo(f"Paused {each['wave']} on {place_of(each)}.")
    if not found["waves"]:
        click.echo("No wave runs: there was nothing to pause.")


@wave.command("resume")
@click.argument("name", metavar="WAVE")
@reason_option
@output_option
@daemon_options
def resume(*, name: str, reason: str, output: str, server: str, token_file: Path | None) -> None:
    """Let a paused wave go on as soon as its gate is open."""
    _print_wave(_order(DaemonClient(server, token_file), name, "resume", reason), output)


@wave.command("abort")
@click.argument("name", metavar="WAVE")
@click.option("--discard", is_flag=True,
              help="Give up a wave whose state no healthd here can read.")  # fmt: skip
@reason_option
@output_option
@daemon_options
def abort(*, name: str, discard: bool, reason: str, output: str, server: str,
          token_file: Path | None) -> None:  # fmt: skip
    """End a wave: what is in flight is started and checked first, no broker stays stopped."""
    client = DaemonClient(server, token_file)
    if not discard:
        _print_wave(_order(client, name, "abort", reason), output)
        return
    found = _order(client, name, "discard", reason)
    click.echo(json.dumps(found) if output == "json" else f"Discarded wave {found['wave']}.")


def _of_one_broker(verb: str, text: str) -> None:
    @wave.command(verb, help=text)
    @click.argument("name", metavar="WAVE")
    @click.option("--broker", "node", type=click.IntRange(min=0), metavar="ID",
                  help="The node that it is about.")  # fmt: skip
    @click.option("--cluster", metavar="NAME",
                  help="Its cluster, in a wave over several that have such a node.")  # fmt: skip
    @reason_option
    @output_option
    @daemon_options
    def command(*, name: str, node: int | None, cluster: str | None, reason: str, output: str,
                server: str, token_file: Path | None) -> None:  # fmt: skip
        if node is None and (verb != "skip" or cluster is None):
            raise click.MissingParameter(param_hint="--broker", param_type="option")
        client = DaemonClient(server, token_file)
        of = {"node": node, "cluster": cluster}
        _print_wave(_order(client, name, verb, reason, **of), output)


_of_one_broker("retry", "Take a failed node again: what is missing of its stop, steps and start.")
_of_one_broker("confirm", "Answer the question that a step of the playbook asks: the node goes on.")
_of_one_broker(
    "skip", "Leave a node out, or a cluster that waits; lifts the pause that a failure caused."
)


wave.add_command(approve)
wave.add_command(override)


def _order(client: DaemonClient, name: str, verb: str, reason: str, **of: Any) -> dict[str, Any]:
    if not reason.strip():
        raise click.BadParameter("say why", param_hint="--reason")
    body: dict[str, Any] = {"reason": reason}
    body |= {key: value for key, value in of.items() if value is not None}
    found: dict[str, Any] = client.post(path_of("waves", name, verb), body)
    return found


def _print_wave(found: dict[str, Any], output: str) -> None:
    if output == "json":
        click.echo(json.dumps(found))
    else:
        console().print(wave_view(found))
