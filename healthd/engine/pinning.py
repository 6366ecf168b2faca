"""What a wave is accepted with, and another look at it: playbook file and fleet file."""

import asyncio
from collections.abc import Callable

from healthd.config.fleet import ClusterConfig, HostConfig
from healthd.engine.view import OrderRefused
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.events import PinsSeen
from healthd.waves.pins import (
    SERVICE,
    SSH,
    Pins,
    broker_part,
    digest_of,
    places_of,
    playbook_digest,
)
from healthd.waves.playbook import Playbook
from healthd.waves.state import WaveState


def pins_of(config: ClusterConfig, playbook: Playbook, snapshot: ClusterSnapshot | None) -> Pins:
    """What a wave that is accepted now rests on."""
    return Pins(
        playbook=playbook_digest(playbook),
        inventory=inventory_of(config),
        places=() if snapshot is None else places_of(snapshot),
    )


def inventory_of(config: ClusterConfig) -> tuple[tuple[str, str], ...]:
    """The parts of the fleet file that say how the nodes of a cluster are reached and driven.

    Together they cover what `ClusterConfig.inventory_digest` does, so that a difference can be
    told in words.
    """
    hosts = sorted(config.hosts, key=lambda host: host.broker)
    return (
        (SSH, digest_of(config.ssh)),
        (SERVICE, digest_of(None if config.service is None else config.service.pinned())),
        *((broker_part(host.broker), digest_of(_place(host))) for host in hosts),
    )


def _place(host: HostConfig) -> list[str | int | None]:
    # The port only where there is one: what was pinned before there were any stays true.
    own = [] if host.ssh_port is None else [host.ssh_port]
    return [host.address, host.rack, *own]


async def seen_now(
    state: WaveState, config: ClusterConfig, playbooks: Callable[[str], Playbook]
) -> PinsSeen:
    """What there is now of what a wave was accepted with."""
    playbook: Playbook | None = None
    trouble = ""
    try:
        # Playbooks are files; the event loop waits for no disk.
        playbook = await asyncio.to_thread(playbooks, state.playbook.name)
    except OrderRefused as error:
        trouble = str(error)
    return PinsSeen(
        at=state.clock, playbook=playbook, trouble=trouble, inventory=inventory_of(config)
    )
