"""Addresses on this machine for hosts that are each of their own: loopback aliases."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass, fields

STANDARD_PORT_ATTEMPTS = 8
ATTEMPTS = 40


class NoFreeAddressError(Exception):
    """No block of loopback addresses had all its ports free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports that every host of a fleet uses, the same ones on each."""

    ssh: int = 2222
    kafka: int = 9092
    controller: int = 9093
    exporter: int = 7071
    """The exporter's address as the outside sees it: a relay that can be taken away."""
    agent: int = 7072
    """The jmx_exporter agent inside the broker, behind the relay."""

    def shifted(self, by: int) -> Ports:
        """The same ports, each ``by`` higher."""
        return Ports(**{field.name: getattr(self, field.name) + by for field in fields(self)})

    def all(self) -> tuple[int, ...]:
        """Every port number."""
        return tuple(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of 254 loopback addresses (``127.A.B.1`` and on) with the ports to use on them."""

    prefix: str
    ports: Ports

    def host(self, number: int) -> str:
        """The address of one host, counted from 1."""
        return f"{self.prefix}.{number}"


def find_free_block(hosts: int, chance: random.Random | None = None) -> Block:
    """A block on which no port of the first ``hosts`` addresses is in use.

    Fleets that run at the same time get blocks of their own, so all of them can have the standard
    ports. Somebody who listens on 0.0.0.0 takes a port on every alias; then other ports are tried.

    Raises:
        NoFreeAddressError: After many attempts.
    """
    chance = chance or random.Random()
    for attempt in range(ATTEMPTS):
        shift = 0 if attempt < STANDARD_PORT_ATTEMPTS else chance.randrange(10, 20_000)
        # 127.0.x.y is left to others: name resolvers and the machine itself use it.
        prefix = f"127.{chance.randrange(16, 250)}.{chance.randrange(1, 250)}"
        block = Block(prefix=prefix, ports=Ports().shifted(shift))
        if _is_free(block, hosts):
            return block
    raise NoFreeAddressError(
        f"no free ports like {Ports().all()} on loopback aliases after {ATTEMPTS} attempts; "
        "does this machine let programs bind to 127.x.y.z?"
    )


def _is_free(block: Block, hosts: int) -> bool:
    for number in range(1, hosts + 1):
        for port in block.ports.all():
            with socket.socket() as probe:
                # As the servers do, so that closed connections of a past fleet do not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((block.host(number), port))
                except OSError:
                    return False
    return True
