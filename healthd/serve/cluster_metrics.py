"""The series of one cluster (contract.md section 4 says when there are which)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from healthd.engine.view import ClusterView
from healthd.health.index import HealthReport
from healthd.health.scoring import DEFAULT, ScoringProfile
from healthd.health.words import HealthClass
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup
from healthd.serve.metric_names import Families
from healthd.serve.source_metrics import add_sources

_ALWAYS_CONFIGURED: Final = (
    EvidenceGroup.METADATA,
    EvidenceGroup.CONFIGS,
    EvidenceGroup.QUORUM,
)

ROUTING_LABELS: Final = ("env", "team")
"""Labels of the fleet file that alerts are routed by; empty when a cluster has none."""

_ANSWERS: Final = {True: "yes", False: "no", None: "unknown"}


def add_cluster(families: Families, name: str, view: ClusterView) -> None:
    """Every series of a cluster; those that would claim to know what nobody saw are left out."""
    labels = view.config.labels
    families.add(
        "healthd_cluster_info", 1, name, *(labels.get(label, "") for label in ROUTING_LABELS)
    )
    report = view.report
    health_class = HealthClass.UNKNOWN if report is None else report.health_class
    for each in HealthClass:
        families.add("healthd_health_class", each is health_class, name, each.value)
    families.add("healthd_completeness_ratio", report.completeness if report else 0.0, name)
    for source, at in _seen(view):
        families.add("healthd_snapshot_timestamp_seconds", at, name, source)
    for source, seconds in view.durations.items():
        families.add("healthd_collect_duration_seconds", seconds, name, source)
    add_sources(families, view.config, view.snapshot)
    if report is None:
        return
    _add_findings(families, name, report)
    if report.is_metadata_seen:
        _add_index(families, name, view, report)
        if view.snapshot is not None:
            _add_states(families, name, view.snapshot, view, report)


def add_profile(families: Families, views: Iterable[ClusterView]) -> None:
    """The scoring profiles in use; the default one before anything was scored."""
    profiles: dict[str, ScoringProfile] = {
        view.report.profile.hash: view.report.profile for view in views if view.report is not None
    }
    for profile in profiles.values() or (DEFAULT,):
        families.add("healthd_scoring_profile_info", 1, str(profile.version), profile.hash)


def _seen(view: ClusterView) -> Iterator[tuple[str, float]]:
    """When each configured source was last seen: 0 says never, and alerts on age fire."""
    configured = [group.value for group in _ALWAYS_CONFIGURED]
    if view.config.has_metrics:
        configured.append(EvidenceGroup.METRICS.value)
    yield from (dict.fromkeys(configured, 0.0) | dict(view.seen_at)).items()


def _add_findings(families: Families, name: str, report: HealthReport) -> None:
    for cap in report.caps:
        families.add("healthd_index_cap", cap.cap, name, cap.code.value)
    for check in report.checks:
        muted = "true" if check.code in report.muted else "false"
        families.add("healthd_check_active", 1, name, check.code.value, check.severity.value, muted)
        families.add("healthd_check_objects", check.count, name, check.code.value)


def _add_index(families: Families, name: str, view: ClusterView, report: HealthReport) -> None:
    families.add("healthd_health_index", report.health_index, name)
    families.add("healthd_health_index_lower", report.lower, name)
    families.add("healthd_health_index_upper", report.upper, name)
    if view.index_without_wave is not None:
        families.add("healthd_health_index_without_wave", view.index_without_wave, name)
    for row in report.contributions:
        families.add("healthd_index_contribution_points", row.points, name, row.term.value)


def _add_states(
    families: Families,
    name: str,
    snapshot: ClusterSnapshot,
    view: ClusterView,
    report: HealthReport,
) -> None:
    for state, count in report.partition_states.items():
        families.add("healthd_partitions", count, name, state.value.lower())
    for broker_state, count in broker_states(snapshot, report).items():
        families.add("healthd_brokers", count, name, broker_state)
    racks = {broker.rack for broker in snapshot.brokers if broker.rack is not None}
    if racks:
        families.add("healthd_rack_loss_tolerated", racks <= set(view.tolerated_racks), name)
    answers = Counter((loss.kind, loss.is_tolerated) for loss in view.losses)
    for kind in {loss.kind for loss in view.losses}:
        for answer, word in _ANSWERS.items():
            families.add("healthd_losable", answers[kind, answer], name, kind.value, word)
    for tenant, told in view.tenants.items():
        families.add("healthd_tenant_health_index", told.health_index, name, tenant)
        for each in HealthClass:
            is_it = told.health_class is each
            families.add("healthd_tenant_health_class", is_it, name, tenant, each.value)


def broker_states(snapshot: ClusterSnapshot, report: HealthReport) -> dict[str, int]:
    """How many of the expected brokers are up, fenced (they run, and serve nobody) or down."""
    listed = snapshot.brokers_by_id
    fenced = sum(1 for node in report.down_brokers if node in listed and listed[node].alive)
    down = len(report.down_brokers)
    return {"up": report.expected_brokers - down, "fenced": fenced, "down": down - fenced}
