"""The routing state of a cluster as JSON, for the store."""

from collections.abc import Mapping
from typing import Any

from healthd.routing.verdict import Forced, Routing, RoutingState, Transition


def routing_json(routing: Routing) -> dict[str, Any]:
    """The state as JSON."""
    forced = routing.forced
    return {
        "state": routing.state.value,
        "low": routing.low,
        "veryLow": routing.very_low,
        "ejections": routing.ejections,
        "healthySeconds": routing.healthy_seconds,
        "outSeconds": routing.out_seconds,
        "step": routing.step,
        "stepSeconds": routing.step_seconds,
        "forced": None
        if forced is None
        else {
            "state": forced.state.value,
            "by": forced.by,
            "reason": forced.reason,
            "secondsLeft": forced.seconds_left,
        },
    }


def parse_routing(value: Mapping[str, Any], *, away_seconds: float = 0.0) -> Routing:
    """The state in JSON.

    Args:
        value: What `routing_json` gave.
        away_seconds: How long no daemon ran: an operator's word has grown shorter by that, while
            dwell and health stand still.

    Raises:
        ValueError: it was written by another version.
    """
    try:
        forced = value["forced"]
        left = 0.0 if forced is None else float(forced["secondsLeft"]) - max(0.0, away_seconds)
        return Routing(
            state=RoutingState(value["state"]),
            low=int(value["low"]),
            very_low=int(value["veryLow"]),
            ejections=int(value["ejections"]),
            healthy_seconds=float(value["healthySeconds"]),
            out_seconds=float(value["outSeconds"]),
            step=min(2, max(0, int(value["step"]))),
            step_seconds=float(value["stepSeconds"]),
            forced=None
            if left <= 0
            else Forced(
                state=RoutingState(forced["state"]),
                by=str(forced["by"]),
                reason=str(forced["reason"]),
                seconds_left=left,
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no routing state: {type(error).__name__} {error}") from error


def transition_json(transition: Transition) -> dict[str, Any]:
    """A transition as it is recorded."""
    return {
        "from": transition.before.value,
        "to": transition.after.value,
        "index": transition.index,
        "bindingCap": transition.binding_cap,
        "ejections": transition.ejections,
        "dwellSeconds": transition.dwell_seconds,
    }
