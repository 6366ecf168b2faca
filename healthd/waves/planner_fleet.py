"""How long the stages of a wave over a fleet take, and what identifies its plan."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTime:
    """One cluster of a stage, in the order in which clusters begin."""

    seconds: float
    domains: tuple[tuple[str, str], ...] = ()
    """Label and value of every label that limits how many clusters are at work."""


def stage_seconds(
    clusters: Sequence[ClusterTime], at_once: int, at_once_per: Mapping[str, int] | None = None
) -> float:
    """The seconds of one stage when every cluster begins as soon as the limits let it.

    Args:
        clusters: in their order; one that a label keeps waiting is passed over meanwhile.
        at_once: clusters at work together, at most.
        at_once_per: the same for clusters that share the value of a label, by label.
    """
    limits = at_once_per or {}
    waiting = list(clusters)
    running: list[tuple[float, int, ClusterTime]] = []
    used: Counter[tuple[str, str]] = Counter()
    now = 0.0
    number = 0
    while waiting or running:
        for cluster in tuple(waiting):
            if len(running) >= at_once:
                break
            if any(used[domain] >= limits.get(domain[0], at_once) for domain in cluster.domains):
                continue
            waiting.remove(cluster)
            number += 1
            heapq.heappush(running, (now + cluster.seconds, number, cluster))
            used.update(cluster.domains)
        now, _, ended = heapq.heappop(running)
        used.subtract(ended.domains)
    return now


def fleet_fingerprint(plans: Iterable[tuple[str, str, str]]) -> str:
    """The SHA-256 of stage, cluster and fingerprint of each plan, in any order."""
    digest = sha256(b"healthd fleet plan 1")
    for stage, cluster, fingerprint in sorted(plans):
        for part in (stage, cluster, fingerprint):
            digest.update(len(part.encode()).to_bytes(8, "little"))
            digest.update(part.encode())
    return digest.hexdigest()
