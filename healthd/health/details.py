"""One sentence a term: what it was read from, in numbers."""

import math

from healthd.health.freshness import TermAge
from healthd.health.partitions import PartitionTally
from healthd.health.signals import Signals
from healthd.health.words import PartitionState, Term

_IN_WORDS = {
    PartitionState.OFFLINE: "offline",
    PartitionState.UNDER_MIN_ISR: "under min ISR",
    PartitionState.AT_MIN_ISR: "at min ISR",
    PartitionState.UNDER_REPLICATED: "under-replicated",
}


def term_detail(term: Term, signals: Signals, age: TermAge) -> str:
    """What a term says, and how old that is when it is not fresh."""
    if not age.is_configured:
        return "not configured"
    if not age.is_seen:
        return "never seen"
    found = _value(term, signals)
    if age.is_fresh:
        return found
    if math.isinf(age.age_seconds):
        return f"{found}; configs were never seen"
    return f"{found}; stale: last seen {age.age_seconds:.0f} s ago"


def _value(term: Term, signals: Signals) -> str:
    if term is Term.PARTITIONS:
        return _partitions(signals.partitions.tally)
    if term is Term.BROKERS:
        expected, down = signals.expected_brokers, len(signals.down_brokers)
        return (
            f"{down} of {_many(expected, 'broker')} down"
            if down
            else _all(expected, "broker", "up")
        )
    if term is Term.CONTROLLER:
        return _controller(signals.controller_absent_seconds)
    if term is Term.SATURATION:
        idle = signals.idle_ratio
        return "no broker tells" if idle is None else f"request handlers {idle:.0%} idle"
    if term is Term.PROBE:
        return _probe(signals)
    used = signals.disk_used
    return "no broker tells" if used is None else f"fullest log directory {used:.0%} full"


def _partitions(tally: PartitionTally) -> str:
    troubled = [
        f"{tally.count(state)} {words}" for state, words in _IN_WORDS.items() if tally.count(state)
    ]
    if not troubled:
        return _all(tally.total, "partition", "in sync")
    return f"{', '.join(troubled)} of {_many(tally.total, 'partition')}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _all(count: int, what: str, how: str) -> str:
    """That all is well; "all" of one or of none reads wrong."""
    if count == 0:
        return f"no {what}s"
    return f"all {count} {what}s {how}" if count > 1 else f"the only {what} is {how}"


def _controller(absent_seconds: float | None) -> str:
    if absent_seconds is None:
        return "not known whether a controller is active"
    if absent_seconds == 0:
        return "a controller is active"
    return f"no agreed active controller for {absent_seconds:.0f} s"


def _probe(signals: Signals) -> str:
    if signals.success_ratio is None:
        return f"{_many(signals.probe_attempts, 'attempt')} so far, too few to tell"
    return f"{signals.success_ratio:.0%} of {signals.probe_attempts} probes succeeded"
