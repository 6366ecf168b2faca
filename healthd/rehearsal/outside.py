"""What a rehearsed daemon is told from outside: alerts that fire, and queries that fail."""

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.rehearsal.world import Outside


def holds_from_outside(outside: Outside, cluster: str) -> tuple[Reason, ...]:
    """What is in the way beside the snapshot."""
    holds = []
    if outside.alerts_firing:
        holds.append(
            Reason(
                code=ReasonCode.ALERT_FIRING,
                object="alert:rehearsed",
                detail=f"an alert that the wave of {cluster} waits for is firing",
            )
        )
    if outside.alert_queries_failing:
        holds.append(
            Reason(
                code=ReasonCode.ALERT_QUERY_FAILED,
                object="source:alerts",
                detail="the alerts could not be asked for: nobody knows whether one is firing",
            )
        )
    return tuple(holds)
