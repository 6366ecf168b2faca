"""`healthd hosts trust`: shows the keys of a cluster's hosts, asks, and writes those to trust."""

import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from healthd.cli.direct import fleet_file_option, found_now
from healthd.cli.exits import Exit
from healthd.cli.files import output_option
from healthd.cli.terminal import console, plain, rows_of, table
from healthd.config.fleet import ClusterConfig, Fleet
from healthd.config.fleet_file import load_fleet
from healthd.config.targets import driven
from healthd.engine.acting import target_of
from healthd.execute.known_hosts import HostKey, KnownHostsError, KnownKeys, host_name
from healthd.execute.protocol import Target
from healthd.execute.ssh_connect import ConnectError, offered_host_keys
from healthd.execute.trusting import KeyState, OfferedKey, add_keys, compared, known_so_far
from healthd.model.json_reader import printable
from healthd.waves.playbook import PlaybookTarget

_AT_ONCE: Final = 16
_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_STYLES: Final = {
    KeyState.SAME: "green",
    KeyState.NEW: "yellow",
    KeyState.CHANGED: "bold red",
    KeyState.REVOKED: "bold red",
}
_BAD: Final = frozenset({KeyState.CHANGED, KeyState.REVOKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    """A host, what is known of it and what it offers."""

    target: Target
    known: KnownKeys
    keys: tuple[OfferedKey, ...] = ()
    trouble: str = ""

    @property
    def name(self) -> str:
        return host_name(self.target.address, self.target.port)

    def in_state(self, *states: KeyState) -> tuple[HostKey, ...]:
        return tuple(one.key for one in self.keys if one.state in states)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """What became of a host."""

    is_known: bool
    """By a key that it offers."""
    added: int = 0
    """Keys that were added."""
    problem: str = ""
    """Why it is not known."""


@click.group()
def hosts() -> None:
    """The hosts of a cluster's brokers."""


@hosts.command()
@fleet_file_option("The fleet file.")
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    metavar="SHA256:...",
    help="Trust only keys with this fingerprint; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Do not ask; only together with --fingerprint.")
@output_option
@click.argument("cluster")
@click.argument("names", metavar="[HOST...]", nargs=-1)
@click.pass_context
def trust(
    context: click.Context,
    cluster: str,
    names: tuple[str, ...],
    fleet_file: Path,
    fingerprints: tuple[str, ...],
    *,
    yes: bool,
    output: str,
) -> None:
    """Show every key that the hosts of CLUSTER offer, and add those to trust to knownHostsFile.

    HOST is an address or a broker id of the fleet file; without any, all hosts. A key that has
    changed, or is revoked, is never replaced: take the old line out of the file yourself, once
    you know why.

    Needs no daemon. Exits 0 when every host is known by a key that it offers, 3 when one is not.
    """
    _check_options(fingerprints, yes=yes)
    fleet = found_now(context, lambda: load_fleet(fleet_file))
    targets = found_now(context, lambda: _targets(fleet, cluster, names))
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="trust") as pool:
        found = list(pool.map(_look, targets))
    is_json = output == "json"
    if not is_json:
        _show(found)
    settled = [_settled(host, fingerprints, yes=yes, is_json=is_json) for host in found]
    is_done = [one.is_known for one in settled]
    if is_json:
        rows = [_as_json(host, one) for host, one in zip(found, settled, strict=True)]
        click.echo(json.dumps({"cluster": cluster, "hosts": rows}))
    offered = {one.key.fingerprint for host in found for one in host.keys}
    for one in fingerprints:
        if one not in offered:
            click.echo(f"No host offers a key with the fingerprint {one}.", err=True)
            is_done.append(False)
    if not all(is_done):
        context.exit(Exit.PROBLEMS)


def _check_options(fingerprints: Sequence[str], *, yes: bool) -> None:
    for one in fingerprints:
        if not _FINGERPRINT.fullmatch(one):
            raise click.BadParameter(
                f"{one!r} is not SHA256: and 43 characters, as ssh-keygen -lf prints it",
                param_hint="--fingerprint",
            )
    if yes and not fingerprints:
        raise click.UsageError(
            "--yes needs --fingerprint: without a person who compares, say what it has to be"
        )


def _targets(fleet: Fleet, cluster: str, names: Sequence[str]) -> list[Target]:
    """How each host is reached, each once, in the order of the fleet file.

    Raises:
        LookupError: The fleet file has no such cluster, host, or no way to reach it.
    """
    config = fleet.cluster(cluster)
    if config is None:
        known = ", ".join(one.name for one in fleet.clusters)
        raise LookupError(f"the fleet file has no cluster {cluster}; it has {known}")
    hosts = _hosts(config, names)
    if not hosts:
        raise LookupError(f"cluster {cluster} has no hosts in the fleet file")
    targets = [target_of(kind, node) for kind, node in hosts]
    if any(one.is_local for one in targets):
        raise LookupError(f"the hosts of cluster {cluster} are this machine: no key is needed")
    # Bastions first: the hosts behind one can be asked once it is trusted.
    ways = [way for one in targets for way in (*_bastions(one), one)]
    return list({(one.address, one.port): one for one in ways}.values())


def _bastions(target: Target) -> tuple[Target, ...]:
    if target.bastion is None:
        return ()
    return (*_bastions(target.bastion), target.bastion)


def _hosts(config: ClusterConfig, names: Sequence[str]) -> list[tuple[ClusterConfig, int]]:
    """The hosts that are named, of brokers and of ZooKeeper servers; all without a name.

    Each with its cluster as waves over nodes of its kind drive it.
    """
    wanted = {name.lower() for name in names}
    found: list[tuple[ClusterConfig, int]] = []
    called: set[str] = set()
    for kind in (driven(config, target) for target in PlaybookTarget):
        for host in kind.hosts:
            ways = {host.address.lower(), str(host.broker)}
            if not wanted or ways & wanted:
                found.append((kind, host.broker))
                called |= ways
    missing = sorted(wanted - called)
    if missing:
        raise LookupError(
            f"cluster {config.name} has no host {', '.join(missing)} in the fleet file: "
            "give its address or its broker id"
        )
    return found


def _look(target: Target) -> _Host:
    try:
        known = known_so_far(target.known_hosts_file, target.address, target.port)
    except KnownHostsError as error:
        return _Host(target=target, known=KnownKeys(), trouble=str(error))
    try:
        keys = compared(offered_host_keys(target), known)
    except ConnectError as error:
        return _Host(target=target, known=known, trouble=error.detail)
    return _Host(target=target, known=known, keys=keys)


def _show(found: Sequence[_Host]) -> None:
    rows = [
        (host.name, one.key.kind, one.key.fingerprint, Text(one.state, style=_STYLES[one.state]))
        for host in found
        for one in host.keys
    ]
    out = console()
    if rows:
        out.print(rows_of(table("HOST", "KEY", "FINGERPRINT", ""), rows))
    for host in found:
        file = host.target.known_hosts_file
        if host.known.authorities:
            out.print(
                plain(
                    f"{host.name}: {file} has a certificate authority for it; with a "
                    "certificate that counts it needs no line of its own."
                )
            )
        if host.in_state(*_BAD):
            for key in host.known.trusted:
                out.print(plain(f"{host.name}: {file} has {key}"))


def _as_json(host: _Host, settled: _Settled) -> dict[str, Any]:
    keys = [
        {"kind": one.key.kind, "fingerprint": one.key.fingerprint, "state": one.state.value}
        for one in host.keys
    ]
    return {
        "host": host.name,
        "keys": keys,
        "added": settled.added,
        "isKnown": settled.is_known,
        "error": settled.problem or None,
    }


def _settled(host: _Host, fingerprints: Sequence[str], *, yes: bool, is_json: bool) -> _Settled:
    """What became of a host, which is said: data on stdout unless that is JSON."""
    found = _settle(host, fingerprints, yes=yes)
    if found.problem:
        _say(f"{host.name}: {found.problem}")
    if found.added:
        many = "1 key" if found.added == 1 else f"{found.added} keys"
        text = f"{host.name}: added {many} to {host.target.known_hosts_file}"
        click.echo(printable(text), err=is_json)
    return found


def _settle(host: _Host, fingerprints: Sequence[str], *, yes: bool) -> _Settled:
    """Add what is to be trusted; whether the host is known afterwards.

    One key is enough for that: a host is asked first for the kinds that are known. Who is asked
    and says no has left it undone all the same.
    """
    if host.trouble:
        return _Settled(is_known=False, problem=host.trouble)
    if host.in_state(*_BAD):
        return _Settled(
            is_known=False,
            problem=f"a key is CHANGED or REVOKED: nothing was added. Somebody may be in "
            f"between. If the host was set up anew, take its old line out of "
            f"{host.target.known_hosts_file} and run this again.",
        )
    new = host.in_state(KeyState.NEW)
    chosen = [key for key in new if not fingerprints or key.fingerprint in fingerprints]
    if chosen and (yes or _is_agreed(host, chosen)):
        return _add(host, chosen)
    if chosen or (new and not host.in_state(KeyState.SAME)):
        return _Settled(is_known=False, problem="nothing was added.")
    return _Settled(is_known=True)


def _is_agreed(host: _Host, chosen: Sequence[HostKey]) -> bool:
    click.echo(
        f"Compare on {printable(host.name)} itself (not over this network): "
        "for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done",
        err=True,
    )
    for key in chosen:
        click.echo(f"  {key}", err=True)
    try:
        return click.confirm(f"Trust {printable(host.name)} by these?", default=False, err=True)
    except click.Abort:
        if sys.stdin.isatty():  # A person has ended it.
            raise
        click.echo(err=True)
        _say("Nobody is there to answer: give --fingerprint with --yes.")
        return False


def _add(host: _Host, chosen: Sequence[HostKey]) -> _Settled:
    target = host.target
    try:
        added = add_keys(target.known_hosts_file, target.address, target.port, chosen)
    except KnownHostsError as error:
        return _Settled(is_known=False, problem=str(error))
    except OSError as error:
        problem = f"{target.known_hosts_file} cannot be written: {error.strerror}"
        return _Settled(is_known=False, problem=problem)
    return _Settled(is_known=True, added=added)


def _say(text: str) -> None:
    click.echo(printable(text), err=True)
