"""Everything that an examination saw, and how it is read in every part of the judgement."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field

from healthd.collect.doctor.asking import RightsSeen
from healthd.collect.doctor.doors import Door
from healthd.collect.doctor.findings import DoctorFinding, Outcome
from healthd.collect.observation import FailureReason, Source, SourceFailure
from healthd.health.words import Term
from healthd.model.snapshot import ClusterSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that an examination saw."""

    bootstrap: Mapping[str, Door]
    listeners: Mapping[int, Door] = field(default_factory=dict)
    """Of the brokers that metadata lists, where they say that they listen."""
    ssh: Mapping[int, Door] = field(default_factory=dict)
    rights: RightsSeen
    principal: str | None = None
    snapshot: ClusterSnapshot | None = None
    """None: the collection did not end in time."""
    failures: tuple[SourceFailure, ...] = ()
    exporters: Mapping[int, str] = field(default_factory=dict)
    """Configured pages by node id."""
    has_prometheus: bool = False
    probe_topic: str | None = None
    drives_waves: bool = False
    """Waves can run on it: they elect leaders."""
    sources: frozenset[Source] = frozenset()
    """Further sources that are configured."""


def of_door(source: str, door: Door, subject: str, terms: tuple[Term, ...]) -> DoctorFinding:
    """What one address is worth; terms are lost only where it is shut."""
    return DoctorFinding(
        source=source,
        subject=subject,
        outcome=door.outcome,
        detail=door.detail,
        terms=terms if is_shut(door) else (),
    )


def is_shut(door: Door) -> bool:
    """Whether nobody gets in there."""
    return door.outcome is not Outcome.ALLOWED


def outcome_of(reason: FailureReason) -> Outcome:
    """How it is with a source that failed so."""
    if reason in {FailureReason.AUTHENTICATION, FailureReason.AUTHORIZATION}:
        return Outcome.DENIED
    if reason in {
        FailureReason.TIMEOUT, FailureReason.REFUSED, FailureReason.DNS, FailureReason.NETWORK,
    }:  # fmt: skip
        return Outcome.UNREACHABLE
    return Outcome.FAILED


def many(things: Sized, word: str) -> str:
    """`1 broker`, `3 brokers`."""
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
