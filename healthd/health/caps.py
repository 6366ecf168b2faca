"""The hard caps: the highest index that a finding leaves (health-index.md section 3)."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from healthd.health.freshness import clamp
from healthd.health.partitions import PartitionTally
from healthd.health.scoring import Caps, ScoringProfile
from healthd.health.signals import Signals
from healthd.health.words import Term
from healthd.model.codes import CheckCode

CAP_TERMS: Final[dict[CheckCode, Term | None]] = {
    CheckCode.PARTITION_OFFLINE: Term.PARTITIONS,
    CheckCode.INTERNAL_TOPIC_UNAVAILABLE: Term.PARTITIONS,
    CheckCode.PARTITION_UNDER_MIN_ISR: Term.PARTITIONS,
    CheckCode.PARTITION_AT_MIN_ISR: Term.PARTITIONS,
    CheckCode.UNCLEAN_ELECTION: Term.PARTITIONS,
    CheckCode.CONTROLLER_TRANSIENT: Term.CONTROLLER,
    CheckCode.CONTROLLER_ABSENT: Term.CONTROLLER,
    CheckCode.BROKER_DOWN: Term.BROKERS,
    CheckCode.PROBE_FAILING: Term.PROBE,
    CheckCode.DISK_HIGH: Term.STORAGE,
    CheckCode.DISK_CRITICAL: Term.STORAGE,
    CheckCode.UNREACHABLE: None,
}
"""The term that each cap is about. UNREACHABLE is about none: it always counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """One active cap."""

    code: CheckCode
    cap: float

    @property
    def term(self) -> Term | None:
        """The term that it is about, None for UNREACHABLE."""
        return CAP_TERMS[self.code]


def active_caps(
    signals: Signals, tally: PartitionTally, disk_used: float | None, scoring: ScoringProfile
) -> tuple[Cap, ...]:
    """Every cap that these values bring about, the lowest first, ties by code.

    The tally and the disk are arguments because the bounds take them worse, or surer, than the
    index does.
    """
    numbers = scoring.caps
    found = [
        *_partition_caps(tally, numbers),
        *_controller_caps(signals, numbers),
        *_disk_caps(disk_used, numbers),
    ]
    if signals.unclean_elections > 0:
        found.append(Cap(code=CheckCode.UNCLEAN_ELECTION, cap=numbers.unclean_election))
    if signals.down_share > 0:
        over = (signals.down_share - numbers.broker_down_from_share) / (
            numbers.broker_down_over_share
        )
        cap = numbers.broker_down_highest - numbers.broker_down_drop * clamp(over)
        found.append(Cap(code=CheckCode.BROKER_DOWN, cap=cap))
    if signals.success_ratio is not None and signals.success_ratio < 1:
        cap = numbers.probe_highest * signals.success_ratio
        found.append(Cap(code=CheckCode.PROBE_FAILING, cap=cap))
    if signals.is_unreachable:
        found.append(Cap(code=CheckCode.UNREACHABLE, cap=numbers.unreachable))
    return lowest_first(found, scoring.bands.tolerance)


def _partition_caps(tally: PartitionTally, numbers: Caps) -> Iterator[Cap]:
    if tally.offline:
        share = min(1.0, tally.offline_share / numbers.offline_zero_at_share)
        yield Cap(
            code=CheckCode.PARTITION_OFFLINE,
            cap=numbers.offline_highest * (1 - math.sqrt(share)),
        )
    if tally.internal_unavailable:
        yield Cap(code=CheckCode.INTERNAL_TOPIC_UNAVAILABLE, cap=numbers.internal_topic)
    if tally.under_min_isr:
        share = min(1.0, tally.under_min_isr_share / numbers.under_min_isr_zero_at_share)
        yield Cap(
            code=CheckCode.PARTITION_UNDER_MIN_ISR,
            cap=numbers.under_min_isr_highest * (1 - math.sqrt(share)),
        )
    if tally.at_min_isr:
        drop = numbers.at_min_isr_drop * math.sqrt(tally.at_min_isr_share)
        yield Cap(code=CheckCode.PARTITION_AT_MIN_ISR, cap=numbers.at_min_isr_highest - drop)


def _controller_caps(signals: Signals, numbers: Caps) -> Iterator[Cap]:
    absent = signals.controller_absent_seconds
    if not absent:
        return
    over = absent - numbers.controller_absent_from_seconds
    if over <= 0:
        yield Cap(code=CheckCode.CONTROLLER_TRANSIENT, cap=numbers.controller_transient)
    else:
        drop = numbers.controller_absent_drop * min(
            1.0, over / numbers.controller_absent_over_seconds
        )
        yield Cap(code=CheckCode.CONTROLLER_ABSENT, cap=numbers.controller_absent_highest - drop)


def _disk_caps(used: float | None, numbers: Caps) -> Iterator[Cap]:
    if used is None or used < numbers.disk_high_from_ratio:
        return
    yield Cap(code=CheckCode.DISK_HIGH, cap=numbers.disk_high)
    if used >= numbers.disk_critical_from_ratio:
        over = (used - numbers.disk_critical_from_ratio) / numbers.disk_critical_over_ratio
        yield Cap(
            code=CheckCode.DISK_CRITICAL,
            cap=numbers.disk_critical_highest - numbers.disk_critical_drop * clamp(over),
        )


def lowest_first(caps: Iterable[Cap], tolerance: float) -> tuple[Cap, ...]:
    """The caps by value; those within the tolerance of the lowest of them tie, by code."""
    by_value = sorted(caps, key=lambda cap: (cap.cap, cap.code))
    ordered: list[Cap] = []
    while by_value:
        lowest = by_value[0].cap
        tied = [cap for cap in by_value if cap.cap - lowest <= tolerance]
        ordered += sorted(tied, key=lambda cap: cap.code)
        by_value = by_value[len(tied) :]
    return tuple(ordered)
