"""/metrics: what the daemon published last, in Prometheus's text format."""

import platform
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from healthd import __version__
from healthd.engine.view import ClusterView, Daemon, FleetView, RoutingView, WaveView
from healthd.routing.verdict import RoutingState, Verdict
from healthd.serve.cluster_metrics import add_cluster, add_profile
from healthd.serve.fleet_json import fleet_summary
from healthd.serve.metric_names import Families
from healthd.serve.metric_text import ClusterTexts, Lines, page_of
from healthd.serve.wave_json import in_flight, is_gate_open, node_counts
from healthd.waves.state import WaveStatus

BUCKETS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""A phase of a restart takes from a second to the recovery time-out."""
RESTORE_BUCKETS: Final = (30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 86_400)
"""From a broker that comes back by itself to one that somebody repairs the next day."""
LEAD_BUCKETS: Final = (
    300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 57_600, 86_400, 172_800, 345_600, 604_800,
)  # fmt: skip
"""From one broker to a fleet over a week of nights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRouting:
    """One cluster's verdict as it stands."""

    cluster: str
    verdict: Verdict
    weight_percent: float
    transitions: Mapping[str, int]
    """By the state that it moved to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What one scrape shows, copied from the daemon at one moment."""

    clusters: Mapping[str, ClusterView]
    waves: tuple[tuple[WaveView, str | None], ...]
    """Each with the wave over several clusters that it belongs to."""
    fleet_waves: tuple[FleetView, ...]
    collections: Mapping[tuple[str, str], int]
    failures: Mapping[tuple[str, str, str, str], int]
    gate_closed_seconds: Mapping[str, float]
    restart_seconds: Mapping[str, tuple[float, ...]]
    loop_ticks: Mapping[str, float]
    deployments: Mapping[str, int]
    lead_seconds: tuple[float, ...]
    restore_seconds: tuple[float, ...]
    routing: tuple["ClusterRouting", ...]
    is_routing_dry_run: bool
    is_monitor_suspect: bool
    lost_events: int
    lost_rows: int
    is_config_good: bool
    config_read_at: float


def observe(daemon: Daemon) -> Observed:
    """Copy what changes; to be called on the event loop, where nothing changes meanwhile.

    A cluster that has left the fleet file takes its counters with it.
    """
    counters = daemon.counters
    clusters = dict(daemon.clusters())
    is_config_good, config_read_at, _ = daemon.last_reload
    return Observed(
        clusters=clusters,
        # A dry run is no planned work: no rule may take it for that.
        waves=tuple(
            (view, daemon.fleet_waves.parent_of(view.state.wave))
            for view in daemon.waves()
            if not view.state.is_dry_run
        ),
        fleet_waves=tuple(view for view in daemon.fleet_waves.views() if not view.state.is_dry_run),
        collections={
            (cluster, source): count
            for cluster, by_source in counters.collections.items()
            if cluster in clusters
            for source, count in by_source.items()
        },
        failures={
            (cluster, *key): count
            for cluster, by_key in counters.failures.items()
            if cluster in clusters
            for key, count in by_key.items()
        },
        gate_closed_seconds=dict(counters.gate_closed_seconds),
        restart_seconds={phase: tuple(all_) for phase, all_ in counters.restart_seconds.items()},
        loop_ticks=dict(counters.loop_ticks),
        deployments=dict(counters.deployments),
        lead_seconds=tuple(
            each.lead_seconds
            for each in counters.deployed.values()
            if each.lead_seconds is not None
        ),
        restore_seconds=tuple(
            seconds for each in counters.deployed.values() for seconds in each.restores
        ),
        routing=tuple(_routing(daemon.router, name) for name in clusters),
        is_routing_dry_run=daemon.router.is_dry_run,
        is_monitor_suspect=daemon.router.fleet.is_suspect,
        lost_events=daemon.router.lost_events,
        lost_rows=daemon.history.lost_rows,
        is_config_good=is_config_good,
        config_read_at=config_read_at,
    )


def _routing(router: RoutingView, cluster: str) -> ClusterRouting:
    routing = router.fleet.routing(cluster)
    return ClusterRouting(
        cluster=cluster,
        verdict=routing.verdict,
        weight_percent=routing.weight_percent(router.numbers(cluster)),
        transitions={
            state.value: router.transitions.get((cluster, state.value), 0) for state in RoutingState
        },
    )


class FleetCollector:
    """A prometheus_client collector over one observation: the oracle of `Exposition`."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        """The families of docs/reference/metrics.md."""
        families = Families()
        for name, view in self._observed.clusters.items():
            add_cluster(families, name, view)
        _add_others(families, self._observed)
        yield from families


class Exposition:
    """Renders observations; the lines of a cluster are kept until something newer is published."""

    def __init__(self) -> None:
        # A registry of our own: the library's global one belongs to whoever embeds healthd.
        self._process = CollectorRegistry()
        self._process.register(ProcessCollector(registry=None))
        self._clusters = ClusterTexts()

    def render(self, observed: Observed, accept: str) -> tuple[bytes, str]:
        """The page and its content type, in the format that `accept` prefers."""
        encode, content_type = choose_encoder(accept)
        others = Lines()
        _add_others(others, observed)
        page = page_of(
            [*self._clusters.of(observed.clusters), others.texts()],
            openmetrics=content_type.startswith("application/openmetrics-text"),
        )
        return page + encode(self._process), content_type


def _add_others(families: Families, observed: Observed) -> None:
    """What belongs to no cluster alone."""
    families.add("healthd_build_info", 1, __version__, platform.python_version())
    add_profile(families, observed.clusters.values())
    _add_routing(families, observed)
    for wave, parent in observed.waves:
        if parent is None:
            _add_status(families, wave)
            _add_brokers(families, wave.state.wave, node_counts(wave.state))
        # One that has left the fleet file takes its part in a wave that has ended with it.
        if wave.state.cluster in observed.clusters:
            _add_on_cluster(families, wave, parent or wave.state.wave)
    for fleet in observed.fleet_waves:
        _add_status(families, fleet)
        _add_brokers(families, fleet.state.wave, fleet_summary(fleet)["nodeCounts"])
    _add_totals(families, observed)


def _add_routing(families: Families, observed: Observed) -> None:
    for found in observed.routing:
        for verdict in Verdict:
            families.add(
                "healthd_routing_verdict", verdict is found.verdict, found.cluster, verdict.value
            )
        families.add("healthd_routing_weight_percent", found.weight_percent, found.cluster)
        for state, many in found.transitions.items():
            families.add("healthd_routing_transitions_total", many, found.cluster, state)
    families.add("healthd_routing_dry_run", observed.is_routing_dry_run)
    families.add("healthd_monitor_suspect", observed.is_monitor_suspect)
    families.add("healthd_events_lost_total", observed.lost_events)
    families.add("healthd_history_lost_total", observed.lost_rows)


def _add_status(families: Families, view: WaveView | FleetView) -> None:
    state = view.state
    for status in WaveStatus:
        families.add("healthd_wave_state", status is state.status, state.wave, status.value)


def _add_brokers(families: Families, wave: str, counts: Mapping[str, int]) -> None:
    for status_name, count in counts.items():
        families.add("healthd_wave_brokers", count, wave, status_name)


def _add_on_cluster(families: Families, view: WaveView, name: str) -> None:
    """What is said of a wave by cluster: under the name of the whole wave, so nothing is twice."""
    state = view.state
    if name != state.wave and state.status.has_ended:
        return  # A later stage may be on the same cluster; nothing of this one is in flight.
    families.add("healthd_wave_in_flight", len(in_flight(state)), name, state.cluster)
    # A wave that has ended has no gate: 0 would look like one that is held.
    if not state.status.has_ended:
        families.add("healthd_gate_open", is_gate_open(state), name, state.cluster)


def _add_totals(families: Families, observed: Observed) -> None:
    for (cluster, source), count in observed.collections.items():
        families.add("healthd_collections_total", count, cluster, source)
    for key, count in observed.failures.items():
        families.add("healthd_collection_failures_total", count, *key)
    for reason, seconds in observed.gate_closed_seconds.items():
        families.add("healthd_gate_closed_seconds_total", seconds, reason)
    for phase, seconds_each in observed.restart_seconds.items():
        families.add_histogram(
            "healthd_broker_restart_seconds",
            _buckets(seconds_each, BUCKETS),
            sum(seconds_each),
            phase,
        )
    outcomes = {status.value: 0 for status in WaveStatus if status.has_ended}
    for outcome, count in (outcomes | dict(observed.deployments)).items():
        families.add("healthd_deployments_total", count, outcome)
    for name, lasted, bounds in (
        ("healthd_deployment_lead_time_seconds", observed.lead_seconds, LEAD_BUCKETS),
        ("healthd_time_to_restore_seconds", observed.restore_seconds, RESTORE_BUCKETS),
    ):
        families.add_histogram(name, _buckets(lasted, bounds), sum(lasted))
    # Whoever cannot lock the state has ended before it would answer.
    families.add("healthd_leader", 1)
    for loop, at in observed.loop_ticks.items():
        families.add("healthd_loop_last_tick_timestamp_seconds", at, loop)
    families.add("healthd_config_last_reload_successful", observed.is_config_good)
    families.add("healthd_config_last_reload_timestamp_seconds", observed.config_read_at)


def _buckets(values: Sequence[float], bounds: Sequence[float]) -> list[tuple[str, float]]:
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    names = [*(f"{float(bound)}" for bound in bounds), "+Inf"]
    return list(zip(names, (float(count) for count in accumulate(counts)), strict=True))
