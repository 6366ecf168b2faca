"""What the last attempts of the probe add up to: shares, latencies, and who is slow."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median, median_low
from typing import Any, Final

from healthd.model.snapshot import Probe

ATTEMPTS: Final = 20
"""The success share is over so many attempts; over one of every partition when those are more, so
that one broker of many weighs the same whatever their number."""
BROKER_ATTEMPTS: Final = 20
SLOW_OVER: Final = 5
"""A broker's latency is the median of so many successful attempts."""
SLOW_FACTOR: Final = 5.0
"""Slow is so many times the median of all brokers ..."""
SLOW_FLOOR_MS: Final = 250.0
"""... and not below this: a cluster that answers in 2 ms has no slow broker at 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One message that was written to one partition and read back, or not."""

    partition: int
    broker: int
    """Who led the partition when it was written; its preferred leader when nobody did."""
    at: float
    """Monotonic seconds at which it began."""
    latency_ms: float | None = None
    """From writing to having read it; None: it failed."""
    written_ms: float | None = None
    """From writing to all replicas in sync having it."""
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the message came back in time."""
        return self.latency_ms is not None


@dataclass(slots=True)
class _Broker:
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=BROKER_ATTEMPTS))
    slow_rounds: int = 0
    last_error: Attempt | None = None

    def recent_ms(self) -> float | None:
        """The median latency of the last successes; None: too few to tell."""
        found = [one.latency_ms for one in self.attempts if one.latency_ms is not None]
        return median(found[-SLOW_OVER:]) if len(found) >= SLOW_OVER else None


class ProbeHistory:
    """The last attempts of one cluster."""

    def __init__(self) -> None:
        self._last: deque[bool] = deque()
        self._brokers: dict[int, _Broker] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever recorded."""
        return not self._last

    def resume(self, probe: Probe) -> None:
        """Begin with what a daemon before this one has seen; its failures are the last to go."""
        failed = probe.attempts - probe.succeeded
        self._last.extend([True] * probe.succeeded + [False] * failed)
        self._trim(ATTEMPTS)

    def record(self, attempts: Iterable[Attempt]) -> None:
        """Add the attempts of one round."""
        found = sorted(attempts, key=lambda one: one.partition)
        for one in found:
            self._last.append(one.succeeded)
            broker = self._brokers.setdefault(one.broker, _Broker())
            broker.attempts.append(one)
            if not one.succeeded:
                broker.last_error = one
        self._trim(max(ATTEMPTS, len(found)))
        self._judge_latencies({one.broker for one in found})

    def forget_all_but(self, brokers: Iterable[int]) -> None:
        """Brokers that are no longer expected leave the section."""
        kept = set(brokers)
        self._brokers = {node: one for node, one in self._brokers.items() if node in kept}

    def probe(self) -> Probe:
        """The attempts that count, for the snapshot."""
        return Probe(attempts=len(self._last), succeeded=sum(self._last))

    def section(self, now: float) -> dict[str, Any]:
        """The numbers for the section `probe`."""
        probe = self.probe()
        return {
            "attempts": probe.attempts,
            "succeeded": probe.succeeded,
            "brokers": [_of_broker(node, one, now) for node, one in sorted(self._brokers.items())],
        }

    def _trim(self, most: int) -> None:
        while len(self._last) > most:
            self._last.popleft()

    def _judge_latencies(self, seen: Iterable[int]) -> None:
        recent: Mapping[int, float] = {
            node: found
            for node, one in self._brokers.items()
            if (found := one.recent_ms()) is not None
        }
        # Of two brokers the faster one is what the other is held against.
        usual = median_low(recent.values()) if recent else 0.0
        for node in seen:
            own = recent.get(node)
            is_slow = own is not None and own >= max(SLOW_FLOOR_MS, SLOW_FACTOR * usual)
            one = self._brokers[node]
            one.slow_rounds = one.slow_rounds + 1 if is_slow else 0


def _of_broker(node: int, one: _Broker, now: float) -> dict[str, Any]:
    latencies = [it.latency_ms for it in one.attempts if it.latency_ms is not None]
    found: dict[str, Any] = {
        "broker": node,
        "attempts": len(one.attempts),
        "succeeded": len(latencies),
        "slowRounds": one.slow_rounds,
    }
    if latencies:
        found["p50Ms"] = round(median(latencies), 1)
        found["maxMs"] = round(max(latencies), 1)
    recent = one.recent_ms()
    if recent is not None:
        found["recentMs"] = round(recent, 1)
    if one.last_error is not None:
        found["lastError"] = {
            "text": one.last_error.error or "failed",
            "secondsAgo": max(0.0, round(now - one.last_error.at, 3)),
        }
    return found
