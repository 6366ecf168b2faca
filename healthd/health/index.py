"""The Health Index of one snapshot: a number, why it is that number, and what to do.

A weighted sum for resolution, hard caps for severity, an interval for ignorance
(health-index.md). Invariants: 0 <= lower <= index <= upper <= 100; the points of all terms and
the penalty of the binding cap add up to 100 - index.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from healthd.health.bounds import Bounds, bounds_of
from healthd.health.caps import Cap, active_caps
from healthd.health.checks import WITHOUT_METADATA, Check, band, check_of, worst_first
from healthd.health.details import term_detail
from healthd.health.findings import capped_finding, findings
from healthd.health.freshness import TermAge, clamp, is_fresh, term_ages
from healthd.health.history import NO_HISTORY, History
from healthd.health.mutes import Mute, silenced, wholly_muted
from healthd.health.scoring import DEFAULT, Bands, ScoringProfile
from healthd.health.signals import Signals, read_signals
from healthd.health.terms import TermScore, score_terms
from healthd.health.words import HealthClass, PartitionState, Term
from healthd.model.codes import CheckCode, Severity
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one term takes from 100, and why."""

    term: Term
    points: float
    detail: str


@dataclass(frozen=True, kw_only=True)
class HealthReport:
    """All that one snapshot says about a cluster's health."""

    cluster: str
    health_index: float
    lower: float
    upper: float
    completeness: float
    not_observed: tuple[Term, ...]
    """Terms whose source is not configured."""
    health_class: HealthClass
    contributions: tuple[Contribution, ...]
    """All six, in the order of `Term`."""
    cap_penalty: float
    """What the binding cap takes beyond the sum; with the contributions it makes 100 - index."""
    binding_cap: CheckCode | None
    caps: tuple[Cap, ...]
    """All that are active, the lowest first, ties by code."""
    checks: tuple[Check, ...]
    """The worst first."""
    muted: frozenset[CheckCode] = frozenset()
    """Those of the checks that are wholly muted: they take no part in the class."""
    profile: ScoringProfile
    is_metadata_seen: bool
    """Until then the index and its bounds say nothing and are not exported."""
    partition_states: Mapping[PartitionState, int]
    expected_brokers: int
    down_brokers: tuple[int, ...]

    @property
    def next_cap(self) -> Cap | None:
        """The cap that would bind, or limit the most, if the binding one were lifted."""
        behind = self.caps[1:] if self.binding_cap is not None else self.caps
        return behind[0] if behind else None


def index_of(
    snapshot: ClusterSnapshot, scoring: ScoringProfile = DEFAULT, *, history: History | None = None
) -> float:
    """The Health Index alone, without its bounds, its checks and what they cost."""
    ages = term_ages(snapshot, scoring.freshness)
    signals = read_signals(snapshot, ages, scoring, history or NO_HISTORY)
    terms = score_terms(signals, ages, scoring)
    caps = active_caps(signals, signals.partitions.tally, signals.disk_used, scoring)
    return _index(terms, caps)[1]


def _index(terms: Iterable[TermScore], caps: Iterable[Cap]) -> tuple[float, float]:
    """The sum of the terms, and what the caps leave of it."""
    total = 100 - math.fsum(term.points for term in terms)
    return total, clamp(min([total, *(cap.cap for cap in caps)]), 0.0, 100.0)


def evaluate(
    snapshot: ClusterSnapshot,
    scoring: ScoringProfile = DEFAULT,
    *,
    history: History | None = None,
    further: Iterable[Check] = (),
    rack_loss: Severity = Severity.INFO,
    mutes: Sequence[Mute] = (),
) -> HealthReport:
    """The health of a cluster, from one snapshot.

    Args:
        snapshot: what is known; its ages are taken as written, no clock is read.
        scoring: the numbers.
        history: what earlier snapshots add; None for a single snapshot.
        further: checks from other sources, which take part in the class.
        rack_loss: how bad it is that a rack cannot be lost; WARN where it is meant to be survived.
        mutes: what people do not want to hear of; they change the class and never a number.
    """
    history = history or NO_HISTORY
    ages = term_ages(snapshot, scoring.freshness)
    signals = read_signals(snapshot, ages, scoring, history)
    terms = score_terms(signals, ages, scoring)
    caps = active_caps(signals, signals.partitions.tally, signals.disk_used, scoring)
    total, index = _index(terms, caps)
    bounds = bounds_of(
        index,
        signals,
        terms,
        scoring,
        is_metadata_fresh=is_fresh(snapshot, scoring.freshness, EvidenceGroup.METADATA),
    )
    checks = worst_first(
        [
            *_capped(snapshot, signals, caps, ages=ages, scoring=scoring),
            *(
                check_of(finding, scoring.bands)
                for finding in findings(
                    snapshot, signals, ages, scoring, history, rack_loss=rack_loss
                )
            ),
            *further,
        ]
    )
    muted = wholly_muted(checks, mutes)
    told = _Told(index=index, bounds=bounds, terms=terms)
    if muted:
        told = _without(muted, told, snapshot=snapshot, signals=signals, ages=ages, scoring=scoring)
    tally = signals.partitions.tally
    return HealthReport(
        cluster=snapshot.cluster,
        health_index=index,
        lower=bounds.lower,
        upper=bounds.upper,
        completeness=bounds.completeness,
        not_observed=tuple(term.term for term in terms if not term.is_configured),
        health_class=health_class(
            index=told.index,
            bounds=told.bounds,
            checks=[check for check in checks if check.code not in muted],
            terms=told.terms,
            bands=scoring.bands,
        ),
        muted=muted,
        contributions=tuple(
            Contribution(
                term=term.term,
                points=term.points,
                detail=term_detail(term.term, signals, ages[term.term]),
            )
            for term in terms
        ),
        cap_penalty=max(0.0, total - index),
        binding_cap=_binding(total, index, caps, scoring.bands),
        caps=caps,
        checks=checks,
        profile=scoring,
        is_metadata_seen=ages[Term.BROKERS].is_seen,
        partition_states={state: tally.count(state) for state in PartitionState},
        expected_brokers=signals.expected_brokers,
        down_brokers=signals.down_brokers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the class is made from."""

    index: float
    bounds: Bounds
    terms: tuple[TermScore, ...]


def _without(
    muted: frozenset[CheckCode],
    told: _Told,
    *,
    snapshot: ClusterSnapshot,
    signals: Signals,
    ages: Mapping[Term, TermAge],
    scoring: ScoringProfile,
) -> _Told:
    """The index and bounds without the caps and points of muted checks; no one else sees them."""
    quiet = silenced(signals, muted)
    terms = score_terms(quiet, ages, scoring)
    caps = active_caps(quiet, quiet.partitions.tally, quiet.disk_used, scoring)
    total = 100 - math.fsum(term.points for term in terms)
    lowest = min([total, *(cap.cap for cap in caps if cap.code not in muted)])
    index = clamp(lowest, 0.0, 100.0)
    bounds = bounds_of(
        index,
        quiet,
        terms,
        scoring,
        is_metadata_fresh=is_fresh(snapshot, scoring.freshness, EvidenceGroup.METADATA),
    )
    # What is known does not become more or less by not being talked about.
    return _Told(
        index=index, bounds=replace(bounds, completeness=told.bounds.completeness), terms=terms
    )


def health_class(
    *,
    index: float,
    bounds: Bounds,
    checks: Iterable[Check],
    terms: Sequence[TermScore],
    bands: Bands,
) -> HealthClass:
    """The worse of the band and the worst check; UNKNOWN when too little is known.

    UNKNOWN outranks OK and WARN, and never hides what fresh evidence proves to be CRIT.
    """
    severities = {check.severity for check in checks}
    if bounds.completeness < bands.unknown_below_completeness - bands.tolerance:
        fresh = {term.term for term in terms if term.is_fresh}
        is_proven = band(bounds.upper, bands) is HealthClass.CRIT or any(
            check.severity is Severity.CRIT and check.cap is None and check.term in fresh
            for check in checks
        )
        return HealthClass.CRIT if is_proven else HealthClass.UNKNOWN
    found = band(index, bands)
    if found is HealthClass.CRIT or Severity.CRIT in severities:
        return HealthClass.CRIT
    if found is HealthClass.WARN or Severity.WARN in severities:
        return HealthClass.WARN
    return HealthClass.OK


def _binding(total: float, index: float, caps: Sequence[Cap], bands: Bands) -> CheckCode | None:
    """The first of the lowest caps, when it takes more than rounding does."""
    return caps[0].code if caps and total - index > bands.tolerance else None


def _capped(
    snapshot: ClusterSnapshot,
    signals: Signals,
    caps: Iterable[Cap],
    *,
    ages: Mapping[Term, TermAge],
    scoring: ScoringProfile,
) -> list[Check]:
    return [
        check_of(capped_finding(cap.code, snapshot, signals, scoring), scoring.bands, cap)
        for cap in caps
        if ages[Term.BROKERS].is_seen or cap.code in WITHOUT_METADATA
    ]
