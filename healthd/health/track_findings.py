"""What only shows over time (health-index.md section 3: the checks that need history)."""

from collections.abc import Iterator

from healthd.health.checks import Finding, Objects, named
from healthd.health.durations import duration
from healthd.health.scoring import ScoringProfile
from healthd.health.tracks import Tracks
from healthd.model.codes import CheckCode, Severity
from healthd.model.order import natural_key
from healthd.model.snapshot import ClusterSnapshot


def track_findings(
    snapshot: ClusterSnapshot, tracks: Tracks, scoring: ScoringProfile
) -> Iterator[Finding]:
    """Every finding that the tracks bear out; none from a single snapshot."""
    checks = scoring.checks
    whole = Objects(count=1, shown=(f"cluster:{snapshot.cluster}",))
    if tracks.saturated_seconds >= checks.saturated_seconds:
        yield Finding(
            code=CheckCode.SATURATED,
            severity=Severity.WARN,
            objects=whole,
            detail=f"{checks.saturated_below_ratio:.0%} idle for "
            f"{duration(tracks.saturated_seconds)}",
        )
    changes = len(tracks.controller_changes)
    if changes >= checks.flapping_changes:
        yield Finding(
            code=CheckCode.CONTROLLER_FLAPPING,
            severity=Severity.WARN,
            objects=whole,
            detail=f"{changes} times in {duration(checks.flapping_over_seconds)}",
        )
    if tracks.split_rounds >= checks.split_snapshots:
        yield Finding(
            code=CheckCode.CONTROLLER_SPLIT,
            severity=Severity.CRIT,
            objects=named("node", tracks.split_nodes, checks.objects_shown),
        )
    yield from _partitions(tracks, scoring)


def _partitions(tracks: Tracks, scoring: ScoringProfile) -> Iterator[Finding]:
    checks = scoring.checks
    churning = {
        (topic, partition)
        for (topic, partition, _), times in tracks.isr_leaves.items()
        if len(times) >= checks.churn_leaves
    }
    labels = [f"{topic}-{partition}" for topic, partition in churning]
    labels += [
        f"broker:{node}"
        for node, times in tracks.isr_rises.items()
        if len(times) >= checks.churn_rises
    ]
    if labels:
        labels.sort(key=natural_key)
        yield Finding(
            code=CheckCode.ISR_CHURN,
            severity=Severity.WARN,
            objects=Objects(count=len(labels), shown=tuple(labels[: checks.objects_shown])),
            detail=duration(checks.churn_over_seconds),
        )
    imbalanced = [
        node
        for node, seconds in tracks.imbalanced_seconds.items()
        if seconds >= checks.imbalance_seconds
    ]
    if imbalanced:
        yield Finding(
            code=CheckCode.LEADER_IMBALANCE,
            severity=Severity.WARN,
            objects=named("broker", imbalanced, checks.objects_shown),
            detail=f"{checks.imbalance_above_share:.0%} of the partitions that prefer it, for "
            f"{duration(checks.imbalance_seconds)} or longer",
        )
