"""Plans of clusters as the daemon sees them, and waves by a plan that was made before.

Look, then act: `healthd plan CLUSTER -o json` writes down what a person has looked at, and `wave
start --plan` does that, or refuses with the difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from healthd.config.fleet import ClusterConfig
from healthd.engine.pinning import inventory_of
from healthd.engine.view import ClusterView, OrderRefused, Refusal
from healthd.model.json_reader import InputError
from healthd.safety.acknowledgements import Acknowledgements
from healthd.waves.pins import inventory_changes
from healthd.waves.plan_difference import Change, Difference, differences
from healthd.waves.plan_file import FiledFleetPlan, FiledPlan, read_any_plan
from healthd.waves.plan_json import plan_document, policy_of
from healthd.waves.planner import plan
from healthd.waves.planner_duration import MeasuredRestarts
from healthd.waves.policy import WavePolicy

PLAN_KEY: Final = "plan"
"""Beside the keys of a wave file, in the request that starts a wave by a plan."""


def live_plan(
    view: ClusterView,
    *,
    nodes: tuple[int, ...] | None,
    concurrency: int | None,
    given: Mapping[str, Any],
    assume_min_isr: int | None = None,
    policy: WavePolicy | None = None,
    measured: MeasuredRestarts | None = None,
) -> dict[str, Any]:
    """The plan for a cluster as it was last seen, as JSON.

    Args:
        view: the cluster; it has been observed.
        nodes: None for every node.
        concurrency: None for as many as is safe.
        given: the margin and acknowledgements that the question itself has, by their names in
            `Acknowledgements`; the others are the cluster's own.
        assume_min_isr: counts where min.insync.replicas is unknown.
        policy: None: the cluster's own.
        measured: how long restarts took on it.

    Raises:
        UnknownBroker: the cluster has no such node.
    """
    assert view.snapshot is not None, "asked of a cluster that was observed"
    policy = policy or view.config.wave_policy
    accepted = replace(accepted_by(policy), **given, assume_min_isr=assume_min_isr)
    found = plan(
        view.snapshot,
        nodes=nodes,
        concurrency=concurrency,
        acknowledged=accepted,
        policy=policy,
        measured=measured,
    )
    return plan_document(found, view.snapshot, acknowledged=accepted) | {
        "inventory": dict(inventory_of(view.config))
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a wave asks for on one cluster, as far as a plan says it too."""

    nodes: tuple[int, ...] | None
    """None for every node."""
    concurrency: int | None
    policy: WavePolicy


def accepted_by(policy: WavePolicy) -> Acknowledgements:
    """What a wave's policy accepts of ok-to-stop."""
    return Acknowledgements(
        margin=policy.margin,
        allow_rf_one=policy.allow_rf_one,
        allow_rf_le_min_isr=policy.allow_rf_le_min_isr,
        allow_quorum_without_spare=policy.allow_quorum_without_spare,
    )


GivenPlan = FiledPlan | FiledFleetPlan


def taken_out(request: Mapping[str, Any]) -> tuple[Mapping[str, Any], GivenPlan | None]:
    """The wave that a request asks for, and the plan that it shall follow, if there is one.

    Raises:
        OrderRefused: what stands there is no plan, or one that no wave accepts.
    """
    if PLAN_KEY not in request:
        return request, None
    try:
        found = read_any_plan(request[PLAN_KEY])
    except InputError as error:
        path = f"{PLAN_KEY}.{error.path}" if error.path else PLAN_KEY
        raise OrderRefused(
            Refusal.INVALID,
            f"the plan cannot be read: {path}: {error.problem}",
            problems=[{"path": path, "message": error.problem}],
        ) from error
    plans = [found] if isinstance(found, FiledPlan) else [plan for _, plan in found.plans]
    for each in plans:
        if each.is_kcat:
            raise OrderRefused(
                Refusal.INVALID,
                "no wave accepts a plan made from what kcat prints: it knows neither the"
                " controllers nor min.insync.replicas; make one with"
                f" 'healthd plan {each.cluster} -o json'",
            )
    return {key: value for key, value in request.items() if key != PLAN_KEY}, found


def require_current(filed: FiledPlan, asked: Asked, view: ClusterView) -> None:
    """Refuse a wave whose plan is not its own, or not true any more.

    Args:
        filed: the plan that was made before.
        asked: what would be started.
        view: its cluster as it was last seen.

    Raises:
        OrderRefused: why, and for a stale plan every difference.
    """
    _require_same(filed, asked, view.config.name)
    if view.snapshot is None:
        raise OrderRefused(
            Refusal.CONFLICT,
            f"{view.config.name} has not been observed yet: nobody can say whether the plan is "
            "stale; try again in a moment",
        )
    found = (
        *inventory_differences(filed, view.config),
        *differences(filed, view.snapshot, accepted_by(asked.policy)),
    )
    if found:
        made = f" of {filed.made_at}" if filed.made_at else ""
        raise OrderRefused(
            Refusal.STALE,
            f"the plan{made} for {view.config.name} is stale, nothing was started: "
            + "; ".join(each.detail for each in found),
            differences=[each.as_json() for each in found],
        )


def inventory_differences(filed: FiledPlan, config: ClusterConfig) -> tuple[Difference, ...]:
    """What the fleet file says otherwise than when the plan was made through the daemon."""
    if not filed.inventory:
        return ()
    return tuple(
        Difference(change=Change.INVENTORY, nodes=(), detail=words)
        for words in inventory_changes(filed.inventory, inventory_of(config))
    )


def _require_same(filed: FiledPlan, asked: Asked, cluster: str) -> None:
    """Refuse a wave over other nodes, or under another policy, than its plan was made for."""
    if filed.cluster != cluster:
        message = f"the plan is for cluster {filed.cluster}, the wave for {cluster}"
        raise OrderRefused(Refusal.INVALID, message)
    if asked.nodes is None or set(filed.taken) != set(asked.nodes):
        message = "the wave does not name the brokers that its plan takes"
        raise OrderRefused(Refusal.INVALID, message)
    if filed.concurrency != asked.concurrency:
        message = "the wave has another concurrency than its plan"
        raise OrderRefused(Refusal.INVALID, message)
    accepted = policy_of(accepted_by(asked.policy))
    for key, value in filed.policy.items():
        if key in accepted and accepted[key] != value:
            raise OrderRefused(
                Refusal.INVALID,
                f"the plan was made with {key} {value}, the wave has {accepted[key]}: make a plan "
                "with that, or leave it out",
            )
