"""The order and concurrency that a wave would use on one snapshot (restart-safety.md section 3).

Invariants of every plan:
- each node asked for is in exactly one step, or it is blocked: alone, on this snapshot;
- every step passes ok-to-stop as a set on this snapshot;
- repairs come first and share no step with others, then controllers, then plain brokers;
- no step has two controllers, and the active one is the last of its group;
- no plan for these nodes has fewer steps than `lower_bound`, whatever its concurrency.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final

from healthd.model.order import NaturalKey, natural_key
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import BrokerState, EvidenceGroup, QuorumMode
from healthd.safety.acknowledgements import NONE, Acknowledgements
from healthd.safety.ok_to_stop import each_broker, require_known
from healthd.waves.planner_duration import MeasuredRestarts, PlannedPace, estimated_seconds
from healthd.waves.planner_fingerprint import fingerprint
from healthd.waves.planner_packing import (
    Packing,
    fewest_steps,
    fewest_steps_of_crowds,
    packed,
    racks_together,
)
from healthd.waves.planner_search import fit
from healthd.waves.planner_spare import Conflicts
from healthd.waves.planner_words import broker_reasons, controller_reason, repair_reason
from healthd.waves.policy import WavePolicy
from healthd.waves.sequence import Rank, is_active_controller, is_controller, sequence

_HOPEFUL: Final = 2
"""With more steps than so many times the bound, a search would end without an answer."""


class StepRole(StrEnum):
    """What the nodes of a step are, and so which group it belongs to."""

    REPAIR = "repair"
    """Down, fenced or not running, whatever else they are."""
    CONTROLLER = "controller"
    """A controller or combined node."""
    BROKER = "broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """Nodes that may be down together."""

    nodes: tuple[int, ...]
    """By rising id."""
    role: StepRole
    reason: str
    """Why these, now, and not more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedNode:
    """A node that cannot be taken on this snapshot, even alone."""

    node: int
    blockers: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a wave would do; build it with `plan`."""

    cluster: str
    concurrency: int | None
    """Nodes in one step at most; None: as many as is safe."""
    steps: tuple[PlannedStep, ...]
    blocked: tuple[BlockedNode, ...]
    """By rising id."""
    controller_last: int | None
    """The active controller, whether it is in the plan or not; None when it is unknown."""
    lower_bound: int
    """No plan for the nodes in `steps` has fewer steps."""
    estimated_seconds: int
    measured_restarts: int
    """From so many measured restarts that was estimated; 0: from a model."""
    fingerprint: str
    notes: tuple[str, ...]
    """What a wave by this plan would not look at."""


def plan(
    snapshot: ClusterSnapshot,
    *,
    nodes: Collection[int] | None = None,
    concurrency: int | None = 1,
    acknowledged: Acknowledgements = NONE,
    policy: WavePolicy | None = None,
    measured: MeasuredRestarts | None = None,
) -> Plan:
    """The plan for these nodes; without `nodes` for every node, pure controllers included.

    Args:
        snapshot: what is known of the cluster.
        nodes: ids that the snapshot lists.
        concurrency: how many may be down together; None: as many as is safe.
        acknowledged: what a person accepts, and the margin.
        policy: for the expected duration.
        measured: how long restarts took on this cluster; None: a model has to do.

    Raises:
        UnknownBroker: an id is not listed in the snapshot.
    """
    assert concurrency is None or concurrency > 0, "a plan that takes nobody is no plan"
    asked = require_known(snapshot, snapshot.brokers_by_id if nodes is None else nodes)
    each = each_broker(snapshot, acknowledged=acknowledged)
    ranked = sequence(snapshot, (node for node in asked if not each[node]))
    repairs = [node for rank, node in ranked if rank is Rank.REPAIR]
    controllers = [node for rank, node in ranked if rank in _CONTROLLERS]
    brokers = [node for rank, node in ranked if rank is Rank.BROKER]
    broker_steps, broker_bound = _broker_steps(snapshot, brokers, concurrency, acknowledged)
    steps = (
        *_repair_steps(snapshot, repairs, concurrency),
        *_controller_steps(snapshot, controllers),
        *broker_steps,
    )
    quorum = snapshot.quorum
    active = quorum.leader_id if quorum is not None else None
    return Plan(
        cluster=snapshot.cluster,
        concurrency=concurrency,
        steps=steps,
        blocked=tuple(BlockedNode(node=at, blockers=each[at]) for at in sorted(asked) if each[at]),
        controller_last=active if active is not None and active >= 0 else None,
        lower_bound=_fewest_repairs(snapshot, repairs) + len(controllers) + broker_bound,
        estimated_seconds=estimated_seconds(
            [_pace(snapshot, step) for step in steps],
            snapshot.interval_seconds,
            policy or WavePolicy(),
            measured=measured,
        ),
        measured_restarts=0 if measured is None else len(measured.restarts),
        fingerprint=fingerprint(snapshot),
        notes=tuple(_notes(snapshot)),
    )


_CONTROLLERS: Final = frozenset({Rank.CONTROLLER, Rank.ACTIVE_CONTROLLER})


def _repair_steps(
    snapshot: ClusterSnapshot, nodes: Sequence[int], limit: int | None
) -> Iterable[PlannedStep]:
    """Steps of repairs, never two controllers in one: nothing else keeps them apart.

    They serve nobody, so no partition loses anything. Brokers go along with the last controller.
    """
    groups: list[list[int]] = []
    for node in nodes:
        controls = is_controller(snapshot, snapshot.brokers_by_id[node])
        if not groups or controls or len(groups[-1]) == limit:
            groups.append([])
        groups[-1].append(node)
    for group in groups:
        yield PlannedStep(
            nodes=tuple(sorted(group)),
            role=StepRole.REPAIR,
            reason=repair_reason([snapshot.brokers_by_id[node] for node in sorted(group)]),
        )


def _fewest_repairs(snapshot: ClusterSnapshot, nodes: Collection[int]) -> int:
    """Steps that the repairs need: one, and one for every controller among them."""
    brokers = snapshot.brokers_by_id
    controllers = sum(is_controller(snapshot, brokers[node]) for node in nodes)
    return max(controllers, min(1, len(nodes)))


def _controller_steps(snapshot: ClusterSnapshot, nodes: Sequence[int]) -> Iterable[PlannedStep]:
    for node in nodes:
        yield PlannedStep(
            nodes=(node,),
            role=StepRole.CONTROLLER,
            reason=controller_reason(is_active=is_active_controller(snapshot, node)),
        )


def _broker_steps(
    snapshot: ClusterSnapshot,
    nodes: Sequence[int],
    limit: int | None,
    acknowledged: Acknowledgements,
) -> tuple[Iterable[PlannedStep], int]:
    """The steps of plain brokers, and the fewest steps that they need."""
    conflicts = Conflicts.of(snapshot, nodes, acknowledged)
    groups, fewest = broker_groups(snapshot, conflicts, limit)
    reasons = broker_reasons(snapshot, groups, conflicts, limit, acknowledged)
    steps = tuple(
        PlannedStep(nodes=tuple(group), role=StepRole.BROKER, reason=reason)
        for group, reason in zip(groups, reasons, strict=True)
    )
    return steps, fewest


def broker_groups(
    snapshot: ClusterSnapshot, conflicts: Conflicts, limit: int | None
) -> tuple[list[list[int]], int]:
    """The plain brokers of each step, in the order of the steps, and how few steps they need."""
    nodes = conflicts.nodes
    orders = _orders(snapshot, conflicts)
    best, fewest = _largest_steps(conflicts, orders, _racks(snapshot, conflicts, orders[0]))
    if limit is None:
        groups = [sorted(nodes[at] for at in step) for step in best]
    elif limit == 1:
        groups = [[node] for node in nodes]
    else:
        found = packed(conflicts, orders, limit, max(fewest, -(-len(nodes) // limit)))
        groups = [sorted(nodes[at] for at in step) for step in found]
    return _last_controller_last(snapshot, sorted(groups)), fewest


def _largest_steps(
    conflicts: Conflicts, orders: Sequence[Sequence[int]], racks: Sequence[Sequence[int]]
) -> tuple[Packing, int]:
    """The fewest steps found when nothing limits their size, and how few are needed at least."""
    fewest = fewest_steps(conflicts)
    best = racks_together(conflicts, racks, fewest) or packed(conflicts, orders, None, fewest)
    if fewest < len(best):
        fewest = max(fewest, fewest_steps_of_crowds(conflicts))
    while fewest < len(best) <= _HOPEFUL * fewest:
        outcome = fit(conflicts, fewest)
        if outcome.packing is not None:
            return outcome.packing, fewest
        if not outcome.is_impossible:
            break
        fewest += 1
    return best, fewest


def _orders(snapshot: ClusterSnapshot, conflicts: Conflicts) -> Sequence[Sequence[int]]:
    """The positions rack by rack, then those with most conflicts first."""
    brokers = snapshot.brokers_by_id

    def by_rack(at: int) -> tuple[bool, NaturalKey, int]:
        rack = brokers[conflicts.nodes[at]].rack
        return rack is None, natural_key(rack or ""), conflicts.nodes[at]

    everybody = range(len(conflicts.nodes))
    return (
        sorted(everybody, key=by_rack),
        sorted(everybody, key=lambda at: (-conflicts.pairs[at].bit_count(), at)),
    )


def _racks(
    snapshot: ClusterSnapshot, conflicts: Conflicts, by_rack: Sequence[int]
) -> list[list[int]]:
    """The positions of each rack, in the order of the racks."""
    brokers, nodes = snapshot.brokers_by_id, conflicts.nodes
    return [list(rack) for _, rack in groupby(by_rack, lambda at: brokers[nodes[at]].rack)]


def _last_controller_last(snapshot: ClusterSnapshot, groups: list[list[int]]) -> list[list[int]]:
    """The groups with the active controller's at the end: it is a broker in ZooKeeper mode."""
    return sorted(
        groups, key=lambda group: any(is_active_controller(snapshot, node) for node in group)
    )


def _pace(snapshot: ClusterSnapshot, step: PlannedStep) -> PlannedPace:
    nodes = (snapshot.brokers_by_id[node] for node in step.nodes)
    has_to_stop = any(node.state is not BrokerState.NOT_RUNNING for node in nodes)
    return PlannedPace(nodes=len(step.nodes), has_to_stop=has_to_stop)


def _notes(snapshot: ClusterSnapshot) -> Iterable[str]:
    quorum = snapshot.quorum
    metadata_age = snapshot.effective_ages[EvidenceGroup.METADATA]
    if not snapshot.is_metadata_known:
        yield "nothing is known of the cluster: its metadata was never seen, and a wave would hold"
    elif metadata_age > snapshot.fresh_limit_seconds:
        yield f"its metadata is {metadata_age:.0f} s old: a wave would hold until it is seen anew"
    if snapshot.age(EvidenceGroup.METRICS) is None:
        yield "replica lag is not asked for: no metrics are configured"
    if quorum is None:
        yield "controllers are not checked: no quorum was seen"
    elif quorum.mode is QuorumMode.ZOOKEEPER:
        yield "the servers of the ZooKeeper ensemble are not part of the plan"
