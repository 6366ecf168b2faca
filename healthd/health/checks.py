"""The named findings about a snapshot, each with its objects and with what to do.

Checks with a cap come from the active caps; the others are found in `findings` and carry no
points. Which of them a snapshot may raise depends on what was ever seen (health-index.md
section 3).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from typing import Final

from healthd.health.caps import CAP_TERMS, Cap
from healthd.health.partitions import Places, count_of
from healthd.health.scoring import Bands
from healthd.health.text import TEXTS
from healthd.health.words import HealthClass, Term
from healthd.model.codes import CheckCode, Severity
from healthd.model.order import natural_key

WITHOUT_METADATA: Final = frozenset({
    CheckCode.UNREACHABLE, CheckCode.CONTROLLER_TRANSIENT, CheckCode.CONTROLLER_ABSENT,
    CheckCode.QUORUM_AT_RISK, CheckCode.PROBE_FAILING,
})  # fmt: skip
"""The only checks that are raised while metadata was never seen."""

CHECK_TERMS: Final[dict[CheckCode, Term | None]] = {
    **CAP_TERMS,
    CheckCode.PARTITION_UNDER_REPLICATED: Term.PARTITIONS,
    CheckCode.RF_ONE: Term.PARTITIONS,
    CheckCode.MIN_ISR_UNKNOWN: Term.PARTITIONS,
    CheckCode.CONFIG_MINISR_GT_RF: Term.PARTITIONS,
    CheckCode.REMOTE_LOG_METADATA_UNAVAILABLE: Term.PARTITIONS,
    CheckCode.RACK_LOSS_NOT_TOLERATED: Term.PARTITIONS,
    CheckCode.BROKER_FENCED: Term.BROKERS,
    CheckCode.QUORUM_AT_RISK: Term.CONTROLLER,
    CheckCode.SATURATED: Term.SATURATION,
    CheckCode.CONTROLLER_FLAPPING: Term.CONTROLLER,
    CheckCode.CONTROLLER_SPLIT: Term.CONTROLLER,
    CheckCode.ENSEMBLE_DEGRADED: Term.CONTROLLER,
    CheckCode.ISR_CHURN: Term.PARTITIONS,
    CheckCode.LEADER_IMBALANCE: Term.PARTITIONS,
}
"""The term that a check is about; a check that is not named here is about none."""

_RANK: Final = {Severity.CRIT: 0, Severity.WARN: 1, Severity.INFO: 2}
_NO_CAP: Final = 101.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """What a check is about: all of it by number, the first by name."""

    count: int
    shown: tuple[str, ...]
    """In natural order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is so, before it is put into words."""

    code: CheckCode
    objects: Objects
    severity: Severity | None = None
    """None for a finding with a cap: its band says."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A named finding about a snapshot, in words."""

    code: CheckCode
    severity: Severity
    count: int
    objects: tuple[str, ...]
    summary: str
    impact: str
    action: str
    cap: float | None = None
    """The highest index that it leaves; None when it carries no points."""

    @property
    def is_truncated(self) -> bool:
        """Whether it is about more objects than it names."""
        return self.count > len(self.objects)

    @property
    def term(self) -> Term | None:
        """The term that it is about, None when it is about none."""
        return CHECK_TERMS.get(self.code)


def check_of(finding: Finding, bands: Bands, cap: Cap | None = None) -> Check:
    """The check that tells a finding.

    Raises:
        ValueError: the finding has neither a severity nor a cap.
    """
    severity = severity_of_cap(cap.cap, bands) if cap is not None else finding.severity
    if severity is None:
        raise ValueError(f"{finding.code} has neither a severity nor a cap")
    text, objects = TEXTS[finding.code], finding.objects
    return Check(
        code=finding.code,
        severity=severity,
        count=objects.count,
        objects=objects.shown,
        summary=text.summary(objects.count, finding.detail),
        impact=text.impact,
        action=text.action,
        cap=None if cap is None else cap.cap,
    )


def worst_first(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks by severity, then by cap (the lowest first, those without last), then by code."""

    def key(check: Check) -> tuple[int, float, str]:
        return _RANK[check.severity], _NO_CAP if check.cap is None else check.cap, check.code

    return tuple(sorted(checks, key=key))


def band(number: float, bands: Bands) -> HealthClass:
    """The band of an index; within the tolerance of a limit meets it."""
    if number >= bands.ok_from - bands.tolerance:
        return HealthClass.OK
    return HealthClass.WARN if number >= bands.warn_from - bands.tolerance else HealthClass.CRIT


def severity_of_cap(cap: float, bands: Bands) -> Severity:
    """The severity of a check with a cap: that of the cap's band."""
    found = band(cap, bands)
    if found is HealthClass.OK:
        return Severity.INFO
    return Severity.WARN if found is HealthClass.WARN else Severity.CRIT


def named(prefix: str, names: Iterable[object], limit: int) -> Objects:
    """Objects of the form ``prefix:name``."""
    objects = [f"{prefix}:{name}" for name in names]
    return Objects(count=len(objects), shown=tuple(nsmallest(limit, objects, key=natural_key)))


def partitions_at(places: Places, limit: int) -> Objects:
    """Objects of the form ``topic-partition``.

    Labels of one topic are ordered by partition id, so at most `limit` of each topic are named
    before the first of all are chosen: there may be 100,000.
    """
    labels = [
        f"{topic.name}-{partition}"
        for topic, positions in places
        for partition in nsmallest(limit, [topic.ids[at] for at in positions])
    ]
    return Objects(count=count_of(places), shown=tuple(nsmallest(limit, labels, key=natural_key)))
