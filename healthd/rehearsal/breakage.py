"""What a stop would break, for the oracle: the rules of ok-to-stop, written once more."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from healthd.model.snapshot import ClusterSnapshot, Topic
from healthd.model.words import QuorumMode
from healthd.waves.policy import WavePolicy

_SPARE_FROM: Final = 3
"""A smaller quorum has none to spare; the policy has accepted that when a voter of it goes."""


def broken_partitions(
    seen: ClusterSnapshot, node: int, gone: frozenset[int], policy: WavePolicy
) -> Iterator[str]:
    """The partitions with a replica on a node that are below their floor without all that are gone.

    Args:
        seen: what is known of the cluster.
        node: who is stopped.
        gone: everybody who is away then, the node included.
        policy: what it acknowledges counts.
    """
    serving = {each.id for each in seen.brokers if not each.is_down}
    gone &= seen.brokers_by_id.keys()
    for topic in seen.topics:
        for at, replicas in enumerate(topic.replicas):
            if node not in replicas:
                continue
            adding = topic.adding.get(at, frozenset())
            factor = len(replicas) - len(adding)
            isr = (set(topic.isrs[at]) & serving) - adding
            if len(isr - gone) < _floor(topic, factor, policy, is_touched=bool(isr & gone)):
                yield topic.label(at)


def broken_quorum(seen: ClusterSnapshot, node: int, gone: frozenset[int]) -> str | None:
    """What is wrong with the quorum without all that are gone, when the node is a voter of it.

    What votes and follows closely without them has to be a majority.
    """
    quorum = seen.quorum
    voters = [] if quorum is None else [voter.id for voter in quorum.voters]
    if quorum is None or quorum.mode is not QuorumMode.KRAFT or node not in voters:
        return None
    times = {voter.id: voter.last_caught_up_ms for voter in quorum.voters}
    leads = times.get(-1 if quorum.leader_id is None else quorum.leader_id)
    if leads is None or quorum.fetch_timeout_ms is None:
        return "it is stopped, and nobody knows who follows"
    left = [
        voter
        for voter, at in times.items()
        if voter not in gone and at is not None and at >= 0 and leads - at < quorum.fetch_timeout_ms
    ]
    is_small = len(times) < _SPARE_FROM
    needed = len(times) - 1 if is_small else len(times) // 2 + 1
    return f"only {left} of the voters follow without it" if len(left) < needed else None


def _floor(topic: Topic, factor: int, policy: WavePolicy, *, is_touched: bool) -> int:
    """How many must be left in sync."""
    if factor == 1:
        return 0 if _matches(topic.name, policy.allow_rf_one) else 1
    if topic.min_insync_replicas is None:
        return factor
    if factor <= topic.min_insync_replicas:
        is_fine = _matches(topic.name, policy.allow_rf_le_min_isr)
        return factor - 1 if is_fine else factor
    wanted = topic.min_insync_replicas + policy.margin
    return wanted if is_touched and wanted < factor else topic.min_insync_replicas


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
