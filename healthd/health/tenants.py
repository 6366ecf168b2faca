"""The index of a tenant: the cluster as the topics of one namespace see it.

Brokers, controller, saturation, probe and storage are the cluster's; the partitions are the
tenant's own, and the internal topics that its consumers and transactions need.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import translate

from healthd.health.history import History
from healthd.health.index import HealthReport, evaluate
from healthd.health.scoring import ScoringProfile
from healthd.health.tracks import NO_TRACKS
from healthd.model.snapshot import ClusterSnapshot, Topic
from healthd.model.words import INTERNAL_TOPICS


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One tenant: a name, and shell patterns over topic names."""

    name: str
    patterns: tuple[str, ...]


class TenantTopics:
    """Which topics are whose; a name is matched once for as long as the topic is there."""

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self._tenants = tuple(tenants)
        self._patterns = [
            re.compile("|".join(f"(?:{translate(pattern)})" for pattern in tenant.patterns))
            for tenant in self._tenants
        ]
        self._owners: dict[str, tuple[int, ...]] = {}

    def of(self, snapshot: ClusterSnapshot) -> Mapping[str, tuple[Topic, ...]]:
        """The topics of each tenant, internal ones included, by the tenant's name."""
        found: list[list[Topic]] = [[] for _ in self._tenants]
        owners: dict[str, tuple[int, ...]] = {}
        for topic in snapshot.topics:
            mine = self._owners.get(topic.name)
            if mine is None:
                mine = self._owners_of(topic.name)
            owners[topic.name] = mine
            for position in mine:
                found[position].append(topic)
        # Only what is there is remembered: names of deleted topics do not pile up.
        self._owners = owners
        return {
            tenant.name: tuple(topics) for tenant, topics in zip(self._tenants, found, strict=True)
        }

    def _owners_of(self, name: str) -> tuple[int, ...]:
        if name in INTERNAL_TOPICS:
            return tuple(range(len(self._tenants)))
        return tuple(at for at, pattern in enumerate(self._patterns) if pattern.match(name))


def tenant_report(
    snapshot: ClusterSnapshot,
    topics: tuple[Topic, ...],
    scoring: ScoringProfile,
    history: History,
) -> HealthReport:
    """The report on the cluster as if it held these topics only."""
    # What goes on over time is told of the cluster, once.
    return evaluate(
        replace(snapshot, topics=topics), scoring, history=replace(history, tracks=NO_TRACKS)
    )
