"""x of health-index.md section 2: the request handlers' idle ratio that speaks for a cluster."""

from collections.abc import Iterable

from healthd.health.scoring import ScoringProfile
from healthd.model.snapshot import Broker


def cluster_idle_ratio(brokers: Iterable[Broker], scoring: ScoringProfile) -> float | None:
    """The ceil(n/10)-th smallest ratio of the n brokers that have one; None: none has."""
    ratios = sorted(
        min(1.0, broker.request_handler_idle)
        for broker in brokers
        if broker.request_handler_idle is not None
    )
    if not ratios:
        return None
    rank = -(-len(ratios) // scoring.severities.idle_one_broker_in)
    return ratios[rank - 1]
