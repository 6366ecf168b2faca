"""The checks about healthd's own eyes: what it may not read, or cannot reach."""

from collections.abc import Iterable
from typing import Final

from healthd.collect.observation import Source, SourceFailure
from healthd.health.checks import Check, Finding, check_of, named
from healthd.health.freshness import is_fresh
from healthd.health.scoring import DEFAULT, ScoringProfile
from healthd.health.side import section_findings
from healthd.model.codes import CheckCode, Severity
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup

_GROUPS: Final = {
    Source.METADATA: EvidenceGroup.METADATA,
    Source.CONFIGS: EvidenceGroup.CONFIGS,
    Source.QUORUM: EvidenceGroup.QUORUM,
    Source.METRICS: EvidenceGroup.METRICS,
    Source.LOG_DIRS: EvidenceGroup.METRICS,
    Source.PROBE: EvidenceGroup.PROBE,
}
"""The evidence that a source brings."""


def further_checks(
    snapshot: ClusterSnapshot,
    failures: Iterable[SourceFailure],
    scoring: ScoringProfile = DEFAULT,
) -> tuple[Check, ...]:
    """The checks of healthd's own eyes and of the further sources."""
    sections = section_findings(snapshot.extra, scoring.checks.objects_shown)
    return (
        *collector_checks(snapshot, failures, scoring),
        *(check_of(finding, scoring.bands) for finding in sections),
    )


def collector_checks(
    snapshot: ClusterSnapshot,
    failures: Iterable[SourceFailure],
    scoring: ScoringProfile = DEFAULT,
) -> tuple[Check, ...]:
    """At most one check of each code, with the first failure in words.

    A right that is missing is always told. A request that went wrong is told once the evidence
    that it would have brought is no longer fresh: one frozen broker costs one request a time-out,
    and the next one is asked.
    """
    found: dict[CheckCode, str] = {}
    for failure in failures:
        code = failure.check
        if code is None or code in found:
            continue
        if code is CheckCode.COLLECTOR_AUTH or not _is_fresh(snapshot, failure, scoring):
            found[code] = failure.detail
    limit = scoring.checks.objects_shown
    return tuple(
        check_of(
            Finding(
                code=code,
                objects=named("cluster", [snapshot.cluster], limit),
                severity=Severity.WARN,
                detail=f": {detail.rstrip('.')}",
            ),
            scoring.bands,
        )
        for code, detail in sorted(found.items())
    )


def _is_fresh(snapshot: ClusterSnapshot, failure: SourceFailure, scoring: ScoringProfile) -> bool:
    group = _GROUPS.get(failure.source)
    return group is not None and is_fresh(snapshot, scoring.freshness, group)
