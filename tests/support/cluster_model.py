"""Small clusters for the model of `healthd.rehearsal`."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from healthd.model.snapshot import Broker, ClusterSnapshot, Partition, Topic
from healthd.model.words import BrokerState, Role
from healthd.rehearsal.wellness import all_well

TOPIC = "orders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of a small cluster."""

    id: int
    is_broker: bool = True
    is_voter: bool = False
    rack: str | None = None

    @property
    def roles(self) -> frozenset[Role]:
        """What it does."""
        roles = {Role.BROKER} if self.is_broker else set()
        return frozenset(roles | ({Role.CONTROLLER} if self.is_voter else set()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The partitions of the one topic of a small cluster."""

    replicas: tuple[tuple[int, ...], ...]
    min_isr: int


def ring(
    *, nodes: int = 5, factor: int = 4, min_isr: int = 3, voters: int = 3, partitions: int = 0
) -> tuple[list[Node], Rows]:
    """Brokers with partitions all around them; the first few are controllers too."""
    ids = list(range(1, nodes + 1))
    made = [Node(id=node, is_voter=node <= voters) for node in ids]
    replicas = tuple(
        tuple(ids[(number + at) % nodes] for at in range(factor))
        for number in range(partitions or nodes)
    )
    return made, Rows(replicas=replicas, min_isr=min_isr)


def racked(
    *, racks: int, each: int, factor: int, min_isr: int, partitions: int, seed: int = 1
) -> tuple[list[Node], Rows]:
    """Plain brokers in racks, three controllers apart; no partition has two replicas in a rack."""
    dice = random.Random(seed)
    many = racks * each
    nodes = [Node(id=node, rack=f"az{node % racks}") for node in range(1, many + 1)]
    nodes += [Node(id=node, is_broker=False, is_voter=True) for node in (901, 902, 903)]
    members = [[node.id for node in nodes if node.rack == f"az{at}"] for at in range(racks)]
    rows = tuple(
        tuple(dice.choice(members[at]) for at in dice.sample(range(racks), factor))
        for _ in range(partitions)
    )
    return nodes, Rows(replicas=rows, min_isr=min_isr)


def unconstrained(
    *, nodes: int, factor: int, min_isr: int, partitions: int, seed: int = 1
) -> tuple[list[Node], Rows]:
    """Plain brokers without racks, three controllers apart, and replicas anywhere."""
    dice = random.Random(seed)
    ids = range(1, nodes + 1)
    made = [Node(id=node) for node in ids]
    made += [Node(id=node, is_broker=False, is_voter=True) for node in (901, 902, 903)]
    rows = tuple(tuple(dice.sample(ids, factor)) for _ in range(partitions))
    return made, Rows(replicas=rows, min_isr=min_isr)


def healthy(nodes: Sequence[Node], rows: Rows, *, interval: float = 15.0) -> ClusterSnapshot:
    """The snapshot of a small cluster in which all is well."""
    voters = [node.id for node in nodes if node.is_voter]
    partitions = [
        Partition(id=number, leader=replicas[0], replicas=replicas, isr=replicas)
        for number, replicas in enumerate(rows.replicas)
    ]
    brokers = (
        Broker(
            id=node.id,
            alive=True,
            rack=node.rack,
            roles=node.roles,
            state=BrokerState.RUNNING,
            request_handler_idle=0.9,
            disk_used_ratio=0.4,
            offline_log_dirs=0,
            metrics_age_seconds=0.0,
        )
        for node in nodes
    )
    topic = Topic.of(TOPIC, partitions, min_insync_replicas=rows.min_isr)
    return all_well(brokers, (topic,), voters=voters, interval_seconds=interval)
