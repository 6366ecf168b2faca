"""Pure: what everything beside Kafka's own answers says: exporters, further sources, hosts."""

from collections.abc import Iterator, Mapping
from typing import Final

from healthd.collect.doctor.evidence import Evidence, is_shut, many, of_door, outcome_of
from healthd.collect.doctor.findings import DoctorFinding, Outcome
from healthd.collect.observation import FailureReason, Source, SourceFailure
from healthd.collect.rights import Operation, on_cluster
from healthd.health.side import certificates
from healthd.health.words import Term

_TERMS: Final[Mapping[str, tuple[Term, ...]]] = {
    Source.PROBE.value: (Term.PROBE,),
    Source.LOG_DIRS.value: (Term.STORAGE,),
}
_THROUGH_KAFKA: Final = frozenset({Source.PROBE, Source.LOG_DIRS})
_DIRECT: Final = frozenset({Source.METADATA, Source.CONFIGS, Source.QUORUM, Source.METRICS})
"""Sources whose findings are made of what was asked for them alone."""


def exporter_findings(seen: Evidence) -> Iterator[DoctorFinding]:
    """One for each page that could not be read, or one for all."""
    if not seen.exporters and not seen.has_prometheus:
        yield DoctorFinding(
            source="metrics",
            subject="exporter pages",
            outcome=Outcome.NOT_CONFIGURED,
            detail="Saturation, disks and broker states are not observed.",
        )
        return
    lost = [failure for failure in seen.failures if failure.source is Source.METRICS]
    share = 1 / max(1, len(seen.exporters), len(lost))
    for failure in lost:
        yield DoctorFinding(
            source="metrics",
            subject="exporter pages" if failure.node is None else f"node {failure.node}",
            outcome=outcome_of(failure.reason),
            detail=failure.detail,
            terms=(Term.SATURATION, Term.STORAGE),
            share=1.0 if failure.node is None else share,
        )
    if not lost:
        outcome = Outcome.UNKNOWN if seen.snapshot is None else Outcome.ALLOWED
        yield DoctorFinding(
            source="metrics", subject=many(seen.exporters, "exporter page"), outcome=outcome
        )


def further_findings(seen: Evidence) -> Iterator[DoctorFinding]:
    """Every other source, by the failures of one collection."""
    failed = {failure.source for failure in seen.failures}
    for source in Source:
        if source in _DIRECT or (source not in seen.sources and source not in failed):
            continue
        lost = [failure for failure in seen.failures if failure.source is source]
        if source in _THROUGH_KAFKA:
            # Said already: that there is no connection, or that a right is missing.
            if seen.rights.connection is not None:
                continue
            lost = [each for each in lost if each.reason is not FailureReason.AUTHORIZATION]
        for failure in lost:
            yield _of_failure(failure)
        if not lost and source not in _THROUGH_KAFKA:
            outcome = Outcome.UNKNOWN if seen.snapshot is None else Outcome.ALLOWED
            yield DoctorFinding(source=source.value, subject=source.value, outcome=outcome)
    yield from _certificates(seen)


def _of_failure(failure: SourceFailure) -> DoctorFinding:
    source = failure.source.value
    return DoctorFinding(
        source=source,
        subject=source if failure.node is None else f"node {failure.node}",
        outcome=outcome_of(failure.reason),
        detail=failure.detail,
        terms=_TERMS.get(source, ()),
    )


def _certificates(seen: Evidence) -> Iterator[DoctorFinding]:
    """What the certificates that were read say; that they were is said with the other sources."""
    section = ((seen.snapshot.extra if seen.snapshot else None) or {}).get("certificates")
    for found in () if section is None else certificates.findings(section, 1):
        yield DoctorFinding(
            source=Source.CERTIFICATES.value,
            subject="expiry",
            outcome=Outcome.FAILED,
            detail=f"Within 30 days, or over{found.detail}.",
        )


def wave_findings(seen: Evidence) -> Iterator[DoctorFinding]:
    """What only waves need: hosts, and elections. The index loses nothing without them."""
    shut = {node: door for node, door in seen.ssh.items() if is_shut(door)}
    for node, door in shut.items():
        yield of_door("ssh", door, f"node {node} at {door.address}", ())
    if seen.ssh and not shut:
        yield DoctorFinding(source="ssh", subject=many(seen.ssh, "host"), outcome=Outcome.ALLOWED)
    cluster = seen.rights.cluster
    if not seen.drives_waves or cluster is None:
        return
    alter = on_cluster(Operation.ALTER)
    if Operation.ALTER in cluster:
        yield DoctorFinding(source="waves", subject=str(alter), outcome=Outcome.ALLOWED)
    else:
        yield DoctorFinding(
            source="waves",
            subject=str(alter),
            outcome=Outcome.DENIED,
            detail="A wave cannot give restarted brokers their leaderships back.",
            acls=(alter,),
        )
