"""How far replicas are behind their leaders, from exporters (restart-safety.md section 2).

Kafka's ``MaxLag`` of a broker is the most messages that any replica on it is behind. A replica may
be far behind and still in the ISR: Kafka takes it out by time. The contract has no field for it, so
it travels in the snapshot's `extra`, which `ok-to-stop`, `plan` and `rehearse` ignore.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup

LAG_SECTION: Final = "lag"
"""Its name in `extra`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLag:
    """What one broker's exporter said last."""

    broker: int
    messages: float
    age_seconds: float


def replica_lags(snapshot: ClusterSnapshot) -> Iterator[ReplicaLag]:
    """What exporters have ever told; nothing where none is configured, or none tells it."""
    section = (snapshot.extra or {}).get(LAG_SECTION)
    rows = section.get("brokers") if isinstance(section, Mapping) else None
    for row in rows if isinstance(rows, list | tuple) else ():
        lag = _lag(row)
        if lag is not None:
            yield lag


def lag_holds(
    snapshot: ClusterSnapshot, *, limit: int, away: Collection[int] = ()
) -> Iterator[Reason]:
    """Brokers whose replicas are too far behind, or whose exporter no longer says how far.

    Args:
        snapshot: what is known of the cluster.
        limit: messages that a replica may be behind.
        away: nodes that the wave has in flight or is about to repair; they are not asked.
    """
    newest = snapshot.age(EvidenceGroup.METRICS)
    fresh = snapshot.fresh_limit_seconds
    if newest is None or newest > fresh:
        return  # Not configured, or held as a whole.
    brokers = snapshot.brokers_by_id
    for lag in replica_lags(snapshot):
        broker = brokers.get(lag.broker)
        if broker is None or not broker.alive or lag.broker in away or broker.is_pure_controller:
            continue
        subject = f"broker:{lag.broker}"
        if lag.age_seconds > fresh:
            page_age = broker.metrics_age_seconds
            if page_age is None or page_age <= fresh:  # Else its whole page is held.
                detail = (
                    f"its exporter last told the lag of its replicas {lag.age_seconds:g} s ago,"
                    f" the limit is {fresh:g} s"
                )
                yield Reason(code=ReasonCode.EVIDENCE_STALE, object=subject, detail=detail)
        elif lag.messages > limit:
            detail = (
                f"its replicas are up to {lag.messages:.0f} messages behind their leaders,"
                f" {limit} are allowed"
            )
            yield Reason(code=ReasonCode.REPLICA_LAG, object=subject, detail=detail)


def _lag(row: Any) -> ReplicaLag | None:
    """One row of the section; None for what is none, for `extra` is open to anything."""
    if not isinstance(row, Mapping):
        return None
    broker, messages, age = (row.get(key) for key in ("broker", "messages", "ageSeconds"))
    if type(broker) is not int or not isinstance(messages, int | float):
        return None
    if not isinstance(age, int | float):
        return None
    return ReplicaLag(broker=broker, messages=float(messages), age_seconds=float(age))
