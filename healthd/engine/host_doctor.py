"""The whole answer of `healthd doctor`: what is found in the cluster, and on its hosts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from healthd.config.fleet import ClusterConfig
from healthd.config.targets import driven
from healthd.engine.clock import Clock
from healthd.engine.host_asking import ask_hosts
from healthd.engine.host_judging import judge_hosts
from healthd.execute.protocol import Executor
from healthd.waves.playbook import PlaybookTarget


class ClusterFound(Protocol):
    """What an examination of the cluster itself gives."""

    @property
    def cluster_id(self) -> str | None:
        """What the brokers call their cluster."""

    @property
    def addresses(self) -> Mapping[int, tuple[str, int]]:
        """Where Metadata says that each broker listens."""

    def as_json(self) -> dict[str, Any]:
        """Its document."""


async def with_hosts(
    found: Awaitable[ClusterFound],
    config: ClusterConfig,
    *,
    executor_of: Callable[[int], Executor],
    more: Sequence[tuple[int, tuple[str, ...]]] = (),
) -> dict[str, Any]:
    """The document of an examination with `hosts`, and their problems counted.

    Args:
        found: the examination of the cluster; it goes on beside that of the hosts.
        config: the cluster's part of the fleet file.
        executor_of: makes what reaches so many hosts at a time. It is closed afterwards: an
            executor of its own, so that hosts which hang keep no wave from its hosts.
        more: further commands by node that sudo must allow.
    """
    ensemble = driven(config, PlaybookTarget.ZOOKEEPER)
    count = len(config.hosts) + len(ensemble.hosts)
    if config.ssh is None or not count:
        return (await found).as_json() | {"hosts": []}
    executor = executor_of(count)
    try:
        cluster, answers, servers = await asyncio.gather(
            found,
            ask_hosts(config, executor, Clock(), more=more),
            ask_hosts(ensemble, executor, Clock(), is_zookeeper=True),
        )
    finally:
        await executor.aclose()
    reports = judge_hosts(
        (*answers, *servers), cluster_id=cluster.cluster_id, addresses=cluster.addresses
    )
    document = cluster.as_json()
    problems = document["problems"] + sum(report.problems for report in reports)
    return document | {"problems": problems, "hosts": [report.as_json() for report in reports]}
