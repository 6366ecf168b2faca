"""The plan of a wave file: one plan for each cluster of each stage, and what they come to.

Whatever can never go is named with its blockers before anything starts.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from healthd.config.targets import driven
from healthd.engine.accepting import Playbooks, asked_of, spec_of
from healthd.engine.collecting import ClusterLoop
from healthd.engine.keeping import Tools
from healthd.engine.measured import measured_on
from healthd.engine.plans import (
    GivenPlan,
    accepted_by,
    inventory_differences,
    live_plan,
    require_current,
)
from healthd.engine.selecting import Part, only_loop, parts_of
from healthd.engine.view import ClusterView, OrderRefused, Refusal
from healthd.waves.ensemble import for_target
from healthd.waves.naming import NODE_WORDS
from healthd.waves.pins import playbook_digest
from healthd.waves.plan_difference import Change, Difference, differences
from healthd.waves.plan_file import FLEET, FiledFleetPlan, FiledPlan
from healthd.waves.planner_duration import MeasuredRestarts
from healthd.waves.planner_fleet import ClusterTime, fleet_fingerprint, stage_seconds
from healthd.waves.playbook import Playbook, PlaybookTarget
from healthd.waves.spec import StageSpec, WaveSpec

KIND: Final = "FleetPlan"
_NOT_SEEN: Final = "it has not been observed yet: nobody knows its brokers"


def fleet_plan(
    spec: WaveSpec,
    document: Mapping[str, Any],
    parts: Iterable[Part],
    measured: Mapping[str, MeasuredRestarts],
    playbook: Playbook | None = None,
) -> dict[str, Any]:
    """The plan of a wave over stages and clusters, as JSON.

    Args:
        spec: the wave file, understood.
        document: the same as it was written: it is part of the plan, and what is started by it.
        parts: its clusters and nodes, stage by stage.
        measured: how long restarts took, by cluster.
        playbook: what is done to each node; None: it is not at hand.
    """
    of_stage: dict[int, list[dict[str, Any]]] = {at: [] for at in range(len(spec.stages))}
    domains: dict[int, list[ClusterTime]] = {at: [] for at in range(len(spec.stages))}
    for part in parts:
        made = _plan_of(part, spec.stages[part.stage], measured.get(part.cluster))
        of_stage[part.stage].append(made)
        domains[part.stage].append(_time(part, made))
    stages = [
        _stage(stage, of_stage[at], domains[at], dict(spec.policy.clusters_at_once_per))
        for at, stage in enumerate(spec.stages)
    ]
    plans = [(stage["name"], plan) for stage in stages for plan in stage["plans"]]
    return {
        "kind": FLEET,
        "name": spec.name,
        "playbook": spec.playbook,
        "playbookDigest": None if playbook is None else playbook_digest(playbook),
        "wave": dict(document),
        "stages": stages,
        "clusters": len({plan["cluster"] for _, plan in plans}),
        "nodes": sum(_taken(plan) for _, plan in plans),
        "blocked": [
            {"stage": stage, "cluster": plan["cluster"], **row}
            for stage, plan in plans
            for row in plan.get("blocked", ())
        ],
        "notPlanned": [
            {"stage": stage, "cluster": plan["cluster"], "error": plan["error"]}
            for stage, plan in plans
            if "error" in plan
        ],
        "estimatedSeconds": sum(stage["estimatedSeconds"] for stage in stages),
        "estimatedFrom": _origin(plan for _, plan in plans),
        "fingerprint": fleet_fingerprint(
            (stage, plan["cluster"], plan.get("fingerprint", "")) for stage, plan in plans
        ),
        "notes": list(_notes(spec)),
    }


def _plan_of(part: Part, stage: StageSpec, measured: MeasuredRestarts | None) -> dict[str, Any]:
    snapshot = part.snapshot
    if snapshot is None or not snapshot.is_metadata_known:
        return {"cluster": part.cluster, "error": _NOT_SEEN}
    # Hosts of the fleet file that the cluster does not show are part of the wave all the same.
    seen = tuple(node for node in part.nodes if node in snapshot.brokers_by_id)
    found = live_plan(
        ClusterView(config=part.config, snapshot=snapshot),
        nodes=seen,
        concurrency=stage.concurrency,
        given={},
        policy=part.policy,
        measured=measured,
    )
    missing = sorted(set(part.nodes) - set(seen))
    if missing:
        named = ", ".join(map(str, missing))
        found["notes"].append(f"the fleet file has hosts that the cluster does not show: {named}")
    return found


def _time(part: Part, made: Mapping[str, Any]) -> ClusterTime:
    labels = part.loop.config.labels
    limited = dict(part.policy.clusters_at_once_per)
    return ClusterTime(
        seconds=made.get("estimatedSeconds", 0),
        domains=tuple((label, labels[label]) for label in limited if label in labels),
    )


def _stage(
    stage: StageSpec,
    plans: list[dict[str, Any]],
    times: list[ClusterTime],
    per_label: Mapping[str, int],
) -> dict[str, Any]:
    seconds = stage_seconds(times, stage.clusters_at_once, per_label)
    return {
        "name": stage.name,
        "clustersAtOnce": stage.clusters_at_once,
        "approval": None if stage.approval is None else stage.approval.value,
        "soakSeconds": stage.soak_seconds,
        "estimatedSeconds": math.ceil(seconds + stage.soak_seconds),
        "plans": plans,
    }


def _taken(plan: Mapping[str, Any]) -> int:
    return sum(len(step["brokers"]) for step in plan.get("steps", ()))


def _origin(plans: Iterable[Mapping[str, Any]]) -> str:
    """Where the duration comes from: both, where some clusters have a history."""
    found = {plan["estimatedFrom"] for plan in plans if "estimatedFrom" in plan}
    return "history and model" if len(found) > 1 else next(iter(found), "model")


def _notes(spec: WaveSpec) -> Iterable[str]:
    waits = [stage.name for stage in spec.stages if stage.approval is not None]
    if waits:
        yield f"the wait for an approval is not part of the duration: {', '.join(waits)}"
    if spec.policy.windows:
        yield "maintenance windows are not part of the duration"


async def plan_of_wave(
    request: Mapping[str, Any], tools: Tools, playbooks: Playbooks
) -> dict[str, Any]:
    """The plan of the wave that a `kind: Wave` document describes.

    Raises:
        OrderRefused: it could not be started, and why.
    """
    # A plan is asked for before anybody has to say why.
    spec = spec_of({"reason": "-", **request})
    playbook = await asyncio.to_thread(playbooks, spec.playbook_reference)
    target = playbook.target
    parts = parts_of(spec, tools.clusters, target=target)
    names = sorted({part.cluster for part in parts})
    found = [(name, await measured_on(tools.store, name, target)) for name in names]
    measured = {name: each for name, each in found if each is not None}
    return await asyncio.to_thread(fleet_plan, spec, request, parts, measured, playbook)


def require_plan(
    filed: GivenPlan,
    spec: WaveSpec,
    playbook: Playbook,
    clusters: Mapping[str, ClusterLoop],
) -> None:
    """Refuse a wave whose plan is not its own, or not true any more.

    Raises:
        OrderRefused: why, and for a stale plan every difference.
    """
    if isinstance(filed, FiledFleetPlan):
        require_fleet_current(filed, spec, playbook, clusters)
        return
    loop = only_loop(spec, clusters)
    if loop is None:
        message = "the plan is of one cluster, and the wave is not: make a plan of its file"
        raise OrderRefused(Refusal.INVALID, message)
    if playbook.target is not PlaybookTarget.BROKER:
        message = (
            f"the plan is of brokers, and {playbook.name} is for {NODE_WORDS[playbook.target]}s:"
            " make a plan of the wave's file"
        )
        raise OrderRefused(Refusal.INVALID, message)
    require_current(filed, asked_of(spec, loop), loop.view)


def require_fleet_current(
    filed: FiledFleetPlan,
    spec: WaveSpec,
    playbook: Playbook,
    clusters: Mapping[str, ClusterLoop],
) -> None:
    """Refuse a wave over a fleet whose plan is not true any more.

    Raises:
        OrderRefused: every difference, each with its cluster.
    """
    found = [
        change
        for stage, plan in filed.plans
        if (loop := clusters.get(plan.cluster)) is not None
        for change in _of_cluster(plan, _stage_named(spec, stage), loop, spec, playbook.target)
    ]
    if filed.playbook is not None and filed.playbook != playbook_digest(playbook):
        words = f"the playbook {spec.playbook} does something else now"
        found.append(Difference(change=Change.PLAYBOOK, nodes=(), detail=words))
    try:
        parts = parts_of(spec, clusters, target=playbook.target)
    except OrderRefused as error:
        # When the plan was made it could be done: a cluster, a node or a host is gone since.
        found.append(Difference(change=Change.GONE, nodes=(), detail=str(error)))
    else:
        found += _of_selection(filed, spec, parts)
    if found:
        raise _stale(found)


def _stage_named(spec: WaveSpec, name: str) -> StageSpec | None:
    return next((stage for stage in spec.stages if stage.name == name), None)


def _of_selection(
    filed: FiledFleetPlan, spec: WaveSpec, parts: Iterable[Part]
) -> Iterable[Difference]:
    planned = {(stage, plan.cluster): plan for stage, plan in filed.plans}
    now = {(spec.stages[part.stage].name, part.cluster): part for part in parts}
    for stage, cluster in sorted(planned.keys() - now.keys()):
        words = f"{cluster} is not in stage {stage} any more"
        yield Difference(change=Change.CLUSTER, nodes=(), detail=words)
    for stage, cluster in sorted(now.keys() - planned.keys()):
        words = f"{cluster} is in stage {stage}, and the plan does not know it"
        yield Difference(change=Change.CLUSTER, nodes=(), detail=words)
    for key in sorted(planned.keys() & now.keys()):
        snapshot = now[key].snapshot
        known = () if snapshot is None else snapshot.brokers_by_id
        takes = {node for node in now[key].nodes if node in known}
        if snapshot is not None and takes != {*planned[key].taken, *planned[key].blocked}:
            words = f"{key[1]}: the stage takes other brokers than its plan"
            yield Difference(change=Change.TOPOLOGY, nodes=(), detail=words)


def _of_cluster(
    plan: FiledPlan,
    stage: StageSpec | None,
    loop: ClusterLoop,
    spec: WaveSpec,
    target: PlaybookTarget,
) -> Iterable[Difference]:
    snapshot = loop.view.snapshot
    if snapshot is None:
        words = "it has not been observed yet: nobody can say whether its plan is true"
        found = [Difference(change=Change.TOPOLOGY, nodes=(), detail=words)]
    else:
        accepted = accepted_by(spec.policy_over(loop.config.wave_policy))
        found = [
            *inventory_differences(plan, driven(loop.config, target)),
            *differences(plan, for_target(target, snapshot), accepted),
        ]
    if stage is not None and plan.concurrency != stage.concurrency:
        words = "the stage has another concurrency than its plan"
        found.append(Difference(change=Change.STEP, nodes=(), detail=words))
    for each in found:
        yield replace(each, detail=f"{loop.config.name}: {each.detail}")


def _stale(found: Iterable[Difference]) -> OrderRefused:
    rows = tuple(found)
    return OrderRefused(
        Refusal.STALE,
        "the plan of the wave is stale, nothing was started: "
        + "; ".join(each.detail for each in rows),
        differences=[each.as_json() for each in rows],
    )
