"""When a restarted node is back in its cluster, and when one that was back has left it again."""

from collections.abc import Collection, Iterable, Mapping

from healthd.model.snapshot import Broker, ClusterSnapshot, Topic, remembered
from healthd.model.words import BrokerState, EvidenceGroup, Excluded, QuorumMode
from healthd.safety.quorum import voters_behind

Missing = Mapping[int, tuple[str, int]]
"""The first of the partitions that lack a node in their ISR, and how many do."""


def not_back(
    snapshot: ClusterSnapshot,
    node: int,
    missing: Missing,
    *,
    at: float = 0.0,
    since: float | None = None,
) -> str | None:
    """Why a restarted node is not back yet; None when it is.

    Back is: listed, unfenced, running where its state can be seen, caught up as a voter, and in
    the ISR of every partition whose replica it has (those being added or deleted left out).

    Args:
        snapshot: what is known of the cluster.
        node: the restarted node.
        missing: what `partitions_missing` says of this snapshot and, at least, this node.
        at: the time of the snapshot on the wave clock.
        since: when its new process was seen; evidence from before then does not count. None when
            the node was back already: then only what shows that it left again counts.
    """
    broker = snapshot.brokers_by_id.get(node)
    if broker is None:
        return "the cluster does not list it"
    is_pure_controller = broker.is_pure_controller
    for is_missing, words in (
        (not broker.alive, "the cluster's metadata does not list it as alive"),
        (broker.fenced, "it is fenced"),
        (
            not _is_running(snapshot, broker, is_proof_needed=since is not None),
            f"its state is {broker.state.value}",
        ),
        (
            not is_pure_controller and _is_old(snapshot.metrics_age(broker), snapshot, at, since),
            "its exporter has not answered since the start",
        ),
        (
            _is_old(snapshot.age(EvidenceGroup.METADATA), snapshot, at, since),
            "the cluster's metadata has not been read since the start",
        ),
        (
            _is_voter(snapshot, node)
            and _is_old(snapshot.age(EvidenceGroup.QUORUM), snapshot, at, since),
            "the quorum has not been read since the start",
        ),
        (_is_voter_behind(snapshot, node), "its quorum voter is behind"),
    ):
        if is_missing:
            return words
    if node in missing:
        first, many = missing[node]
        return f"out of the ISR of {many} partitions, first {first}"
    return None


def _is_old(age: float | None, snapshot: ClusterSnapshot, at: float, since: float | None) -> bool:
    """Whether evidence is from before a time that was given, or older than evidence may be."""
    if age is None or since is None:
        return False
    return age > snapshot.fresh_limit_seconds or at - age < since


def _is_running(snapshot: ClusterSnapshot, broker: Broker, *, is_proof_needed: bool) -> bool:
    if broker.state is BrokerState.RUNNING or broker.is_pure_controller:
        return True
    can_be_seen = snapshot.age(EvidenceGroup.METRICS) is not None
    return broker.state is BrokerState.UNKNOWN and not (can_be_seen and is_proof_needed)


def _is_voter_behind(snapshot: ClusterSnapshot, node: int) -> bool:
    quorum = snapshot.quorum
    return quorum is not None and any(voter.id == node for voter in voters_behind(quorum))


def _is_voter(snapshot: ClusterSnapshot, node: int) -> bool:
    quorum = snapshot.quorum
    if quorum is None or quorum.mode is not QuorumMode.KRAFT:
        return False
    return any(voter.id == node for voter in quorum.voters)


def partitions_missing(snapshot: ClusterSnapshot, nodes: Collection[int]) -> Missing:
    """The partitions that have a replica on one of these nodes and lack it in their ISR.

    All nodes are asked for in one pass: a wave may have hundreds of them in flight.
    """
    wanted, topics = frozenset(nodes), snapshot.topics
    if not wanted:
        return {}
    return remembered(
        topics, "partitions missing", wanted, lambda: _partitions_missing(topics, wanted)
    )


def _partitions_missing(topics: Iterable[Topic], wanted: frozenset[int]) -> Missing:
    found: dict[int, tuple[str, int]] = {}
    for topic in topics:
        if topic.excluded is Excluded.DELETING or topic.isrs == topic.replicas:
            continue
        for at in topic.unsynced:
            isr = topic.isrs[at]
            for node in wanted.intersection(topic.replicas[at]):
                if node in isr or node in topic.adding.get(at, ()):
                    continue
                known = found.get(node)
                found[node] = (topic.label(at), 1) if known is None else (known[0], known[1] + 1)
    return found
