"""Totals since the daemon started, for /metrics; only ever touched on the event loop."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from healthd.waves.dora import Deployment


@dataclass(slots=True)
class Totals:
    """The `Counters` of the daemon."""

    collections: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: dict[str, dict[tuple[str, str, str], int]] = field(default_factory=dict)
    gate_closed_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    restart_seconds: dict[str, list[float]] = field(default_factory=dict)
    loop_ticks: dict[str, float] = field(default_factory=dict)
    deployed: dict[str, Deployment] = field(default_factory=dict)
    """Waves that have ended, by id; those of before the start too, so that no figure falls."""

    @property
    def deployments(self) -> Mapping[str, int]:
        """How many have ended, by outcome."""
        return Counter(each.outcome.value for each in self.deployed.values())

    def count_collection(self, cluster: str, source: str) -> None:
        """One more collection of a source."""
        of_cluster = self.collections.setdefault(cluster, {})
        of_cluster[source] = of_cluster.get(source, 0) + 1

    def count_failure(self, cluster: str, source: str, origin: str, reason: str) -> None:
        """One more failure of a source."""
        of_cluster = self.failures.setdefault(cluster, {})
        key = (source, origin, reason)
        of_cluster[key] = of_cluster.get(key, 0) + 1

    def add_restart(self, phase: str, seconds: float) -> None:
        """One more finished phase of a restart."""
        # All are kept: a histogram whose count falls would look like a restart of the daemon, and
        # a year of monthly patching of 1,500 brokers is one megabyte.
        self.restart_seconds.setdefault(phase, []).append(seconds)

    def add_deployment(self, deployment: Deployment | None) -> None:
        """One more wave that has ended; one that is known already is not counted twice."""
        if deployment is not None:
            self.deployed[deployment.wave] = deployment

    def forget(self, cluster: str) -> None:
        """Drop what belongs to a cluster that has left the fleet file."""
        self.collections.pop(cluster, None)
        self.failures.pop(cluster, None)
        self.loop_ticks.pop(f"collect:{cluster}", None)

    def forget_wave(self, wave: str) -> None:
        """Drop the loop of a wave that has ended: it turns no more, and that is no trouble."""
        self.loop_ticks.pop(f"wave:{wave}", None)
