"""Every metric that healthd exports: its name, kind, labels and help, in one table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric

CLUSTER: Final = "kafka_cluster"
"""Plain `cluster` collides with target labels."""

Kind = Literal["gauge", "counter", "info", "histogram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric as it is seen in Prometheus."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(name=name, kind="gauge", help=text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(name=name, kind="counter", help=text, labels=labels)


def _info(name: str, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(name=name, kind="info", help=text, labels=labels)


METRICS: Final[tuple[MetricSpec, ...]] = (
    _info("healthd_build_info", "The version that runs; always 1.", "version", "python"),
    _info(
        "healthd_cluster_info",
        "The labels env and team of a cluster in the fleet file, to route alerts by; always 1.",
        CLUSTER,
        "env",
        "team",
    ),
    _gauge("healthd_health_index", "Health Index of a cluster, 0 to 100.", CLUSTER),
    _gauge("healthd_health_index_lower", "Lowest value that the index may really have.", CLUSTER),
    _gauge("healthd_health_index_upper", "Highest value that the index may really have.", CLUSTER),
    _gauge(
        "healthd_health_index_without_wave",
        "Health Index with the brokers that a wave has in flight counted as alive and in sync.",
        CLUSTER,
    ),
    _gauge(
        "healthd_health_class",
        "1 for the class that a cluster is in, 0 for the others.",
        CLUSTER,
        "class",
    ),
    _gauge(
        "healthd_completeness_ratio",
        "Share of the configured evidence that is there and fresh.",
        CLUSTER,
    ),
    _gauge(
        "healthd_index_contribution_points", "Points that a term takes from 100.", CLUSTER, "term"
    ),
    _gauge("healthd_index_cap", "Highest index that an active finding leaves.", CLUSTER, "code"),
    _gauge(
        "healthd_check_active",
        "1 for every active check; there is no series for the others.",
        CLUSTER,
        "code",
        "severity",
        "muted",
    ),
    _gauge("healthd_check_objects", "Objects that an active check concerns.", CLUSTER, "code"),
    _gauge("healthd_partitions", "Partitions that are in just this state.", CLUSTER, "state"),
    _gauge(
        "healthd_brokers", "Expected brokers by state; pure controllers are none.", CLUSTER, "state"
    ),
    _gauge(
        "healthd_rack_loss_tolerated",
        "1 when any one rack could go as a whole, 0 when not.",
        CLUSTER,
    ),
    _gauge(
        "healthd_losable",
        "Brokers that are up, racks and controllers by whether one could go without taking "
        "anything under min ISR (yes, no, unknown).",
        CLUSTER,
        "kind",
        "answer",
    ),
    _gauge(
        "healthd_tenant_health_index",
        "Health Index of a cluster as one tenant's topics see it, 0 to 100.",
        CLUSTER,
        "tenant",
    ),
    _gauge(
        "healthd_tenant_health_class",
        "1 for the class that a tenant is in, 0 for the others.",
        CLUSTER,
        "tenant",
        "class",
    ),
    _gauge(
        "healthd_snapshot_timestamp_seconds",
        "When a source was last seen; 0 when it never was.",
        CLUSTER,
        "source",
    ),
    _gauge(
        "healthd_collect_duration_seconds",
        "How long a source took in the last collection.",
        CLUSTER,
        "source",
    ),
    _counter("healthd_collections_total", "Attempts to read a source.", CLUSTER, "source"),
    _counter(
        "healthd_collection_failures_total",
        "Attempts to read a source that failed, and whose fault it was.",
        CLUSTER,
        "source",
        "origin",
        "reason",
    ),
    _gauge(
        "healthd_mirror_behind_seconds",
        "How far a MirrorMaker 2 flow into a cluster is behind its source.",
        CLUSTER,
        "source",
        "target",
    ),
    _gauge(
        "healthd_mirror_behind_records",
        "Records of the source that are not yet replicated, at most.",
        CLUSTER,
        "source",
        "target",
    ),
    _gauge(
        "healthd_mirror_last_seen_timestamp_seconds",
        "When the source was last seen through the flow; 0 when it never was.",
        CLUSTER,
        "source",
        "target",
    ),
    _gauge(
        "healthd_mirror_ready",
        "1 when the flow is known to be ready for a failover, 0 when it is not, or nobody knows.",
        CLUSTER,
        "source",
        "target",
    ),
    _gauge(
        "healthd_connectors", "Connectors of Kafka Connect by state.", CLUSTER, "connect", "state"
    ),
    _gauge(
        "healthd_connector_tasks",
        "Tasks of Kafka Connect's connectors by state.",
        CLUSTER,
        "connect",
        "state",
    ),
    _gauge(
        "healthd_schema_registry_up",
        "1 when an instance of the Schema Registry serves, 0 when not.",
        CLUSTER,
        "instance",
    ),
    _gauge(
        "healthd_routing_verdict",
        "1 for the routing verdict of a cluster, 0 for the others.",
        CLUSTER,
        "verdict",
    ),
    _gauge(
        "healthd_routing_weight_percent",
        "Share of its load that a cluster is advised to get, 0 to 100.",
        CLUSTER,
    ),
    _counter(
        "healthd_routing_transitions_total",
        "Moves of a cluster's routing state, by where it went.",
        CLUSTER,
        "to",
    ),
    _gauge("healthd_routing_dry_run", "1 when verdicts are shown and take nobody out."),
    _gauge(
        "healthd_monitor_suspect",
        "1 when so many clusters turned unknown at once that every verdict is frozen.",
    ),
    _counter("healthd_events_lost_total", "Routing transitions that could never be written."),
    _counter("healthd_history_lost_total", "Rows of history that could never be written."),
    _gauge(
        "healthd_wave_state",
        "1 for the state that a wave is in, 0 for the others.",
        "wave",
        "state",
    ),
    _gauge("healthd_wave_brokers", "Nodes of a wave by state.", "wave", "state"),
    _gauge("healthd_wave_in_flight", "Nodes of a wave from stopping to done.", "wave", CLUSTER),
    _gauge(
        "healthd_gate_open",
        "1 when nothing holds a wave that has not ended, 0 when something does.",
        "wave",
        CLUSTER,
    ),
    _counter("healthd_gate_closed_seconds_total", "Time for which a reason held waves.", "reason"),
    MetricSpec(
        name="healthd_broker_restart_seconds",
        kind="histogram",
        help="How long the phases of finished restarts took.",
        labels=("phase",),
    ),
    _counter("healthd_deployments_total", "Waves that ended, by outcome.", "outcome"),
    MetricSpec(
        name="healthd_deployment_lead_time_seconds",
        kind="histogram",
        help="From the request of a wave to its end, of those that succeeded.",
    ),
    MetricSpec(
        name="healthd_time_to_restore_seconds",
        kind="histogram",
        help="From the first broker of a wave that failed or was overdue until all were back.",
    ),
    _gauge(
        "healthd_leader", "1 in the instance that looks after the fleet, which holds its state."
    ),
    _gauge("healthd_loop_last_tick_timestamp_seconds", "When a loop last turned.", "loop"),
    _gauge(
        "healthd_config_last_reload_successful",
        "1 when the fleet file was in order when it was last read, 0 when not.",
    ),
    _gauge(
        "healthd_config_last_reload_timestamp_seconds",
        "When the fleet file was last read, well or badly.",
    ),
    _info(
        "healthd_scoring_profile_info",
        "The numbers that the index is made with; always 1.",
        "version",
        "hash",
    ),
)


class Families:
    """The metric families of one scrape, filled sample by sample."""

    def __init__(self) -> None:
        self._specs = {spec.name: spec for spec in METRICS}
        self._families: dict[str, Any] = {spec.name: family_of(spec) for spec in METRICS}

    def add(self, name: str, value: float, *labels: str) -> None:
        """One sample, with its label values in the order of the table."""
        family = self._families[name]
        if self._specs[name].kind == "info":
            # The name of the family ends in _info already, and the value is always 1.
            family.add_metric((), dict(zip(self._specs[name].labels, labels, strict=True)))
        else:
            family.add_metric(labels, value)

    def add_histogram(
        self, name: str, buckets: list[tuple[str, float]], total: float, *labels: str
    ) -> None:
        """One histogram: cumulative counts by upper bound, and the sum of all values."""
        self._families[name].add_metric(labels, buckets, total)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._families.values())


def family_of(spec: MetricSpec) -> Metric:
    """The library's family of a metric, without samples."""
    if spec.kind == "info":
        return InfoMetricFamily(spec.name.removesuffix("_info"), spec.help)
    if spec.kind == "counter":
        return CounterMetricFamily(spec.name, spec.help, labels=spec.labels)
    if spec.kind == "histogram":
        return HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
    return GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
