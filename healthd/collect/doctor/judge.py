"""Pure: the answers of an examination into findings, in the order in which healthd needs them."""

from collections.abc import Iterator

from healthd.collect.doctor.evidence import Evidence, is_shut, many, of_door, outcome_of
from healthd.collect.doctor.findings import DoctorFinding, Outcome
from healthd.collect.doctor.judge_rights import EVERYTHING, rights_findings
from healthd.collect.doctor.judge_sources import (
    exporter_findings,
    further_findings,
    wave_findings,
)


def findings(seen: Evidence) -> tuple[DoctorFinding, ...]:
    """One for each thing that was tried, in the order in which healthd depends on them."""
    return (
        *_doors(seen),
        *_connection(seen),
        *rights_findings(seen),
        *exporter_findings(seen),
        *further_findings(seen),
        *wave_findings(seen),
    )


def _doors(seen: Evidence) -> Iterator[DoctorFinding]:
    is_open = any(door.outcome is Outcome.ALLOWED for door in seen.bootstrap.values())
    for door in seen.bootstrap.values():
        # While another bootstrap address answers, this one takes nothing away yet.
        yield of_door("bootstrap", door, door.address, () if is_open else EVERYTHING)
    if not seen.listeners:
        return
    shut = {node: door for node, door in seen.listeners.items() if is_shut(door)}
    for node, door in shut.items():
        yield of_door("listeners", door, f"broker {node} at {door.address}", ())
    if not shut:
        yield DoctorFinding(
            source="listeners", subject=many(seen.listeners, "broker"), outcome=Outcome.ALLOWED
        )


def _connection(seen: Evidence) -> Iterator[DoctorFinding]:
    error = seen.rights.connection
    subject = "connect and authenticate"
    if error is None:
        yield DoctorFinding(source="metadata", subject=subject, outcome=Outcome.ALLOWED)
        return
    yield DoctorFinding(
        source="metadata",
        subject=subject,
        outcome=outcome_of(error.reason),
        detail=f"{error.detail.rstrip('.')}.",
        terms=EVERYTHING,
    )
