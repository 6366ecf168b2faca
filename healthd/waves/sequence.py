"""In which order a wave takes its nodes (restart-safety.md section 3)."""

from collections.abc import Iterable
from enum import IntEnum

from healthd.model.snapshot import Broker, ClusterSnapshot
from healthd.model.words import BrokerState, QuorumMode, Role


class Rank(IntEnum):
    """The groups of nodes, in the order they are taken."""

    REPAIR = 0
    CONTROLLER = 1
    ACTIVE_CONTROLLER = 2
    BROKER = 3


def is_controller(snapshot: ClusterSnapshot, broker: Broker) -> bool:
    """Whether a node has a vote in the KRaft quorum, or is configured to.

    In ZooKeeper mode the ids of the ensemble have nothing to do with broker ids, and the active
    controller is a broker like the others that is taken last.
    """
    if broker.roles is not None and Role.CONTROLLER in broker.roles:
        return True
    quorum = snapshot.quorum
    if quorum is None or quorum.mode is not QuorumMode.KRAFT:
        return False
    return any(voter.id == broker.id for voter in quorum.voters)


def is_active_controller(snapshot: ClusterSnapshot, node: int) -> bool:
    """Whether the quorum (or the znode) names the node as the active controller."""
    return snapshot.quorum is not None and snapshot.quorum.leader_id == node


def needs_repair(broker: Broker) -> bool:
    """Whether a node is down, fenced or not running."""
    return broker.is_down or broker.state is BrokerState.NOT_RUNNING


def rank(snapshot: ClusterSnapshot, node: int) -> Rank:
    """The group that a node belongs to on this snapshot."""
    broker = snapshot.brokers_by_id[node]
    if needs_repair(broker):
        return Rank.REPAIR
    if is_controller(snapshot, broker):
        active = is_active_controller(snapshot, node)
        return Rank.ACTIVE_CONTROLLER if active else Rank.CONTROLLER
    return Rank.BROKER


def sequence(snapshot: ClusterSnapshot, nodes: Iterable[int]) -> tuple[tuple[Rank, int], ...]:
    """The nodes with their rank, in the order they are to be taken; unknown ids are left out.

    Among repairs controllers come before brokers, and the active one is their last. In ZooKeeper
    mode the active controller is the last of all: it has no group of its own.
    """
    known = snapshot.brokers_by_id
    zookeeper = snapshot.quorum is not None and snapshot.quorum.mode is QuorumMode.ZOOKEEPER

    def key(item: tuple[Rank, int]) -> tuple[int, bool, bool, int]:
        group, node = item
        is_repair, is_active = group is Rank.REPAIR, is_active_controller(snapshot, node)
        is_late = is_repair and not is_controller(snapshot, known[node])
        return int(group), is_late, is_active and (zookeeper or is_repair), node

    return tuple(sorted(((rank(snapshot, node), node) for node in nodes if node in known), key=key))
