"""Knocking at every door of a cluster, and at other doors of the same hosts, in one time-out."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from healthd.collect.observation import FailureReason, PageSeen, Source, SourceFailure
from healthd.collect.outlook import Outlook
from healthd.collect.reach import accepts, knock_all, split_address
from healthd.collect.reachability import Knocks
from healthd.collect.target import ClusterTarget

SSH_KNOCKS_AT_ONCE: Final = 256

SILENT_PAGES: Final = frozenset(
    {FailureReason.TIMEOUT, FailureReason.REFUSED, FailureReason.NETWORK}
)
"""A page that fails for these did not answer."""

BAD_PAGES: Final = frozenset({
    FailureReason.HTTP_STATUS, FailureReason.NOT_METRICS, FailureReason.NO_KAFKA_METRICS,
    FailureReason.SCRAPE_ERROR, FailureReason.TOO_LARGE, FailureReason.PROTOCOL,
})  # fmt: skip
"""A bad answer is an answer. Whatever else fails (our DNS, a query) says nothing of the host."""


async def knocks_of(
    target: ClusterTarget,
    brokers: Mapping[int, tuple[str, int]],
    *,
    pages: Mapping[int, PageSeen],
    failures: Iterable[SourceFailure],
    outlook: Outlook | None,
    timeout_seconds: float,
) -> Knocks:
    """What every door does; other doors are tried when nobody has answered in this round.

    Args:
        target: The cluster.
        brokers: The known broker addresses by node id, dead ones included.
        pages: The exporter pages that this round gave.
        failures: This round's, for the pages that it did not give.
        outlook: Who else there is; None: only these addresses are knocked at.
        timeout_seconds: For all of it; everything is asked side by side.
    """
    bootstrap = [split_address(address) for address in target.bootstrap_servers]
    listeners = knock_all(
        {*bootstrap, *brokers.values()},
        timeout_seconds=timeout_seconds,
        tls=target.access.probing_tls(),
    )
    others, ssh = False, dict[int, bool]()
    if outlook is None:
        states = await listeners
    else:
        states, others, ssh = await asyncio.gather(
            listeners,
            outlook.others_answer(target.name, timeout_seconds=timeout_seconds),
            _ssh_ports(target, timeout_seconds),
        )
    own = {*brokers.values()}
    paths = _pages_answered(pages, failures)
    for node, answered in ssh.items():
        paths[node] = paths.get(node, False) or answered
    return Knocks(
        bootstrap=tuple(states[address] for address in bootstrap if address not in own),
        brokers={node: states[address] for node, address in brokers.items()},
        second_paths=paths,
        others_answer=others,
    )


def _pages_answered(
    pages: Mapping[int, PageSeen], failures: Iterable[SourceFailure]
) -> dict[int, bool]:
    found = dict.fromkeys(pages, True)
    for failure in failures:
        if failure.source is not Source.METRICS or failure.node is None:
            continue
        if failure.reason in SILENT_PAGES:
            found.setdefault(failure.node, False)
        elif failure.reason in BAD_PAGES:
            found[failure.node] = True
    return found


async def _ssh_ports(target: ClusterTarget, timeout_seconds: float) -> dict[int, bool]:
    slots = asyncio.Semaphore(SSH_KNOCKS_AT_ONCE)

    async def one(host: str, port: int) -> bool:
        async with slots:
            return await accepts(host, port, timeout_seconds=timeout_seconds)

    wanted = {
        node.id: (node.host, target.ssh_port)
        for node in target.nodes.values()
        if node.host is not None and target.ssh_port is not None
    }
    answers = await asyncio.gather(*(one(host, port) for host, port in wanted.values()))
    return dict(zip(wanted, answers, strict=True))
