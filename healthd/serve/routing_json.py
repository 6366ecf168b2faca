"""Verdicts as JSON, for the API and through it for the command line."""

from typing import Any

from healthd.engine.view import RoutingView


def verdict_document(router: RoutingView, cluster: str) -> dict[str, Any]:
    """The verdict of one cluster, and what keeps it there."""
    routing, numbers = router.fleet.routing(cluster), router.numbers(cluster)
    forced = routing.forced
    dwell = routing.dwell_seconds(numbers)
    is_out = routing.state.value == "OUT"
    return {
        "cluster": cluster,
        "verdict": routing.verdict.value,
        "state": routing.state.value,
        "weight": routing.weight_percent(numbers),
        "ejections": routing.ejections,
        "dwellSecondsLeft": max(0.0, dwell - routing.out_seconds) if is_out else None,
        "healthySeconds": routing.healthy_seconds if is_out else None,
        "healthySecondsNeeded": numbers.healthy_seconds if is_out else None,
        "forced": None
        if forced is None
        else {
            "state": forced.state.value,
            "by": forced.by,
            "reason": forced.reason,
            "secondsLeft": forced.seconds_left,
        },
        "heldBack": cluster in router.fleet.held_back,
        "panic": cluster in router.fleet.panics,
        "suspect": router.fleet.is_suspect,
        "dryRun": router.is_dry_run,
    }
