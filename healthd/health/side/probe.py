"""Pure: brokers that answer the probe much later than the others do."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from healthd.health.checks import Finding, named
from healthd.health.side.sections import number_in, objects_in
from healthd.model.codes import CheckCode, Severity

SLOW_ROUNDS: Final = 3
"""So many rounds in a row: a pause for garbage is not a slow broker."""


def findings(section: Mapping[str, Any], shown: int) -> Iterator[Finding]:
    """At most one, about every broker that has been slow for three rounds of the probe."""
    slow: list[tuple[int, float | None]] = []
    usual: list[float] = []
    for one in objects_in(section, "brokers"):
        broker, rounds = number_in(one, "broker"), number_in(one, "slowRounds") or 0
        latency = number_in(one, "recentMs")
        if latency is not None:
            usual.append(latency)
        if broker is not None and rounds >= SLOW_ROUNDS:
            slow.append((int(broker), latency))
    if not slow:
        return
    slowest = max((latency for _, latency in slow if latency is not None), default=None)
    told = ""
    if slowest is not None:
        median = sorted(usual)[(len(usual) - 1) // 2]
        told = f" ({slowest:.0f} ms; the median of all is {median:.0f} ms)"
    yield Finding(
        code=CheckCode.SLOW_BROKER,
        severity=Severity.WARN,
        objects=named("broker", [broker for broker, _ in slow], shown),
        detail=told,
    )
