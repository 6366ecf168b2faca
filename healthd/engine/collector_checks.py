"""The checks about healthd's own eyes: what it may not read, or cannot reach."""

from collections.abc import Iterable

from healthd.collect.observation import SourceFailure
from healthd.health.checks import Check, Finding, check_of, named
from healthd.health.freshness import limits_seconds
from healthd.health.scoring import DEFAULT
from healthd.model.codes import CheckCode, Severity
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup


def collector_checks(
    snapshot: ClusterSnapshot, failures: Iterable[SourceFailure]
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
        if code is CheckCode.COLLECTOR_AUTH or not _is_fresh(snapshot, failure):
            found[code] = failure.detail
    limit = DEFAULT.checks.objects_shown
    return tuple(
        check_of(
            Finding(
                code=code,
                objects=named("cluster", [snapshot.cluster], limit),
                severity=Severity.WARN,
                detail=f": {detail.rstrip('.')}",
            ),
            DEFAULT.bands,
        )
        for code, detail in sorted(found.items())
    )


def _is_fresh(snapshot: ClusterSnapshot, failure: SourceFailure) -> bool:
    group = EvidenceGroup(failure.source.value)
    age = snapshot.age(group)
    fresh_seconds, _ = limits_seconds(snapshot, DEFAULT.freshness, group)
    return age is not None and age <= fresh_seconds
