"""`healthd playbook sudoers`: a sudoers file with exactly what a playbook needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from healthd.cli.direct import fleet_file_option, found_now, playbook_dir_option
from healthd.cli.exits import Exit
from healthd.cli.playbook_files import found_playbook, read_named
from healthd.cli.playbook_values import given_values
from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_file import load_fleet
from healthd.config.targets import driven
from healthd.engine.privileges import of_playbook, place_of, texts_for
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_steps import BUILT_IN
from healthd.waves.sudoers import NotListable, Place, file_for, sudoers_file

DEFAULT_USER: Final = "healthd"


@click.command("sudoers")
@click.argument("playbook")
@click.option("--cluster", metavar="NAME", help="With its hosts, service commands and variables.")
@click.option(
    "--broker", type=click.IntRange(min=0), metavar="ID", help="Of --cluster this one host only."
)
@fleet_file_option("The fleet file, for --cluster.")
@playbook_dir_option
@click.option(
    "--var", "given", multiple=True, metavar="NAME=VALUE", help="A variable's value; repeatable."
)
@click.option("--user", metavar="NAME", help="Who logs in; else ssh.user of the cluster.")
@click.pass_context
def sudoers(
    context: click.Context,
    *,
    playbook: str,
    cluster: str | None,
    broker: int | None,
    fleet_file: Path,
    playbook_dir: Path | None,
    given: tuple[str, ...],
    user: str | None,
) -> None:
    """Print a sudoers file with exactly the commands that PLAYBOOK runs with become.

    With --cluster also its service commands that begin with sudo. PLAYBOOK is a name or a file.
    Nothing in it is a wildcard: a command that is not known word by word is not listed; then
    stderr says why.

    Exits 0 when all is listed, 3 when not or when the playbook has problems, 2 when a file cannot
    be opened.
    """
    if broker is not None and cluster is None:
        raise click.UsageError("--broker needs --cluster")
    book = found_playbook(context, lambda: read_named(playbook, playbook_dir), name=playbook)
    values = given_values(book, given, besides=BUILT_IN)
    config = None if cluster is None else found_now(context, lambda: _cluster(fleet_file, cluster))
    if config is None:
        places, trouble = _anywhere(book, values)
    else:
        places, trouble = _hosts(book, driven(config, book.target), values, broker)
    who = user or (config.ssh.user if config is not None and config.ssh is not None else None)
    about = "" if config is None else f" on cluster {config.name}"
    title = f"What healthd runs with sudo for playbook {book.name}{about}."
    try:
        text = sudoers_file(who or DEFAULT_USER, places, title=title, path=file_for(book.name))
    except NotListable as error:
        click.echo(f"{error}: it cannot be listed; nothing was printed", err=True)
        context.exit(Exit.PROBLEMS)
    click.echo(text, nl=False)
    for line in dict.fromkeys(trouble):
        click.echo(f"not listed: {line}", err=True)
    if trouble:
        context.exit(Exit.PROBLEMS)


def _cluster(fleet_file: Path, name: str) -> ClusterConfig:
    fleet = load_fleet(fleet_file)
    config = fleet.cluster(name)
    if config is None:
        known = ", ".join(each.name for each in fleet.clusters)
        raise click.UsageError(f"there is no cluster {name} in {fleet_file}, which has {known}")
    return config


def _anywhere(book: Playbook, values: Mapping[str, str]) -> tuple[list[Place], list[str]]:
    """Without a fleet file: the defaults, and what is given on the command line."""
    texts = {each.name: each.default for each in book.variables if each.default is not None}
    commands, trouble = of_playbook(book, {**texts, **values})
    return [Place(name="", commands=commands)], list(trouble)


def _hosts(
    book: Playbook, config: ClusterConfig, values: Mapping[str, str], broker: int | None
) -> tuple[list[Place], list[str]]:
    hosts = [host for host in config.hosts if broker is None or host.broker == broker]
    if not hosts:
        which = "hosts" if broker is None else f"host for {broker}"
        raise click.UsageError(f"cluster {config.name} has no {which} in the fleet file")
    places: list[Place] = []
    trouble: list[str] = []
    for host in hosts:
        texts, missing = texts_for(config, host.broker, book, values)
        trouble += missing
        place, more = place_of(config, host.broker, book, texts)
        places.append(place)
        trouble += more
    return places, trouble
