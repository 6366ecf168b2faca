"""What a wave is accepted with, and another look at it: playbook file and fleet file."""

import asyncio
from collections.abc import Callable
from typing import Any

from healthd.config.fleet import ClusterConfig, HostConfig
from healthd.config.targets import driven
from healthd.engine.variables import lacking
from healthd.engine.view import OrderRefused
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.ensemble import for_target
from healthd.waves.events import PinsSeen
from healthd.waves.pins import (
    SERVICE,
    SSH,
    VARIABLES,
    Pins,
    broker_part,
    digest_of,
    places_of,
    playbook_digest,
)
from healthd.waves.playbook import Playbook
from healthd.waves.state import WaveState
from healthd.waves.variable_values import joined, plain_values


def pins_of(config: ClusterConfig, playbook: Playbook, snapshot: ClusterSnapshot | None) -> Pins:
    """What a wave that is accepted now rests on."""
    target = playbook.target
    return Pins(
        playbook=playbook_digest(playbook),
        inventory=inventory_of(driven(config, target)),
        places=() if snapshot is None else places_of(for_target(target, snapshot)),
    )


def inventory_of(config: ClusterConfig) -> tuple[tuple[str, str], ...]:
    """The parts of the fleet file that say how the nodes of a cluster are reached and driven.

    Together they cover what `ClusterConfig.inventory_digest` does, so that a difference can be
    told in words.
    """
    hosts = sorted(config.hosts, key=lambda host: host.broker)
    return (
        (SSH, digest_of(None if config.ssh is None else config.ssh.pinned())),
        (SERVICE, digest_of(None if config.service is None else config.service.pinned())),
        # Only where there are some: what was pinned before there were any stays true.
        *(((VARIABLES, digest_of(plain_values(config.variables))),) if config.variables else ()),
        *((broker_part(host.broker), digest_of(_place(host))) for host in hosts),
    )


def _place(host: HostConfig) -> list[Any]:
    # The port only where there is one: what was pinned before there were any stays true.
    own = [] if host.ssh_port is None else [host.ssh_port]
    values = [plain_values(host.variables)] if host.variables else []
    return [host.address, host.rack, *own, *values]


async def seen_now(
    state: WaveState, config: ClusterConfig, playbooks: Callable[[str], Playbook]
) -> PinsSeen:
    """What there is now of what a wave was accepted with."""
    playbook: Playbook | None = None
    trouble = ""
    try:
        # Playbooks are files; the event loop waits for no disk.
        playbook = await asyncio.to_thread(playbooks, state.playbook.reference)
        unended = [run.node for run in state.nodes if not run.status.has_ended]
        given = joined(state.variables, state.secrets)
        lacks = await asyncio.to_thread(lacking, playbook, config, unended, given)
        if lacks:
            playbook, trouble = None, "; ".join(lacks)
    except OrderRefused as error:
        trouble = str(error)
    inventory = inventory_of(driven(config, state.playbook.target))
    return PinsSeen(at=state.clock, playbook=playbook, trouble=trouble, inventory=inventory)
