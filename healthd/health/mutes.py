"""Mutes: checks that people do not want to hear of for a while. They silence people, never routing.

A mute is for one check of one cluster, for all of its objects or for some by name. It lifts itself
when more objects are concerned than were muted: the trouble has grown.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from healthd.health.checks import Check
from healthd.health.partitions import PartitionTally
from healthd.health.signals import Signals
from healthd.model.codes import CheckCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """One mute."""

    id: str
    cluster: str
    check: CheckCode
    objects: tuple[str, ...] = ()
    """Those that are muted, by name; none: all of the check's."""
    reason: str
    owner: str
    created_at: datetime
    until: datetime
    count: int | None = None
    """How many objects the check concerned when it was muted; None: it was not raised then."""

    def covers(self, check: Check) -> bool:
        """Whether it silences the whole of a check that is raised."""
        if check.code is not self.check:
            return False
        if not self.objects:
            return True
        # Of more objects than are named nobody knows whether they are muted.
        return not check.is_truncated and set(check.objects) <= set(self.objects)

    def is_outgrown_by(self, check: Check) -> bool:
        """Whether the check concerns more than was muted."""
        if check.code is not self.check:
            return False
        if self.objects:
            return check.is_truncated or not set(check.objects) <= set(self.objects)
        return self.count is not None and check.count > self.count


def wholly_muted(checks: Iterable[Check], mutes: Sequence[Mute]) -> frozenset[CheckCode]:
    """The raised checks that some mute silences as a whole."""
    if not mutes:
        return frozenset()
    return frozenset(
        check.code
        for check in checks
        if any(mute.covers(check) and not mute.is_outgrown_by(check) for mute in mutes)
    )


def ended(mutes: Iterable[Mute], now: datetime) -> tuple[Mute, ...]:
    """The mutes whose time is over."""
    return tuple(mute for mute in mutes if mute.until <= now)


def outgrown(mutes: Iterable[Mute], checks: Collection[Check]) -> tuple[Mute, ...]:
    """The mutes whose check concerns more objects than were muted."""
    return tuple(mute for mute in mutes if any(mute.is_outgrown_by(check) for check in checks))


def silenced(signals: Signals, muted: Collection[CheckCode]) -> Signals:
    """The signals without what muted checks tell: the band of a class is made from them."""
    changes: dict[str, object] = {}
    tally = _silenced_tally(signals.partitions.tally, muted)
    if tally is not signals.partitions.tally:
        pessimistic = _silenced_tally(signals.partitions.pessimistic, muted)
        changes["partitions"] = replace(signals.partitions, tally=tally, pessimistic=pessimistic)
    if CheckCode.BROKER_DOWN in muted:
        changes["down_brokers"] = ()
    absence = {CheckCode.CONTROLLER_TRANSIENT, CheckCode.CONTROLLER_ABSENT}
    if absence & set(muted) and signals.controller_absent_seconds is not None:
        changes["controller_absent_seconds"] = 0.0
    if CheckCode.SATURATED in muted:
        changes["idle_ratio"] = None
    if CheckCode.PROBE_FAILING in muted:
        changes["success_ratio"] = None
    if CheckCode.UNCLEAN_ELECTION in muted:
        changes["unclean_elections"] = 0
    if CheckCode.UNREACHABLE in muted:
        changes["is_unreachable"] = False
    disks = {CheckCode.DISK_HIGH, CheckCode.DISK_CRITICAL}
    if disks <= set(muted):
        changes["disks"] = ()
    return replace(signals, **changes) if changes else signals  # type: ignore[arg-type]


def _silenced_tally(tally: PartitionTally, muted: Collection[CheckCode]) -> PartitionTally:
    fields = {
        CheckCode.PARTITION_OFFLINE: "offline",
        CheckCode.PARTITION_UNDER_MIN_ISR: "under_min_isr",
        CheckCode.PARTITION_AT_MIN_ISR: "at_min_isr",
        CheckCode.PARTITION_UNDER_REPLICATED: "under_replicated",
        CheckCode.INTERNAL_TOPIC_UNAVAILABLE: "internal_unavailable",
    }
    changes = {field: 0 for code, field in fields.items() if code in muted}
    return replace(tally, **changes) if changes else tally
