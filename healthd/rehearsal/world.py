"""What a rehearsal acts on, apart from who acts: the cluster, its hosts, and what is seen."""

from dataclasses import dataclass, field
from random import Random

from healthd.model.snapshot import ClusterSnapshot
from healthd.rehearsal.agenda import Agenda
from healthd.rehearsal.building import model_of
from healthd.rehearsal.cluster import ClusterModel
from healthd.rehearsal.hosts import Hosts
from healthd.rehearsal.nodes import Timing
from healthd.rehearsal.story import Story
from healthd.rehearsal.view import Collector


@dataclass(slots=True)
class Outside:
    """What the daemon asks besides the cluster, and how often each is in trouble."""

    alerts_firing: int = 0
    alert_queries_failing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The cluster, its hosts and its sources in one virtual time.

    Whoever orchestrates restarts (healthd's daemon, or a naive policy to compare it with) gets one
    of these: it looks through `collector` and `hosts.state`, and acts through `hosts`.
    """

    agenda: Agenda
    cluster: ClusterModel
    collector: Collector
    hosts: Hosts
    story: Story
    outside: Outside = field(default_factory=Outside)

    @classmethod
    def of(
        cls,
        snapshot: ClusterSnapshot,
        *,
        timing: Timing | None = None,
        seed: int | None = None,
        latency: float = 0.0,
    ) -> "World":
        """The world that a snapshot shows, at its time 0."""
        agenda, times = Agenda(), timing or Timing()
        chance = None if seed is None else Random(seed)
        cluster = model_of(snapshot, agenda, times, chance=chance)
        collector = Collector(cluster, given=snapshot, interval_seconds=times.collect)
        hosts = Hosts(agenda, cluster, latency=latency)
        return cls(
            agenda=agenda,
            cluster=cluster,
            collector=collector,
            hosts=hosts,
            story=Story(agenda),
        )
