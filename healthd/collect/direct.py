"""One snapshot without a daemon, for `healthd snapshot --direct` and `--bootstrap`."""

import asyncio
from collections.abc import Iterable
from typing import Final

from healthd.collect.access import Access
from healthd.collect.cluster import ClusterCollector
from healthd.collect.side import SideSource
from healthd.collect.sides import sides_of
from healthd.collect.target import ClusterTarget
from healthd.config.addresses import AddressError, parse_address
from healthd.config.fleet import ClusterConfig
from healthd.config.problems import ConfigError, Problem
from healthd.model.snapshot import ClusterSnapshot

RATE_SECONDS: Final = 1.0
"""Between two looks at the pages: a rate needs two, and is better than the one-minute gauge."""


async def snapshot_of_bootstrap(
    bootstrap: str, *, name: str | None = None, access: Access | None = None
) -> ClusterSnapshot:
    """The snapshot of the cluster behind some bootstrap servers; metrics are not configured.

    Args:
        bootstrap: `host:port`, several with commas between.
        name: What the snapshot calls the cluster; the bootstrap servers when there is none.
        access: How to connect; PLAINTEXT when nothing is said.

    Raises:
        ConfigError: an address cannot be read.
    """
    return await snapshot_of_target(target_of_bootstrap(bootstrap, name=name, access=access))


def target_of_bootstrap(
    bootstrap: str, *, name: str | None = None, access: Access | None = None
) -> ClusterTarget:
    """The cluster behind some bootstrap servers, as `snapshot_of_bootstrap` reads it.

    Raises:
        ConfigError: an address cannot be read.
    """
    servers = tuple(part.strip() for part in bootstrap.split(",") if part.strip())
    try:
        addresses = tuple(parse_address(server) for server in servers)
    except AddressError as error:
        problem = Problem(file="--bootstrap", message=error.message, action=error.action)
        raise ConfigError([problem]) from None
    if not addresses:
        problem = Problem(file="--bootstrap", message="is empty", action="write host:port")
        raise ConfigError([problem])
    return ClusterTarget(
        name=name or bootstrap, bootstrap_servers=addresses, access=access or Access()
    )


async def snapshot_of_cluster(config: ClusterConfig) -> ClusterSnapshot:
    """The snapshot of a cluster of the fleet file.

    Raises:
        ConfigError: a secret cannot be read.
    """
    target = ClusterTarget.of(config)
    return await snapshot_of_target(target, sides=sides_of(config, target))


async def snapshot_of_target(
    target: ClusterTarget, *, sides: Iterable[SideSource] = ()
) -> ClusterSnapshot:
    """The snapshot of one cluster, collected now; further sources are waited for."""
    collector = ClusterCollector(target, sides=sides, settle=True)
    try:
        collected = await collector.collect()
        if target.exporter_urls:
            await asyncio.sleep(RATE_SECONDS)
            collected = await collector.collect()
        return collected.snapshot
    finally:
        await collector.aclose()
