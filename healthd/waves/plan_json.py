"""A plan as JSON (contract.md `plan`)."""

from enum import StrEnum
from typing import Any, Final

from healthd.model.render import render_time
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.acknowledgements import NONE, Acknowledgements
from healthd.waves.planner import Plan
from healthd.waves.planner_digests import node_marks

SAFE: Final = "safe"
"""The concurrency of which only the assignment decides."""


class MadeFrom(StrEnum):
    """What a plan was made from."""

    SNAPSHOT = "snapshot"
    KCAT = "kcat"
    """What kcat prints: no wave accepts such a plan."""


def plan_document(
    plan: Plan,
    snapshot: ClusterSnapshot,
    *,
    acknowledged: Acknowledgements = NONE,
    is_kcat: bool = False,
) -> dict[str, Any]:
    """A plan with what `wave start --plan` needs to say whether it is stale, and why.

    Args:
        plan: what is told.
        snapshot: what it was made from.
        acknowledged: what it was made with.
        is_kcat: made from what kcat prints: nothing is known of controllers.
    """
    return plan_as_json(plan, is_kcat=is_kcat) | {
        "madeAt": render_time(snapshot.observed_at),
        "policy": policy_of(acknowledged),
        "topics": len(snapshot.topics),
        "partitions": sum(map(len, snapshot.topics)),
        "nodes": [mark.as_json() for mark in node_marks(snapshot)],
    }


def policy_of(acknowledged: Acknowledgements) -> dict[str, Any]:
    """The margin and the acknowledgements by the keys of a wave's policy."""
    return {
        "margin": acknowledged.margin,
        "allowRfOne": list(acknowledged.allow_rf_one),
        "allowRfLeMinIsr": list(acknowledged.allow_rf_le_min_isr),
        "allowQuorumWithoutSpare": acknowledged.allow_quorum_without_spare,
    }


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
        "estimatedFrom": "history" if plan.measured_restarts else "model",
        "measuredRestarts": plan.measured_restarts,
        "madeFrom": (MadeFrom.KCAT if is_kcat else MadeFrom.SNAPSHOT).value,
        "notes": list(plan.notes),
    }
