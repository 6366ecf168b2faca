"""Pure: whether the process that a wave would stop is the broker that the wave means."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthd.execute.host_facts import HostFacts, ProcessFacts

WAYS: Final = (
    "let the SSH user read it, or give the cluster a service.identity command that prints "
    "node.id=ID and cluster.id=ID (docs/configure.md)"
)


class Agreement(StrEnum):
    """What comes of comparing."""

    AGREES = "agrees"
    CONTRADICTS = "contradicts"
    """It is another broker, or a broker of another cluster: nothing may be done there."""
    UNTOLD = "untold"
    """There was a way to tell, and it did not tell."""
    NO_WAY = "no way"
    """The host has nothing that could tell: no such shell, no `/proc`, nothing running."""
    GONE = "gone"
    """The process has ended meanwhile: ask again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether host, service and broker id are of one broker, with the words for people."""

    agreement: Agreement
    detail: str = ""

    @property
    def is_hold(self) -> bool:
        """Whether nothing may be done on the host."""
        return self.agreement not in {Agreement.AGREES, Agreement.NO_WAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The broker that the fleet file means, and what Kafka itself says of it."""

    node: int
    cluster_id: str | None = None
    """Of the cluster that the fleet file's bootstrap servers lead to; None: it is not known."""
    address: tuple[str, int] | None = None
    """Where Metadata says that this broker listens."""
    is_zookeeper: bool = False
    """A server of the ensemble is meant, and no broker."""


def told_by_command(wanted: Wanted, told: tuple[int | None, str | None]) -> Verdict:
    """What the fleet file's own `service.identity` says."""
    node, cluster = told
    if node is None:
        return Verdict(
            agreement=Agreement.UNTOLD,
            detail="service.identity prints no line node.id=ID, or several that differ",
        )
    if node != wanted.node:
        return _other(f"service.identity says node.id={node}", wanted)
    if cluster is not None and wanted.cluster_id is not None and cluster != wanted.cluster_id:
        return _foreign(f"service.identity says cluster.id={cluster}", wanted)
    return Verdict(agreement=Agreement.AGREES)


def told_by_process(wanted: Wanted, pid: int, facts: HostFacts) -> Verdict:
    """What the process that the status command names says of itself."""
    if not facts.has_proc:
        return Verdict(agreement=Agreement.NO_WAY, detail="the host has no /proc")
    if facts.gone:
        return Verdict(agreement=Agreement.GONE, detail=f"process {pid} has ended meanwhile")
    process = facts.process(pid)
    if process is None:
        return _untold(f"process {pid} is not to be seen in the host's /proc")
    if process.main is None:
        what = process.program or "?"
        return _untold(f"process {pid} ({what}) is not known for a broker by its command line")
    if process.is_zookeeper != wanted.is_zookeeper:
        kind = "ZooKeeper" if process.is_zookeeper else "a broker"
        return Verdict(
            agreement=Agreement.CONTRADICTS, detail=f"process {pid} is {kind} ({process.main})"
        )
    if not process.is_readable:
        named = process.file or "no file on its command line"
        return _untold(f"the configuration of process {pid} cannot be read ({named})")
    verdict = _compared(wanted, process)
    twins = [each for each in rivals(facts.processes, wanted) if each.pid != pid]
    if verdict.agreement is Agreement.AGREES and twins and not is_kin(pid, twins[0].pid, facts):
        named = ", ".join(f"process {each.pid} ({each.file})" for each in twins)
        return Verdict(
            agreement=Agreement.CONTRADICTS,
            detail=f"besides process {pid} ({process.file}), {named} is broker {wanted.node} of "
            "this cluster, too: end and disable the wrong one",
        )
    return verdict


def is_kin(one: int, other: int, facts: HostFacts) -> bool:
    """Whether one of two processes has begun the other, by way of processes of ours only.

    A `sudo` or a wrapper that waits for the broker has the broker's own command line behind its
    own: it is no second broker.
    """
    parents = {each.pid: each.parent for each in facts.processes}
    for first, last in ((one, other), (other, one)):
        at: int | None = first
        for _ in parents:
            at = parents.get(at) if at is not None else None
            if at == last:
                return True
    return False


def told_by_absence(wanted: Wanted, facts: HostFacts) -> Verdict:
    """What a host says whose status command says that the broker does not run.

    When a process there is this very broker, the service commands look at another service: a
    start would be a second one.
    """
    for process in facts.processes:
        if process.is_zookeeper == wanted.is_zookeeper and _is(process, wanted):
            return Verdict(
                agreement=Agreement.CONTRADICTS,
                detail=f"the status command says that it is stopped, but process {process.pid} "
                f"({process.file}) is broker {wanted.node}: correct the service commands",
            )
    return Verdict(agreement=Agreement.NO_WAY, detail="it does not run")


def rivals(processes: Sequence[ProcessFacts], wanted: Wanted) -> tuple[ProcessFacts, ...]:
    """The processes that certainly are the wanted broker: of its id, and of its cluster."""
    return tuple(
        each
        for each in processes
        if not each.is_zookeeper
        and wanted.node in each.node_ids
        and wanted.cluster_id is not None
        and wanted.cluster_id in each.cluster_ids
    )


def _is(process: ProcessFacts, wanted: Wanted) -> bool:
    if wanted.node not in process.node_ids:
        return False
    # Another cluster's broker of the same id may live there, too: its cluster id says so. While
    # ours is not known, nobody can tell the two apart, and no wave takes anything either.
    return wanted.is_zookeeper or wanted.cluster_id in process.cluster_ids


def _compared(wanted: Wanted, process: ProcessFacts) -> Verdict:
    ids = process.node_ids
    named = f"process {process.pid} ({process.file})"
    if not ids:
        return _untold(f"{named} names no node.id, and its log directories cannot be read")
    if ids != (wanted.node,):
        says = " and ".join(f"node.id={each}" for each in ids)
        return _other(f"{named} says {says}", wanted)
    if wanted.is_zookeeper or wanted.cluster_id is None:
        return Verdict(agreement=Agreement.AGREES)
    clusters = process.cluster_ids
    if clusters == (wanted.cluster_id,):
        return Verdict(agreement=Agreement.AGREES)
    if clusters:
        return _foreign(f"{named} is of cluster {' and '.join(clusters)}", wanted)
    if wanted.address is not None and wanted.address in process.advertised:
        # Its directories are its own; that Kafka finds this id at its address says as much.
        return Verdict(agreement=Agreement.AGREES)
    folders = ", ".join(each.path for each in process.log_dirs) or "its log directories"
    return _untold(f"the meta.properties of {named} cannot be read ({folders})")


def _other(says: str, wanted: Wanted) -> Verdict:
    return Verdict(
        agreement=Agreement.CONTRADICTS,
        detail=f"{says}, and the fleet file says {wanted.node}: correct the fleet file's hosts "
        "and service commands",
    )


def _foreign(says: str, wanted: Wanted) -> Verdict:
    return Verdict(
        agreement=Agreement.CONTRADICTS,
        detail=f"{says}, and the brokers of this cluster say {wanted.cluster_id}: correct the "
        "fleet file's hosts and service commands",
    )


def _untold(what: str) -> Verdict:
    return Verdict(agreement=Agreement.UNTOLD, detail=f"{what}: {WAYS}")
