"""The model from any ClusterSnapshot: what it shows is so, and stays so until something changes it.

A snapshot says what was seen, not what was about to happen. So nothing that it shows to be wrong
gets better by itself: a partition out of sync with a broker that serves stays so until that broker
is started anew, a reassignment goes on, an absent controller stays absent until some voter changes,
a source that was too old gives nothing more. Only processes that it shows half-way through a start
or a stop go on.
"""

import math
from random import Random

from healthd.model.snapshot import NO_LEADER, Broker, ClusterSnapshot, Quorum, Topic
from healthd.model.words import BrokerState, QuorumMode, Role
from healthd.rehearsal.agenda import Agenda
from healthd.rehearsal.cluster import ClusterModel
from healthd.rehearsal.nodes import Node, Phase, Timing
from healthd.rehearsal.topics import TopicNow
from healthd.safety.quorum import caught_up, unjudgeable

_PHASES = {
    BrokerState.STARTING: Phase.STARTING,
    BrokerState.RECOVERY: Phase.RECOVERY,
    BrokerState.RUNNING: Phase.RUNNING,
    BrokerState.PENDING_CONTROLLED_SHUTDOWN: Phase.STOPPING,
    BrokerState.SHUTTING_DOWN: Phase.STOPPING,
    BrokerState.NOT_RUNNING: Phase.DOWN,
}


def model_of(
    snapshot: ClusterSnapshot, agenda: Agenda, timing: Timing, *, chance: Random | None = None
) -> ClusterModel:
    """The cluster that a snapshot shows, at the time 0 of an agenda."""
    model = ClusterModel(
        agenda,
        nodes=_nodes(snapshot),
        topics=[_topic(topic) for topic in snapshot.topics],
        timing=timing,
        quorum=snapshot.quorum,
        chance=chance,
    )
    model.set_going()
    return model


def _nodes(snapshot: ClusterSnapshot) -> list[Node]:
    """Everything that is a process: what is listed, and voters that only the quorum knows."""
    quorum = snapshot.quorum
    is_kraft = quorum is not None and quorum.mode is QuorumMode.KRAFT
    voters = [voter.id for voter in quorum.voters] if quorum is not None and is_kraft else []
    behind = _behind(quorum) if quorum is not None and is_kraft else frozenset()
    nodes = [
        _node(broker, is_voter=broker.id in voters, is_behind=broker.id in behind)
        for broker in snapshot.brokers
    ]
    listed = snapshot.brokers_by_id
    nodes += [
        Node(
            id=voter,
            is_broker=False,
            is_voter=True,
            is_listed=False,
            is_registered=False,
            is_behind_as_given=voter in behind,
        )
        for voter in voters
        if voter not in listed
    ]
    return sorted(nodes, key=lambda node: node.id)


def _behind(quorum: Quorum) -> frozenset[int]:
    """The voters that the snapshot shows behind; nobody when it cannot tell."""
    if unjudgeable(quorum) is not None:
        return frozenset()
    return frozenset(voter.id for voter in quorum.voters if not caught_up(quorum, voter))


def _node(broker: Broker, *, is_voter: bool, is_behind: bool) -> Node:
    is_broker = broker.roles is None or Role.BROKER in broker.roles
    if not is_broker:
        phase = _PHASES.get(broker.state, Phase.RUNNING if broker.alive else Phase.DOWN)
        return Node(
            id=broker.id,
            is_broker=False,
            is_voter=is_voter,
            given=broker,
            is_as_given=True,
            phase=phase,
            is_registered=False,
            is_behind_as_given=is_behind and phase is not Phase.DOWN,
        )
    phase = _PHASES.get(broker.state, Phase.RUNNING if broker.alive else Phase.DOWN)
    if not broker.alive and broker.fenced and broker.state is BrokerState.UNKNOWN:
        # The controller knows a registration; nothing shows a process.
        phase = Phase.DOWN
    is_out = broker.is_down and phase is Phase.RUNNING
    return Node(
        id=broker.id,
        is_voter=is_voter,
        given=broker,
        is_as_given=True,
        phase=phase,
        is_registered=not broker.is_down,
        is_fenced=is_out,
        is_behind_as_given=is_behind and phase is not Phase.DOWN,
    )


def _topic(topic: Topic) -> TopicNow:
    made = TopicNow(topic.name, min_isr=topic.min_insync_replicas, excluded=topic.excluded)
    for at in range(len(topic)):
        row = topic.partition(at)
        partition = made.add(row.id, row.replicas, leader=row.leader, isr=row.isr)
        partition.adding, partition.removing = row.adding, row.removing
        partition.elr = set(row.elr)
        if row.leader == NO_LEADER:
            # Without a time it counts as past every grace: it stays without one.
            seconds = row.leaderless_seconds
            partition.leaderless_since = -math.inf if seconds is None else -seconds
    made.adopt(topic)
    return made
