"""A plan as JSON (contract.md `plan`)."""

from typing import Any, Final

from healthd.waves.planner import Plan

SAFE: Final = "safe"
"""The concurrency of which only the assignment decides."""


def plan_as_json(plan: Plan, *, is_kcat: bool = False) -> dict[str, Any]:
    """The public form of a plan.

    Args:
        plan: what is told.
        is_kcat: made from what kcat prints: nothing is known of controllers.
    """
    return {
        "cluster": plan.cluster,
        "steps": [
            {"brokers": list(step.nodes), "role": step.role.value, "reason": step.reason}
            for step in plan.steps
        ],
        "blocked": [
            {"broker": row.node, "blockers": [reason.as_json() for reason in row.blockers]}
            for row in plan.blocked
        ],
        "controllerLast": plan.controller_last,
        "lowerBound": plan.lower_bound,
        "estimatedSeconds": plan.estimated_seconds,
        "fingerprint": plan.fingerprint,
        "concurrency": SAFE if plan.concurrency is None else plan.concurrency,
        "estimatedFrom": "model",
        "madeFrom": "kcat" if is_kcat else "snapshot",
        "notes": list(plan.notes),
    }
