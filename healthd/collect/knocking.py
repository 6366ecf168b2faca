"""Knocking at every door of a cluster, and at other doors of the same hosts, in one time-out."""

import asyncio
from collections.abc import Mapping
from typing import Final

from healthd.collect.outlook import Outlook
from healthd.collect.reach import accepts, knock_all, split_address
from healthd.collect.reachability import Knocks
from healthd.collect.target import ClusterTarget

SSH_KNOCKS_AT_ONCE: Final = 256


async def knocks_of(
    target: ClusterTarget,
    brokers: Mapping[int, tuple[str, int]],
    *,
    pages_up: Mapping[int, bool],
    outlook: Outlook | None,
    timeout_seconds: float,
) -> Knocks:
    """What every door does; other doors are tried when nobody has answered in this round.

    Args:
        target: The cluster.
        brokers: The known broker addresses by node id, dead ones included.
        pages_up: Whether anything answered where the nodes' pages are, as `Pages.up`.
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
    paths = dict(pages_up)
    for node, answered in ssh.items():
        paths[node] = paths.get(node, False) or answered
    return Knocks(
        bootstrap=tuple(states[address] for address in bootstrap if address not in own),
        brokers={node: states[address] for node, address in brokers.items()},
        second_paths=paths,
        others_answer=others,
    )


async def _ssh_ports(target: ClusterTarget, timeout_seconds: float) -> dict[int, bool]:
    slots = asyncio.Semaphore(SSH_KNOCKS_AT_ONCE)

    async def one(host: str, port: int) -> bool:
        async with slots:
            return await accepts(host, port, timeout_seconds=timeout_seconds)

    wanted = target.ssh_doors
    answers = await asyncio.gather(*(one(host, port) for host, port in wanted.values()))
    return dict(zip(wanted, answers, strict=True))
